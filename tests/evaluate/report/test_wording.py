import numpy as np
import pytest

from churn.config.training import DecisionConfig
from churn.evaluate.bootstrap import Estimate
from churn.evaluate.evaluation import Evaluation
from churn.evaluate.metrics import METRICS
from churn.evaluate.profit import Sensitivity
from churn.evaluate.report.wording import (
    compare_estimate,
    describe_assumption,
    describe_customer_value,
    describe_threshold,
    format_interval,
    format_money,
    format_value,
    statements,
    verdict,
)

NONE = Estimate(0.0, -0.01, 0.01)
MORE, LESS = Estimate(0.02, 0.01, 0.03), Estimate(-0.02, -0.03, -0.01)


def compared(**rivals) -> Evaluation:
    """An evaluation with the differences of AUC and log loss to each rival."""
    return Evaluation({}, {name: {"roc_auc": d[0], "log_loss": d[1]} for name, d in rivals.items()})


@pytest.mark.parametrize(
    ("boosting", "logistic", "answer"),
    [
        ((MORE, LESS), (MORE, NONE), "Yes: better than gradient boosting and logistic regression"),
        ((NONE, NONE), (MORE, LESS), "Undecided: not distinguishable from gradient boosting"),
        ((LESS, NONE), (MORE, LESS), "No: worse than gradient boosting"),
        ((NONE, MORE), (NONE, MORE), "No: worse than gradient boosting and logistic regression"),
        (
            (MORE, MORE),
            (MORE, LESS),
            "Undecided: in one way better and in another worse than gradient boosting",
        ),
    ],
)
def test_the_verdict_follows_the_paired_intervals(boosting, logistic, answer):
    assert verdict(compared(boosting=boosting, logistic_regression=logistic))[0] == answer


def test_the_verdict_shows_the_numbers_behind_it():
    _, numbers = verdict(compared(boosting=(MORE, NONE)))
    assert numbers == [
        "gradient boosting: ROC AUC +0.0200 (95 % interval +0.0100 … +0.0300), "
        "log loss +0.0000 (95 % interval −0.0100 … +0.0100)"
    ]


def test_without_rivals_there_is_no_verdict():
    assert verdict(compared(tutorial=(MORE, LESS))) == ("", [])


@pytest.mark.parametrize(
    ("metric", "difference", "result"),
    [
        ("roc_auc", MORE, "better"),
        ("roc_auc", LESS, "worse"),
        ("brier", MORE, "worse"),
        ("brier", LESS, "better"),
        ("brier", NONE, "alike"),
        ("lift_at_10", Estimate(1e-17, 1e-17, 1e-16), "alike"),
        ("calibration_slope", MORE, ""),
        ("roc_auc", Estimate(0.1, np.nan, np.nan), ""),
    ],
)
def test_better_means_more_or_less_depending_on_the_metric(metric, difference, result):
    assert compare_estimate(METRICS[metric], difference) == result


def scored(slope, intercept) -> Evaluation:
    fixed = {"captured_at_10": Estimate(0.284, 0.25, 0.31), "lift_at_10": Estimate(2.84, 2.5, 3.1)}
    fixed["roc_auc"] = Estimate(0.851, 0.83, 0.87)
    return Evaluation({"model": fixed | {"calibration_slope": slope, "calibration_intercept": intercept}}, {})


@pytest.mark.parametrize(
    ("slope", "intercept", "text"),
    [
        (Estimate(1.0, 0.9, 1.1), Estimate(0.0, -0.1, 0.1), "as far as 500 rows can tell"),
        (Estimate(0.8, 0.7, 0.9), Estimate(0.0, -0.1, 0.1), "are too extreme."),
        (Estimate(1.2, 1.1, 1.3), Estimate(0.3, 0.2, 0.4), "are too cautious and on the whole too low."),
        (Estimate(1.0, 0.9, 1.1), Estimate(-0.3, -0.4, -0.2), "are on the whole too high."),
        (Estimate(1.0, np.nan, np.nan), Estimate(0.0, -0.1, 0.1), "too few to tell"),
    ],
)
def test_calibration_is_put_into_words(slope, intercept, text):
    assert text in statements(scored(slope, intercept), 500)[2].text


def test_the_first_sentence_is_about_the_churners_in_the_top_tenth():
    first = statements(scored(NONE, NONE), 500)[0]
    assert (first.number, first.detail) == ("28 %", "95 % interval 25.0 % … 31.0 %")
    assert "2.8 times as many" in first.text


def test_numbers_have_a_true_minus_no_negative_zero_and_a_dash_for_nothing():
    auc = METRICS["roc_auc"]
    assert format_value(auc, -0.00001, sign=True) == "+0.0000"
    assert format_value(auc, -0.25) == "−0.2500"
    assert format_value(auc, np.nan) == "–"
    assert format_interval(auc, Estimate(0.5, np.nan, np.nan)) == ""


@pytest.mark.parametrize(
    ("value", "text"), [(9.9787, "9,979"), (-0.0167, "−16.7"), (0.0, "0"), (0.001234, "1.23"), (np.nan, "–")]
)
def test_profits_are_shown_for_a_thousand_customers(value, text):
    assert format_money(value) == text


def test_assumptions_are_put_into_words():
    cfg = DecisionConfig(value_column="Charge", value_factor=24)
    assert describe_customer_value(cfg) == "their own Charge × 24"
    assert describe_customer_value(DecisionConfig()) == "200"
    assert describe_assumption(Sensitivity("customer_value", 48, 0.1, 1, 1), cfg) == "Charge × 48, not 24"
    assert describe_assumption(Sensitivity("offer_cost", 5, 0.1, 1, 1), cfg) == "the offer costs 5, not 10"
    assert (describe_threshold(0.25), describe_threshold(2.0)) == ("from 0.250", "nobody")
