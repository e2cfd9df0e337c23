"""Labels: which ones settle a prediction, and which ones do not yet."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.config.root import compose_config
from churn.data.declared import KEY
from churn.errors import UserError
from churn.monitor.collect import configured_labels, label_horizon
from churn.monitor.label_files import read_labels
from churn.monitor.labels import UNKNOWN, Labels, labels_from_table

from .conftest import SCHEMA

LATE = datetime(2030, 1, 1, tzinfo=UTC)


def settled(labels, when="2026-03-01", horizon=30):
    """The outcome of one prediction about the customer "a"; by default the labels reach to the year's end."""
    if all(churned for _, _, churned in labels):
        labels = [*labels, ("somebody", "2026-12-31", 0)]
    key, time, churned = (np.array(column) for column in zip(*labels, strict=True))
    known = Labels.of(key, time.astype("datetime64[s]"), churned, np.full(len(key), UNKNOWN))
    return int(known.settle(np.array(["a"]), np.array([when], "datetime64[us]"), horizon)[0][0])


@pytest.mark.parametrize(
    ("labels", "outcome"),
    [
        ([("a", "2026-03-11", 1)], 1),
        ([("a", "2026-03-31", 1)], 1),  # the last day of the horizon
        ([("a", "2026-04-01", 1)], 0),  # left, but after the horizon
        ([("a", "2026-03-31", 0)], 0),
        ([("a", "2026-03-30", 0)], UNKNOWN),  # still there, but the horizon is not over
        ([("a", "2026-02-20", 1)], UNKNOWN),  # left before the prediction
        ([("a", "2026-03-31", 0), ("a", "2026-03-20", 1)], 1),
        ([("a", "2026-03-10", 1), ("b", "2026-03-11", 0)], UNKNOWN),  # left, but the horizon is not over
        ([("a", "2026-03-10", 1), ("b", "2026-03-31", 0)], 1),
        ([("b", "2026-03-11", 1)], UNKNOWN),
        ([("A", "2026-03-11", 1), ("b", "2026-03-11", 1)], UNKNOWN),
    ],
)
def test_a_prediction_is_settled_by_what_is_known_at_the_end_of_its_horizon(labels, outcome):
    assert settled(labels) == outcome


@pytest.mark.parametrize("yes", ["1", "true", "Yes", "1.0"])
def test_labels_may_be_typed_or_text_and_have_the_id_column_of_the_training_table(yes):
    when = datetime(2026, 3, 20)
    table = pa.table(
        {"who": [7, 8], "time": pa.array([when, when]), "churned": [yes, "0"], "treated": ["", "1"]}
    )
    known = labels_from_table(table, "labels", SCHEMA, LATE)
    assert known.keys.tolist() == ["7", "8"]
    assert known.treated.tolist() == [UNKNOWN, 1]
    assert len(known.left) == 1


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("asked", ["2026-03-01T00:00", "2026-03-01T09:00", "2026-03-01T23:59"])
def test_a_label_that_is_a_day_counts_to_the_end_of_that_day(asked, typed):
    days = [date(2026, 3, 31), date(2026, 3, 1), date(2026, 3, 30), date(2026, 3, 20), date(2026, 4, 2)]
    table = pa.table(
        {"who": list("abcde"), "time": days if typed else list(map(str, days)), "churned": [0, 1, 0, 1, 1]}
    )
    known = labels_from_table(table, "labels", SCHEMA, LATE)
    moments = np.array([asked] * 5, "datetime64[s]")
    assert known.settle(np.array(list("abcde")), moments, 30)[0].tolist() == [0, 1, UNKNOWN, 1, 0]


@pytest.mark.parametrize("form", ["{} 00:00:00", "{}T00:00:00+02:00", "{} 00:00:00.000 UTC", "{}"])
@pytest.mark.parametrize("gone", ["2026-03-09 14:30:00", "2026-03-09"])
def test_days_of_stayers_may_be_midnight_beside_leavers_with_a_time(form, gone):
    stayed = form.format("2026-03-31")
    table = pa.table({"who": list("abc"), "time": [gone, stayed, stayed], "churned": [1, 0, 0]})
    known = labels_from_table(table, "labels", SCHEMA, LATE)
    asked = np.array(["2026-03-01T09:00"] * 3, "datetime64[s]")
    assert known.settle(np.array(list("abc")), asked, 30)[0].tolist() == [1, 0, 0]


def test_days_of_stayers_may_be_typed_as_midnight_of_their_zone():
    berlin = ZoneInfo("Europe/Berlin")
    times = [datetime(2026, 3, 9, 14, tzinfo=berlin), datetime(2026, 3, 31, tzinfo=berlin)]
    times = pa.array(times, pa.timestamp("ms", "Europe/Berlin"))
    known = labels_from_table(
        pa.table({"who": ["a", "b"], "time": times, "churned": [1, 0]}), "labels", SCHEMA, LATE
    )
    asked = np.array(["2026-03-01T09:00"] * 2, "datetime64[s]")
    assert known.settle(np.array(["a", "b"]), asked, 30)[0].tolist() == [1, 0]


def test_times_of_day_of_leavers_are_kept_where_some_are_midnight():
    times = ["2026-03-01T08:00:00", "2026-03-01T00:00:00", "2026-12-31"]
    table = pa.table({"who": list("abc"), "time": times, "churned": [1, 1, 0]})
    known = labels_from_table(table, "labels", SCHEMA, LATE)
    asked = np.array(["2026-03-01T09:00"] * 3, "datetime64[s]")
    assert known.settle(np.array(list("abc")), asked, 30)[0].tolist() == [UNKNOWN, UNKNOWN, 0]


def test_of_today_no_label_knows_more_than_until_now():
    now = datetime(2026, 3, 31, 8, tzinfo=UTC)
    table = pa.table({"who": ["a"], "time": ["2026-03-31"], "churned": [0]})
    known = labels_from_table(table, "labels", SCHEMA, now)
    moments = np.array(["2026-03-01T08:00", "2026-03-01T09:00"], "datetime64[s]")
    assert known.settle(np.array(["a", "a"]), moments, 30)[0].tolist() == [0, UNKNOWN]


def test_labels_from_the_future_are_not_known_yet():
    table = pa.table({"who": ["a", "b"], "time": ["2026-03-01", "2026-05-01"], "churned": [1, 0]})
    known = labels_from_table(table, "labels", SCHEMA, datetime(2026, 4, 1, tzinfo=UTC))
    assert known.keys.tolist() == ["a"]


def test_a_later_label_that_says_nothing_of_a_call_does_not_take_it_back():
    days, said = np.array([1, 5, 9, 12], "datetime64[D]").astype("datetime64[s]"), [UNKNOWN, 1, 1, UNKNOWN]
    known = Labels.of(np.array(["a"] * 4), days, np.zeros(4, int), np.array(said))
    assert known.treated.tolist() == [1]


def coded(words, churned):
    """The outcomes that labels with these words give, for a table whose leavers are `churned`."""
    schema = replace(SCHEMA, churned=(churned,))
    table = pa.table({"who": words, "time": ["2026-03-20"] * len(words), "churned": words})
    known = labels_from_table(table, "labels.csv", schema, LATE)
    return len(known.left)


@pytest.mark.parametrize(
    ("words", "churned", "left"),
    [
        (["1", "0"], "gone", 1),
        (["gone", "0"], "gone", 1),
        (["yes", "no"], "0", 1),  # where leavers are 0, words are clear
        (["1", "0"], "no", 1),
        (["1", "0"], "2", 1),  # the guide's words
        (["2", "0"], "2", 1),  # the table's
    ],
)
def test_a_word_is_looked_up_in_one_vocabulary(words, churned, left):
    assert coded(words, churned) == left


@pytest.mark.parametrize(
    ("words", "churned", "ambiguous", "do"),
    [
        (["1", "0"], "0", "0, 1", "write yes and no"),
        (["0"], "0", "0", "write yes and no"),
        (["true", "false"], "0", "false, true", "write yes and no"),
        (["yes", "no"], "no", "no, yes", "write 1 and 0"),
        (["1", "2"], "2", "1", "write yes and no"),
    ],
)
def test_a_word_that_two_vocabularies_read_differently_is_asked_about(words, churned, ambiguous, do):
    with pytest.raises(UserError, match=f"whether {ambiguous} means 'left'.*that is {churned}") as caught:
        coded(words, churned)
    assert caught.value.do == do


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"customer_key": ["a"], "time": ["2026-03-01"]}, "no column 'churned', but customer_key, time"),
        (
            {"customer_key": ["a"], "time": ["2026-03-01"], "churned": ["maybe"]},
            r"neither yes nor no[\s\S]*column 'churned', row 1: 'maybe'",
        ),
        ({"customer_key": ["a"], "time": ["2026-03-01"], "churned": [None]}, r"a label is empty[\s\S]*row 1"),
        ({"customer_key": ["a"], "time": ["soon"], "churned": ["1"]}, "is no time"),
    ],
)
def test_columns_and_cells_that_are_not_labels_are_refused(columns, message):
    with pytest.raises(UserError, match=message):
        labels_from_table(pa.table(columns), "labels.csv", SCHEMA, LATE)


def test_a_label_without_a_customer_settles_no_request_without_one():
    keys, times = np.array(["", "a"]), np.array(["2026-12-31"] * 2, "datetime64[s]")
    known = Labels.of(keys, times, np.zeros(2, int), np.full(2, UNKNOWN))
    asked = np.array(["2026-03-01"] * 2, "datetime64[s]")
    assert known.settle(keys, asked, 30)[0].tolist() == [UNKNOWN, 0]


@pytest.fixture
def snapshot(tmp_path):
    """A function: the labels of a file that `churn snapshot` wrote, from (customer, cut-off, churned)."""

    def labels(*rows, horizon=28, zone="UTC"):
        columns = dict(
            zip(("customer", "cutoff", "churned"), map(list, zip(*rows, strict=True)), strict=True)
        )
        roles = {
            "id": "customer",
            "time": "cutoff",
            "target": "churned",
            "churned": ["1"],
            "horizon": horizon,
        }
        facts = {"name": "shop", "roles": roles, "events": {"timezone": zone}}
        table = pa.table(columns).replace_schema_metadata({KEY: json.dumps(facts)})
        pq.write_table(table, tmp_path / "labels.parquet")
        return labels_from_table(read_labels(str(tmp_path / "labels.parquet")), "labels", SCHEMA, LATE)

    return labels


@pytest.mark.parametrize("hour", [0, 1, 9, 23])
def test_a_snapshot_settles_the_predictions_of_the_day_of_its_newest_cutoff(snapshot, hour):
    known = snapshot(("a", date(2026, 10, 1), 1), ("b", date(2026, 10, 1), 0))
    asked = np.array([f"2026-10-01T{hour:02}:00"] * 2, "datetime64[s]")
    assert known.settle(np.array(["a", "b"]), asked, 28)[0].tolist() == [1, 0]


@pytest.mark.parametrize("asked", ["2026-09-30T23:59", "2026-10-02T00:00", "2026-10-05T09:00"])
def test_a_snapshot_says_nothing_of_the_predictions_of_other_days(snapshot, asked):
    known = snapshot(("a", date(2026, 10, 1), 1), ("b", date(2026, 10, 1), 0), ("b", date(2026, 10, 29), 0))
    moments = np.array([asked] * 2, "datetime64[s]")
    assert known.settle(np.array(["a", "b"]), moments, 28)[0].tolist() == [UNKNOWN, UNKNOWN]
    assert known.is_closed(moments, 28).all()


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "Europe/Berlin", "America/Los_Angeles"])
@pytest.mark.parametrize(
    ("time", "outcome"),
    [
        ("2026-10-01T00:00", [1, 0]),
        ("2026-10-01T23:59", [1, 0]),
        ("2026-09-30T23:59", [UNKNOWN] * 2),
        ("2026-10-02T00:00", [UNKNOWN] * 2),
    ],
)
def test_the_day_of_a_snapshot_is_that_of_its_own_clock(snapshot, zone, time, outcome):
    known = snapshot(("a", date(2026, 10, 1), 1), ("b", date(2026, 10, 1), 0), zone=zone)
    moment = datetime.fromisoformat(time).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    asked = np.array([moment.replace(tzinfo=None)] * 2, "datetime64[s]")
    assert known.settle(np.array(["a", "b"]), asked, 28)[0].tolist() == outcome


@pytest.mark.parametrize(
    ("zone", "begins"), [("Asia/Beirut", "2022-03-27"), ("America/Havana", "2022-11-06")]
)
def test_a_day_may_have_no_midnight_or_two(snapshot, zone, begins):
    day = date.fromisoformat(begins)
    known = snapshot(("a", day, 1), ("b", day, 0), zone=zone)
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    asked = np.array([noon.replace(tzinfo=None)] * 2, "datetime64[s]")
    assert known.settle(np.array(["a", "b"]), asked, 28)[0].tolist() == [1, 0]


@pytest.mark.parametrize("newest", [True, False])
@pytest.mark.parametrize("begins", ["2026-03-29", "2026-10-25"])
def test_a_day_may_have_23_or_25_hours(snapshot, begins, newest):
    day, zone = date.fromisoformat(begins), ZoneInfo("Europe/Berlin")
    later = [] if newest else [("b", date(2026, 12, 1), 0)]
    known = snapshot(("a", day, 1), ("b", day, 0), *later, zone="Europe/Berlin")
    next_day = day + timedelta(days=1)
    asked = [datetime(one.year, one.month, one.day, hour, 30, tzinfo=zone)
             for one, hour in ((day, 0), (day, 23), (next_day, 0))]  # fmt: skip
    moments = np.array([moment.astimezone(UTC).replace(tzinfo=None) for moment in asked], "datetime64[s]")
    for who, outcome in (("a", 1), ("b", 0)):
        assert known.settle(np.array([who] * 3), moments, 28)[0].tolist() == [outcome, outcome, UNKNOWN]


def test_a_snapshot_settles_each_prediction_by_the_row_of_its_own_day(snapshot):
    """A customer who is inactive in one horizon may come back in the next, which begins within the first."""
    outcomes = {date(2026, 10, 1): 1, date(2026, 10, 8): 0, date(2026, 10, 15): 1, date(2026, 10, 16): 0}
    known = snapshot(*(("a", day, left) for day, left in outcomes.items()))
    for hour in (0, 9, 23):
        asked = np.array([f"{day}T{hour:02}:00" for day in outcomes], "datetime64[s]")
        assert known.settle(np.array(["a"] * 4), asked, 28)[0].tolist() == list(outcomes.values())


def test_a_snapshot_with_another_horizon_settles_nothing(snapshot):
    days = [date(2026, 10, 1), date(2026, 11, 1)]
    known = snapshot(*((who, day, left) for day in days for who, left in (("a", 1), ("b", 0))), horizon=28)
    asked = np.array(["2026-10-01T09:00"] * 2, "datetime64[s]")
    assert known.settle(np.array(["a", "b"]), asked, 30)[0].tolist() == [UNKNOWN, UNKNOWN]


def test_the_horizon_is_that_of_the_training_unless_another_is_typed_or_churn_is_defined():
    trained, defined = ({"horizon": 28, "events": events} for events in (None, {"format": 1}))
    cfg = compose_config()
    assert label_horizon(SimpleNamespace(facts=trained), cfg) == 28
    assert label_horizon(SimpleNamespace(facts={}), cfg) == 30
    typed = compose_config("data.horizon=7")
    assert [label_horizon(SimpleNamespace(facts=facts), typed) for facts in (trained, defined)] == [7, 28]


def test_a_horizon_of_no_days_settles_nobody_and_is_refused():
    cfg = compose_config("monitor.labels=labels.csv")
    with pytest.raises(UserError, match=r"everybody has stayed[\s\S]*data.horizon=30"):
        configured_labels(cfg, SimpleNamespace(facts={"horizon": 0}), LATE)
