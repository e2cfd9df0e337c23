"""Prediction sets cover churners and stayers at the chosen level."""

import numpy as np
import pytest

from bundle.test_decision import sample
from churn.bundle import conformal
from churn.bundle.conformal import PredictionSets


def certainties(sets, probability):
    return conformal.as_text(sets(probability.astype(np.float32))).numpy().astype(str)


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
def test_churners_and_stayers_are_covered_at_the_level(level):
    sets = conformal.fit_prediction_sets(*sample(5_000), level)
    churned, probability = sample(50_000, seed=1)
    certainty = certainties(sets, probability)
    for label, name in enumerate(("stays", "leaves")):
        assert np.isin(certainty[churned == label], [name, "ambiguous"]).mean() == pytest.approx(
            level, abs=0.02
        )


@pytest.mark.parametrize(
    ("level", "rows", "beyond"),
    [(0.8, 10, 2), (0.8, 4, 1), (0.9, 8, 0), (0.9, 9, 1), (0.9, 19, 2), (0.9, 29, 3), (0.95, 39, 2)],
)
def test_the_limits_leave_out_as_many_as_the_level_allows(level, rows, beyond):
    """Of `rows` churners, and of as many stayers, (1 - level) * (rows + 1) lie at the limit or beyond."""
    probability = np.arange(1, rows + 1) / 100
    sets = conformal.fit_prediction_sets(np.repeat([1, 0], rows), np.tile(probability, 2), level)
    stay_to = probability[-beyond] if beyond else 1.0
    assert (sets.churn_from, sets.stay_to) == (beyond / 100, stay_to)


def test_a_customer_between_two_limits_is_ambiguous_or_unusual():
    overlapping, apart = PredictionSets(0.9, 0.2, 0.6), PredictionSets(0.9, 0.6, 0.2)
    probability = np.array([0.1, 0.4, 0.9])
    assert certainties(overlapping, probability).tolist() == ["stays", "ambiguous", "leaves"]
    assert certainties(apart, probability).tolist() == ["stays", "unusual", "leaves"]


def test_a_customer_unlike_any_in_training_is_never_certain():
    probability, unseen = np.array([0.1, 0.4, 0.9], np.float32), np.array([1, 0, 2], np.int32)
    for sets in (PredictionSets(0.9, 0.2, 0.6), PredictionSets(0.9, 0.6, 0.2)):
        certainty = conformal.as_text(sets(probability, unseen)).numpy().astype(str)
        assert certainty[[0, 2]].tolist() == ["ambiguous", "ambiguous"]


def test_too_few_held_out_rows_make_every_customer_ambiguous():
    sets = conformal.fit_prediction_sets(np.array([0, 1, 1]), np.array([0.2, 0.6, 0.7]), 0.9)
    assert set(certainties(sets, np.array([0.0, 0.5, 1.0]))) == {"ambiguous"}
