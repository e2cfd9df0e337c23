"""Rows to learn from: of the table, and of the log with its labels."""

import os
from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import compose_config
from monitor.conftest import START, customers, log_table, watched  # noqa: F401

from churn.data.id_hash import IdHash
from churn.errors import UserError
from churn.retrain.labelled_rows import settled_rows
from churn.retrain.training_set import split_fresh


@pytest.fixture
def table(tmp_path):
    """A function: the configuration with a table of 300 customers, in the given order of columns."""

    def write(*columns, now=60, **changed):
        frame = customers(300, 11).assign(who=[f"t{i}" for i in range(300)], left=["yes", "no"] * 150)
        frame = frame.rename(columns=changed)[list(columns) or list(frame.rename(columns=changed))]
        frame.to_parquet(tmp_path / "table.parquet")
        return compose_config(
            "data=parquet", f"data.path={tmp_path / 'table.parquet'}", "data.target=left",
            "data.churned=[yes]", "data.id=who",
            f"run.root={tmp_path}", f"retrain.now={START + timedelta(days=now):%Y-%m-%d}",
        )  # fmt: skip

    return write


@pytest.fixture
def champion(watched, monkeypatch):  # noqa: F811
    """The bundle of the monitor's tests, made before the log begins."""
    facts = {**watched.facts, "data": {"until": "2026-01-01T00:00:00"}}
    monkeypatch.setitem(watched.__dict__, "facts", facts)
    return watched


def hashed(ids):
    """The hashes of ids, which rows to learn from have in their place."""
    return list(map(IdHash(os.environ["CHURN_ID_KEY"].encode()), ids))


def write_day(folder, frame, digest, day, drop=()):
    (folder / "log").mkdir(exist_ok=True)
    pq.write_table(
        log_table(frame, digest, day=day).drop_columns(list(drop)), folder / "log" / f"{day:02}.parquet"
    )


def write_labels(path, leavers=(), stayers=()):
    lines = [f"{key},{START + timedelta(days=day):%Y-%m-%d},1" for key, day in leavers]
    lines += [f"{key},{START + timedelta(days=day):%Y-%m-%d},0" for key, day in stayers]
    path.write_text("\n".join(["customer_key,time,churned", *lines]) + "\n")
    return str(path)


def test_the_order_of_the_columns_does_not_matter(table, champion):
    rows = settled_rows(table("left", "plan", "spend", "who", "age"), champion)
    assert list(rows.frame) == ["age", "spend", "plan"]
    assert len(rows) == 300


def test_a_table_without_times_has_only_customers_whose_outcome_is_known(table, champion):
    assert len(settled_rows(table(now=-1), champion)) == 300


def test_columns_that_differ_are_named(table, champion):
    with pytest.raises(UserError) as caught:
        settled_rows(table(spend="Spend"), champion)
    assert "'Spend' is missing in the champion, a number in the table" in caught.value.what
    assert "'spend' is a number in the champion, missing in the table" in caught.value.what
    assert "age" not in caught.value.what


def test_a_customer_of_the_table_who_was_called_is_known_as_such(table, champion, tmp_path):
    write_day(tmp_path, customers(10, 1), champion.digest, 0)
    lines = ["t7,2026-03-20,0,1", "t9,2026-03-20,0,0", "t8,2026-03-20,0,", "c0-1,2026-04-20,0,1"]
    (tmp_path / "labels.csv").write_text("\n".join(["customer_key,time,churned,treated", *lines]))
    cfg = table()
    cfg.monitor.labels = str(tmp_path / "labels.csv")
    rows = settled_rows(cfg, champion)
    treated = dict(zip(rows.customers, rows.treated, strict=True))
    assert [treated[who] for who in hashed(["t7", "t9", "t8", "t6", "c0-1"])] == [1, 0, -1, -1, 1]


def test_only_closed_windows_are_learnt_from_and_the_others_are_said(table, champion, tmp_path, capsys):
    write_day(tmp_path, customers(200, 1), champion.digest, 0)
    write_day(tmp_path, customers(100, 2), champion.digest, 40)
    cfg = table()
    cfg.monitor.labels = write_labels(
        tmp_path / "labels.csv",
        leavers=[*((f"c0-{i}", 9) for i in range(30)), *((f"c40-{i}", 45) for i in range(100))],
        stayers=[(f"c0-{i}", 31) for i in range(30, 150)],
    )
    rows = settled_rows(cfg, champion)
    of_log = ~np.isin(rows.customers, hashed(f"t{i}" for i in range(300)))
    assert (of_log.sum(), rows.churned[of_log].sum()) == (150, 30)
    printed = capsys.readouterr().out
    assert "100 predictions wait" in printed
    assert "50 predictions with a closed window, but without a label" in printed


def test_the_log_is_read_as_far_back_as_rows_are_learnt_from(table, champion, tmp_path):
    write_day(tmp_path, customers(200, 1), champion.digest, 0)
    cfg = table(now=300)
    cfg.monitor.labels = write_labels(tmp_path / "labels.csv", stayers=[(f"c0-{i}", 290) for i in range(200)])
    for days, of_log in ((730, 200), (None, 200), (250, 0)):
        cfg.retrain.window_days = days
        if of_log:
            assert len(settled_rows(cfg, champion)) == 300 + of_log
        else:
            with pytest.raises(UserError, match="the log has no rows"):
                settled_rows(cfg, champion)


@pytest.mark.parametrize(("age", "compared"), [(120, "probation"), (115, "fresh")])
def test_rows_too_old_to_train_on_are_compared_on(table, champion, tmp_path, age, compared):
    """The horizon is 30 days."""
    write_day(tmp_path, customers(200, 1), champion.digest, 0)
    cfg = table(now=age)
    cfg.monitor.labels = write_labels(tmp_path / "labels.csv", stayers=[(f"c0-{i}", 31) for i in range(200)])
    cfg.retrain.window_days, cfg.retrain.probation_days, cfg.retrain.fresh_days = 40, 1, 1
    setattr(cfg.retrain, f"{compared}_days", 90)
    rows = settled_rows(cfg, champion)
    assert len(rows) == 300 + 200
    now = np.datetime64(START.replace(tzinfo=None)) + np.timedelta64(age, "D")
    old = np.datetime64("2026-01-01")
    train, _ = split_fresh(rows.take(rows.times > old), old, now, cfg.retrain, seed=0)
    assert len(train) == 0


def test_a_customer_who_is_asked_every_day_is_one_row_a_period(table, champion, tmp_path):
    frame, keys = customers(50, 1), pa.array([f"c{i}" for i in range(50)])
    days = [log_table(frame, champion.digest, day=day) for day in range(40)]
    asked = [day.set_column(day.schema.get_field_index("customer_key"), "customer_key", keys) for day in days]
    (tmp_path / "log").mkdir()
    pq.write_table(pa.concat_tables(asked), tmp_path / "log" / "00.parquet")
    cfg = table(now=80)
    cfg.monitor.labels = write_labels(tmp_path / "labels.csv", stayers=[(f"c{i}", 75) for i in range(50)])
    rows = settled_rows(cfg, champion)
    assert len(rows) == 300 + 2 * 50
    assert pd.Series(rows.customers).value_counts().loc[hashed(["c0"])].tolist() == [2]


def test_all_rows_of_customers_who_were_called_are_called_whenever_their_labels_speak(
    table, champion, tmp_path
):
    """A label of today, of somebody who was called months ago and stayed, does not say when that was."""
    write_day(tmp_path, customers(10, 1), champion.digest, 0)
    cfg = table()
    frame = pd.read_parquet(tmp_path / "table.parquet")
    times = pd.to_datetime(np.where(np.arange(300) % 2, "2025-06-01", "2025-12-01"))
    frame.assign(time=times, who=[f"t{i // 2}" for i in range(300)]).to_parquet(tmp_path / "table.parquet")
    cfg.data.time, cfg.data.horizon = "time", 30
    lines = ["t7,2026-04-20,0,1", "t9,2025-12-20,1,1", "c0-1,2026-04-20,0,1"]
    (tmp_path / "labels.csv").write_text("\n".join(["customer_key,time,churned,treated", *lines]))
    cfg.monitor.labels = str(tmp_path / "labels.csv")
    rows = settled_rows(cfg, champion)
    assert [rows.take(rows.customers == who).treated.tolist() for who in hashed(["t7", "t9"])] == [[1, 1]] * 2


def test_rows_of_versions_with_other_inputs_are_left_out_and_counted(table, champion, tmp_path, capsys):
    write_day(tmp_path, customers(200, 1), champion.digest, 0)
    write_day(tmp_path, customers(70, 2), "f" * 64, 1, drop=["inputs.spend"])
    write_day(tmp_path, customers(60, 2), "e" * 64, 2)
    cfg = table()
    stayers = [(f"c{day}-{i}", 50) for day, n in ((0, 200), (1, 70), (2, 60)) for i in range(n)]
    cfg.monitor.labels = write_labels(tmp_path / "labels.csv", stayers=stayers)
    assert len(settled_rows(cfg, champion)) == 300 + 200 + 60
    assert "70 answers of versions with other inputs are left out" in capsys.readouterr().out
