"""The call list as one page to print: who, why, and what it should bring."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from churn.bundle.bundle import Bundle
from churn.bundle.choice import describe_model
from churn.bundle.money import format_amount
from churn.data.infer.cells import as_written
from churn.evaluate.report.templates import format_probability, template_environment
from churn.files import PERSONAL, write_text
from churn.score.call_list import CONTROL_NOTE, CallList
from churn.score.common_reasons import claim_of


def write_page(path: Path, calls: CallList, bundle: Bundle) -> None:
    """Write the page: one HTML file that needs neither scripts nor other files."""
    write_text(path, render_page(calls, bundle), PERSONAL)
    print(f"Page to print: {path}")


def render_page(calls: CallList, bundle: Bundle) -> str:
    """The HTML of the page."""
    table, currency = calls.table, calls.assumed.currency
    common = {line.partition(": ")[2] for line in calls.common}
    called = table[table["treated"] == 1]
    who = who_columns(table)
    cells, own = cells_of(table, who), table.drop(columns=who).to_dict("records")
    template = template_environment("score").get_template("page.html.j2")
    return template.render(
        name=bundle.facts.get("name", "customers"),
        model=describe_model(bundle.facts),
        day=f"{datetime.now():%Y-%m-%d}",
        called=len(called),
        control=len(table) - len(called),
        control_note=CONTROL_NOTE,
        profit=format_amount(called["expected_profit"].sum(), currency),
        assumed=calls.assumed,
        horizon=bundle.facts.get("horizon") if bundle.schema.time else None,
        common=calls.common,
        has_interval="churn_probability_low" in table,
        who=who,
        rows=[_row(row, currency, common) | {"cells": cells[i]} for i, row in enumerate(own)],
        money=lambda amount: format_amount(amount, currency),
    )


def who_columns(table: pd.DataFrame) -> list[str]:
    """The columns of a list that say who a customer is: the id, and those that are carried along."""
    return list(table.columns[: table.columns.get_loc("action")])


def cells_of(table: pd.DataFrame, who: Sequence[str]) -> list[dict[Any, Any]]:
    """The cells of each row in the columns `who`, as they are written: a blank cell is not nan."""
    written = pd.DataFrame({name: as_written(table[name]) for name in who}, table.index)
    return written.to_dict("records")


def reasons_of(row: Mapping[Any, Any]) -> list[str]:
    """The reasons in a row of the list, without the columns that are carried along."""
    return [text for name, text in row.items() if str(name).startswith("reason_") and not pd.isna(text)]


def _row(row: Mapping[Any, Any], currency: str | None, common: Collection[str]) -> dict[str, Any]:
    """A row of the list with its texts; reasons that are said above the list are left out."""
    reasons = [reason for reason in reasons_of(row) if claim_of(reason) not in common]
    low, high = row.get("churn_probability_low"), row.get("churn_probability_high")
    interval = (
        "" if low is None or high is None else f"{format_probability(low)} to {format_probability(high)}"
    )
    worth = format_amount(row["expected_profit"], currency)
    texts = {"reasons": reasons, "interval": interval, "worth": worth}
    return {"certainty": "", **row, **texts}
