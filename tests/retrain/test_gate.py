"""The gate promotes better challengers only, and never one that harms a segment or loses to the reference."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import compose_config
from scipy.special import expit, logit
from sklearn.metrics import log_loss, roc_auc_score

from churn.bundle.registry import CHALLENGER, CHAMPION, REFERENCE
from churn.config.loop import GateConfig
from churn.retrain import steps
from churn.retrain.gate import (
    FreshRows,
    _Comparison,
    are_too_few,
    bootstrap_metrics,
    is_regression,
    judge_challenger,
    margin,
    rollback_config,
)

CFG = GateConfig(bootstrap=100)
COMPARISONS = 15  # simulated; benchmarks/late_gate.py makes a thousand


def make_fresh_rows(rng, n=1_400, champion=0.25, challenger=0.25, shift=0.0, extreme=1.0):
    """Rows on which both models give the true log-odds plus noise, of which a part is common to both.

    `champion`, `challenger`: standard deviations of the rest. `shift`, `extreme`: of the champion alone.
    """
    truth = rng.normal(-1.2, 1.5, n)
    churned = (rng.random(n) < expit(truth)).astype(int)
    common = rng.normal(0, 0.3, n)
    noisy = {
        CHAMPION: extreme * (truth + common + rng.normal(0, champion, n)) + shift,
        CHALLENGER: truth + common + rng.normal(0, challenger, n),
    }
    probability = {name: expit(odds) for name, odds in noisy.items()}
    called = {name: p >= 0.16 for name, p in probability.items()}
    return FreshRows(churned, probability, called, np.where(churned == 1, 56.0, -11.0))


def share_promoted(alarmed, **how):
    """Share of simulated comparisons that end with a promotion."""
    rng = np.random.default_rng(7)
    return np.mean(
        [
            judge_challenger(make_fresh_rows(rng, **how), alarmed, CFG, seed).promote
            for seed in range(COMPARISONS)
        ]
    )


def share_no_worse(**how):
    """Share of simulated comparisons in which the challenger passes as no worse."""
    rng = np.random.default_rng(8)
    verdicts = [judge_challenger(make_fresh_rows(rng, **how), True, CFG, seed) for seed in range(COMPARISONS)]
    return np.mean([all(check.passed for check in verdict.checks[:2]) for verdict in verdicts])


def test_an_equal_challenger_passes_as_no_worse_and_a_much_worse_one_does_not():
    assert share_no_worse() > 0.9
    assert share_no_worse(challenger=0.8) < 0.1  # .03 of AUC


def test_an_equal_challenger_is_not_promoted():
    assert share_promoted(alarmed=True) < 0.1
    assert share_promoted(alarmed=False) < 0.1


def test_better_needs_more_confidence_than_no_worse():
    fresh = make_fresh_rows(np.random.default_rng(9))
    strict, lenient = (
        judge_challenger(fresh, True, replace(CFG, superiority=level), 0).checks for level in (0.99, 0.6)
    )
    assert [check.bound for check in strict[:2]] == [check.bound for check in lenient[:2]]
    assert all(one.bound < other.bound for one, other in zip(strict[2:], lenient[2:], strict=True))
    strict, lenient = (
        judge_challenger(fresh, False, replace(CFG, superiority=level), 0).checks[0] for level in (0.99, 0.6)
    )
    assert strict.bound < lenient.bound, "without an alarm the log loss must be better"
    gate = rollback_config(compose_config()).retrain.gate
    assert gate.superiority == gate.confidence == 0.995


def test_after_an_alarm_a_better_calibrated_challenger_is_promoted():
    assert share_promoted(alarmed=True, shift=0.6) > 0.9
    assert share_promoted(alarmed=True, extreme=1.6) > 0.9


def test_without_an_alarm_a_better_challenger_is_promoted():
    assert share_promoted(alarmed=False, n=3_000, champion=1.0) > 0.9


def test_metrics_are_those_of_scikit_learn_and_of_the_decision():
    fresh, few = make_fresh_rows(np.random.default_rng(0)), np.arange(1_400) < 300
    values, drawn = bootstrap_metrics(replace(fresh, segments={"few": few}), 50, seed=0)
    for name, p in fresh.probability.items():
        assert values[name]["few"] == pytest.approx(log_loss(fresh.churned[few], p[few]))
        assert values[name]["roc_auc"] == pytest.approx(roc_auc_score(fresh.churned, p))
        assert values[name]["log_loss"] == pytest.approx(log_loss(fresh.churned, p))
        assert values[name]["profit"] == pytest.approx((fresh.brings * fresh.called[name]).mean())
        assert 0 <= values[name]["calibration"] < 0.05
        assert drawn[name]["log_loss"].shape == (50,)


@pytest.mark.parametrize("unfair", [None, "selection rates differ"])
def test_a_better_challenger_that_breaks_a_limit_of_fairness_is_kept_out(unfair, tmp_path):
    fresh = make_fresh_rows(np.random.default_rng(1), n=3_000, champion=2.0)
    table = pd.DataFrame({"customer": np.arange(3_000), "churned": fresh.churned, "brings": fresh.brings})
    for name, probability in fresh.probability.items():
        table[name], table[f"{name} calls"] = probability, fresh.called[name]
    table.attrs[steps.UNFAIR] = unfair
    table.attrs[steps.NAMES] = {name: f"version of the {name}" for name in fresh.probability}
    table.to_parquet(tmp_path / "predictions.parquet", index=False)
    cfg = compose_config("retrain.gate.bootstrap=100")
    verdict = steps.decide(cfg, tmp_path / "predictions.parquet", alarmed=False)
    assert (verdict.promote, verdict.reason == unfair) == (unfair is None, unfair is not None)


def test_a_challenger_that_is_worse_than_the_reference_is_kept_out_however_bad_the_champion_is():
    rng = np.random.default_rng(1)
    fresh = make_fresh_rows(rng, n=3_000, champion=2.0, challenger=1.0)
    better = expit(logit(fresh.probability[CHALLENGER]) * 0.3 + 0.7 * np.where(fresh.churned == 1, 1.5, -2.5))
    assert judge_challenger(fresh, True, CFG, 0).promote
    guarded = replace(
        fresh,
        probability={**fresh.probability, REFERENCE: better},
        called={**fresh.called, REFERENCE: better >= 0.16},
    )
    verdict = judge_challenger(guarded, True, CFG, 0)
    assert not verdict.promote
    assert "reference" in verdict.reason
    compared = [check.question for check in verdict.checks if "reference" in check.question]
    assert compared == [f"{metric} no worse than the reference's" for metric in ("log loss", "ROC AUC")]


def test_a_segment_that_is_harmed_stops_the_promotion():
    rng = np.random.default_rng(2)
    fresh = make_fresh_rows(rng, n=4_000, champion=0.8, shift=0.8)
    segment = rng.random(4_000) < 0.08
    harmed = np.where(
        segment, expit(logit(fresh.probability[CHALLENGER]) + 2.5), fresh.probability[CHALLENGER]
    )
    probability = {**fresh.probability, CHALLENGER: harmed}
    called = {**fresh.called, CHALLENGER: harmed >= 0.16}
    without = replace(fresh, probability=probability, called=called)
    with_segment = replace(without, segments={"few": segment})
    assert judge_challenger(without, True, CFG, 0).promote
    verdict = judge_challenger(with_segment, True, CFG, 0)
    assert (verdict.promote, verdict.reason) == (False, "not shown: no harm to few")
    unharmed = replace(fresh, segments={"few": segment, "others": ~segment})
    assert judge_challenger(unharmed, True, CFG, 0).promote


@pytest.mark.parametrize(
    ("least", "most", "allowed", "harmless"),
    [(-0.3, 0.1, 0.2, True), (-0.3, 0.1, 0.05, False), (-0.12, -0.08, 0.2, False)],
)
def test_a_segment_is_harmed_by_a_significant_loss_and_by_a_large_one(least, most, allowed, harmless):
    values = {CHAMPION: {"few": 0.4}, CHALLENGER: {"few": 0.4 - (least + most) / 2}}
    drawn = {CHAMPION: {"few": np.zeros(1_001)}, CHALLENGER: {"few": -np.linspace(least, most, 1_001)}}
    assert _Comparison(values, drawn, 0.05).no_harm("few", allowed).passed is harmless


def test_each_of_many_segments_needs_more_evidence_to_be_called_harmed():
    few, fresh = np.arange(1_400) < 300, make_fresh_rows(np.random.default_rng(2))
    bounds = []
    for others in ({}, {f"segment {i}": ~few for i in range(19)}):
        checks = judge_challenger(replace(fresh, segments={"few": few, **others}), True, CFG, 0).checks
        bounds += [check.bound for check in checks if check.question == "no harm to few"]
    assert bounds[0] < bounds[1]


def test_a_promotion_is_a_regression_if_the_previous_log_loss_was_lower_even_with_a_lower_auc():
    mistaken = make_fresh_rows(np.random.default_rng(5), challenger=0.8, shift=2.0)
    assert not judge_challenger(mistaken, False, CFG, 0).promote
    assert is_regression(judge_challenger(mistaken, False, CFG, 0))


def test_too_few_rows_give_no_promotion():
    verdict = judge_challenger(make_fresh_rows(np.random.default_rng(3), n=499, shift=2), True, CFG, 0)
    assert (verdict.promote, verdict.checks) == (False, [])
    assert "too few" in verdict.reason
    least = CFG.min_churners
    few = [are_too_few(2_000, churners, CFG) for churners in (least - 1, least, 2_000 - least, 2_001 - least)]
    assert few == [True, False, False, True], "of churners, or of stayers"


def test_rows_of_one_customer_count_as_one_in_the_bootstrap():
    fresh = make_fresh_rows(np.random.default_rng(4), n=600)
    eight = FreshRows(
        np.repeat(fresh.churned, 8),
        {name: np.repeat(p, 8) for name, p in fresh.probability.items()},
        {name: np.repeat(c, 8) for name, c in fresh.called.items()},
        np.repeat(fresh.brings, 8),
        customers=np.repeat(np.arange(600), 8),
    )
    wide, narrow = (
        judge_challenger(rows, True, CFG, 0).checks[0] for rows in (eight, replace(eight, customers=None))
    )
    assert wide.gain - wide.bound > 2 * (narrow.gain - narrow.bound)


def test_margins_shrink_with_the_root_of_the_number_of_rows_down_to_half():
    margins = [margin("roc_auc", n, GateConfig()) for n in (350, 1_400, 5_600, 100_000)]
    assert margins == pytest.approx([0.04, 0.02, 0.01, 0.01])
