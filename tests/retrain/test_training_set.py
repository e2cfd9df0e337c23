"""Which rows a challenger learns from, which it is compared on, and which labels are used."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import compose_config

from churn.config.data import DataConfig
from churn.config.loop import RetrainConfig, Treated
from churn.data.dataset import Schema
from churn.data.declared import declared_facts, with_declared_roles
from churn.data.infer.target import ANY
from churn.data.load import load_dataset
from churn.monitor.labels import UNKNOWN
from churn.retrain import steps
from churn.retrain.labelled_rows import LabelledRows
from churn.retrain.training_set import ORIGIN, STAYED, data_config, split_fresh, write_rows

SEEN, NOW = np.datetime64("2026-01-01", "s"), np.datetime64("2026-12-31", "s")
DAY = np.timedelta64(1, "D")


def make_rows(n=2_000, customers=500):
    """Rows from 2024 to 2026, by default four of each customer."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"tenure": np.arange(n, dtype=float), "plan": rng.choice(["a", "b", ""], n)})
    names = np.array([f"c{i % customers}" for i in range(n)], object)
    times = np.datetime64("2024-01-01", "s") + rng.integers(0, 1_090, n) * DAY
    left = (rng.random(n) < 0.3).astype(np.int8)
    return LabelledRows(frame, left, names, times, np.full(n, UNKNOWN, np.int8))


def test_fresh_rows_are_later_than_the_champion_and_no_customer_is_on_both_sides():
    train, fresh = split_fresh(make_rows(), SEEN, NOW, RetrainConfig(window_days=None), seed=0)
    assert (fresh.times > SEEN).all()
    assert fresh.times.max() - fresh.times.min() <= 90 * DAY
    assert not set(train.customers) & set(fresh.customers)
    assert 0.03 < len(set(fresh.customers)) / 500 < 0.3


def test_the_same_customers_are_held_back_in_every_retraining():
    cfg = RetrainConfig(window_days=None)
    first, second = (set(split_fresh(make_rows(), SEEN, NOW, cfg, seed)[1].customers) for seed in (0, 1))
    assert first == second


def test_old_rows_are_dropped_by_the_window_or_thinned_by_their_half_life():
    everything, _ = split_fresh(make_rows(), SEEN, NOW, RetrainConfig(window_days=None), seed=0)
    window, _ = split_fresh(make_rows(), SEEN, NOW, RetrainConfig(window_days=400), seed=0)
    assert (NOW - window.times <= 400 * DAY).all()
    thinned, _ = split_fresh(
        make_rows(), SEEN, NOW, RetrainConfig(window_days=None, half_life_days=200), seed=0
    )
    for least, most, share in ((0, 100, 0.84), (900, 1_100, 0.03)):
        before, after = (
            np.sum((NOW - rows.times > least * DAY) & (NOW - rows.times < most * DAY))
            for rows in (everything, thinned)
        )
        assert after / before == pytest.approx(share, abs=0.12)


def test_labels_of_treated_customers_are_left_out_or_replaced_by_those_of_the_control_group():
    rows = make_rows(400, 400)
    treated = np.full(400, UNKNOWN, np.int8)
    treated[:90], treated[90:100] = 1, 0
    rows = replace(rows, treated=treated)
    cfg = RetrainConfig(window_days=None, fresh_share=0.0)
    sizes = {
        how: [int((split_fresh(rows, SEEN, NOW, replace(cfg, treated=how), 0)[0].treated == kind).sum())
              for kind in (1, 0, UNKNOWN)]
        for how in Treated
    }  # fmt: skip
    assert sizes == {
        Treated.keep: [90, 10, 300],
        Treated.keep_out: [0, 10, 300],
        Treated.correct: [0, 100, 300],
    }


def test_written_rows_are_read_with_the_champions_columns(tmp_path):
    rows = make_rows(400, 400)
    schema = Schema("Left", ("gone",), ("tenure",), ("plan",))
    write_rows(rows, schema, tmp_path / "rows.parquet")
    data = load_dataset(data_config(DataConfig(name="x"), schema, tmp_path / "rows.parquet"), seed=0)
    assert data.schema.features == schema.features
    assert data.churned.tolist() == rows.churned.tolist()
    assert data.frame["tenure"].tolist() == rows.frame["tenure"].tolist()
    assert data.frame["plan"].tolist() == rows.frame["plan"].tolist()
    assert (data.times == rows.times).all()
    assert STAYED not in data.schema.churned


def test_a_challenger_reads_texts_as_the_champion_does(tmp_path):
    champion = Schema(
        "Left", ("gone",), ("tenure",), ("plan",), "id", "at", (), ("-99",), ("unknown",), ",", "."
    )
    write_rows(make_rows(400, 400), champion, tmp_path / "rows.parquet")
    challenger = load_dataset(
        data_config(DataConfig(name="x"), champion, tmp_path / "rows.parquet"), 0
    ).schema
    for name in ("missing", "missing_numbers", "decimal", "thousands"):
        assert getattr(challenger, name) == getattr(champion, name)


@pytest.mark.parametrize("churned", [("gone",), (ANY,), ("", "gone")])
def test_those_who_left_are_counted_whatever_the_champions_table_calls_them(tmp_path, monkeypatch, churned):
    monkeypatch.setattr(steps, "describe_version", lambda *_: "version")
    schema, rows = Schema("Left", churned, ("tenure",), ("plan",)), make_rows(400, 400)
    write_rows(rows, schema, tmp_path / "fresh.parquet")
    model = SimpleNamespace(
        schema=schema,
        facts={"threshold": 0.5},
        predict=lambda rows: {"churn_probability": np.full(len(rows), 0.3)},
    )
    models = {"champion": model, "challenger": model}
    cfg = compose_config("data.protected=[plan,race]", "retrain.gate.demographic_parity=0.2")
    steps.evaluate(cfg, models, tmp_path / "fresh.parquet", tmp_path / "predictions.parquet")
    written = pd.read_parquet(tmp_path / "predictions.parquet")
    assert written["churned"].tolist() == rows.churned.tolist()
    assert "its fairness by race is unknown" in written.attrs[steps.UNFAIR]  # the rows have no such column


def test_written_rows_keep_the_definition_by_which_columns_are_made_of_event_tables(tmp_path):
    schema = Schema("Left", ("gone",), ("tenure",), ("plan",))
    write_rows(make_rows(50, 50), schema, tmp_path / "rows.parquet", {"format": 1, "name": "shop"})
    cfg = data_config(DataConfig(name="x"), schema, tmp_path / "rows.parquet")
    declared = {"events": {"format": 1, "name": "shop"}, "missing_numbers": [], "origin": ORIGIN}
    assert declared_facts(cfg) == declared
    assert with_declared_roles(cfg) == cfg


def test_copies_of_the_control_group_are_read_as_separate_rows(tmp_path):
    rows = replace(make_rows(400, 400), treated=np.r_[np.ones(200), np.zeros(200)].astype(np.int8))
    train, _ = split_fresh(
        rows, SEEN, NOW, RetrainConfig(treated=Treated.correct, window_days=None, fresh_share=0), 0
    )
    schema = Schema("Left", ("gone",), ("tenure",), ("plan",), id="customer")
    write_rows(train, schema, tmp_path / "rows.parquet")
    assert (
        len(load_dataset(data_config(DataConfig(name="x"), schema, tmp_path / "rows.parquet"), seed=0)) == 400
    )
