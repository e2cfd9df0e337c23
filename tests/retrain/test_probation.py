"""The probation of a promoted model: which rows it is compared on."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import compose_config
from scipy.special import expit, logit

from churn.data.dataset import Schema
from churn.monitor.labels import UNKNOWN
from churn.retrain import probation, steps
from churn.retrain.gate import Verdict, is_regression
from churn.retrain.labelled_rows import LabelledRows

PROMOTED = datetime(2027, 1, 1, tzinfo=UTC)


def model(odds):
    """A model whose log-odds are too high by so much."""
    return SimpleNamespace(
        schema=Schema("left", ("yes",), ("chance",), ()),
        facts={"threshold": 0.3},
        predict=lambda rows: {"churn_probability": expit(logit(rows["chance"].to_numpy()) + odds)},
    )


def called_customers(works):
    """Customers since the promotion: nine in ten of the higher risks are called, which keeps many of them."""
    random, n = np.random.default_rng(0), 3_000
    chance = random.beta(1, 3, n)
    treated = np.where(chance < 0.3, UNKNOWN, random.random(n) < 0.9).astype(np.int8)
    left = random.random(n) < chance * np.where(treated == 1, 1 - works, 1)
    names, times = np.array([f"c{i}" for i in range(n)], object), np.full(n, np.datetime64("2027-02-01", "s"))
    return LabelledRows(pd.DataFrame({"chance": chance}), left.astype(np.int8), names, times, treated)


@pytest.mark.parametrize(("treated", "regression"), [("keep_out", False), ("correct", False), ("keep", True)])
def test_a_right_champion_is_not_rolled_back_because_calling_works(
    tmp_path, monkeypatch, treated, regression
):
    monkeypatch.setattr(steps, "describe_version", lambda *_: "version")
    monkeypatch.setattr(probation, "settled_rows", lambda *_: called_customers(works=0.6))
    cfg = compose_config(f"run.root={tmp_path}", f"retrain.treated={treated}", "retrain.gate.bootstrap=200")
    verdict = probation._compare_with_previous(model(-0.5), model(0), PROMOTED, cfg)
    assert verdict.rows > 500
    assert is_regression(verdict) is regression


def test_a_champion_is_compared_on_rows_since_its_promotion_only(tmp_path, monkeypatch):
    since = called_customers(works=0.6)
    before = replace(since, times=since.times - np.timedelta64(60, "D"), churned=1 - since.churned)
    monkeypatch.setattr(steps, "describe_version", lambda *_: "version")
    monkeypatch.setattr(probation, "settled_rows", lambda *_: before + since)
    cfg = compose_config(f"run.root={tmp_path}", "retrain.treated=keep", "retrain.gate.bootstrap=50")
    assert probation._compare_with_previous(model(-0.5), model(0), PROMOTED, cfg).rows == len(since)


@pytest.mark.parametrize(
    ("days", "probation_days", "compared", "kept"),
    [(100, 90, 1, False), (179, 90, 1, False), (181, 90, 1, True), (1, 0, 0, True)],
)
def test_a_probation_waits_for_the_outcomes_of_its_days_and_says_if_there_were_too_few(
    monkeypatch, capsys, days, probation_days, compared, kept
):
    """The horizon is 90 days; no outcome of a prediction since the promotion is known before."""
    tags = {"decision": steps.PROMOTED, "decided": PROMOTED.isoformat(), "version": "2"}
    decisions, comparisons = [], []
    monkeypatch.setattr(probation, "bundle_with_alias", lambda *_: "previous")
    monkeypatch.setattr(probation, "version_tags", lambda *_: tags)
    monkeypatch.setattr(probation.Bundle, "load", lambda _: model(0))
    monkeypatch.setattr(probation, "_tag_decision", lambda *args: decisions.append(args[-1]))

    def compare(*_):
        comparisons.append(days)
        return Verdict(False, "3 fresh rows are too few", 3, {}, [])

    monkeypatch.setattr(probation, "_compare_with_previous", compare)
    champion = model(0)
    champion.facts |= {"name": "shop", "horizon": 90}
    cfg = compose_config(f"retrain.probation_days={probation_days}")
    assert not probation.review(cfg, champion, PROMOTED + timedelta(days=days))
    assert len(comparisons) == compared
    assert decisions == [steps.KEPT] * kept
    said = "The probation of version 2 is over without a comparison: 3 fresh rows are too few."
    assert (said in capsys.readouterr().out) is (kept and compared == 1)


def test_a_wrong_champion_is_a_regression_whoever_is_called(tmp_path, monkeypatch):
    monkeypatch.setattr(steps, "describe_version", lambda *_: "version")
    monkeypatch.setattr(probation, "settled_rows", lambda *_: called_customers(works=0.6))
    cfg = compose_config(f"run.root={tmp_path}", "retrain.gate.bootstrap=200")
    assert is_regression(probation._compare_with_previous(model(0), model(0.8), PROMOTED, cfg))
