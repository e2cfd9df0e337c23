import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from churn.config.training import EvaluateConfig
from churn.evaluate.importance import find_dominant_feature, permutation_importance, shuffle_columns

CFG = EvaluateConfig(importance_repeats=4)


def table(rows=400):
    """`self` matters most, `b` less, `no use` not at all."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({name: random.normal(size=rows) for name in ("no use", "b", "self")})
    frame["plan"] = random.choice(["x", ""], rows)
    return frame, (random.random(rows) < predict(frame)).astype(int)


def predict(frame):
    return 1 / (1 + np.exp(-3 * frame["self"] - frame["b"])).to_numpy()


def test_columns_are_ordered_by_the_loss_of_auc_when_they_are_shuffled():
    importances = permutation_importance(predict, *table(), CFG, seed=0)
    assert [importance.feature for importance in importances[:2]] == ["self", "b"]
    assert importances[0].roc_auc.value > 5 * importances[1].roc_auc.value > 0
    assert importances[0].log_loss.low <= importances[0].log_loss.value <= importances[0].log_loss.high
    assert importances[0].log_loss.low > 0


def test_a_column_that_misleads_the_model_costs_less_than_nothing():
    frame, churned = table()
    costs = permutation_importance(lambda rows: 1 - predict(rows), frame, churned, CFG, seed=0)
    assert costs[-1].feature == "self"
    assert costs[-1].roc_auc.high < 0 > costs[-1].log_loss.high


def test_a_column_that_the_model_does_not_read_costs_exactly_zero():
    costs = {
        importance.feature: importance
        for importance in permutation_importance(predict, *table(), CFG, seed=0)
    }
    for name in ("no use", "plan"):
        assert (costs[name].roc_auc.low, costs[name].roc_auc.high) == (0, 0)
        assert costs[name].log_loss.value == 0


def test_the_number_of_rows_predicted_at_a_time_does_not_change_the_result(monkeypatch):
    calls = []

    def counted(frame):
        calls.append(len(frame))
        return predict(frame)

    at_once = permutation_importance(counted, *table(), CFG, seed=0)
    assert sorted(calls) == [400, 16 * 400]
    monkeypatch.setattr("churn.evaluate.importance.ROWS", 900)
    calls.clear()
    assert permutation_importance(counted, *table(), CFG, seed=0) == at_once
    assert max(calls) == 800


def test_shuffling_keeps_types_values_and_other_columns():
    frame, _ = table(50)
    for name, copy in zip(
        np.repeat(frame.columns, 2), shuffle_columns(frame, 2, np.random.default_rng(0)), strict=True
    ):
        assert sorted(copy[name]) == sorted(frame[name])
        assert copy[name].tolist() != frame[name].tolist()
        pd.testing.assert_frame_equal(copy.drop(columns=name), frame.drop(columns=name))
        assert (copy.dtypes == frame.dtypes).all()


@pytest.mark.parametrize("rows", [2, 20])
def test_a_handful_of_rows_is_enough(rows):
    frame, _ = table(rows)
    assert len(permutation_importance(predict, frame, np.arange(rows) % 2, CFG, seed=0)) == 4


@pytest.mark.parametrize(
    ("strength", "weight", "found"),
    [(3, 0, ["risk"]), (3, 1, []), (1.2, 0, [])],  # a leak, one of two causes, and an honest main cause
)
def test_one_column_that_carries_nearly_everything_is_a_finding(strength, weight, found):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"months": rng.normal(size=2000), "risk": rng.normal(size=2000)})

    def score(rows: pd.DataFrame) -> np.ndarray:
        return strength * (rows["risk"].to_numpy() + weight * rows["months"].to_numpy())

    def predict(rows: pd.DataFrame) -> np.ndarray:
        return 1 / (1 + np.exp(-score(rows)))

    churned = (score(frame) + rng.logistic(size=2000) > 1).astype(np.int8)
    importance = permutation_importance(predict, frame, churned, EvaluateConfig(), seed=1)
    findings = find_dominant_feature(importance, roc_auc_score(churned, predict(frame)))
    assert [finding.title for finding in findings] == [
        f"column '{name}' carries nearly everything that the model knows" for name in found
    ]
    assert find_dominant_feature(importance, 0.85) == find_dominant_feature([], 0.9) == ()
