"""The synthetic customers are repeatable, consistent, and have a known churn probability."""

import numpy as np
import pandas as pd
import pytest
from conftest import compose_config
from scipy.stats import chisquare

from churn.config.data import Drift, SyntheticConfig
from churn.data import progress, stage
from churn.data.sources import synthetic
from churn.data.sources.synthetic import BLOCK, CHARGE_SD, INTERNET, NEW_PAYMENT, SERVICES
from churn.errors import UserError


@pytest.fixture(scope="module")
def table():
    return synthetic.make_table(SyntheticConfig(rows=40_000), seed=1)


def test_the_same_seed_gives_these_rows_on_any_machine(table):
    again = synthetic.make_table(SyntheticConfig(rows=100), seed=1)
    assert again.frame.equals(table.frame[:100])
    assert np.array_equal(again.true_probability, table.true_probability[:100])
    assert table.frame.loc[0, ["customerID", "Contract", "tenure"]].tolist() == [
        "000000000",
        "Two year",
        np.float64(69.0),
    ]
    assert not synthetic.make_table(SyntheticConfig(rows=100), seed=2).frame.equals(again.frame)


def test_streaming_gives_the_same_rows_in_chunks_of_bounded_size(table):
    parts = list(synthetic.make_chunks(SyntheticConfig(rows=25_000), seed=1))
    assert [len(part.frame) for part in parts] == [BLOCK, BLOCK, 5_000]
    streamed = pd.concat([part.frame for part in parts], ignore_index=True)
    assert streamed.equals(table.frame[:25_000])


def test_ids_are_unique(table):
    assert table.frame["customerID"].is_unique


@pytest.mark.parametrize("rate", [0.265, 0.05])
def test_the_churn_rate_is_the_configured_one(rate):
    table = synthetic.make_table(SyntheticConfig(rows=40_000, churn_rate=rate, missing=0), seed=3)
    assert table.true_probability.mean() == pytest.approx(rate, abs=0.005)


def test_labels_have_the_frequency_of_the_true_probabilities(table):
    left = (table.frame["Churn"] == "Yes").to_numpy()
    tenth = np.argsort(np.argsort(table.true_probability)) * 10 // len(left)
    observed = np.bincount(tenth, left)
    expected = np.bincount(tenth, table.true_probability)
    assert chisquare(np.r_[observed, 4000 - observed], np.r_[expected, 4000 - expected], ddof=9).pvalue > 0.01


def test_columns_that_depend_on_one_another_agree(table):
    frame = table.frame
    offline = frame["InternetService"] == "No"
    for service in SERVICES:
        known = frame[service] != ""
        assert ((frame[service] == "No internet service") == offline)[known].all()
    assert ((frame["MultipleLines"] == "No phone service") == (frame["PhoneService"] == "No")).all()
    assert frame.loc[frame["tenure"] == 0, "TotalCharges"].isna().all()
    assert frame.loc[offline, "MonthlyCharges"].mean() < frame.loc[~offline, "MonthlyCharges"].mean() - 30
    assert frame.groupby("Contract")["tenure"].mean().is_monotonic_increasing


def test_blanks_have_the_configured_share(table):
    assert (table.frame["PaymentMethod"] == "").mean() == pytest.approx(0.01, abs=0.003)
    assert table.frame["MonthlyCharges"].isna().mean() == pytest.approx(0.01, abs=0.003)
    assert not (
        synthetic.make_table(SyntheticConfig(rows=1000, missing=0), 1).frame["PaymentMethod"] == ""
    ).any()


def test_one_level_is_so_rare_that_a_small_table_may_not_have_it(table):
    assert 0 < (table.frame["PaymentMethod"] == "Cash").mean() < 0.005


SIZES = {"mean": 0.5, "spread": 0.5, "share": 0.3, "level": 0.2, "missing": 0.25, "concept": 1.0}


@pytest.mark.parametrize("kind", SIZES)
def test_drift_changes_only_the_configured_columns_from_its_date_on(kind):
    still = SyntheticConfig(rows=20_000, dates=True, missing=0)
    moved = SyntheticConfig(
        **{**vars(still), "drift": Drift[kind], "drift_size": SIZES[kind], "drift_from": "2025-07-01"}
    )
    before, after = synthetic.make_table(still, 1), synthetic.make_table(moved, 1)
    late = (before.frame["Snapshot"] >= "2025-07-01").to_numpy()
    assert after.frame[~late].equals(before.frame[~late])
    assert np.array_equal(after.true_probability[~late], before.true_probability[~late])
    old, new = before.frame[late], after.frame[late]
    charge, size = "MonthlyCharges", SIZES[kind]
    if kind == "mean":
        assert np.allclose(new[charge] - old[charge], size * CHARGE_SD)
    elif kind == "spread":
        assert new[charge].std() == pytest.approx((1 + size) * old[charge].std())
    elif kind == "share":
        share = (old["InternetService"] == INTERNET[1]).mean()
        assert (new["InternetService"] == INTERNET[1]).mean() == pytest.approx(
            share + size * (1 - share), abs=0.02
        )
    elif kind == "level":
        assert (new["PaymentMethod"] == NEW_PAYMENT).mean() == pytest.approx(size, abs=0.02)
    elif kind == "missing":
        assert new["tenure"].isna().mean() == pytest.approx(size, abs=0.02)
    else:
        assert new.drop(columns="Churn").equals(old.drop(columns="Churn"))
        odds = [np.log(t.true_probability / (1 - t.true_probability))[late] for t in (before, after)]
        monthly = (old["Contract"] == "Month-to-month").to_numpy()
        assert odds[1] - odds[0] == pytest.approx(size * monthly)


def test_the_true_probability_of_a_row_follows_from_its_cells(table):
    odds = synthetic.true_log_odds(table.frame) + synthetic.intercept(0.265)
    assert 1 / (1 + np.exp(-odds)) == pytest.approx(table.true_probability)


def test_a_file_of_synthetic_customers_is_written_block_by_block(table, tmp_path):
    for name, read in (("c.parquet", pd.read_parquet), ("c.csv", pd.read_csv)):
        overrides = [f"output={tmp_path / name}", "data.synthetic.rows=12000", "seed=1"]
        stage.synthesize(compose_config(*overrides))
        frame = read(tmp_path / name)
        assert frame.MonthlyCharges.equals(table.frame.MonthlyCharges[:12_000])
        assert frame.columns.tolist() == table.frame.columns.tolist()
    with pytest.raises(UserError, match="cannot write"):
        stage.synthesize(compose_config(f"output={tmp_path / 'c.xls'}"))


def test_a_long_file_says_how_far_it_is_and_too_long_a_sheet_is_refused_first(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "SECONDS", -1)
    stage.synthesize(compose_config(f"output={tmp_path / 'c.csv'}", "data.synthetic.rows=101000"))
    assert [*capsys.readouterr().out.splitlines()[:3]] == [
        "Writing 101,000 rows ...", "  100,000 rows written", "  101,000 rows written",
    ]  # fmt: skip
    monkeypatch.setattr(stage, "make_chunks", None)  # nothing is made
    with pytest.raises(UserError, match="a sheet of a workbook has 1,048,576 rows"):
        stage.synthesize(compose_config(f"output={tmp_path / 'c.xlsx'}", "data.synthetic.rows=1048576"))
