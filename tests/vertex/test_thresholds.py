"""Thresholds of Vertex AI's monitoring give the promised false alarms, measured as Vertex AI measures."""

import numpy as np
import pytest

from churn.bundle.bundle import Bundle
from churn.data.contract import MISSING_BELOW
from churn.monitor.drift.profile import number_profile
from churn.vertex.monitoring.thresholds import (
    divergence,
    drift_thresholds,
    sample_number,
    sample_tail,
    unseen_drift,
)

SHAPES = {
    "normal": lambda random, rows: random.normal(size=rows),
    "uniform": lambda random, rows: random.random(rows),
    "long tail": lambda random, rows: random.lognormal(size=rows),
    "two values": lambda random, rows: random.integers(0, 2, rows).astype(float),
}


def profile_bundle(numbers=(), categories=()):
    """A bundle with nothing but a training profile."""
    numbers, categories = dict(numbers), dict(categories)
    profile = {
        "numeric": {n: number_profile(np.float32(v)) for n, v in numbers.items()},
        "categorical": categories,
    }
    kinds = dict.fromkeys(numbers, "number") | dict.fromkeys(categories, "category")
    inputs = [{"column": name, "input": name, "kind": kind} for name, kind in kinds.items()]
    bundle = Bundle("", {"inputs": inputs}, str(kinds))
    vars(bundle)["profile"] = profile
    return bundle


@pytest.mark.parametrize("shape", SHAPES)
def test_windows_without_drift_stay_below_the_threshold_and_a_large_shift_does_not(shape):
    random, draw = np.random.default_rng(1), SHAPES[shape]
    limit = drift_thresholds(profile_bundle({shape: draw(random, 5000)}), 1000)[shape]
    distances = [divergence(draw(random, 1000), draw(random, 1000)) for _ in range(200)]
    assert np.mean(np.array(distances) > limit) <= 0.03
    values = draw(random, 1000)
    shifted = values * (random.random(1000) < 0.5) if shape == "two values" else values + 2 * values.std()
    assert divergence(draw(random, 1000), shifted) > limit or shape == "long tail"


def test_the_divergence_compares_histograms_over_each_sample_s_own_range():
    one, other = np.repeat([0.0, 10.0], 50), np.repeat([0.0, 20.0], 50)
    p = np.array([0.5, 0, 0.5, 0])  # between 0, 1, 2 | 9, 10 | 18, 20: one has [0, 1] and [9, 10] ...
    q = np.array([0.25, 0.25, 0, 0.5])  # ... the other half of [0, 2] on either side of 1, and [18, 20]
    m = (p + q) / 2
    expected = sum(x * np.log2(x / y) for s in (p, q) for x, y in zip(s, m, strict=True) if x) / 2
    assert divergence(one, other) == pytest.approx(expected)
    assert divergence(one, one) == 0
    assert divergence(np.ones(9), np.ones(5)) == 0
    assert divergence(np.zeros(9), np.ones(9)) == pytest.approx(1)


def test_a_category_s_threshold_is_ten_points_or_half_its_commonest_level_or_what_chance_gives():
    categories = {"two": {"a": 500, "b": 500}, "fifty": {str(i): 10 for i in range(50)}}
    bundle = profile_bundle(categories=categories)
    assert drift_thresholds(bundle, 10_000) == {"two": 0.1, "fifty": 0.01}
    assert drift_thresholds(bundle, 100)["two"] > 0.2


def test_inputs_whose_drift_the_monitoring_cannot_see_are_named():
    random = np.random.default_rng(0)
    heavy, rare = random.lognormal(0, 2, 5000), random.normal(size=5000)
    rare[:5] = np.nan
    bundle = profile_bundle(
        {
            "heavy": heavy,
            "rarely missing": rare,
            "always missing": np.full(9, np.nan),
            "uniform": random.random(5000),
        }
    )
    limits = drift_thresholds(bundle, 1000)
    assert unseen_drift(bundle, limits) == ["heavy", "rarely missing", "always missing"]
    assert limits["rarely missing"] == 1
    assert 0.02 <= limits["uniform"] < 0.05


def test_values_are_drawn_with_the_distribution_of_the_profile():
    random = np.random.default_rng(0)
    values = np.append(random.exponential(size=4500), np.full(500, np.nan))
    drawn = sample_number(number_profile(np.float32(values)), 20_000, random)
    is_missing = drawn == MISSING_BELOW
    assert is_missing.mean() == pytest.approx(0.1, abs=0.01)
    shares = [0.01, 0.1, 0.5, 0.9, 0.99]
    expected = -np.log(1 - np.array(shares))
    assert np.quantile(drawn[~is_missing], shares) == pytest.approx(expected, rel=0.2)


@pytest.mark.parametrize(("bounds", "least", "most"), [([0, 1, 2], 1.9, 2.2), ([0, 1, 40], 20, 200)])
def test_a_tail_reaches_as_far_as_it_did_in_training(bounds, least, most):
    positions = 1 - np.random.default_rng(0).random((200, 250))
    drawn = sample_tail(np.array(bounds, float), np.array([250.0, 250.0]), positions)
    assert drawn.min() >= 1
    assert least < np.median(drawn.max(axis=1)) < most
