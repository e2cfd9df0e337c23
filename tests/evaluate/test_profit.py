"""The profit of each strategy is counted right, with the right intervals."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from bundle.test_decision import CFG, sample
from scipy.stats import beta

from churn.bundle import decision
from churn.config.training import EvaluateConfig
from churn.evaluate.profit import Outcome, expected_maximum_profit, measure_profit

EVALUATE = EvaluateConfig(bootstrap=200)


def outcome(rows, seed=0, ids=None):
    churned, probability = sample(rows, seed)
    frame = pd.DataFrame({"charge": np.linspace(1, 20, rows)})
    return Outcome(frame, churned, probability, ids)


def measured(rows=2_000, cfg=CFG, ids=None):
    test, calibration = outcome(rows, 0, ids), outcome(500, 1)
    value = decision.customer_values(calibration.frame, cfg)
    chosen = decision.choose_threshold(cfg, calibration.churned, calibration.probability, value)
    return test, measure_profit(test, calibration, chosen, cfg, EVALUATE, seed=0)


def test_each_strategy_earns_what_its_calls_bring():
    test, result = measured()
    strategies = {strategy.name.split(" (")[0]: strategy for strategy in result.strategies}
    gain = decision.call_gain(test.churned, 200.0, CFG)
    assert strategies["nobody"].profit.value == 0
    assert strategies["everyone"].profit.value == pytest.approx(gain.mean())
    assert strategies["probability at least 0.5"].profit.value == pytest.approx(
        (gain * (test.probability >= 0.5)).mean()
    )
    chosen = result.strategies[0]
    assert chosen.called == pytest.approx((test.probability >= result.threshold).mean())
    assert chosen.difference.value == 0
    assert strategies["everyone"].difference.value == pytest.approx(gain.mean() - chosen.profit.value)
    assert chosen.profit.value > max(strategy.profit.value for strategy in result.strategies[1:])


def test_the_intervals_are_those_of_the_mean_profit():
    test, result = measured()
    called = test.probability >= result.threshold
    error = (decision.call_gain(test.churned, 200.0, CFG) * called).std() / np.sqrt(len(called))
    profit = result.strategies[0].profit
    assert profit.high - profit.low == pytest.approx(2 * 1.96 * error, rel=0.2)
    assert profit.low < profit.value < profit.high


def test_the_curve_goes_from_nobody_called_to_everyone_called():
    _, result = measured()
    everyone = next(strategy for strategy in result.strategies if strategy.name == "everyone")
    curve = result.curve
    assert curve.profit[0] == 0
    assert curve.profit[-1] == pytest.approx(everyone.profit.value)
    assert (curve.low <= curve.profit + 1e-9).all()
    assert (curve.profit <= curve.high + 1e-9).all()
    assert curve.low[0] == curve.high[0] == 0
    assert (curve.low[-1], curve.high[-1]) == pytest.approx((everyone.profit.low, everyone.profit.high))
    at = np.interp(result.strategies[0].called, curve.share, curve.profit)
    assert at == pytest.approx(result.strategies[0].profit.value, rel=0.03)


def test_rows_of_one_customer_are_drawn_together():
    one, calibration = outcome(400), outcome(500, 1)
    ten = replace(
        one,
        frame=one.frame.loc[one.frame.index.repeat(10)],
        churned=one.churned.repeat(10),
        probability=one.probability.repeat(10),
        ids=np.arange(400).repeat(10),
    )
    settings = (calibration, 0.3, CFG, EVALUATE)
    alone, apart, together = (
        measure_profit(test, *settings, seed=0).strategies[2].profit
        for test in (one, replace(ten, ids=None), ten)
    )
    assert together.value == pytest.approx(alone.value)
    assert together.high - together.low == pytest.approx(alone.high - alone.low, rel=0.2)
    assert apart.high - apart.low < 0.5 * (alone.high - alone.low), "ten copies of a row are no ten customers"


def test_the_threshold_for_the_true_assumption_earns_about_as_much_or_more():
    _, result = measured(20_000)
    assert len(result.sensitivity) == 8
    for case in result.sensitivity:
        assert case.attainable > case.profit - 0.1
    dear = next(case for case in result.sensitivity if case.assumption == "contact_cost" and case.value == 2)
    assert dear.threshold > result.threshold


@pytest.mark.parametrize("fixed", [{"threshold": 0.5}, {"top_share": 0.1}])
def test_what_a_fixed_decision_costs_is_measured_against_a_chosen_threshold(fixed):
    _, result = measured(cfg=replace(CFG, **fixed))
    assert all(case.threshold < 0.45 for case in result.sensitivity if case.assumption == "offer_cost")
    assert max(case.attainable - case.profit for case in result.sensitivity) > 1


def test_an_offer_that_convinces_often_convinces_at_most_nearly_all():
    _, result = measured(500, replace(CFG, success=0.6))
    assert [case.value for case in result.sensitivity if case.assumption == "success"] == [0.3, 0.99]


def test_customers_with_their_own_value_are_called_by_it():
    _, result = measured(20_000, replace(CFG, value_column="charge", value_factor=20.0))
    own = result.strategies[-1]
    assert "own value" in own.name
    assert own.profit.value > result.strategies[0].profit.value
    assert [case.value for case in result.sensitivity if case.assumption == "customer_value"] == [10, 40]


def test_only_a_chosen_threshold_gives_way_to_each_customers_own_value_in_churn_score():
    own = replace(CFG, value_column="charge")
    names = [measured(500, cfg)[1].strategies[-1].name for cfg in (own, replace(own, top_share=0.1))]
    assert ["churn score" in name for name in names] == [True, False]


def test_an_assumption_of_zero_has_no_other_value():
    _, result = measured(500, replace(CFG, contact_cost=0.0))
    assert "contact_cost" not in {case.assumption for case in result.sensitivity}
    assert len(result.sensitivity) == 6


def test_the_expected_maximum_profit_is_the_average_over_success_rates():
    churned, probability = sample(3_000)
    rates = beta.ppf((np.arange(2_000) + 0.5) / 2_000, 6, 14)
    order = np.argsort(-probability)
    best, called = [], []
    for rate in rates:
        sums = np.append(0, decision.call_gain(churned, 200.0, replace(CFG, success=rate))[order].cumsum())
        best.append(sums.max() / len(churned))
        called.append(sums.argmax() / len(churned))
    profit, share = expected_maximum_profit(churned, probability, CFG, np.full(3_000, 200.0))
    assert profit == pytest.approx(np.mean(best), rel=1e-3)
    assert share == pytest.approx(np.mean(called), rel=1e-2)


def test_the_expected_maximum_is_never_below_the_profit_of_a_threshold_if_values_differ():
    cfg = replace(CFG, value_column="charge", success_evidence=1e6)
    rows = outcome(3_000)
    frame = pd.DataFrame({"charge": np.where(rows.probability > 0.5, 400.0, 20.0)})
    gain = decision.call_gain(rows.churned, frame.charge.to_numpy(), cfg)
    best = gain[np.argsort(-rows.probability)].cumsum().max() / len(gain)
    result = measure_profit(replace(rows, frame=frame), rows, 0.3, cfg, EVALUATE, seed=0)
    assert result.expected_maximum == pytest.approx(best, rel=1e-3)


def test_a_useless_score_can_still_call_everyone_or_nobody():
    churned, _ = sample(3_000)
    profit, share = expected_maximum_profit(churned, np.full(3_000, 0.3), CFG, np.full(3_000, 200.0))
    rates = beta.ppf((np.arange(2_000) + 0.5) / 2_000, 6, 14)
    everyone = [
        max(0, decision.call_gain(churned, 200.0, replace(CFG, success=rate)).mean()) for rate in rates
    ]
    assert profit == pytest.approx(np.mean(everyone), rel=1e-3)
    assert 0 < share < 1
    assert expected_maximum_profit(churned, np.full(3_000, 0.3), CFG, np.full(3_000, 5.0)) == (0, 0)


def test_the_expected_maximum_profit_of_float32_probabilities_is_that_of_the_same_numbers():
    churned, probability = sample(3_000)
    single, value = probability.astype(np.float32), np.geomspace(1, 1e5, 3_000)
    of_both = [expected_maximum_profit(churned, each, CFG, value) for each in (single, single.astype(float))]
    assert of_both[0] == of_both[1]


def test_calls_that_cost_nothing_pay_for_everyone():
    free = replace(CFG, contact_cost=0.0, offer_cost=0.0)
    churned = np.array([0, 0, 0, 1, 0, 1])
    profit, share = expected_maximum_profit(churned, np.linspace(0, 1, 6), free, np.full(6, 200.0))
    assert (profit, share) == (pytest.approx(0.3 * 200 / 3), 1.0)
    _, result = measured(cfg=free)
    assert np.isfinite([result.threshold, result.expected_maximum, result.expected_share]).all()
    assert all(
        np.isfinite([case.threshold, case.profit, case.attainable]).all() for case in result.sensitivity
    )


def test_the_curve_does_not_depend_on_the_order_of_rows_with_equal_probabilities():
    churned, probability = np.arange(400) % 4 == 0, np.repeat([0.2, 0.4], 200)
    curves = []
    for order in (np.arange(400), np.argsort(churned, kind="stable")):
        test = Outcome(pd.DataFrame(index=range(400)), churned[order].astype(int), probability[order])
        curves.append(measure_profit(test, test, 0.2, CFG, EVALUATE, seed=0).curve.profit)
    assert curves[0] == pytest.approx(curves[1])
