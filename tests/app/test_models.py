"""The rows that a model was made with, as the page reads them again."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from conftest import compose_config
from omegaconf import OmegaConf

pytest.importorskip("shiny", reason="the extra `app` is not installed")

from churn.app.models import training_of
from churn.bundle.bundle import Bundle
from churn.bundle.export import seal
from churn.data.forgotten import put_on_list
from churn.data.id_hash import id_hash
from churn.data.load import load_dataset
from churn.data.sources.synthetic import make_table
from churn.data.stream.rows import open_stream
from churn.errors import UserError


def run_of(exported_bundle, cfg, fingerprint):
    """The bundle of a run with the configuration `cfg` and a table with `fingerprint`."""
    path = Path(cfg.run.root, "run", "bundle")
    shutil.copytree(exported_bundle, path)
    bundle = Bundle.load(path)
    facts = {"created": "2026-11-30T10:00:00Z", "data": {"fingerprint": fingerprint}}
    seal(bundle.path, bundle.facts | facts, bundle.profile)
    (bundle.path.parent / "metrics.json").write_text("{}")
    OmegaConf.save(OmegaConf.structured(cfg), bundle.path.parent / "config.yaml")
    return Bundle.load(path)


@pytest.fixture
def table():
    """600 customers."""
    return make_table(compose_config("data.synthetic.rows=600").data.synthetic, 3).frame


def config(tmp_path, file, *settings):
    named = ("data=csv", f"data.path={tmp_path / file}", "data.target=Churn", "data.name=mine")
    return compose_config(*named, f"run.root={tmp_path}", *settings)


def test_a_table_that_has_changed_since_the_training_is_no_example(exported_bundle, table, tmp_path):
    cfg = config(tmp_path, "table.csv")
    table.to_csv(tmp_path / "table.csv", index=False)
    data = load_dataset(cfg.data, cfg.seed)
    bundle = run_of(exported_bundle, cfg, data.fingerprint)
    assert len(training_of(bundle, cfg.run.root).frame) == 600
    table.sample(frac=0.9, random_state=1).to_csv(tmp_path / "table.csv", index=False)
    with pytest.raises(UserError, match="the table has changed since the training"):
        training_of(bundle, cfg.run.root)


def test_a_forgotten_customer_is_shown_no_more_and_the_others_keep_their_part(
    exported_bundle, table, tmp_path
):
    cfg = config(tmp_path, "table.csv")
    table.to_csv(tmp_path / "table.csv", index=False)
    bundle = run_of(exported_bundle, cfg, load_dataset(cfg.data, cfg.seed).fingerprint)
    before = training_of(bundle, cfg.run.root)
    put_on_list(cfg, id_hash(cfg)(before.test["customerID"][7]))
    after = training_of(bundle, cfg.run.root)
    pd.testing.assert_frame_equal(after.test, before.test.drop(index=7).reset_index(drop=True))
    assert len(after.frame) == len(after.churned) == 599


def test_the_test_rows_of_a_streamed_training_are_those_of_its_own_split(exported_bundle, table, tmp_path):
    cfg = config(tmp_path, "table.parquet", "train.stream_rows=100")
    table.to_parquet(tmp_path / "table.parquet", index=False)
    stream = open_stream(cfg)
    shown = training_of(run_of(exported_bundle, cfg, stream.sample.fingerprint), cfg.run.root)
    learnt_from = stream.rows(stream.groups).churned
    assert len(shown.test) == 600 - len(learnt_from)
    test = stream.split.splits_of(stream.sample).test
    assert list(shown.test["customerID"]) == list(stream.sample.ids[test])
