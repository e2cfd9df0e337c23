"""Run one drift check on two files, and print its cost and result as JSON: for `drift.py`.

`drift_peers.py evidently REFERENCE WINDOW` runs evidently's data-drift preset in the peers' environment,
`drift_peers.py ours PROFILE WINDOW` our check: the stored profile, and one pass over the window.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any


def evidently(reference: str, window: str) -> dict[str, Any]:
    """Distances of all columns by evidently's preset; reading the files is included, as in ours."""
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    began = time.process_time()
    frames = [pd.read_parquet(file) for file in (reference, window)]
    numbers = frames[0].select_dtypes("number").columns.tolist()
    texts = [name for name in frames[0] if name not in numbers]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=texts)
    old, new = (Dataset.from_pandas(frame, data_definition=definition) for frame in frames)
    report = json.loads(Report([DataDriftPreset()]).run(new, old).json())
    seconds = time.process_time() - began
    drifts = [metric for metric in report["metrics"] if "ValueDrift" in str(metric["metric_name"])]
    return {"seconds": seconds, "columns": {column_of(metric): float(metric["value"]) for metric in drifts}}


def column_of(metric: dict[str, Any]) -> str:
    """The column of a metric."""
    return str(metric["config"]["column"])


def ours(profile: str, window: str) -> dict[str, Any]:
    """The drift check of `churn monitor`."""
    import pandas as pd  # noqa: F401 - pyarrow does so at its first array, and imports do not count

    from churn.monitor.drift.alarm import DriftPolicy
    from churn.monitor.drift.compare import compare_with_training
    from churn.monitor.drift.reference import Reference
    from churn.monitor.drift.summary import Summary
    from churn.serve.log.read import file_chunks

    began = time.process_time()
    reference = Reference(json.loads(Path(profile).read_text()))
    summary = Summary(reference)
    for table in file_chunks(Path(window), coded=True):
        summary.add({name: table[name] for name in reference.features})
    report = compare_with_training(reference, summary, DriftPolicy())
    seconds = time.process_time() - began
    assert report.rows == summary.rows
    return {
        "seconds": seconds,
        "status": report.status,
        "columns": {n: d.psi for n, d in report.features.items()},
    }


def peak() -> float:
    """Peak memory of this process in MB; `ru_maxrss` would give its parent's if that is larger."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    check = {"evidently": evidently, "ours": ours}[sys.argv[1]]
    done = check(*sys.argv[2:])
    print(json.dumps(done | {"megabytes": peak()}))
