"""Decisions about a champion, and what becomes of them when another model serves by then."""

import numpy as np
from conftest import compose_config

from churn.bundle.registry import beats_base_rate
from churn.retrain import pending, stage
from churn.retrain.pending import Decision
from churn.retrain.recalibration import Shift

SHIFT = Shift(0.3, 1e-5, 1_000, 100, 80.0)


def test_a_decision_about_a_model_that_was_replaced_meanwhile_is_dropped(tmp_path, monkeypatch, capsys):
    cfg = compose_config(f"run.root={tmp_path}", "data.name=shop")
    monkeypatch.setattr(pending, "_champion", lambda _: {"version": "2", "digest": "promoted by hand"})
    pending.decide(cfg, Decision({"kind": "rollback", "time": "now"}, "version 1", "worse", "1", "0"))
    assert capsys.readouterr().out == (
        "The decision (rollback) is dropped: another model serves since then.\n"
    )
    assert not [*tmp_path.rglob("*.json*")]


def test_a_limit_of_fairness_keeps_a_recalibrated_model_out(monkeypatch, capsys):
    monkeypatch.setattr(stage, "needed_shift", lambda *_: SHIFT)
    cfg = compose_config("retrain.gate.demographic_parity=0.2")
    assert stage._wanted_shift(cfg, None, None) is None
    assert "not recalibrated: its fairness is unknown" in capsys.readouterr().out
    assert stage._wanted_shift(compose_config(), None, None) is SHIFT


def test_a_recalibrated_model_without_its_first_metrics_does_not_become_champion_by_itself():
    assert not beats_base_rate({"test": {"roc_auc": {"low": np.float64(0.8)}}, "recalibrated": 0.3})
