"""A changed bundle, and one whose graph does more than compute, are refused by every stage that reads one."""

import re
import shutil
from importlib import import_module

import pytest
from bundle.test_operations import save, writes
from conftest import ROOT, compose_config

from churn.__main__ import STAGES
from churn.bundle.bundle import EXTRA, Bundle
from churn.bundle.export import seal
from churn.errors import UserError


def change(bundle):
    """One other byte."""
    file = bundle / "saved_model.pb"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def add(bundle):
    (bundle / "assets.extra" / "more.txt").write_text("more")


def remove(bundle):
    (bundle / "assets.extra" / "words.json").unlink()


@pytest.mark.parametrize("damage", [change, add, remove])
@pytest.mark.parametrize(
    "stage", ["score", "serve", "app", "monitor", "retrain", "promote", "deploy", "export"]
)
def test_a_damaged_bundle_is_refused_by_every_stage(exported_bundle, tmp_path, stage, damage):
    run = tmp_path / "run"
    shutil.copytree(exported_bundle, run / "bundle")
    damage(run / "bundle")
    with pytest.raises(UserError, match="the bundle was changed or is incomplete"):
        take(stage, run, tmp_path)
    assert not (tmp_path / "out.csv").exists()


@pytest.fixture(scope="module")
def stranger(exported_bundle, tmp_path_factory):
    """The run of a stranger: its graph writes a file, and its checksums are right."""
    run = tmp_path_factory.mktemp("stranger")
    save(writes, run / "bundle", run / "written")
    shutil.copytree(exported_bundle / EXTRA, run / "bundle" / EXTRA)
    own = Bundle.load(exported_bundle)
    facts = {name: fact for name, fact in own.facts.items() if name != "format"}
    seal(run / "bundle", facts | {"created": "2026-11-30T00:00:00Z"}, own.profile)
    return run


@pytest.mark.parametrize("stage", ["score", "serve", "deploy", "export"])
def test_a_graph_that_acts_is_refused_by_every_stage_that_loads_it(stranger, tmp_path, stage, monkeypatch):
    monkeypatch.setattr("churn.serve.server.limit_threads", lambda threads: None)  # TensorFlow runs already
    with pytest.raises(UserError, match="the bundle's graph does more than compute: WriteFile"):
        take(stage, stranger, tmp_path, "serve.runtime=tensorflow", "score.runtime=tensorflow")
    assert not (tmp_path / "out.csv").exists()
    assert not (stranger / "written").exists()


def test_what_is_loaded_as_a_program_is_loaded_in_one_place_that_checks_it():
    texts = {
        file.relative_to(ROOT / "src" / "churn").as_posix(): file.read_text()
        for file in (ROOT / "src" / "churn").rglob("*.py")
    }
    places = {
        r"saved_model\.load\(": {"bundle/bundle.py"},
        r"\bInterpreter\(model": {"bundle/litert.py"},
        r"keras\.(models|saving)\.load|\bjoblib\b|\bdill\b|torch\.load|allow_pickle=True": set(),
        r"pickle\.loads?\(": {"data/stream/beam.py", "parallel.py"},  # what their own workers wrote
    }
    for form, allowed in places.items():
        assert {name for name, text in texts.items() if re.search(form, text)} == allowed, form


def take(stage, run, tmp_path, *more):
    """Run a stage with the bundle of a run; the page for people chooses it."""
    (tmp_path / "rows.csv").write_text("tenure,Monthly  charge,contract,payment\n1,2,monthly,card\n")
    keys = [f"run.root={tmp_path}/runs", f"input={tmp_path}/rows.csv", f"output={tmp_path}/out.csv"]
    keys += ["deploy.project=p", "deploy.bucket=b", "deploy.plan_only=true", "serve.port=0"]
    if stage == "export":
        keys[1:3] = ["to=bigquery", "input=bq://p.d.t", "output=bq://p.d.m"]
    where = f"run.dir={run}" if stage == "promote" else f"bundle={run / 'bundle'}"
    cfg = compose_config(*keys, where, *more)
    if stage == "app":
        from churn.app.desk import Desk

        Desk(cfg).choose(str(run / "bundle"))
        return
    module, name = STAGES[stage].split(":")
    getattr(import_module(module), name)(cfg)
