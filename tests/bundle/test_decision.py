"""The threshold is where calls start to pay, also for probabilities that are not calibrated."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from churn.bundle import decision
from churn.config.training import DecisionConfig
from churn.errors import UserError

CFG = DecisionConfig()  # worth 200, contact 1, offer 10, success 0.3
NONE = np.empty(0)


def sample(rows, seed=0):
    """Labels drawn from probabilities, and these."""
    random = np.random.default_rng(seed)
    probability = expit(random.normal(-1, 1.2, rows))
    return (random.random(rows) < probability).astype(int), probability


def test_a_call_brings_what_verbraken_et_al_say():
    assert decision.call_gain(np.array([1, 0]), np.array([200.0, 200.0]), CFG).tolist() == [
        0.3 * 190 - 1,
        -11,
    ]


def test_at_the_break_even_probability_a_call_brings_nothing():
    even = decision.break_even(200, CFG)
    assert even == pytest.approx(11 / (56 + 11))
    assert decision.expected_profit(np.array([even]), np.array([200.0]), CFG) == pytest.approx(0)


def test_a_customer_who_is_worth_less_than_the_offer_is_never_called():
    assert decision.break_even(9, CFG) > 1


def test_without_calibration_rows_the_threshold_is_the_break_even():
    assert decision.choose_threshold(CFG, NONE, NONE, NONE) == decision.break_even(200, CFG)


def test_calibrated_probabilities_keep_the_break_even():
    churned, probability = sample(20_000)
    threshold = decision.choose_threshold(CFG, churned, probability, np.full(20_000, 200.0))
    assert threshold == pytest.approx(decision.break_even(200, CFG), abs=0.01)


@pytest.mark.parametrize(("stretch", "shift"), [(1.6, 0.6), (1, -0.7), (0.5, 0)])
def test_miscalibrated_probabilities_get_another_threshold_that_earns_as_much(stretch, shift):
    churned, true = sample(2_000)
    new_churned, new_true = sample(50_000, seed=1)

    def wrong(probability):
        return expit(stretch * logit(probability) + shift)

    def earned(called):
        return (decision.call_gain(new_churned, 200.0, CFG) * called).mean()

    threshold = decision.choose_threshold(CFG, churned, wrong(true), np.full(2_000, 200.0))
    even = decision.break_even(200, CFG)
    best = earned(new_true >= even)
    assert earned(wrong(new_true) >= threshold) > 0.985 * best
    assert earned(wrong(new_true) >= threshold) > earned(wrong(new_true) >= even)


def test_the_average_value_decides_the_threshold():
    churned, probability = sample(5_000)
    cheap, dear = (
        decision.choose_threshold(CFG, churned, probability, np.full(5_000, v)) for v in (100.0, 400.0)
    )
    assert dear < cheap


def test_a_fixed_threshold_is_taken_as_it_is():
    fixed = replace(CFG, threshold=0.5)
    assert decision.choose_threshold(fixed, *sample(10), np.ones(10)) == 0.5
    at, none = np.array([0.5, np.nextafter(0.5, 0)]), np.zeros(2)
    assert decision.worth_a_call(at, none == 1, none, fixed, CFG).tolist() == [True, False]


def test_a_share_of_the_customers_is_called():
    churned, probability = sample(1_000)
    threshold = decision.choose_threshold(replace(CFG, top_share=0.1), churned, probability, np.ones(1_000))
    assert (probability >= threshold).sum() == 100


def test_a_share_is_counted_among_the_probabilities_of_rows_that_the_final_model_does_not_know():
    churned, probability = sample(1_000)
    fresh = 0.5 * probability[:500]
    cfg = replace(CFG, top_share=0.1)
    threshold = decision.choose_threshold(cfg, churned, probability, np.ones(1_000), lambda: fresh)
    assert (fresh >= threshold).sum() == 50


def test_perfect_separation_falls_back_to_the_break_even():
    churned = np.array([0, 0, 1, 1])
    threshold = decision.choose_threshold(CFG, churned, np.array([0.1, 0.2, 0.8, 0.9]), np.full(4, 200.0))
    assert threshold == decision.break_even(200, CFG)


def test_the_value_of_a_customer_can_be_a_column():
    frame = pd.DataFrame({"charge": [50.0, np.nan, 100.0], "plan": ["a", "b", "c"]})
    cfg = replace(CFG, value_column="charge", value_factor=24)
    assert decision.customer_values(frame, cfg).tolist() == [1200, 200, 2400]
    assert decision.customer_values(frame, CFG).tolist() == [200] * 3
    owing = pd.DataFrame({"charge": [-50.0, 10.0]})
    assert decision.customer_values(owing, cfg).tolist() == [0, 240], "nobody is worth less than nothing"


@pytest.mark.parametrize("column", ["plan", "charges"])
def test_a_value_that_is_no_column_of_numbers_is_refused(column):
    frame = pd.DataFrame({"charge": [50.0], "plan": ["a"]})
    with pytest.raises(UserError, match=column):
        decision.check_decision(replace(CFG, value_column=column), frame)


def test_a_threshold_and_a_share_at_once_are_refused():
    with pytest.raises(UserError, match="threshold"):
        decision.check_decision(replace(CFG, threshold=0.5, top_share=0.1), pd.DataFrame())


def test_scoring_keeps_the_assumptions_of_training_unless_they_are_changed():
    facts = {"decision": vars(replace(CFG, customer_value=1_000.0, contact_cost=5.0))}
    assumptions = decision.effective_assumptions(replace(CFG, contact_cost=2.0), facts)
    assert (assumptions.customer_value, assumptions.contact_cost) == (1_000.0, 2.0)
    assert decision.effective_assumptions(CFG, {}) == CFG


def test_a_key_that_is_set_to_its_default_holds_and_a_threshold_replaces_a_share():
    facts = {"decision": vars(replace(CFG, contact_cost=5.0, top_share=0.1))}
    back = decision.effective_assumptions(CFG, facts, ["decision.contact_cost", "top"])
    assert (back.contact_cost, back.top_share) == (1.0, 0.1)
    fixed = decision.effective_assumptions(replace(CFG, threshold=0.6), facts)
    assert (fixed.threshold, fixed.top_share) == (0.6, None)


def test_the_share_that_a_bundle_was_trained_with_holds_whatever_customers_are_worth_or_calls_cost():
    own, none = replace(CFG, top_share=0.1, value_column="worth"), np.zeros(3)
    called = np.array([True, False, True])
    for in_force in (own, replace(own, contact_cost=5.0)):
        assert decision.worth_a_call(none, called, none, in_force, own) is called
    with pytest.raises(UserError, match="fixed when a bundle is trained"):
        decision.worth_a_call(none, called, none, replace(own, top_share=0.2), own)


def test_keys_that_only_shape_the_list_leave_the_bundle_s_own_decision_in_force():
    called, profit = np.array([True, False]), np.array([-1.0, 1.0])
    shaped = replace(CFG, control_share=0.2, capacity=9, currency="€", success_evidence=50.0)
    assert decision.worth_a_call(np.zeros(2), called, profit, shaped, CFG) is called
