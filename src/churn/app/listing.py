"""The list before one person: who is worth a call with the settings of the sliders, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
from shiny import reactive

from churn.app import whom
from churn.app.desk import Desk
from churn.bundle.money import format_amount
from churn.config.training import DecisionConfig
from churn.data.sources.side_files import no_match_error, read_ids
from churn.score.call_list import CallList, check_ids, explain_customers, list_of
from churn.score.common_reasons import claim_of, set_apart
from churn.score.page import cells_of, reasons_of, who_columns

MOST_LEVELS = 50  # of a column that can be filtered by, in its first rows
LOOKED_AT = 100_000  # rows


class Listing:
    """The list of a page.

    `changes` and `capacity` are what its sliders say, `barred_ids` the ids of its file `barred_file`. The
    capacity is apart: it ends the list, and does not change the order.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.changes: Callable[[], Mapping[str, Any]] = dict
        self.capacity: Callable[[], int] = int
        self.barred_ids: Callable[[], set[str]] = set
        self.barred_file: Callable[[], str] = str
        self._reasons: dict[tuple[Any, ...], Any] = {}
        self.in_order = reactive.calc(self._in_order)
        self.ranked = reactive.calc(self._ranked)
        self.first = reactive.calc(lambda: self.ranked().first())
        self.calls = reactive.calc(self._calls)

    def assumed(self) -> DecisionConfig:
        """The assumptions that order the list."""
        return whom.assumptions(self.desk.bundle(), self.changes(), self.desk.cfg)

    def _in_order(self) -> whom.Ranked:
        bundle, scored, barred = self.desk.bundle(), self.desk.scored(), self.barred_ids()
        if barred:
            check_ids(bundle, scored["id"], self.barred_file())
        ranked = whom.rank(scored, bundle, self.assumed(), barred)
        if barred and not ranked.barred:  # as `churn score` does
            do = "write the ids as in the table of customers, and drop the file again"
            raise no_match_error(barred, list(scored["key", "key"][:10]), self.barred_file(), do)
        return ranked

    def _ranked(self) -> whom.Ranked:
        ranked = self.in_order()
        return replace(ranked, assumed=replace(ranked.assumed, capacity=self.capacity()))

    def _calls(self) -> CallList:
        return list_of(self.first(), self.ranked().assumed, self.desk.cfg.seed)

    def outlook(self) -> tuple[int, str]:
        """How many customers are called, and what these calls should bring."""
        table = self.calls().table
        called = table[table["treated"] == 1]
        return len(called), self.money(called["expected_profit"].sum())

    def full(self) -> CallList:
        """The list with the reasons of all customers, for files."""
        return whom.monday_list(self.ranked(), self.desk.bundle(), self.desk.cfg.seed)

    def changed(self, sliders: Mapping[str, Any]) -> dict[str, Any]:
        """The keys of the decision that the sliders set to something else than they began with."""
        own = whom.assumptions(self.desk.bundle(), {}, self.desk.cfg)
        values = {name: float(value) for name, value in sliders.items()}
        values["success"] /= 100
        return {name: value for name, value in values.items() if abs(value - getattr(own, name)) > 1e-9}

    def excluded(self, files: Sequence[Mapping[str, Any]] | None) -> set[str]:
        """The ids not to be contacted."""
        path = files[0]["datapath"] if files else None
        return read_ids(path, self.desk.bundle().schema.id, files[0]["name"]) if files and path else set()

    def explained(self, index: pd.Index) -> tuple[pd.DataFrame, list[str]]:
        """The reasons of some rows of the list, and those that most of them share."""
        best, digests = self.first().loc[index], (self.desk.upload().digest, self.desk.bundle().digest)
        cells = best["features"].astype(object).where(best["features"].notna(), None)  # NaN equals nothing
        names = [(*digests, *row) for row in cells.itertuples(index=False)]
        new = [i for i, name in enumerate(names) if name not in self._reasons]
        if new:
            found = explain_customers(self.desk.bundle(), best.iloc[new])
            self._reasons |= {names[i]: row for i, row in zip(new, found.to_dict("records"), strict=True)}
        return set_apart(pd.DataFrame([self._reasons[name] for name in names], index))

    def with_features(self, table: pd.DataFrame) -> pd.DataFrame:
        """A list with the fields of its customers, to search and filter by."""
        features = pd.DataFrame(self.first()["features"]).loc[table.index]
        return table.join(features[[name for name in features if name not in table]])

    def rows(self, shown: pd.DataFrame) -> list[dict[Any, Any]]:
        """Rows of the list with their texts; a reason that most of them share is said above them."""
        reasons, common = self.explained(shown.index)
        claims = {line.partition(": ")[2] for line in common}
        rows = []
        own_columns = shown[self.calls().table.columns].drop(columns=self.who())
        cells = cells_of(shown, self.who())
        for i, (index, row) in enumerate(zip(shown.index, own_columns.to_dict("records"), strict=True)):
            own = [one for one in reasons_of(reasons.loc[index].to_dict()) if claim_of(one) not in claims]
            texts: dict[Any, Any] = {
                "cells": cells[i],
                "key": self.first().loc[index, ("key", "key")],
                "low": row.get("churn_probability_low"),
                "high": row.get("churn_probability_high"),
                "certainty": row.get("certainty", ""),
                "worth": self.money(row["expected_profit"]),
                "reasons": own or ["as most of them"],
            }
            rows.append(row | texts)
        return rows

    def who(self) -> list[str]:
        """The columns that say who a customer is."""
        return who_columns(self.calls().table)

    def money(self, amount: float) -> str:
        """An amount in the currency of the decision."""
        return format_amount(amount, self.ranked().assumed.currency)

    def columns(self) -> list[str]:
        """The columns with few values, to filter by."""
        scored = self.desk.scored()
        parts = [
            scored[part] for part in ("features", "kept") if part in {*scored.columns.get_level_values(0)}
        ]
        table = pd.concat(parts, axis=1)[:LOOKED_AT]
        return [name for name in table if table[name].nunique() <= MOST_LEVELS]

    def levels_of(self, column: str) -> list[str]:
        """The values of a column in the file."""
        scored = self.desk.scored()
        if not column or scored is None:
            return []
        part = "features" if ("features", column) in scored else "kept"
        return sorted(map(str, scored[part, column].dropna().unique()))

    def command(self) -> str:
        """The command that writes the same list."""
        desk, assumed = self.desk, self.ranked().assumed
        return whom.command(desk.upload(), desk.bundle(), assumed, self.barred_file(), desk.cfg)
