"""The addresses of `make ui` show runs with the metrics that matter."""

import json
import shutil

from churn.bundle.database import mlflow_client
from churn.bundle.runs_page import prepare_pages


def test_each_data_set_has_a_page_with_auc_log_loss_and_profit(run_directory, tmp_path):
    for name in ("mlflow.db", "mlflow"):
        source = run_directory.parent / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    pages = prepare_pages(str(tmp_path), "http://127.0.0.1:5000")
    client = mlflow_client(str(tmp_path))
    experiment = client.get_experiment_by_name("synthetic")
    page = f"http://127.0.0.1:5000/#/experiments/{experiment.experiment_id}/runs?viewStateShareKey=churn"
    assert pages == {"synthetic": page}
    columns = json.loads(experiment.tags["mlflow.sharedViewState.churn"])["selectedColumns"]
    metrics = client.search_runs([experiment.experiment_id])[0].data.metrics
    assert [column for column in columns if column.startswith("metrics.")] == [
        "metrics.`test.roc_auc`", "metrics.`test.log_loss`", "metrics.`test.profit`",
    ]  # fmt: skip
    assert metrics.keys() >= {"test.roc_auc", "test.log_loss", "test.profit"}


def test_without_runs_there_is_no_page(tmp_path):
    assert prepare_pages(str(tmp_path), "http://127.0.0.1:5000") == {}
