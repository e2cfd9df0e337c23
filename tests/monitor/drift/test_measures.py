"""Measures of one column's change: without bias, two-sided, and as strict as the tests are many."""

import numpy as np
import pytest

from churn.monitor.drift import measures
from churn.monitor.drift.alarm import DriftPolicy
from churn.monitor.drift.column import ColumnChange, compare_ordered


@pytest.mark.parametrize(
    ("p", "psi", "shift", "columns", "status"),
    [
        (0.004, 1.0, 1.0, 1, "alarm"),
        (0.004, 1.0, 1.0, 10, "ok"),  # in one of ten columns it may be chance
        (0.0, 0.0, 0.31, 1, "alarm"),
        (0.0, 0.0, 0.11, 1, "warning"),
        (0.0, 0.11, None, 1, "alarm"),
        (0.0, 0.03, 0.0, 1, "warning"),
        (0.0, 0.01, 0.09, 1, "ok"),
    ],
)
def test_a_change_is_as_large_as_its_index_or_its_shift(p, psi, shift, columns, status):
    assert DriftPolicy().column_status(ColumnChange(p, psi, shift), columns) == status


def test_a_column_that_is_tested_twice_or_thrice_pays_for_it():
    equal = np.full(20, 50)
    assert compare_ordered(equal, equal).p == 2
    assert compare_ordered(equal, equal, (10, 1_010, 10, 1_010)).p == 3


def test_without_drift_the_index_and_the_shift_are_zero_on_average():
    random, share, train = np.random.default_rng(0), np.full(10, 0.1), np.full(10, 300)
    windows, references = random.multinomial(300, share, 400), random.multinomial(3_000, share, 400)
    psi = [measures.corrected_psi(r, w) for r, w in zip(references, windows, strict=True)]
    assert np.mean(psi) == pytest.approx(0, abs=0.002)  # uncorrected 0.033
    shift = np.array([measures.corrected_shift(train, w) for w in windows])
    assert 0.4 < np.mean(shift == 0) < 0.8


def test_the_test_of_a_rare_share_is_two_sided():
    assert measures.p_share(0, 1_000, 3, 1_000) == pytest.approx(2 / 8)
    assert measures.p_share(3, 1_000, 0, 1_000) == pytest.approx(2 / 8)
