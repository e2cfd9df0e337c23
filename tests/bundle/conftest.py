"""A run as the registry needs it, and a configuration whose new registry lies beside it."""

import json
import shutil

import pytest
from conftest import compose_config

from churn.bundle import bundle, export
from churn.bundle.database import mlflow_client


@pytest.fixture(scope="session")
def database(tmp_path_factory) -> bytes:
    """The content of a new database: to make one takes seconds."""
    root = tmp_path_factory.mktemp("registry")
    mlflow_client(str(root))
    assert [path.name for path in root.iterdir()] == ["mlflow.db"]
    return (root / "mlflow.db").read_bytes()


@pytest.fixture
def make_run(tmp_path, exported_bundle):
    """A function that writes a finished run."""

    def make(name, good=True):
        run = tmp_path / "runs" / name
        shutil.copytree(exported_bundle, run / "bundle")
        facts = json.loads((run / "bundle" / bundle.EXTRA / "bundle.json").read_text())
        export.seal(run / "bundle", facts | {"run": name}, {})
        estimate = {"value": 0.8, "low": 0.7 if good else 0.4, "high": 0.9}
        difference = {"difference": {"value": -0.1, "low": -0.2, "high": -0.05}}
        metrics = {"test": {"roc_auc": estimate}, "baselines": {"base_rate": {"log_loss": difference}}}
        (run / "metrics.json").write_text(json.dumps(metrics))
        (run / "config.yaml").write_text("seed: 1\ntrain: {epochs: 3}\n")
        (run / "report.html").write_text("<html>")
        return run

    return make


@pytest.fixture
def cfg(tmp_path, database):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mlflow.db").write_bytes(database)
    return compose_config(f"run.root={tmp_path}/runs", "data.name=customers")
