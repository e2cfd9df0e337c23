"""`from churn import fit`: a frame in, a model out, and nothing heavy before that."""

import gc
import html
import os
import subprocess
import sys
import tempfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import compose_config

import churn
from churn.bundle.bundle import Bundle
from churn.data.load import build_dataset
from churn.data.sources.files import read_files
from churn.data.sources.synthetic import make_table
from churn.errors import UserError
from churn.frame import _to_raw, fit, load
from churn.score.stage import score

LISTS = pd.ArrowDtype(pa.list_(pa.int64()))
NAME = "Kunden (Mai), it's mine/yours"  # signs of Hydra, HTML and paths
QUICK = [
    "model=tutorial",
    "train.epochs=1",
    "export.background=8",
    "export.refits=0",
    "evaluate.bootstrap=20",
    "evaluate.importance_repeats=1",
]


@pytest.fixture(scope="module")
def customers():
    """400 customers with an index of their own."""
    frame = make_table(compose_config("data.synthetic.rows=400").data.synthetic, 3).frame
    return frame.set_index(pd.RangeIndex(1000, 1400))


@pytest.fixture(scope="module")
def model(customers):
    return fit(customers, target="Churn", name=NAME, settings=QUICK)


def test_importing_churn_does_nothing_heavy():
    program = (
        "import churn, sys; print(sorted(m for m in ('tensorflow', 'pandas', 'numpy') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert (churn.fit, churn.load) == (fit, load)
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        _ = churn.fitt


def test_a_model_of_a_frame_predicts_as_churn_score_does(model, customers, tmp_path):
    answers = model.predict(customers, reasons=True)
    assert answers.index.equals(customers.index)
    customers.to_parquet(tmp_path / "in.parquet")
    score(compose_config(f"bundle={model.path}/bundle", f"input={tmp_path}/in.parquet", "score.reasons=true",
                         f"output={tmp_path}/out.parquet"))  # fmt: skip
    written = pd.read_parquet(tmp_path / "out.parquet")
    assert answers["customerID"].tolist() == written["customerID"].tolist()
    assert np.allclose(answers["churn_probability"], written["churn_probability"], atol=1e-6)
    assert answers["reason_1"].tolist() == written["reason_1"].tolist()
    assert list(model.predict(customers).columns) == [name for name in answers if "reason" not in name]


def test_no_customers_get_a_frame_without_rows(model, customers):
    answers = model.predict(customers[:0], reasons=True)
    assert len(answers) == 0
    assert list(answers) == list(model.predict(customers[:1], reasons=True))


def test_the_report_is_shown_in_a_notebook(model):
    assert f"Churn report: {NAME}" in html.unescape(model.report().path.read_text())
    assert model.report()._repr_html_().startswith("<iframe")
    assert 0.4 < model.metrics["roc_auc"] < 1
    assert f"'{NAME}' of" in repr(model)


def test_a_model_is_saved_whole_and_loaded_again(model, customers, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    saved = model.save("~/june")
    assert saved == tmp_path / "june"
    assert Bundle.load(saved / "bundle").digest == model.bundle.digest
    again = load("~/june").predict(customers)
    assert np.allclose(again["churn_probability"], model.predict(customers)["churn_probability"])
    with pytest.raises(UserError, match="something"):
        model.save(saved)
    with pytest.raises(UserError, match="something"):
        model.save(__file__)


def test_a_model_s_folder_goes_with_it_or_with_the_last_that_needs_it(customers, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def left():
        return [entry.name for entry in tmp_path.iterdir() if entry.is_dir()]

    report, predict = (lambda one: (one.report(), one.predict))(fit(customers, "Churn", settings=QUICK))
    predict(customers[:3])
    assert len(left()) == 1
    del predict
    assert report._repr_html_().startswith("<iframe")
    bundle = report.model.bundle
    del report
    assert bundle.profile
    del bundle
    gc.collect()
    assert left() == []


def test_a_fit_that_fails_or_whose_process_ends_leaves_no_folder(customers, tmp_path):
    customers.to_parquet(tmp_path / "in.parquet")
    (tmp_path / "tmp").mkdir()
    program = f"""
import churn, pandas as pd
customers = pd.read_parquet({str(tmp_path / "in.parquet")!r})
try:
    churn.fit(customers, target="churn")
except churn.errors.UserError as error:
    print("refused")
model = churn.fit(customers, target="Churn", settings={QUICK!r})
print(len(list(model.path.parent.glob("model/bundle"))))
model.save({str(tmp_path / "saved")!r})
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
    )
    assert "refused\n" in done.stdout
    folders = {entry.name for entry in (tmp_path / "tmp").iterdir() if entry.is_dir()}
    assert folders <= {"__pycache__"}, "which TensorFlow leaves"
    assert (tmp_path / "saved" / "report.html").exists()


def test_wrong_frames_are_the_user_s_errors(model, customers):
    with pytest.raises(UserError, match="column 'tenure' is missing"):
        model.predict(customers.drop(columns="tenure"))
    with pytest.raises(UserError, match="names of columns have to be text: '0'"):
        fit(pd.DataFrame(np.zeros((4, 1))), target="Churn")
    with pytest.raises(UserError, match="no column 'churn'; did you mean 'Churn'"):
        fit(customers, target="churn")
    twice = pd.concat([customers, customers[["tenure"]]], axis=1)
    listed = customers.assign(calls=[[1, 2]] * len(customers))
    for wrong, message in (
        (twice, "several columns have the same name: 'tenure'"),
        (listed, "lists or the like, or complex numbers: column 'calls'"),
        (listed.convert_dtypes(dtype_backend="pyarrow").astype({"calls": LISTS}), "column 'calls'"),
        (customers.assign(phase=1j), "column 'phase'"),
    ):
        with pytest.raises(UserError, match=message):
            fit(wrong, target="Churn")
    with pytest.raises(UserError, match="the same name"):
        model.predict(twice)
    with pytest.raises(UserError, match="column 'Contract'"):
        model.predict(listed.assign(Contract=listed["calls"]))
    assert len(model.predict(listed[:3])) == 3  # the model does not use them


@pytest.mark.parametrize("rows", [[{"tenure": 1}], "a,b", None])
def test_what_is_no_frame_is_refused(model, customers, rows):
    for ask in (model.predict, lambda given: fit(given, target="Churn")):
        with pytest.raises(UserError, match=r"have to be a frame of pandas, not (list|str|NoneType)"):
            ask(rows)
    with pytest.raises(UserError, match=r"not Series\n  do: .*df\.iloc\[\[0\]\]"):
        model.predict(customers.iloc[0])


def test_a_folder_without_a_model_is_refused_at_once(tmp_path):
    with pytest.raises(UserError, match="this is not a bundle"):
        load(tmp_path / "nothing")


def test_a_folder_that_cannot_be_made_is_one_message(model, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="a file is where a folder belongs"):
        model.save(tmp_path / "file" / "june")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("kind", [object, "string[python]"])
def test_half_a_character_becomes_a_question_mark_as_in_json_lines(model, customers, kind):
    halves = pd.Series(["a\ud800", "b", None], customers.index[:3], kind)
    frame = customers[:3].assign(customerID=halves, Contract=halves)
    expected = frame.assign(customerID=["a?", "b", None], Contract=["a?", "b", None])
    pd.testing.assert_frame_equal(model.predict(frame), model.predict(expected))
    assert model.predict(frame)["customerID"].tolist() == ["a?", "b", ""]


def test_arrow_s_types_are_read_as_those_of_a_parquet_file(model, customers):
    typed = customers.convert_dtypes(dtype_backend="pyarrow")
    decimal = typed.assign(tenure=typed["tenure"].astype(pd.ArrowDtype(pa.decimal128(25, 2))))
    plain = build_dataset(_to_raw(customers, ()), compose_config("data=csv", "data.target=Churn").data)
    for frame in (typed, decimal):
        data = build_dataset(_to_raw(frame, ()), compose_config("data=csv", "data.target=Churn").data)
        assert data.schema == plain.schema
        pd.testing.assert_frame_equal(data.frame, plain.frame)
        pd.testing.assert_frame_equal(model.predict(frame), model.predict(customers))


@pytest.mark.parametrize("kind", ["timedelta64[ns]", "time"])
def test_durations_and_times_of_day_are_those_of_a_parquet_file(customers, tmp_path, kind):
    hours = pd.Series(pd.to_timedelta(np.arange(400) % 24, "h"), customers.index)
    frame = customers.assign(waited=hours if kind != "time" else (pd.Timestamp("2024-01-01") + hours).dt.time)
    frame.to_parquet(tmp_path / "t.parquet", index=False)
    cfg = compose_config("data=parquet", f"data.path={tmp_path}/t.parquet", "data.target=Churn").data
    ours, written = (build_dataset(raw, cfg) for raw in (_to_raw(frame, ()), read_files(cfg)))
    assert ours.schema == written.schema
    assert "waited" in ours.schema.features
    pd.testing.assert_frame_equal(ours.frame, written.frame)


def test_columns_that_are_left_out_may_hold_anything(customers):
    listed = customers.assign(calls=[[1, 2]] * len(customers))
    cfg = compose_config("data=csv", "data.target=Churn", "data.drop=[calls]")
    assert build_dataset(_to_raw(listed, cfg.data.drop), cfg.data).schema.dropped == ("calls",)


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        (["train.adversarial.share=0.3"], "adversarial"),
        (["+data.influence={nosuch: [-1, 1]}"], "nosuch"),
    ],
)
def test_settings_that_do_not_fit_the_table_are_refused_as_churn_train_does(customers, settings, where):
    with pytest.raises(UserError, match=where):
        fit(customers, target="Churn", settings=[*QUICK, *settings])
