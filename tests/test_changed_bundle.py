"""A changed, added or removed file of a bundle is refused by every stage that reads one."""

import shutil
from importlib import import_module

import pytest
from conftest import compose_config

from churn.__main__ import STAGES
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
@pytest.mark.parametrize("stage", ["score", "serve", "monitor", "retrain", "promote", "deploy", "export"])
def test_a_damaged_bundle_is_refused_by_every_stage(exported_bundle, tmp_path, stage, damage):
    run = tmp_path / "run"
    shutil.copytree(exported_bundle, run / "bundle")
    damage(run / "bundle")
    (tmp_path / "rows.csv").write_text("tenure\n1\n")
    module, name = STAGES[stage].split(":")
    keys = [f"run.root={tmp_path}/runs", f"input={tmp_path}/rows.csv", f"output={tmp_path}/out.csv"]
    keys += ["deploy.project=p", "deploy.bucket=b", "deploy.plan_only=true", "serve.port=0"]
    if stage == "export":
        keys[1:3] = ["to=bigquery", "input=bq://p.d.t", "output=bq://p.d.m"]
    where = f"run.dir={run}" if stage == "promote" else f"bundle={run / 'bundle'}"
    with pytest.raises(UserError, match="the bundle was changed or is incomplete"):
        getattr(import_module(module), name)(compose_config(*keys, where))
    assert not (tmp_path / "out.csv").exists()
