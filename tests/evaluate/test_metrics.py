import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from churn.evaluate.metrics import at_share, compute_metrics, expected_calibration_error, rank_rows


def computed(churned, probability, weights):
    """The metrics of rows in any order under one weighting."""
    ranked = rank_rows(np.asarray(churned), np.asarray(probability))
    values = compute_metrics(ranked, np.asarray(weights, float)[None, ranked.order])
    return {name: value[0] for name, value in values.items()}


@st.composite
def weighted_rows(draw):
    """Rows of both classes with few distinct probabilities, so that many tie, and counts as weights."""
    rows = draw(st.integers(8, 60))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    probability = random.choice(random.uniform(0.01, 0.99, draw(st.integers(2, 60))), rows)
    churned = (random.random(rows) < 0.5).astype(int)
    churned[:4], probability[:4] = [0, 1, 0, 1], [0.2, 0.2, 0.7, 0.7]  # never separable, never one class
    weights = random.integers(0, 4, rows)
    weights[:4] = 1
    return churned, probability, weights


@settings(max_examples=200, deadline=None)
@given(weighted_rows())
def test_weighted_metrics_are_scikit_learns(rows):
    churned, probability, weights = rows
    values = computed(*rows)
    for name, reference in {
        "roc_auc": roc_auc_score,
        "average_precision": average_precision_score,
        "log_loss": log_loss,
        "brier": brier_score_loss,
    }.items():
        assert values[name] == pytest.approx(
            reference(churned, probability, sample_weight=weights), abs=1e-12
        )


@settings(max_examples=50, deadline=None)
@given(weighted_rows())
def test_the_calibration_slope_is_that_of_a_logistic_regression_on_the_log_odds(rows):
    churned, probability, weights = rows
    log_odds = np.log(probability / (1 - probability))[:, None]
    regression = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's solver, where its first guess is the optimum already
        slope = regression.fit(log_odds, churned, sample_weight=weights).coef_[0, 0]
    assert computed(*rows)["calibration_slope"] == pytest.approx(slope, abs=1e-5)


@settings(max_examples=50, deadline=None)
@given(weighted_rows())
def test_after_the_calibration_intercept_as_many_leave_as_predicted(rows):
    churned, probability, weights = rows
    log_odds = np.log(probability / (1 - probability)) + computed(*rows)["calibration_intercept"]
    assert weights @ (1 / (1 + np.exp(-log_odds))) == pytest.approx(weights @ churned, abs=1e-5)


@settings(max_examples=100, deadline=None)
@given(weighted_rows())
def test_a_weight_is_a_number_of_copies_of_the_row(rows):
    churned, probability, weights = rows
    copies = np.repeat(churned, weights), np.repeat(probability, weights)
    one_by_one = computed(*copies, np.ones(weights.sum()))
    for name, value in computed(*rows).items():
        assert value == pytest.approx(one_by_one[name], abs=1e-5)


def test_ties_in_the_top_tenth_count_as_the_average_over_their_orders():
    random = np.random.default_rng(0)
    churned, probability = (
        random.integers(0, 2, 200),
        random.choice([0.2, 0.5, 0.8, 0.9], 200, p=[0.5, 0.4, 0.06, 0.04]),
    )
    caught = []
    for _ in range(4_000):
        shuffled = random.permutation(200)
        called = shuffled[np.argsort(-probability[shuffled], kind="stable")][:20]
        caught.append(churned[called].sum() / churned.sum())
    values = computed(churned, probability, np.ones(200))
    assert values["captured_at_10"] == pytest.approx(np.mean(caught), abs=4 * np.std(caught) / np.sqrt(4_000))
    assert values["lift_at_10"] == pytest.approx(10 * values["captured_at_10"])


def test_a_share_between_two_customers_is_interpolated():
    called, caught = np.array([[1.0, 2.0, 3.0]]), np.array([[1.0, 1.0, 2.0]])
    assert at_share(called, caught, 0.1) == pytest.approx([0.3])
    assert at_share(called, caught, 0.9) == pytest.approx([1.7])


def test_a_perfect_ranking_reaches_as_many_churners_as_are_called():
    churned = np.repeat([1, 0], [20, 80])
    values = computed(churned, np.linspace(0.9, 0.1, 100), np.ones(100))
    assert values["roc_auc"] == values["average_precision"] == 1
    assert values["captured_at_10"] == 0.5
    assert values["lift_at_10"] == 5
    assert np.isnan(values["calibration_slope"])  # the likelihood grows with the slope without end


def test_equal_probabilities_have_no_slope_and_rank_by_chance():
    values = computed([0, 1, 0, 1, 0], np.full(5, 0.4), np.ones(5))
    assert np.isnan(values["calibration_slope"])
    assert values["calibration_intercept"] == pytest.approx(0, abs=1e-8)
    assert (values["roc_auc"], values["average_precision"]) == (0.5, 0.4)
    assert values["lift_at_10"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("label", "undefined"),
    [
        (
            0,
            {
                "roc_auc",
                "average_precision",
                "lift_at_10",
                "captured_at_10",
                "calibration_slope",
                "calibration_intercept",
            },
        ),
        (1, {"roc_auc", "calibration_slope", "calibration_intercept"}),
    ],
)
def test_metrics_that_need_both_classes_are_nan_with_one_class(label, undefined):
    values = computed(np.full(6, label), np.linspace(0.1, 0.6, 6), np.ones(6))
    assert {name for name, value in values.items() if np.isnan(value)} == undefined


def test_a_certain_and_wrong_prediction_has_a_finite_loss():
    values = computed([1, 0, 0, 1], [0.0, 1.0, 0.3, 0.6], np.ones(4))
    assert values["log_loss"] == pytest.approx(log_loss([1, 0, 0, 1], [0.0, 1.0, 0.3, 0.6]))


def test_calibration_error_is_the_mean_gap_over_bins_of_equal_size():
    probability = np.repeat([0.1, 0.5], 15)
    churned = np.repeat([0, 1], 15)
    assert expected_calibration_error(churned, probability, bins=2) == pytest.approx((0.1 + 0.5) / 2)
    assert expected_calibration_error(np.array([0, 1]), np.array([0.0, 1.0])) == 0


def test_calibration_error_does_not_depend_on_the_order_of_rows_with_equal_probabilities():
    random = np.random.default_rng(0)
    probability = random.choice([0.1, 0.2, 0.4], 3_000)
    churned = (random.random(3_000) < probability).astype(int)
    sorted_rows = np.argsort(-churned, kind="stable")
    errors = [expected_calibration_error(churned[o], probability[o]) for o in (np.arange(3_000), sorted_rows)]
    assert errors[1] == pytest.approx(errors[0])
    assert errors[0] < 0.03, "these probabilities are right"
