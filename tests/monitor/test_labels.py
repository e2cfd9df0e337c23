"""Labels: which ones settle a prediction, and which ones do not yet."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from churn.errors import UserError
from churn.monitor.labels import UNKNOWN, Labels, labels_from_table

from .conftest import SCHEMA

LATE = datetime(2030, 1, 1, tzinfo=UTC)


def settled(labels, when="2026-03-01", horizon=30):
    """The outcome of one prediction about the customer "a"."""
    key, time, churned = (np.array(column) for column in zip(*labels, strict=True))
    known = Labels.of(key, time.astype("datetime64[s]"), churned, np.full(len(key), UNKNOWN))
    return int(known.settle(np.array(["a"]), np.array([when], "datetime64[us]"), horizon)[0][0])


@pytest.mark.parametrize(
    ("labels", "outcome"),
    [
        ([("a", "2026-03-11", 1)], 1),
        ([("a", "2026-03-31", 1)], 1),  # the last day of the horizon
        ([("a", "2026-04-01", 1)], 0),  # left, but after the horizon
        ([("a", "2026-03-31", 0)], 0),
        ([("a", "2026-03-30", 0)], UNKNOWN),  # still there, but the horizon is not over
        ([("a", "2026-02-20", 1)], UNKNOWN),  # left before the prediction
        ([("a", "2026-03-30", 0), ("a", "2026-03-20", 1)], 1),
        ([("b", "2026-03-11", 1)], UNKNOWN),
        ([("A", "2026-03-11", 1), ("b", "2026-03-11", 1)], UNKNOWN),
    ],
)
def test_a_prediction_is_settled_by_what_is_known_at_the_end_of_its_horizon(labels, outcome):
    assert settled(labels) == outcome


def test_of_several_predictions_for_a_customer_only_the_first_counts():
    known = Labels.of(
        np.array(["a"]), np.array(["2026-03-20"], "datetime64[s]"), np.array([1]), np.array([1])
    )
    times = np.array(["2026-03-01", "2026-03-02"], "datetime64[us]")
    outcome, treated = known.settle(np.array(["a", "a"]), times, 30)
    assert outcome.tolist() == [1, UNKNOWN]
    assert treated.tolist() == [1, UNKNOWN]
    assert known.settle(np.array(["a"]), times[1:], 30)[0].tolist() == [UNKNOWN]


@pytest.mark.parametrize("yes", ["1", "true", "Yes", "1.0"])
def test_labels_may_be_typed_or_text_and_have_the_id_column_of_the_training_table(yes):
    when = datetime(2026, 3, 20)
    table = pa.table(
        {"who": [7, 8], "time": pa.array([when, when]), "churned": [yes, "0"], "treated": ["", "1"]}
    )
    known = labels_from_table(table, "labels", SCHEMA, LATE)
    assert known.keys.tolist() == ["7", "8"]
    assert known.treated.tolist() == [UNKNOWN, 1]
    assert len(known.left) == 1


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"customer_key": ["a"], "time": ["2026-03-01"]}, "no column 'churned', but customer_key, time"),
        (
            {"customer_key": ["a"], "time": ["2026-03-01"], "churned": ["maybe"]},
            r"neither yes nor no[\s\S]*column 'churned', row 1: 'maybe'",
        ),
        ({"customer_key": ["a"], "time": ["2026-03-01"], "churned": [None]}, r"a label is empty[\s\S]*row 1"),
        ({"customer_key": ["a"], "time": ["soon"], "churned": ["1"]}, "is no time"),
    ],
)
def test_columns_and_cells_that_are_not_labels_are_refused(columns, message):
    with pytest.raises(UserError, match=message):
        labels_from_table(pa.table(columns), "labels.csv", SCHEMA, LATE)
