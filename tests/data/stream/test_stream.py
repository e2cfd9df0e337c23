"""A table larger than memory trains the same network from any number of pieces, and is never read whole."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import compose_config

from churn.bundle.bundle import Bundle
from churn.config.data import SyntheticConfig
from churn.data.features import DictionaryColumn
from churn.data.sources import synthetic
from churn.data.stream.hash_split import HashSplit, mix_bits, to_dictionary
from churn.data.stream.row_groups import large_table_row_groups, sample_table
from churn.data.stream.rows import StreamRows, open_stream
from churn.errors import UserError
from churn.pipeline import run

QUICK = (
    "train.stream_rows=1000",
    "train.sample_rows=900",
    "train.shuffle_rows=700",
    "train.epochs=2",
    "evaluate.bootstrap=20",
    "evaluate.importance_repeats=1",
    "data.target=Churn",
)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """2,400 customers in two files of several row groups."""
    folder = tmp_path_factory.mktemp("big")
    frame = synthetic.make_table(SyntheticConfig(rows=2_400), seed=3).frame
    frame[:1_500].to_parquet(folder / "a.parquet", row_group_size=400, index=False)
    frame[1_500:].to_parquet(folder / "b.parquet", row_group_size=300, index=False)
    return folder


def asked(files: Path, *overrides: str):
    return compose_config("data=parquet", f"data.path={files}", *QUICK, *overrides)


def everything(files: Path):
    """The stream, and its rows to learn from in the order of the table."""
    stream = open_stream(asked(files))
    return stream, stream.rows(stream.groups)


def test_small_tables_and_text_are_not_streamed(files, tmp_path):
    assert open_stream(asked(files, "train.stream_rows=2400")) is None
    pd.read_parquet(files).to_csv(tmp_path / "c.csv", index=False)
    assert open_stream(asked(tmp_path / "c.csv")) is None
    assert open_stream(compose_config(*QUICK)) is None


def test_a_sample_depends_on_the_rows_places_alone(files):
    cfg = asked(files)
    groups = large_table_row_groups(cfg)
    few, more = (sample_table(groups, n, 1, "x") for n in (50, 900))
    assert (len(few.frame), len(more.frame)) == (50, 900)
    assert set(few.frame.customerID) < set(more.frame.customerID)
    whole = pd.read_parquet(files)
    assert more.frame.customerID.is_monotonic_increasing
    assert more.frame.merge(whole, on="customerID")["tenure_x"].equals(more.frame["tenure"])


def test_quantiles_of_a_sample_are_as_exact_as_stated(files):
    cfg = asked(files)
    whole = pd.read_parquet(files).MonthlyCharges.dropna()
    found = sample_table(large_table_row_groups(cfg), 900, 5, "x").frame.MonthlyCharges.dropna()
    ranks = np.array([(whole <= q).mean() for q in found.quantile(np.linspace(0.1, 0.9, 9))])
    assert np.abs(ranks - np.linspace(0.1, 0.9, 9)).max() < np.sqrt(np.log(200) / 2 / len(found))


def test_rows_of_a_customer_stay_together_and_parts_have_their_shares(customers):
    for ids in (None, np.repeat([f"c{i}" for i in range(400)], 2)):
        data = type(customers)(**{**vars(customers), "ids": ids})
        schema = type(customers.schema)(
            **{**vars(customers.schema), "id": None if ids is None else "customer"}
        )
        deal = HashSplit(schema, compose_config().split, 8, 7)
        keys = deal.keys_of(data)
        parts, folds = deal.parts(keys), deal.fold_of(keys)
        if ids is not None:
            assert (parts[::2] == parts[1::2]).all()
            assert (folds[::2] == folds[1::2]).all()
        assert np.bincount(parts, minlength=4) / 800 == pytest.approx([0.6, 0.1, 0.1, 0.2], abs=0.05)
        assert abs(np.corrcoef(parts, folds)[0, 1]) < 0.1


def test_the_bits_of_keys_are_mixed_as_by_the_published_function():
    known = 0xE220A8397B1DCDAF  # the first output of SplitMix64 with seed 0
    assert int(mix_bits(np.array([0x9E3779B97F4A7C15], np.uint64))[0]) == known


def test_the_stream_deals_rows_out_as_memory_does(files):
    stream, rows = everything(files)
    keys = stream.deal.keys_of(stream.sample)
    whole = pd.read_parquet(files)
    parts = stream.deal.parts(stream.deal.of_ids(to_dictionary(whole.customerID)))
    assert len(rows.churned) == (parts != 3).sum()
    sampled = whole.set_index("customerID").index.get_indexer(stream.sample.ids)
    assert (parts[sampled] == stream.deal.parts(keys)).all()


def test_counts_of_parts_add_up_to_those_of_the_whole(files):
    stream, rows = everything(files)
    counts = stream.count()
    assert counts.rows == len(rows.churned)
    assert counts.churned == rows.churned.sum()
    charges = rows.features["MonthlyCharges"]
    position = stream.deal.schema.numeric.index("MonthlyCharges")
    assert counts.lowest[position] == np.nanmin(charges)
    assert counts.highest[position] == np.nanmax(charges)
    assert counts.missing[position] == np.isnan(charges).sum()
    contract = stream.deal.schema.categorical.index("Contract")
    assert counts.levels[contract]["One year"] == (rows.features["Contract"].texts == "One year").sum()


def test_every_row_but_the_test_part_is_learnt_from_once_an_epoch(files):
    stream, rows = everything(files)
    for epoch in (0, 1):
        stretches = list(stream.stretches(700, 1, epoch))
        assert sorted(g for s in stretches for g in s) == sorted(stream.groups)
        assert sum(len(stream.rows(s).churned) for s in stretches) == len(rows.churned)
    assert list(stream.stretches(700, 1, 0)) != list(stream.stretches(700, 1, 1))


def test_a_run_on_a_large_table_says_that_it_reports_a_sample(files, tmp_path, capsys):
    loss = run(asked(files, f"run.root={tmp_path}", f"run.dir={tmp_path}/run"))
    assert 0.2 < loss < 0.7
    assert "random sample of 900 of 2,400 rows" in capsys.readouterr().out
    assert "random sample of 900 of 2,400 rows" in (tmp_path / "run" / "report.html").read_text()
    served = Bundle.load(tmp_path / "run" / "bundle")
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["test"]["roc_auc"]["value"] > 0.6
    assert served.predict(open_stream(asked(files)).sample.frame)["unseen_inputs"].max() == 0


def test_a_training_on_a_large_table_goes_on_after_the_last_stretch(files, tmp_path, monkeypatch):
    from churn.network import trainer
    from churn.network.fit_stream import fit_stream

    cfg = asked(files)
    big = open_stream(cfg)
    unbroken = fit_stream(big, cfg, tmp_path / "a.npz").history["loss"]
    batches, calls = trainer.shuffled_batches, []

    def killed(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return batches(*arguments)

    monkeypatch.setattr(trainer, "shuffled_batches", killed)
    with pytest.raises(KeyboardInterrupt):
        fit_stream(big, cfg, tmp_path / "b.npz")
    assert fit_stream(big, cfg, tmp_path / "b.npz").history["loss"] == unbroken
    assert len(calls) == 4 + len(unbroken) - 3


def test_cells_of_a_large_table_that_cannot_be_used_are_named(files, tmp_path):
    frame = pd.read_parquet(files)
    frame.loc[2_000, "Churn"] = ""
    frame.to_parquet(tmp_path / "bad.parquet", row_group_size=500, index=False)
    stream = open_stream(asked(tmp_path / "bad.parquet", "train.sample_rows=100"))
    with pytest.raises(UserError, match="row 2001"):
        stream.count()
    with pytest.raises(UserError, match="memory only"):
        open_stream(asked(files, "model=tutorial"))


def test_rows_can_be_taken_in_any_order():
    rows = StreamRows(
        {"a": np.arange(3.0), "b": DictionaryColumn(np.array(["x", "y"]), np.array([0, 1, 0]))},
        np.arange(3),
        np.arange(3),
    )
    taken = rows.take(np.array([2, 1]))
    assert taken.features["a"].tolist() == [2, 1]
    assert taken.features["b"].texts.tolist() == ["x", "y"]
    assert pa.array(taken.churned).to_pylist() == [2, 1]
