from dataclasses import replace

import numpy as np
import pandas as pd

from churn.data.dataset import Dataset, Schema
from churn.data.experiment import Part
from churn.data.split import Splits
from churn.evaluate.report.content import summarize_data, without_rare_texts


def test_the_summary_has_roles_missing_values_values_and_parts():
    frame = pd.DataFrame(
        {"age": [20.0, np.nan, 40.0, 30.0], "blank": np.nan, "plan": ["a", "a", "", "b"], "none": [""] * 4}
    )
    schema = Schema(
        "left", ("yes",), ("age", "blank"), ("plan", "none"), id="who", dropped=("score", "reason")
    )
    data = Dataset("table", schema, frame, np.array([1, 0, 0, 1], np.int8), facts={"copies_dropped": 2})
    summary = summarize_data(data, Splits(np.array([0, 1]), np.array([2]), np.array([], int), np.array([3])))
    assert summary.churn_rate == 0.5
    assert [(c.name, c.role, c.missing, c.values) for c in summary.columns] == [
        ("age", "number", 0.25, "20 … 30 … 40"),
        ("blank", "number", 1.0, "no values"),
        ("plan", "category", 0.25, "2 levels"),  # a text that two customers share may name them
        ("none", "category", 1.0, "no values"),
    ]
    assert [(p.name, p.rows) for p in summary.parts] == [
        ("train", 2),
        ("validation", 1),
        ("calibration", 0),
        ("test", 1),
    ]
    assert summary.parts[0].churn_rate == 0.5
    assert summary.roles == {"target": "left (churned: yes)", "id": "who", "dropped": "score, reason"}


def test_a_level_that_several_customers_share_is_named():
    frame = pd.DataFrame({"plan": ["a"] * 5 + ["Jane Doe"] * 4 + [""]})
    data = Dataset(
        "table", Schema("left", ("yes",), (), ("plan",)), frame, np.resize(np.array([0, 1], np.int8), 10)
    )
    half = np.arange(5)
    summary = summarize_data(data, Splits(half, half[:0], half[:0], half + 5))
    assert summary.columns[0].values == "2 levels, most often “a” (50 %)"
    of_three = replace(data, ids=np.array(list("aabbcdefgh")))
    assert (
        summarize_data(of_three, Splits(half, half[:0], half[:0], half + 5)).columns[0].values == "2 levels"
    )


def test_a_text_of_few_customers_is_in_no_reason_of_an_example():
    frame = pd.DataFrame({"note": ["quiet"] * 9 + ["Ann's note", ""], "tenure": np.arange(11.0)})
    left = np.zeros(11, np.int8)
    shown = without_rare_texts(frame.iloc[[0, 9, 10]], Part(frame, left, None))
    assert shown["note"].tolist() == ["quiet", "(rare)", ""]
    assert shown["tenure"].tolist() == [0, 9, 10]
    assert frame["note"].iloc[9] == "Ann's note", "the model reads the text itself"
    of_four = np.array(list("aaabbbccdef"))
    assert without_rare_texts(frame.iloc[:1], Part(frame, left, of_four))["note"].tolist() == ["(rare)"]
