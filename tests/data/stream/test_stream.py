"""A table larger than memory is split, sampled, counted and trained on without being read as a whole."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import compose_config

from churn.bundle.bundle import Bundle
from churn.config.data import SyntheticConfig
from churn.data.coded import DictionaryColumn, to_dictionary, to_matrices
from churn.data.dataset import Schema
from churn.data.forgotten import put_on_list
from churn.data.id_hash import id_hash
from churn.data.sources import synthetic
from churn.data.stream.hash_split import HashSplit, mix_bits
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


def config(files: Path, *overrides: str):
    return compose_config("data=parquet", f"data.path={files}", *QUICK, *overrides)


def open_all(files: Path):
    """The stream, and its rows to learn from, in the order of the table."""
    stream = open_stream(config(files))
    return stream, stream.rows(stream.groups)


def test_small_tables_and_text_are_not_streamed(files, tmp_path):
    assert open_stream(config(files, "train.stream_rows=2400")) is None
    pd.read_parquet(files).to_csv(tmp_path / "c.csv", index=False)
    assert open_stream(config(tmp_path / "c.csv")) is None
    assert open_stream(compose_config(*QUICK)) is None


def test_a_sample_depends_only_on_the_places_of_the_rows(files):
    groups = large_table_row_groups(config(files))
    few, more = (sample_table(groups, n, 1, "x") for n in (50, 900))
    assert (len(few.frame), len(more.frame)) == (50, 900)
    assert set(few.frame.customerID) < set(more.frame.customerID)
    whole = pd.read_parquet(files)
    assert more.frame.customerID.is_monotonic_increasing
    assert more.frame.merge(whole, on="customerID")["tenure_x"].equals(more.frame["tenure"])


def test_quantiles_of_a_sample_are_as_exact_as_stated(files):
    whole = pd.read_parquet(files).MonthlyCharges.dropna()
    groups = large_table_row_groups(config(files))
    sample = sample_table(groups, 900, 5, "x").frame.MonthlyCharges.dropna()
    ranks = np.array([(whole <= q).mean() for q in sample.quantile(np.linspace(0.1, 0.9, 9))])
    assert np.abs(ranks - np.linspace(0.1, 0.9, 9)).max() < np.sqrt(np.log(200) / 2 / len(sample))


def test_rows_of_a_customer_stay_together_and_parts_have_their_shares(customers):
    for ids in (None, np.repeat([f"c{i}" for i in range(400)], 2)):
        data = type(customers)(**{**vars(customers), "ids": ids})
        schema = type(customers.schema)(
            **{**vars(customers.schema), "id": None if ids is None else "customer"}
        )
        split = HashSplit(schema, compose_config().split, 8, 7)
        keys = split.dataset_keys(data)
        parts, folds = split.parts(keys), split.fold_of(keys)
        if ids is not None:
            assert (parts[::2] == parts[1::2]).all()
            assert (folds[::2] == folds[1::2]).all()
        assert np.bincount(parts, minlength=4) / 800 == pytest.approx([0.6, 0.1, 0.1, 0.2], abs=0.05)
        assert abs(np.corrcoef(parts, folds)[0, 1]) < 0.1


def test_bits_are_mixed_by_the_published_function():
    known = 0xE220A8397B1DCDAF  # the first output of SplitMix64 with seed 0
    assert int(mix_bits(np.array([0x9E3779B97F4A7C15], np.uint64))[0]) == known


def test_a_stream_is_split_like_a_table_in_memory(files):
    stream, rows = open_all(files)
    keys = stream.split.dataset_keys(stream.sample)
    whole = pd.read_parquet(files)
    parts = stream.split.parts(stream.split.id_keys(to_dictionary(whole.customerID)))
    assert len(rows.churned) == (parts != 3).sum()
    sampled = whole.set_index("customerID").index.get_indexer(stream.sample.ids)
    assert (parts[sampled] == stream.split.parts(keys)).all()


def test_the_counts_of_row_groups_add_up_to_those_of_the_table(files):
    stream, rows = open_all(files)
    counts = stream.count()
    assert counts.rows == len(rows.churned)
    assert counts.churned == rows.churned.sum()
    charges = rows.features["MonthlyCharges"]
    position = stream.split.schema.numeric.index("MonthlyCharges")
    assert counts.lowest[position] == np.nanmin(charges)
    assert counts.highest[position] == np.nanmax(charges)
    assert counts.missing[position] == np.isnan(charges).sum()
    contract = stream.split.schema.categorical.index("Contract")
    assert counts.levels[contract]["One year"] == (rows.features["Contract"].texts == "One year").sum()


def test_every_row_outside_the_test_part_is_read_once_per_epoch(files):
    stream, rows = open_all(files)
    for epoch in (0, 1):
        lists = list(stream.shuffled_groups(700, 1, epoch))
        assert sorted(group for groups in lists for group in groups) == sorted(stream.groups)
        assert sum(len(stream.rows(groups).churned) for groups in lists) == len(rows.churned)
    assert list(stream.shuffled_groups(700, 1, 0)) != list(stream.shuffled_groups(700, 1, 1))


def test_a_run_on_a_large_table_says_that_it_reports_a_sample(files, tmp_path, capsys):
    loss = run(config(files, f"run.root={tmp_path}", f"run.dir={tmp_path}/run"))
    assert 0.2 < loss < 0.7
    said, report = capsys.readouterr().out, (tmp_path / "run" / "report.html").read_text()
    assert all("random sample of 900 of 2,400 rows" in text for text in (said, report))
    assert all(text in said for text in ("Fitting the baselines on the sample", "chunk of rows 1 of "))
    assert "loss after each chunk of rows" in report
    assert "epoch 1 of" not in said + report
    served = Bundle.load(tmp_path / "run" / "bundle")
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["test"]["roc_auc"]["value"] > 0.6
    sample = open_stream(config(files)).sample.frame  # its rare level is not known by name
    assert (served.predict(sample)["unseen_inputs"] == (sample["PaymentMethod"] == "Cash")).all()


def test_training_on_a_large_table_resumes_after_its_last_block(files, tmp_path, monkeypatch):
    from churn.network import trainer
    from churn.network.fit_stream import fit_stream

    cfg = config(files)
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


def test_unusable_cells_of_a_large_table_are_named(files, tmp_path):
    frame = pd.read_parquet(files)
    frame.loc[2_000, "Churn"] = ""
    frame.to_parquet(tmp_path / "bad.parquet", row_group_size=500, index=False)
    stream = open_stream(config(tmp_path / "bad.parquet", "train.sample_rows=100"))
    with pytest.raises(UserError, match="row 2001"):
        stream.count()
    with pytest.raises(UserError, match="memory only"):
        open_stream(config(files, "model=tutorial"))


@pytest.mark.parametrize("rare", ["left", "pending"])
def test_what_means_left_is_inferred_from_all_rows_not_from_the_sample(files, tmp_path, rare):
    frame, cfg = pd.read_parquet(files), config(tmp_path / "a.parquet")
    frame.to_parquet(cfg.data.path, row_group_size=500, index=False)
    few = ~frame.customerID.isin(open_stream(cfg).sample.ids) & (frame.index % 100 < 5)
    frame.loc[few, "Churn"] = rare
    frame.to_parquet(cfg.data.path, row_group_size=500, index=False)
    if rare == "pending":
        with pytest.raises(UserError, match=f"'pending' {few.sum()}"):
            open_stream(cfg)
    else:
        stream, names = open_stream(cfg), {"Yes", "left"}
        kept = stream.split.parts(stream.split.id_keys(to_dictionary(frame.customerID))) != 3
        assert set(stream.sample.schema.churned) == names
        assert stream.count().churned == (frame.Churn.isin(names) & kept).sum()
        assert open_stream(config(cfg.data.path, "data.churned=[Yes,left]")).sample.schema.churned


@pytest.mark.parametrize(
    ("column", "cell", "what"),
    [
        ("customerID", None, "a blank id; rows: 1\n    row 2001"),
        ("customerID", "8.94411E+18", "lost digits"),
        ("tenure", "oops", "not a number; rows: 1\n    row 2001: 'oops'"),
        ("tenure", "none", r"""if a text means 'missing', name it: 'data.missing=\["none"\]'"""),
        ("Churn", "", "a blank target"),
    ],
)
def test_a_cell_outside_the_sample_that_memory_would_refuse_is_refused(files, tmp_path, column, cell, what):
    frame = pd.read_parquet(files).astype({column: object if column != "tenure" else str})
    frame.loc[2_000, column] = cell
    frame.to_parquet(tmp_path / "bad.parquet", row_group_size=500, index=False)
    stream = open_stream(config(tmp_path / "bad.parquet", "train.sample_rows=100"))
    with pytest.raises(UserError, match=what) as refused:
        stream.count()
    assert "train.stream_rows=1000000000" in str(refused.value)


def test_a_third_value_of_the_target_is_set_aside_only_in_memory(files, tmp_path):
    frame = pd.read_parquet(files)
    frame.loc[0, "Churn"] = "maybe"
    frame.to_parquet(tmp_path / "bad.parquet", row_group_size=500, index=False)
    with pytest.raises(UserError, match="who left and who stayed") as refused:
        open_stream(config(tmp_path / "bad.parquet"))
    typed = "'data.missing=[\"maybe\"]' data.max_bad_rows=1, and train in memory"
    assert f"'maybe' means 'not known', in every column: {typed}" in str(refused.value)
    assert str(refused.value).endswith("train.stream_rows=1000000000")


def test_no_rows_of_a_sample_are_set_aside_since_those_of_its_table_are_not(files, tmp_path):
    frame = pd.read_parquet(files)
    frame.loc[::2, "customerID"] = None
    frame.to_parquet(tmp_path / "bad.parquet", row_group_size=500, index=False)
    with pytest.raises(UserError, match="a blank id") as refused:
        open_stream(config(tmp_path / "bad.parquet", "data.id=customerID", "data.max_bad_rows=2000"))
    assert "data.max_bad_rows=" not in str(refused.value)


def test_a_target_of_which_every_filled_cell_means_left_may_have_any_value(files, tmp_path):
    frame = pd.read_parquet(files)
    left = (frame["Churn"] == "Yes").to_numpy()
    frame["Churn"] = np.where(left, [f"reason {i}" for i in range(len(frame))], "")
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=500, index=False)
    stream = open_stream(config(tmp_path / "t.parquet", "data.churned=['*']"))
    parts = stream.split.parts(stream.split.id_keys(to_dictionary(frame["customerID"])))
    assert stream.count().churned == left[parts != 3].sum()


def test_a_stream_takes_over_what_its_file_says_about_itself(files, tmp_path):
    facts = {"churn": json.dumps({"missing_numbers": ["keine"], "origin": "two tables"})}
    table = pa.Table.from_pandas(pd.read_parquet(files))
    pq.write_table(table.replace_schema_metadata(facts), tmp_path / "t.parquet", row_group_size=500)
    stream = open_stream(config(tmp_path / "t.parquet"))
    assert "keine" in stream.split.schema.missing_numbers
    assert stream.sample.origin == "a random sample of two tables, which has 2,400 rows"


def test_two_columns_of_one_name_are_refused_in_a_stream(files, tmp_path):
    table = pa.Table.from_pandas(pd.read_parquet(files), preserve_index=False)
    twice = table.append_column("tenure", table["tenure"])
    pq.write_table(twice, tmp_path / "t.parquet", row_group_size=500)
    with pytest.raises(UserError, match="several columns have the same name: tenure"):
        open_stream(config(tmp_path / "t.parquet"))


def test_row_groups_without_rows_to_learn_from_are_counted_and_passed_over(files, tmp_path):
    from churn.network.fit_stream import learnt_rows

    frame = pd.read_parquet(files)[:60]
    frame.to_parquet(tmp_path / "a.parquet", row_group_size=1, index=False)
    frame[:0].to_parquet(tmp_path / "b.parquet", index=False)
    stream = open_stream(config(tmp_path, "train.stream_rows=50"))
    whole = stream.rows(stream.groups)
    assert len(whole.churned) < 60  # some groups have a test row only
    counts = stream.count()
    assert (counts.rows, counts.churned) == (len(whole.churned), whole.churned.sum())
    np.testing.assert_array_equal(
        counts.missing, [np.isnan(whole.features[n]).sum() for n in stream.split.schema.numeric]
    )
    chunks = [[group] for group in stream.groups]
    labels = [rows.churned.tolist() for rows in learnt_rows(stream, chunks, 0)]
    assert np.concatenate(labels).tolist() == whole.churned.tolist()
    assert [rows.churned.tolist() for rows in learnt_rows(stream, chunks, 20)] == labels[20:]


def test_a_run_does_not_go_on_after_a_customer_outside_its_sample_was_forgotten(files, tmp_path):
    cfg = config(files, f"run.root={tmp_path}")
    before = open_stream(cfg)
    seen = set(before.sample.ids)
    put_on_list(cfg, id_hash(cfg)(next(i for i in pd.read_parquet(files).customerID if i not in seen)))
    after = open_stream(cfg)
    assert after.sample.ids.tolist() == before.sample.ids.tolist()
    assert after.sample.fingerprint != before.sample.fingerprint
    assert open_stream(cfg).sample.fingerprint == after.sample.fingerprint


def test_no_rows_give_matrices_without_columns():
    schema = Schema("left", ("yes",), ("tenure", "charge"), ("plan",))
    rows = {
        "tenure": np.empty(0, np.float32),
        "charge": np.empty(0, np.float32),
        "plan": to_dictionary(np.empty(0, object)),
    }
    numbers, codes = to_matrices(rows, schema, {})
    assert (numbers.shape, codes.shape) == ((2, 0), (1, 0))


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
