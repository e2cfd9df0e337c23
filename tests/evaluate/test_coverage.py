"""Coverage is counted for churners and stayers, and for intervals where the truth is known."""

import numpy as np
import pytest

from churn.evaluate.coverage import measure_coverage

OUTPUTS = {
    "churn_probability": np.linspace(0.1, 0.9, 10),
    "churn_probability_low": np.linspace(0.0, 0.8, 10),
    "churn_probability_high": np.linspace(0.2, 1.0, 10),
    "certainty": np.array([b"stays"] * 4 + [b"ambiguous"] * 3 + [b"leaves"] * 3, object),
    "unseen_inputs": np.array([0] * 8 + [1, 2]),
}
CHURNED = np.array([0, 0, 0, 1, 0, 1, 1, 0, 1, 1])


def test_coverage_is_counted_for_churners_and_stayers():
    coverage = measure_coverage(OUTPUTS, CHURNED, None, 0.9)
    assert (coverage.sets["stays"].value, coverage.sets["leaves"].value) == (0.8, 0.8)
    assert coverage.sets["leaves"].low < 0.8 < coverage.sets["leaves"].high
    assert coverage.shares == {"stays": 0.4, "leaves": 0.3, "ambiguous": 0.3, "unusual": 0}
    assert coverage.unseen == 0.2
    assert coverage.width == pytest.approx(0.2)
    assert coverage.covered is None


def test_a_known_truth_is_covered_if_it_lies_in_its_interval():
    truth = OUTPUTS["churn_probability"] + np.array([0.2, 0] * 5)
    coverage = measure_coverage(OUTPUTS, CHURNED, truth, 0.9)
    assert coverage.covered == 0.5
    assert coverage.quintiles == [0.5] * 5


def test_quintiles_do_not_depend_on_the_order_of_rows_with_equal_probabilities():
    tied = OUTPUTS | {"churn_probability": np.full(10, 0.5)}
    truth = OUTPUTS["churn_probability"] + np.repeat([0.2, 0], 5)
    assert measure_coverage(tied, CHURNED, truth, 0.9).quintiles == [0.5] * 5


def test_a_bundle_without_intervals_and_sets_has_no_coverage():
    coverage = measure_coverage({"unseen_inputs": OUTPUTS["unseen_inputs"]}, CHURNED, None, 0.9).to_json()
    assert coverage.pop("unseen") == 0.2
    assert set(coverage.values()) == {None}
