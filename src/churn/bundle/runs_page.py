"""`make ui`: where MLflow's pages show the runs of each data set with AUC, log loss and profit.

python -m churn.bundle.runs_page http://127.0.0.1:5000
"""

from __future__ import annotations

import json
import sys

from churn.bundle.database import database_file, mlflow_client, on_server, one_writer
from churn.config.root import RunConfig

VIEW = "churn"  # the name of the view that the address names
COLUMNS = ("metrics.`test.roc_auc`", "metrics.`test.log_loss`", "metrics.`test.profit`")
TAGS = {
    "mlflow.experimentKind": "custom_model_development",  # else MLflow opens its page for language models
    f"mlflow.sharedViewState.{VIEW}": json.dumps(
        {"orderByKey": COLUMNS[0], "orderByAsc": False, "selectedColumns": ["attributes.`Created`", *COLUMNS]}
    ),
}


def prepare_pages(root: str, server: str) -> dict[str, str]:
    """The address of the runs of each data set; their columns are chosen where they were not yet.

    >>> prepare_pages("runs", "http://127.0.0.1:5000")
    {'telco': 'http://127.0.0.1:5000/#/experiments/2/runs?viewStateShareKey=churn'}
    """
    if not on_server() and not database_file(root).exists():
        return {}
    client, addresses = mlflow_client(root), {}
    for experiment in client.search_experiments():
        if not client.search_runs([experiment.experiment_id], max_results=1):
            continue
        with one_writer(root):
            for key, value in TAGS.items():
                if experiment.tags.get(key) != value:
                    client.set_experiment_tag(experiment.experiment_id, key, value)
        page = f"{server}/#/experiments/{experiment.experiment_id}/runs?viewStateShareKey={VIEW}"
        addresses[experiment.name] = page
    return addresses


if __name__ == "__main__":
    pages = prepare_pages(RunConfig().root, sys.argv[1])
    for name, page in pages.items():
        print(f"Runs of {name}: {page}")
    print(
        "Starting MLflow's server; Ctrl-C ends it." if pages else "There is no run yet: make train",
        flush=True,
    )
