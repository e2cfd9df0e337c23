import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from churn.config.training import EvaluateConfig
from churn.evaluate.bootstrap import bootstrap_counts, percentile_interval
from churn.evaluate.evaluation import evaluate, resampled_values
from churn.evaluate.metrics import rank_rows

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


def test_the_json_has_the_keys_that_were_promised_and_no_nan():
    found = evaluate(*sample(), None, CFG, 0).to_json()
    json.dumps(found, allow_nan=False)
    assert set(found) == {"test", "baselines", "best_possible"}
    assert set(found["baselines"]) == {"base_rate", "logistic_regression"}
    for name in METRICS:
        assert set(found["test"][name]) == {"value", "low", "high"}
        assert set(found["baselines"]["base_rate"][name]) == {"value", "low", "high", "difference"}
        assert set(found["best_possible"][name]["difference"]) == {"value", "low", "high"}
    assert set(found["test"]["ece"]) == {"value"}
    assert set(found["baselines"]["base_rate"]["ece"]) == {"value", "difference"}
    assert found["baselines"]["base_rate"]["calibration_slope"]["value"] is None


def test_without_known_truth_nothing_is_called_best_possible():
    churned, predictions = sample()
    del predictions["truth"]
    assert set(evaluate(churned, predictions, None, CFG, 0).to_json()) == {"test", "baselines"}


def test_values_lie_in_their_intervals_and_differences_are_ours_minus_theirs():
    found = evaluate(*sample(), None, CFG, 0)
    for name, scores in found.differences.items():
        for metric, difference in scores.items():
            ours, theirs = found.scores["model"][metric], found.scores[name][metric]
            if np.isnan(theirs.low):
                continue
            assert difference.value == pytest.approx(ours.value - theirs.value)
            assert theirs.low - 1e-9 <= theirs.value <= theirs.high + 1e-9
            assert difference.low <= difference.value <= difference.high


def test_a_prediction_equal_to_ours_differs_by_exactly_nothing():
    """All predictions are judged on the same resamples."""
    churned, predictions = sample()
    found = evaluate(churned, {"model": predictions["model"], "boosting": predictions["model"]}, None, CFG, 0)
    assert all(
        (d.low, d.high) == (0, 0) for name, d in found.differences["boosting"].items() if name != "ece"
    )


def test_the_interval_is_that_of_a_bootstrap_written_out():
    churned, predictions = sample(80)
    probability, values = predictions["model"], []
    for counts in bootstrap_counts(80, 200, 1, np.random.default_rng(7)):
        rows = np.repeat(np.arange(80), counts[0].astype(int))
        values.append(roc_auc_score(churned[rows], probability[rows]))
    found = evaluate(churned, {"model": probability}, None, CFG, 7).scores["model"]["roc_auc"]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """The Brier score of known probabilities, whose expectation is known."""
    hits = []
    for seed in range(200):
        truth = np.random.default_rng(seed).beta(1, 3, 200)
        churned = np.random.default_rng(seed + 10_000).random(200) < truth
        found = evaluate(churned, {"model": truth}, None, EvaluateConfig(bootstrap=200), seed)
        brier = found.scores["model"]["brier"]
        hits.append(brier.low <= 0.15 <= brier.high)  # E[p (1 - p)] = 3 / 20
    assert 0.89 < np.mean(hits) < 0.99


def test_rows_of_one_customer_are_drawn_together():
    """Ten copies of each row, named as one customer each, are worth no more than one."""
    churned, predictions = sample()
    alone = evaluate(churned, {"model": predictions["model"]}, None, CFG, 0)
    copies = {"model": np.repeat(predictions["model"], 10)}
    names = np.repeat([f"customer {i:03}" for i in range(300)], 10)
    together = evaluate(np.repeat(churned, 10), copies, names, CFG, 0)
    for metric in ("roc_auc", "brier", "lift_at_10", "calibration_slope"):
        ours, theirs = alone.scores["model"][metric], together.scores["model"][metric]
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others():
    assert evaluate(*sample(), None, CFG, 1).to_json() == evaluate(*sample(), None, CFG, 1).to_json()
    assert evaluate(*sample(), None, CFG, 1).to_json() != evaluate(*sample(), None, CFG, 2).to_json()


def test_how_many_resamples_are_in_memory_at_a_time_does_not_change_them(monkeypatch):
    churned, predictions = sample(50)
    ranked = {"model": rank_rows(churned, predictions["model"], np.arange(50))}
    at_once = resampled_values(ranked, 50, 40, 0)["model"]
    monkeypatch.setattr("churn.evaluate.evaluation.CHUNK_CELLS", 3 * 50)
    by_threes = resampled_values(ranked, 50, 40, 0)["model"]
    assert all(np.allclose(at_once[m], by_threes[m], atol=1e-12, equal_nan=True) for m in at_once)


def test_every_resample_has_as_many_customers_as_the_sample():
    counts = np.concatenate(list(bootstrap_counts(30, 7, 3, np.random.default_rng(0))))
    assert counts.shape == (7, 30)
    assert (counts.sum(axis=1) == 30).all()


def test_an_interval_is_unknown_where_too_many_resamples_leave_it_undefined():
    few, many = np.arange(1_000.0), np.arange(1_000.0)
    few[:20], many[:30] = np.nan, np.nan
    assert np.isfinite(percentile_interval(few)).all()
    assert np.isnan(percentile_interval(many)).all()


def test_four_rows_give_what_they_can():
    found = evaluate(
        np.array([1, 0, 0, 0]), {"model": np.array([0.4, 0.3, 0.2, 0.1])}, None, CFG, 0
    ).to_json()
    assert found["test"]["roc_auc"] == {"value": 1.0, "low": None, "high": None}
    assert found["test"]["brier"]["low"] is not None
