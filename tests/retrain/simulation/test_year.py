"""The simulated year: the world changes when it should, and who retrains earns more than who does not."""

from functools import partial

import numpy as np
import pytest
from conftest import compose_config
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from churn.bundle import decision
from churn.evaluate.evaluation import MODEL, evaluate
from churn.monitor.drift.profile import build_profile
from churn.retrain.simulation import page, year
from churn.retrain.simulation.model import SimulatedModel, quick_config
from churn.retrain.simulation.world import CATEGORIES, NUMBERS, SCHEMA, first_day, make_world


def line(rows, world, cfg, seed):
    """A logistic regression in the place of the network, which takes a minute for a year."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    levels = OneHotEncoder(handle_unknown="ignore")
    encode = make_column_transformer((numbers, list(NUMBERS)), (levels, list(CATEGORIES)))
    fitted = make_pipeline(encode, LogisticRegression(max_iter=300)).fit(rows.frame, rows.churned)
    said = fitted.predict_proba(world.rows.frame)[:, 1]
    own = fitted.predict_proba(rows.frame)[:, 1]
    metrics = evaluate(rows.churned, {MODEL: own}, None, cfg.evaluate, seed).to_json()["test"]
    threshold = decision.break_even(cfg.decision.customer_value, cfg.decision)
    earned = partial(
        decision.policy_profit, value=cfg.decision.customer_value, threshold=threshold, cfg=cfg.decision
    )
    seen = build_profile(rows.frame, SCHEMA, rows.frame, own, earned, seed)
    return SimulatedModel(rows.times.max(), said, threshold, metrics, seen)


@pytest.fixture(scope="module")
def cfg():
    return quick_config(compose_config("evaluate.bootstrap=100"))


@pytest.fixture(scope="module")
def lived(cfg):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(year, "fit_model", line)
        return year.simulate(cfg, seed=0)


def test_prices_and_the_competitor_change_what_they_should(cfg):
    world = make_world(cfg.loop, 0)
    monthly = (world.rows.frame["Contract"] == "Month-to-month").to_numpy()
    charge = world.rows.frame["MonthlyCharges"].to_numpy()
    price, rival = first_day(5), first_day(9)
    before, dear, rivalled = world.between(0, price), world.between(price, rival), world.between(rival, 360)
    assert np.nanmean(charge[dear]) - np.nanmean(charge[before]) == pytest.approx(15, abs=2)
    bound = [world.probability[part][~monthly[part]].mean() for part in (dear, rivalled)]
    free = [world.probability[part][monthly[part]].mean() for part in (dear, rivalled)]
    assert bound[1] > 2 * bound[0]
    assert free[1] == pytest.approx(free[0], abs=0.02)


def test_nothing_is_retrained_before_something_changes_and_then_it_pays(cfg, lived):
    price = first_day(5)
    assert all(one.day > price for one in lived.decided)
    assert lived.days_until(price, promoted=False) <= 28
    assert any(one.verdict.promote for one in lived.decided if one.trigger)
    assert lived.captured(year.NEVER) < lived.captured(year.CHURN_RETRAIN) < 1
    assert 0.2 < lived.recovered() < 1


def test_the_oracle_earns_most_on_every_day(lived):
    for way in (year.NEVER, year.MONTHLY, year.CHURN_RETRAIN):
        assert (lived.profit[year.ORACLE] >= lived.profit[way] - 1e-9).all()


def test_a_challenger_is_judged_on_rows_that_neither_model_has_seen(cfg):
    world = make_world(cfg.loop, 0)
    first = line(world.rows.take(year.known_rows(world, 0, cfg)), world, cfg, 0)
    trained_on = []

    def watched(rows, *rest):
        trained_on.append(set(rows.customers))
        return line(rows, *rest)

    compared = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(year, "fit_model", watched)
        patch.setattr(year, "_gate_verdict", lambda world, rows, *_: compared.append(rows))
        year.train_challenger(world, first, first, year.Trigger("alarm", ""), 200, cfg, 0)
    rows = compared[0]
    assert len(rows) > 500
    assert not trained_on[0] & set(world.rows.customers[rows])
    assert (world.rows.times[rows] > first.seen).all()
    assert world.day[rows].max() < 200 - cfg.loop.label_days


def test_the_page_tells_every_window_and_decision(cfg, lived, tmp_path):
    page.write_loop_page(tmp_path / "loop.html", [lived, lived], cfg)
    html = (tmp_path / "loop.html").read_text()
    assert html.count("<rect class=") >= len(lived.windows) == 51
    assert html.count("<title>day ") == len(lived.windows) + len(lived.decided)
    assert "Over 2 years" in html
