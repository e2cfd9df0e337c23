"""The pipeline compiles, and all of it runs on this machine as it would on Vertex AI."""

import json
import shutil

import yaml
from conftest import SMALL

from deploy.conftest import IMAGE


def test_it_compiles_with_every_step_and_the_named_image(template):
    compiled = yaml.safe_load(template.read_text())
    executors = compiled["deploymentSpec"]["executors"]
    steps = ("ingest", "validate", "train", "evaluate", "gate", "register", "canary")
    assert set(executors) == {f"exec-{name}" for name in steps}
    images = {executor["container"]["image"] for executor in executors.values()}
    assert images == {IMAGE}
    last = compiled["root"]["dag"]["tasks"]["canary"]
    assert last["inputs"]["parameters"]["promote"]["taskOutputParameter"]["producerTask"] == "gate"


def test_it_runs_to_the_end_and_the_challenger_serves(pipeline, run_directory, tmp_path, monkeypatch):
    from kfp import local

    from churn.bundle.registry import register_run, version_tags

    monkeypatch.chdir(tmp_path)
    root = tmp_path / "runs"
    shutil.copytree(run_directory, root / "first")
    overrides = [
        *SMALL, f"run.root={root}", "seed=43", "data.synthetic.rows=3000", "data.synthetic.dates=true",
        "data.time=Snapshot", "data.synthetic.start=2027-01-01", "data.synthetic.days=180",
        "data.synthetic.drift=concept", "data.synthetic.drift_size=4", "retrain.now=2027-08-01",
        "retrain.gate.bootstrap=100", "retrain.fresh_days=200", "export.background=0", "export.refits=0",
    ]  # fmt: skip
    register_run(root / "first", str(root))
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "outputs"))
    pipeline.retrain(overrides=overrides, kind="alarm", reason="an anomaly")
    tags = version_tags(str(root), "synthetic", "champion")
    assert (tags["version"], tags["decision"]) == ("2", "promoted")
    assert tags["trigger"] == "alarm: an anomaly"
    decision = next((tmp_path / "outputs").rglob("gate/decision"))
    assert json.loads(decision.read_text())["promote"]
    assert "Promoted" in next((tmp_path / "outputs").rglob("gate/page")).read_text()
