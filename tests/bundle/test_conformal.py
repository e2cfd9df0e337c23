"""Sets cover each kind of customers as often as they were asked to."""

import numpy as np
import pytest

from bundle.test_decision import world
from churn.bundle import conformal
from churn.bundle.conformal import PredictionSets


def answers(of, probability):
    return conformal.as_text(of(probability.astype(np.float32))).numpy().astype(str)


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
def test_either_kind_of_customers_is_covered_at_the_level(level):
    of = conformal.fit_prediction_sets(*world(5_000), level)
    churned, probability = world(50_000, seed=1)
    found = answers(of, probability)
    for kind, name in enumerate(("stays", "leaves")):
        assert np.isin(found[churned == kind], [name, "ambiguous"]).mean() == pytest.approx(level, abs=0.02)


def test_a_customer_between_two_limits_is_ambiguous_or_unusual():
    overlapping, apart = PredictionSets(0.9, 0.2, 0.6), PredictionSets(0.9, 0.6, 0.2)
    probability = np.array([0.1, 0.4, 0.9])
    assert answers(overlapping, probability).tolist() == ["stays", "ambiguous", "leaves"]
    assert answers(apart, probability).tolist() == ["stays", "unusual", "leaves"]


def test_too_few_customers_leave_everything_possible():
    of = conformal.fit_prediction_sets(np.array([0, 1, 1]), np.array([0.2, 0.6, 0.7]), 0.9)
    assert set(answers(of, np.array([0.0, 0.5, 1.0]))) == {"ambiguous"}
