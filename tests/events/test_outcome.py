"""Who is asked about, and who has churned, by each definition."""

from dataclasses import replace

import pandas as pd
import pytest

from churn.config.events import ChurnConfig, ChurnKind, EventTable
from events.conftest import definition, rows_at, shop, write_shop

CUTOFF = "2024-06-01"


def contracts(*rows):
    """Contracts (customer, begin, end), with one whose customer never leaves."""
    frame = pd.DataFrame([*rows, ("stays", "2024-01-01", None)], columns=["who", "from", "to"])
    return frame.assign(**{name: pd.to_datetime(frame[name]) for name in ("from", "to")})


def churned(folder, cfg, tables):
    """{customer: churned} at the cut-off, without the one who never leaves; features do not matter."""
    write_shop(folder, {**shop(), **tables})
    orders = replace(cfg.tables["orders"], values=[], categories=[], distinct=[])
    lean = replace(cfg, windows=[7], properties={}, tables={**cfg.tables, "orders": orders})
    found = rows_at(lean, [CUTOFF])
    return {row.customer: int(row.churned) for row in found.itertuples() if row.customer != "stays"}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("a", "2024-06-01", None)], {}),  # not begun before the cut-off
        ([("a", "2024-05-31", None)], {"a": 0}),
        ([("a", "2024-01-01", "2024-05-31")], {}),  # has left already
        ([("a", "2024-01-01", "2024-06-01")], {"a": 1}),  # leaves on the day of the cut-off
        ([("a", "2024-01-01", "2024-06-30")], {"a": 1}),  # on the last day of the horizon
        ([("a", "2024-01-01", "2024-07-01")], {"a": 0}),  # after it
        (
            [("a", "2024-01-01", "2024-06-10"), ("a", "2024-06-11", None)],
            {"a": 0},
        ),  # the next day another begins
        ([("a", "2024-01-01", "2024-06-10"), ("a", "2024-06-12", None)], {"a": 1}),  # a day later
        ([("a", "2024-01-01", "2024-06-10"), ("a", "2024-03-01", None)], {"a": 0}),  # overlapping
        ([("a", "2024-01-01", "2024-06-10"), ("a", "2024-03-01", "2024-06-20")], {"a": 1}),
        ([("a", "2023-01-01", "2023-06-10"), ("a", "2024-03-01", None)], {"a": 0}),  # came back
        ([("a", "2024-01-01", "9999-12-31")], {"a": 0}),  # never
    ],
)
def test_cancelled_is_who_has_no_contract_that_goes_on(tmp_path, rows, expected):
    assert (
        churned(tmp_path, definition(tmp_path, ChurnKind.cancelled), {"contracts": contracts(*rows)})
        == expected
    )


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("a", "2024-01-01", "2024-06-10"), ("a", "2024-06-24", None)], {"a": 0}),  # within 14 days
        ([("a", "2024-01-01", "2024-06-10"), ("a", "2024-06-25", None)], {"a": 1}),
        ([("a", "2024-01-01", "2024-05-25"), ("a", "2024-06-05", None)], {}),  # nobody knows yet: no row
    ],
)
def test_not_renewed_is_whose_contract_ends_without_another_in_the_grace(tmp_path, rows, expected):
    assert (
        churned(tmp_path, definition(tmp_path, ChurnKind.not_renewed), {"contracts": contracts(*rows)})
        == expected
    )


def orders(*times):
    """Orders of customer a at these times, and of somebody who orders all the time."""
    always = pd.date_range("2024-03-01", "2024-09-01", freq="D")
    frame = pd.DataFrame(
        {"who": ["a"] * len(times) + ["stays"] * len(always), "at": [*map(pd.Timestamp, times), *always]}
    )
    return frame.assign(known=frame["at"], amount=1.0, items=1.0, channel="web", product="p")


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (["2024-04-01 23:00"], {}),  # 61 days before: not active
        (["2024-04-02 00:00"], {"a": 1}),
        (["2024-05-30", "2024-06-01 00:00"], {"a": 0}),  # at the cut-off
        (["2024-05-30", "2024-06-30 23:59:59"], {"a": 0}),  # in the last second of the horizon
        (["2024-05-30", "2024-07-01 00:00"], {"a": 1}),
        (["2024-06-02"], {}),  # not begun
    ],
)
def test_inactive_is_who_was_active_and_is_not_seen_in_the_horizon(tmp_path, times, expected):
    assert churned(tmp_path, definition(tmp_path), {"orders": orders(*times)}) == expected


def test_an_order_that_arrives_late_makes_nobody_active_before_it_is_known(tmp_path):
    late = orders("2024-05-30")
    late.loc[late["who"] == "a", "known"] = pd.Timestamp("2024-06-02")
    assert churned(tmp_path, definition(tmp_path), {"orders": late}) == {}


@pytest.mark.parametrize(
    ("begun", "cancelled", "expected"),
    [
        (["2024-01-01"], [], {"a": 0}),
        (["2024-01-01"], ["2024-06-15"], {"a": 1}),
        (["2024-01-01"], ["2024-05-15"], {}),
        (["2024-01-01", "2024-05-20"], ["2024-05-15"], {"a": 0}),  # came back
        ([], ["2024-06-15"], {}),  # never began
    ],
)
def test_cancellations_may_be_events(tmp_path, begun, cancelled, expected):
    events = [(what, "a", at) for what, times in (("signup", begun), ("cancel", cancelled)) for at in times]
    frame = pd.DataFrame([*events, ("signup", "stays", "2024-01-01"), ("other", "a", "2024-02-01")],
                         columns=["what", "who", "at"])  # fmt: skip
    frame.assign(at=pd.to_datetime(frame["at"])).to_parquet(tmp_path / "journal.parquet")
    journal = EventTable(path="journal.parquet", customer="who", time="at")
    cfg = definition(tmp_path)
    tables = {name: replace(journal, only={"what": [name]}) for name in ("signup", "cancel")}
    churn = ChurnConfig(kind=ChurnKind.cancelled, table="cancel", begin="signup")
    assert churned(tmp_path, replace(cfg, tables={**cfg.tables, **tables}, churn=churn), {}) == expected


def test_the_days_as_customer_count_from_the_first_beginning(tmp_path):
    cfg = definition(tmp_path, ChurnKind.cancelled)
    write_shop(
        tmp_path,
        {**shop(), "contracts": contracts(("a", "2023-06-02", "2023-12-31"), ("a", "2024-03-01", None))},
    )
    found = rows_at(cfg, [CUTOFF]).set_index("customer")
    assert found.loc["a", "days_as_customer"] == 365
