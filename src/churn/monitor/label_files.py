"""Files of labels: a table that names them, or one that `churn snapshot` wrote.

Each row of a snapshot settles the predictions about its customer that were made on the day of its cut-off, on
the clock of `events.timezone`, and says nothing of other days nor of when in the horizon somebody left.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from churn.data.contract import CUSTOMER_KEY
from churn.data.declared import facts_of
from churn.data.infer.cells import to_times
from churn.data.sources.side_files import read_side_table
from churn.data.table import RawTable
from churn.events.calendar import first_moments
from churn.monitor.labels import CHURNED, SNAPSHOT, TIME


def read_labels(path: str) -> RawTable:
    """The table in a file of any format that `churn train` reads; raises `UserError` as it does."""
    table, facts = read_side_table(path), _facts_in(Path(path))
    return _labels_of_snapshot(table, facts) if "roles" in facts else table


def _facts_in(file: Path) -> dict[str, Any]:
    """What the file says about itself, if it is one that `churn snapshot` may have written."""
    return facts_of(file) if file.is_file() and file.suffix == ".parquet" else {}


def _labels_of_snapshot(table: RawTable, facts: dict[str, Any]) -> RawTable:
    """Labels for predictions that were made on the day of a cut-off, known at the end of the horizon.

    Whoever stayed is known to have stayed until the day after: predictions of that evening are settled, too.
    """
    import pandas as pd

    roles = facts["roles"]
    cutoffs, _ = to_times(table.frame[roles["time"]])
    zone = facts.get("events", {}).get("timezone", "UTC")
    left = table.frame[roles["target"]].astype(str).isin(roles["churned"]).to_numpy()
    begun, ended = (first_moments(cutoffs + np.timedelta64(days, "D"), zone) for days in (0, 1))
    decided = np.where(left, begun, ended) + roles["horizon"] * np.timedelta64(1, "D")
    columns = {CUSTOMER_KEY: table.frame[roles["id"]], TIME: decided, CHURNED: table.frame[roles["target"]]}
    return replace(table, frame=pd.DataFrame(columns | {SNAPSHOT: zone}))
