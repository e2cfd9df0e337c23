import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from churn.config.training import EvaluateConfig
from churn.evaluate.bootstrap import percentile_interval, resample_weights
from churn.evaluate.evaluation import evaluate

METRICS = ("roc_auc", "average_precision", "log_loss", "brier", "lift_at_10", "captured_at_10")
METRICS += ("calibration_slope", "calibration_intercept")
CFG = EvaluateConfig(bootstrap=200)


def sample(rows=300, seed=0):
    """Labels drawn from known probabilities, and predictions with less and more noise."""
    random = np.random.default_rng(seed)
    truth = random.beta(1, 3, rows)
    log_odds = np.log(truth / (1 - truth))

    def noisy(size):
        return 1 / (1 + np.exp(-log_odds - random.normal(0, size, rows)))

    predictions = {
        "model": noisy(0.3),
        "base_rate": np.full(rows, 0.25),
        "logistic_regression": noisy(3),
        "truth": truth,
    }
    return (random.random(rows) < truth).astype(np.int8), predictions


def test_the_json_has_the_documented_keys_and_no_nan():
    result = evaluate(*sample(), None, CFG, 0).to_json()
    json.dumps(result, allow_nan=False)
    assert set(result) == {"test", "baselines", "best_possible"}
    assert set(result["baselines"]) == {"base_rate", "logistic_regression"}
    for name in METRICS:
        assert set(result["test"][name]) == {"value", "low", "high"}
        assert set(result["baselines"]["base_rate"][name]) == {"value", "low", "high", "difference"}
        assert set(result["best_possible"][name]["difference"]) == {"value", "low", "high"}
    assert set(result["test"]["ece"]) == {"value"}
    assert set(result["baselines"]["base_rate"]["ece"]) == {"value", "difference"}
    assert result["baselines"]["base_rate"]["calibration_slope"]["value"] is None


def test_without_the_truth_there_is_no_section_best_possible():
    churned, predictions = sample()
    del predictions["truth"]
    assert set(evaluate(churned, predictions, None, CFG, 0).to_json()) == {"test", "baselines"}


def test_values_lie_in_their_intervals_and_differences_are_the_model_s_minus_the_other_s():
    result = evaluate(*sample(), None, CFG, 0)
    for name, scores in result.differences.items():
        for metric, difference in scores.items():
            model, other = result.scores["model"][metric], result.scores[name][metric]
            if np.isnan(other.low):
                continue
            assert difference.value == pytest.approx(model.value - other.value)
            assert other.low - 1e-9 <= other.value <= other.high + 1e-9
            assert difference.low <= difference.value <= difference.high


def test_a_prediction_equal_to_the_model_s_has_a_difference_of_exactly_zero():
    """All predictions use the same resamples."""
    churned, predictions = sample()
    result = evaluate(
        churned, {"model": predictions["model"], "boosting": predictions["model"]}, None, CFG, 0
    )
    assert all(
        (d.low, d.high) == (0, 0) for name, d in result.differences["boosting"].items() if name != "ece"
    )


def test_the_interval_holds_95_percent_of_the_resamples():
    churned, predictions = sample(80)
    probability = predictions["model"]
    resamples = np.concatenate(list(resample_weights(80, None, 200, seed=7)))[1:]
    values = [roc_auc_score(churned, probability, sample_weight=weights) for weights in resamples]
    auc = evaluate(churned, {"model": probability}, None, CFG, 7).scores["model"]["roc_auc"]
    assert (auc.low, auc.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))


def test_the_interval_covers_the_truth_in_about_95_percent_of_the_samples():
    """The Brier score of known probabilities, whose expectation is known."""
    hits = []
    for seed in range(200):
        truth = np.random.default_rng(seed).beta(1, 3, 200)
        churned = np.random.default_rng(seed + 10_000).random(200) < truth
        result = evaluate(churned, {"model": truth}, None, EvaluateConfig(bootstrap=200), seed)
        brier = result.scores["model"]["brier"]
        hits.append(brier.low <= 0.15 <= brier.high)  # E[p (1 - p)] = 3 / 20
    assert 0.89 < np.mean(hits) < 0.99


def test_rows_of_one_customer_are_drawn_together():
    """Ten copies of each row, of one customer, give the interval of one copy."""
    churned, predictions = sample()
    alone = evaluate(churned, {"model": predictions["model"]}, None, CFG, 0)
    copies = {"model": np.repeat(predictions["model"], 10)}
    names = np.repeat([f"customer {i:03}" for i in range(300)], 10)
    copied = evaluate(np.repeat(churned, 10), copies, names, CFG, 0)
    for metric in ("roc_auc", "brier", "lift_at_10", "calibration_slope"):
        one, ten = alone.scores["model"][metric], copied.scores["model"][metric]
        assert (one.low, one.high) == pytest.approx((ten.low, ten.high), abs=1e-6)


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others():
    assert evaluate(*sample(), None, CFG, 1).to_json() == evaluate(*sample(), None, CFG, 1).to_json()
    assert evaluate(*sample(), None, CFG, 1).to_json() != evaluate(*sample(), None, CFG, 2).to_json()


def test_the_number_of_resamples_in_memory_does_not_change_them(monkeypatch):
    at_once = list(resample_weights(50, None, 40, seed=0))
    monkeypatch.setattr("churn.evaluate.bootstrap.CHUNK_CELLS", 3 * 50)
    by_threes = list(resample_weights(50, None, 40, seed=0))
    assert [len(chunk) for chunk in by_threes] == [1, *[3] * 13, 1]
    assert np.array_equal(np.concatenate(at_once), np.concatenate(by_threes))


def test_the_rows_come_first_and_every_resample_has_as_many_customers():
    first, resamples = resample_weights(30, np.repeat(np.arange(10), 3), 7, seed=0)
    assert (first == 1).all()
    assert resamples.shape == (7, 30)
    assert (resamples.sum(axis=1) == 30).all()
    assert (resamples[:, ::3] == resamples[:, 1::3]).all()  # rows of one customer


def test_an_interval_is_unknown_where_too_many_resamples_leave_it_undefined():
    few, many = np.arange(1_000.0), np.arange(1_000.0)
    few[:20], many[:30] = np.nan, np.nan
    assert np.isfinite(percentile_interval(few)).all()
    assert np.isnan(percentile_interval(many)).all()


def test_four_rows_have_values_but_not_every_interval():
    result = evaluate(
        np.array([1, 0, 0, 0]), {"model": np.array([0.4, 0.3, 0.2, 0.1])}, None, CFG, 0
    ).to_json()
    assert result["test"]["roc_auc"] == {"value": 1.0, "low": None, "high": None}
    assert result["test"]["brier"]["low"] is not None
