"""Who is asked about, and who has churned, by each definition; each customer is a case, named for it."""

from dataclasses import replace

import pandas as pd
import pytest

from churn.config.events import ChurnConfig, ChurnKind, CutoffConfig, EventTable
from churn.errors import UserError
from churn.events.calendar import to_date
from churn.events.findings.tables import history_findings, table_findings
from churn.events.history import data_until
from churn.events.report import make_snapshot
from churn.events.workspace import open_workspace
from events.conftest import day, definition, rows_at, shop, write_shop

CUTOFF = "2024-06-01"
NO_ROW = None  # is no customer at the cut-off, or nobody can know


def outcomes(folder, cfg, tables):
    """{customer: churned} at the cut-off; features do not matter."""
    write_shop(folder, {**shop(), **tables})
    orders = replace(cfg.tables["orders"], values=[], categories=[], distinct=[])
    lean = replace(cfg, windows=[7], properties={}, tables={**cfg.tables, "orders": orders})
    return {row.customer: int(row.churned) for row in rows_at(lean, [CUTOFF]).itertuples()}


def with_rows(cases):
    """{case: churned} of the cases that have a row."""
    return {case: churned for case, (*_, churned) in cases.items() if churned is not NO_ROW}


def contracts(cases):
    """The contracts, from and to, of each case."""
    rows = [(case, *contract) for case, (held, _) in cases.items() for contract in held]
    frame = pd.DataFrame(rows, columns=["who", "from", "to"])
    return frame.assign(**{name: pd.to_datetime(frame[name]) for name in ("from", "to")})


def test_cancelled_is_who_has_no_contract_that_goes_on(tmp_path):
    since = "2024-01-01"
    cases = {
        "begins on the day of the cut-off": ([("2024-06-01", None)], NO_ROW),
        "begins the day before": ([("2024-05-31", None)], 0),
        "has left already": ([(since, "2024-05-31")], NO_ROW),
        "leaves on the day of the cut-off": ([(since, "2024-06-01")], 1),
        "leaves on the last day of the horizon": ([(since, "2024-06-30")], 1),
        "leaves after it": ([(since, "2024-07-01")], 0),
        "another begins the next day": ([(since, "2024-06-10"), ("2024-06-11", None)], 0),
        "another begins a day later": ([(since, "2024-06-10"), ("2024-06-12", None)], 1),
        "overlapping": ([(since, "2024-06-10"), ("2024-03-01", None)], 0),
        "overlapping, and the last one ends": ([(since, "2024-06-10"), ("2024-03-01", "2024-06-20")], 1),
        "came back": ([("2023-01-01", "2023-06-10"), ("2024-03-01", None)], 0),
        "ends never": ([(since, "9999-12-31")], 0),
    }
    cfg = definition(tmp_path, ChurnKind.cancelled)
    assert outcomes(tmp_path, cfg, {"contracts": contracts(cases)}) == with_rows(cases)


def test_not_renewed_is_whose_contract_ends_without_another_in_the_grace(tmp_path):
    since = "2024-01-01"
    cases = {
        "another within 14 days": ([(since, "2024-06-10"), ("2024-06-24", None)], 0),
        "another a day later": ([(since, "2024-06-10"), ("2024-06-25", None)], 1),
        "between two contracts": ([(since, "2024-05-25"), ("2024-06-05", None)], NO_ROW),
        "goes on": ([(since, None)], 0),
        "another that ends before it begins": ([(since, "2024-06-28"), ("2024-07-10", "2024-07-05")], 1),
    }
    cfg = definition(tmp_path, ChurnKind.not_renewed)
    assert outcomes(tmp_path, cfg, {"contracts": contracts(cases)}) == with_rows(cases)


def orders(cases):
    """The orders of each case, and of somebody who orders all the time."""
    always = [("stays", at) for at in pd.date_range("2024-03-01", "2024-09-01", freq="D")]
    rows = [(case, pd.Timestamp(time)) for case, (times, _) in cases.items() for time in times]
    frame = pd.DataFrame([*rows, *always], columns=["who", "at"])
    return frame.assign(known=frame["at"], amount=1.0, items=1.0, channel="web", product="p")


def test_inactive_is_who_was_active_and_is_not_seen_in_the_horizon(tmp_path):
    cases = {
        "61 days before": (["2024-04-01 23:00"], NO_ROW),
        "60 days before": (["2024-04-02 00:00"], 1),
        "again at the cut-off": (["2024-05-30", "2024-06-01 00:00"], 0),
        "again in the last second of the horizon": (["2024-05-30", "2024-06-30 23:59:59"], 0),
        "again after it": (["2024-05-30", "2024-07-01 00:00"], 1),
        "not begun": (["2024-06-02"], NO_ROW),
        "known only later": (["2024-05-30"], NO_ROW),  # makes nobody active before it has arrived
    }
    table = orders(cases)
    table.loc[table["who"] == "known only later", "known"] = pd.Timestamp("2024-06-02")
    found = outcomes(tmp_path, definition(tmp_path), {"orders": table})
    assert found == with_rows(cases) | {"stays": 0}


def with_cancellations(folder, cases, late=()):
    """The shop with a journal of beginnings and cancellations; those of `late` arrive after the cut-off."""
    rows = [("other", "stays", "2024-02-01")]
    for case, (begun, cancelled, _) in cases.items():
        rows += [("signup", case, at) for at in begun] + [("cancel", case, at) for at in cancelled]
    frame = pd.DataFrame(rows, columns=["what", "who", "at"])
    at = pd.to_datetime(frame["at"], format="ISO8601")
    known = at.mask(frame["who"].isin(late) & (frame["what"] == "cancel"), pd.Timestamp("2024-06-05"))
    frame.assign(at=at, known=known).to_parquet(folder / "journal.parquet")
    journal = EventTable(path="journal.parquet", customer="who", time="at", arrival="known" if late else None)
    tables = {name: replace(journal, only={"what": [name]}) for name in ("signup", "cancel")}
    churn = ChurnConfig(kind=ChurnKind.cancelled, table="cancel", begin="signup")
    cfg = definition(folder)
    return replace(cfg, tables={**cfg.tables, **tables}, churn=churn)


def test_cancellations_may_be_events(tmp_path):
    cases = {
        "stays": (["2024-01-01"], [], 0),
        "cancels": (["2024-01-01"], ["2024-06-15"], 1),
        "has cancelled": (["2024-01-01"], ["2024-05-15"], NO_ROW),
        "came back": (["2024-01-01", "2024-05-20"], ["2024-05-15"], 0),
        "never began": ([], ["2024-06-15"], NO_ROW),
        "changed over": (["2024-01-01", "2024-05-15 10:05"], ["2024-05-15 10:00"], 0),
        "changes over": (["2024-01-01", "2024-06-15 10:05"], ["2024-06-15 10:00"], 0),
        "changed over in one moment": (["2024-01-01", "2024-05-15"], ["2024-05-15"], 0),
        "changes over in one moment": (["2024-01-01", "2024-06-15"], ["2024-06-15"], 0),
        "changed over twice": (["2024-01-01", "2024-04-15", "2024-05-15"], ["2024-04-15", "2024-05-15"], 0),
        "changed over, and cancels": (["2024-01-01", "2024-05-15"], ["2024-05-15", "2024-06-15"], 1),
        "tried it for a moment": (["2024-05-15"], ["2024-05-15"], NO_ROW),
        "was back for a moment": (["2024-01-01", "2024-05-15"], ["2024-02-01", "2024-05-15"], NO_ROW),
    }
    cfg = with_cancellations(tmp_path, cases)
    assert outcomes(tmp_path, cfg, {}) == with_rows(cases)
    with open_workspace(cfg) as work:
        titles = [finding.title for finding in table_findings(work)]
    assert "'cancel': 7 cancellations in the second of a beginning" in titles


def test_a_cancellation_that_nobody_knew_of_is_a_churner_and_not_a_missing_row(tmp_path):
    """As `churn score` sees it on the day: the table has no such cancellation yet."""
    cases = {
        "stays": (["2024-01-01"], [], 0),
        "has cancelled": (["2024-01-01"], ["2024-05-15"], NO_ROW),
        "unknown": (["2024-01-01"], ["2024-05-28"], 1),
        "unknown, came back": (["2024-01-01", "2024-05-30"], ["2024-05-28"], 0),
        "unknown, changes over": (["2024-01-01", "2024-06-01"], ["2024-05-31"], 0),
        "cancels": (["2024-01-01"], ["2024-06-02"], 1),
    }
    late = ["unknown", "unknown, came back", "unknown, changes over", "cancels"]
    assert outcomes(tmp_path, with_cancellations(tmp_path, cases, late), {}) == with_rows(cases)


@pytest.mark.parametrize("days", [0, 1])
def test_who_changes_plans_on_one_day_remains_a_customer_also_where_events_have_an_arrival(tmp_path, days):
    cases = {
        "changed over": (["2024-01-01", "2024-05-15"], ["2024-05-15"], 0),
        "stays": (["2024-01-01"], [], 0),
    }
    cases["changes over"] = (["2024-01-01", "2024-06-15"], ["2024-06-15"], 0)
    cases["left"] = (["2024-01-01", "2024-05-15"], ["2024-02-01", "2024-05-15"], NO_ROW)
    cfg = with_cancellations(tmp_path, cases)
    journal = pd.read_parquet(tmp_path / "journal.parquet")
    journal.assign(known=journal["at"] + pd.Timedelta(days=days)).to_parquet(tmp_path / "journal.parquet")
    for name in ("signup", "cancel"):
        cfg.tables[name].arrival = "known"
    assert outcomes(tmp_path, cfg, {}) == with_rows(cases)


@pytest.mark.parametrize("late", ["began", "ended"])
def test_who_is_a_customer_does_not_depend_on_what_arrives_after_the_cutoff(tmp_path, late):
    """Nor on how it places a beginning and a cancellation of one second, once it is there."""
    moments = {"began": ["2024-01-01", "2024-05-10"], "ended": ["2024-03-01", "2024-05-10"]}
    frames = {name: pd.DataFrame({"who": "x", "at": pd.to_datetime(at)}) for name, at in moments.items()}
    frames["began"] = pd.concat([frames["began"], frames["began"].iloc[:1].assign(who="y")])
    frames = {name: frame.assign(known=frame["at"]) for name, frame in frames.items()}
    first = (frames[late]["who"] == "x") & (frames[late]["at"] < "2024-04-01")
    frames[late].loc[first, "known"] = pd.Timestamp("2024-07-15")
    if late == "began":
        frames["ended"] = frames["ended"].iloc[1:]
    cfg = definition(tmp_path, windows=[7], properties={}, contracts={})
    tables = {name: EventTable(path=f"{name}.parquet", customer="who", time="at") for name in frames}
    tables[late].arrival = "known"
    churn = ChurnConfig(kind=ChurnKind.cancelled, table="ended", begin="began")
    cfg = replace(cfg, tables={**cfg.tables, **tables}, churn=churn)
    write_shop(tmp_path, {**shop(), **frames})
    later = rows_at(cfg, [CUTOFF], labelled=False)
    frames[late] = frames[late][frames[late]["known"] < CUTOFF]
    write_shop(tmp_path, frames)
    pd.testing.assert_frame_equal(rows_at(cfg, [CUTOFF], labelled=False), later)


def test_the_days_as_customer_count_from_the_first_beginning(tmp_path):
    ended_before = ("2023-02-02", "2023-02-01")  # which is no contract
    cases = {"a": ([ended_before, ("2023-06-02", "2023-12-31"), ("2024-03-01", None)], 0)}
    write_shop(tmp_path, {**shop(), "contracts": contracts(cases)})
    found = rows_at(definition(tmp_path, ChurnKind.cancelled), [CUTOFF]).set_index("customer")
    assert found.loc["a", "days_as_customer"] == 365


@pytest.mark.parametrize("kind", [ChurnKind.cancelled, ChurnKind.inactive])
def test_the_days_as_customer_do_not_know_what_arrived_after_the_cutoff(tmp_path, kind):
    tables, cfg = shop(), definition(tmp_path, kind)
    cfg.contracts["contracts"].arrival = "known"
    tables["contracts"]["known"] = tables["contracts"]["from"]
    write_shop(tmp_path, tables)
    before = rows_at(cfg, [CUTOFF])
    for name, moment in (("orders", "at"), ("contracts", "from")):
        row = tables[name].iloc[:60].copy()
        row[[moment, "known"]] = [pd.Timestamp("2023-01-01"), pd.Timestamp(CUTOFF)]
        row["who"] = [f"c{i:03d}" for i in range(60)]
        if name == "contracts":
            row["to"] = pd.Timestamp("2023-02-01")
        tables[name] = pd.concat([tables[name], row])
    write_shop(tmp_path, tables)
    assert rows_at(cfg, [CUTOFF])["days_as_customer"].equals(before["days_as_customer"])


def test_events_to_come_make_no_cutoffs_and_are_counted(tmp_path):
    tables = shop()
    write_shop(tmp_path, tables)
    cfg = replace(definition(tmp_path), cutoffs=CutoffConfig())
    with open_workspace(cfg) as work:
        until = data_until(work)
    tables["orders"].loc[0, ["at", "known"]] = pd.Timestamp("2062-01-05")
    write_shop(tmp_path, tables)
    with open_workspace(cfg) as work:
        assert data_until(work) == until
        assert "'orders': 1 event of days to come" in [found.title for found in table_findings(work)]


def test_silence_is_known_only_as_far_as_the_table_that_breaks_it_reaches(tmp_path):
    tables, cfg = shop(), replace(definition(tmp_path), cutoffs=CutoffConfig())
    orders = tables["orders"]
    visits = EventTable(path="visits.parquet", customer="who", time="at")
    cfg = replace(cfg, tables={**cfg.tables, "visits": visits})
    early = orders["at"] < "2024-06-20"
    write_shop(tmp_path, {**tables, "orders": orders[early], "visits": orders})
    with open_workspace(cfg) as work:
        assert to_date(data_until(work)).isoformat() == "2024-06-19"


def test_a_table_that_ends_early_is_named_unless_it_often_pauses_so_long(tmp_path):
    tables, cfg = shop(), definition(tmp_path, ChurnKind.cancelled)
    orders = tables["orders"]
    invoice = EventTable(path="invoices.parquet", customer="who", time="at", drop_copies=True)
    cfg = replace(cfg, tables={**cfg.tables, "invoices": invoice})
    monthly = orders.assign(at=orders["at"].dt.to_period("M").dt.to_timestamp())
    write_shop(tmp_path, {**tables, "orders": orders[orders["at"] < "2024-06-20"], "invoices": monthly})
    with open_workspace(cfg) as work:
        found = [finding.title for finding in history_findings(work, [day("2024-06-25"), day("2024-06-28")])]
    assert "'orders' ends before the last cut-off" in found
    assert "'invoices' ends before the last cut-off" not in found


def test_a_cutoff_waits_for_the_day_after_its_horizon_on_which_a_contract_may_go_on(tmp_path):
    months = [("2024-05-01", "2024-05-31"), ("2024-06-01", "2024-06-30"), ("2024-07-01", "2024-07-31")]
    tables = {
        **shop(),
        "contracts": contracts({"monthly": (months, 0), "stays": ([("2024-01-01", None)], 0)}),
    }
    write_shop(tmp_path, tables)
    cfg = replace(definition(tmp_path, ChurnKind.cancelled), cutoffs=CutoffConfig(first=CUTOFF), windows=[7])
    with open_workspace(replace(cfg, until="2024-07-02")) as work:
        assert make_snapshot(work, tmp_path / "s.parquet", 0).contents.by_cutoff == {CUTOFF: [1, 0]}
    with (
        open_workspace(replace(cfg, until="2024-07-01")) as work,
        pytest.raises(UserError, match="no cut-off"),
    ):
        make_snapshot(work, tmp_path / "s.parquet", 0)
