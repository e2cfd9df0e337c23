"""Limits of fairness keep a bundle out, with a reason."""

import pytest

from churn.bundle.fairness_limits import broken_limit, limits_of_promotion, limits_of_run
from churn.config.loop import GateConfig
from churn.config.root import compose_config


def facts(parity, odds=0.0):
    differences = {"demographic_parity": {"value": parity}, "equalized_odds": {"value": odds}}
    other = {"demographic_parity": {"value": 0.01}, "equalized_odds": {"value": 0.01}}
    groupings = [{"columns": ["age"], "differences": other}]
    groupings.append({"columns": ["age", "gender"], "differences": differences})
    return {"fairness": {"groupings": groupings}}


def test_without_a_limit_nothing_is_refused():
    assert broken_limit({}, GateConfig()) is None
    assert broken_limit(facts(0.9), GateConfig()) is None


def test_the_largest_difference_counts():
    assert broken_limit(facts(0.1), GateConfig(demographic_parity=0.1)) is None
    reason = "selection rates differ by 0.120 between groups of age and gender"
    assert broken_limit(facts(0.12), GateConfig(demographic_parity=0.1)) == (
        f"{reason}, more than retrain.gate.demographic_parity=0.1"
    )
    assert "positive rates differ by 0.300" in broken_limit(facts(0, 0.3), GateConfig(equalized_odds=0.2))


@pytest.mark.parametrize("unknown", [{}, {"fairness": None}, {"fairness": {"groupings": []}}])
def test_unknown_fairness_breaks_a_limit(unknown):
    assert "its fairness is unknown" in broken_limit(unknown, GateConfig(equalized_odds=0.2))


def test_a_column_whose_groups_are_unknown_breaks_a_limit_whatever_the_others_are():
    known = facts(0.0)
    known["fairness"]["unknown"] = ["race", "age"]
    assert "its fairness by race, age is unknown" in broken_limit(known, GateConfig(equalized_odds=0.2))
    assert broken_limit(known, GateConfig()) is None
    known["fairness"]["unknown"] = []
    assert broken_limit(known, GateConfig(equalized_odds=0.2)) is None


def test_a_run_has_the_limits_that_it_was_trained_with(tmp_path):
    (tmp_path / "config.yaml").write_text("retrain: {gate: {equalized_odds: 0.3, unknown_now: 1}}\n")
    assert limits_of_run(tmp_path) == GateConfig(equalized_odds=0.3)
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    assert limits_of_run(tmp_path) == GateConfig()


def test_a_promotion_heeds_the_stricter_limit_unless_the_command_names_one(tmp_path):
    (tmp_path / "config.yaml").write_text("retrain: {gate: {equalized_odds: 0.3}}\n")
    cfg = compose_config("retrain.gate.demographic_parity=0.2")
    assert limits_of_promotion(tmp_path, cfg) == GateConfig(demographic_parity=0.2, equalized_odds=0.3)
    for limit, heeded in ((0.1, 0.1), (0.5, 0.3), (None, 0.3)):
        cfg.retrain.gate.equalized_odds = limit  # of a file of the configuration
        assert limits_of_promotion(tmp_path, cfg).equalized_odds == heeded
    for limit in ("0.5", "null"):
        named = compose_config(f"retrain.gate.equalized_odds={limit}")
        assert limits_of_promotion(tmp_path, named) == named.retrain.gate
