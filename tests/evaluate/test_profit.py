"""What a decision earns is counted right, with honest intervals."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from bundle.test_decision import CFG, world
from scipy.stats import beta

from churn.bundle import decision
from churn.config.training import EvaluateConfig
from churn.evaluate.profit import Outcome, expected_maximum_profit, measure_profit

EVALUATE = EvaluateConfig(bootstrap=200)


def outcome(rows, seed=0, ids=None):
    churned, probability = world(rows, seed)
    frame = pd.DataFrame({"charge": np.linspace(1, 20, rows)})
    return Outcome(frame, churned, probability, ids)


def measured(rows=2_000, cfg=CFG, ids=None):
    test, calibration = outcome(rows, 0, ids), outcome(500, 1)
    value = decision.customer_values(calibration.frame, cfg)
    chosen = decision.choose_threshold(cfg, calibration.churned, calibration.probability, value)
    return test, measure_profit(test, calibration, chosen, cfg, EVALUATE, seed=0)


def test_the_rules_earn_what_their_calls_bring():
    test, found = measured()
    rules = {rule.name.split(" (")[0]: rule for rule in found.rules}
    brings = decision.call_gain(test.churned, 200.0, CFG)
    assert rules["nobody"].profit.value == 0
    assert rules["everyone"].profit.value == pytest.approx(brings.mean())
    assert rules["probability at least 0.5"].profit.value == pytest.approx(
        (brings * (test.probability >= 0.5)).mean()
    )
    ours = found.rules[0]
    assert ours.called == pytest.approx((test.probability >= found.threshold).mean())
    assert ours.difference.value == 0
    assert rules["everyone"].difference.value == pytest.approx(brings.mean() - ours.profit.value)
    assert ours.profit.value > max(rule.profit.value for rule in found.rules[1:])


def test_the_intervals_are_those_of_the_mean_profit():
    test, found = measured()
    called = test.probability >= found.threshold
    error = (decision.call_gain(test.churned, 200.0, CFG) * called).std() / np.sqrt(len(called))
    ours = found.rules[0].profit
    assert ours.high - ours.low == pytest.approx(2 * 1.96 * error, rel=0.2)
    assert ours.low < ours.value < ours.high


def test_the_curve_goes_from_calling_nobody_to_calling_everyone():
    _, found = measured()
    everyone = next(rule for rule in found.rules if rule.name == "everyone")
    curve = found.curve
    assert curve.profit[0] == 0
    assert curve.profit[-1] == pytest.approx(everyone.profit.value)
    assert (curve.low <= curve.profit + 1e-9).all()
    assert (curve.profit <= curve.high + 1e-9).all()
    at = np.interp(found.rules[0].called, curve.share, curve.profit)
    assert at == pytest.approx(found.rules[0].profit.value, rel=0.03)


def test_rows_of_one_customer_are_drawn_together():
    _, apart = measured()
    _, together = measured(ids=np.repeat(np.arange(200), 10))
    assert together.rules[1].profit.value == apart.rules[1].profit.value
    widths = [found.rules[2].profit.high - found.rules[2].profit.low for found in (apart, together)]
    assert widths[0] != widths[1]


def test_knowing_an_assumption_earns_at_least_about_as_much_as_guessing_it():
    _, found = measured(20_000)
    assert len(found.sensitivity) == 8
    for changed in found.sensitivity:
        assert changed.attainable > changed.profit - 0.1
    dear = next(c for c in found.sensitivity if c.assumption == "contact_cost" and c.value == 2)
    assert dear.threshold > found.threshold


def test_customers_of_different_value_are_called_by_their_own():
    _, found = measured(20_000, replace(CFG, value_column="charge", value_factor=20.0))
    own = found.rules[-1]
    assert "own value" in own.name
    assert own.profit.value > found.rules[0].profit.value
    assert [c.value for c in found.sensitivity if c.assumption == "customer_value"] == [10, 40]


def test_the_expected_maximum_profit_is_the_average_over_success_rates():
    churned, probability = world(3_000)
    rates = beta.ppf((np.arange(2_000) + 0.5) / 2_000, 6, 14)
    order = np.argsort(-probability)
    best, called = [], []
    for rate in rates:
        sums = np.append(0, decision.call_gain(churned, 200.0, replace(CFG, success=rate))[order].cumsum())
        best.append(sums.max() / len(churned))
        called.append(sums.argmax() / len(churned))
    found, share = expected_maximum_profit(churned, probability, CFG, 200.0)
    assert found == pytest.approx(np.mean(best), rel=1e-3)
    assert share == pytest.approx(np.mean(called), rel=1e-2)


def test_a_useless_score_can_still_call_everyone_or_nobody():
    churned, _ = world(3_000)
    found, share = expected_maximum_profit(churned, np.full(3_000, 0.3), CFG, 200.0)
    rates = beta.ppf((np.arange(2_000) + 0.5) / 2_000, 6, 14)
    everyone = [
        max(0, decision.call_gain(churned, 200.0, replace(CFG, success=rate)).mean()) for rate in rates
    ]
    assert found == pytest.approx(np.mean(everyone), rel=1e-3)
    assert 0 < share < 1
    assert expected_maximum_profit(churned, np.full(3_000, 0.3), CFG, 5.0) == (0, 0)
