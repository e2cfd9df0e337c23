"""The simulated year: the world changes on schedule, and retraining earns more than never retraining."""

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
from churn.errors import UserError
from churn.evaluate.evaluation import MODEL, evaluate
from churn.monitor.drift.profile import build_profile
from churn.retrain.simulation import page, strategies, year
from churn.retrain.simulation.model import SimulatedModel, quick_config
from churn.retrain.simulation.world import (
    CATEGORIES,
    NUMBERS,
    SCHEMA,
    first_day,
    known_rows,
    make_world,
)
from churn.retrain.trigger import Trigger

ENCODED = {}  # features of a world as numbers, by its first customer


def encode(world):
    """[n, k] the features of all customers; the same for every model of a world."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    levels = OneHotEncoder(sparse_output=False)
    encoder = make_column_transformer((numbers, list(NUMBERS)), (levels, list(CATEGORIES)))
    return encoder.fit_transform(world.rows.frame)


def fit_logistic_regression(rows, world, cfg, seed):
    """A stand-in for `fit_model`: with networks a year would take a minute."""
    first = world.rows.customers[0]
    if first not in ENCODED:
        ENCODED[first] = encode(world)
    positions = [int(customer.partition("-")[2]) for customer in rows.customers]
    model = LogisticRegression(max_iter=300).fit(ENCODED[first][positions], rows.churned)
    everywhere = model.predict_proba(ENCODED[first])[:, 1]
    on_train = everywhere[positions]
    metrics = evaluate(rows.churned, {MODEL: on_train}, None, cfg.evaluate, seed).to_json()["test"]
    threshold = decision.break_even(cfg.decision.customer_value, cfg.decision)
    profit = partial(
        decision.policy_profit, value=cfg.decision.customer_value, threshold=threshold, cfg=cfg.decision
    )
    profile = build_profile(rows.frame, SCHEMA, rows.frame, on_train, profit, seed)
    return SimulatedModel(rows.times.max(), everywhere, threshold, metrics, profile)


@pytest.fixture(scope="module")
def cfg():
    return quick_config(compose_config("evaluate.bootstrap=50"))


@pytest.fixture(scope="module")
def simulated(cfg):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strategies, "fit_model", fit_logistic_regression)
        return year.simulate(cfg, seed=0)


@pytest.mark.parametrize("setting", ["loop.history_days=60", "loop.label_days=240", "loop.label_days=400"])
def test_a_year_whose_first_model_would_have_no_labels_is_refused(setting):
    with pytest.raises(UserError, match=r"no labels to learn from[\s\S]*loop.history_days above"):
        year.simulate(compose_config(setting), seed=0)


def test_prices_and_the_competitor_change_churn_as_configured(cfg):
    world = make_world(cfg.loop, 0)
    monthly = (world.rows.frame["Contract"] == "Month-to-month").to_numpy()
    charge = world.rows.frame["MonthlyCharges"].to_numpy()
    price, rival = first_day(5), first_day(9)
    before, dearer, with_rival = (world.between(*days) for days in ((0, price), (price, rival), (rival, 360)))
    assert np.nanmean(charge[dearer]) - np.nanmean(charge[before]) == pytest.approx(15, abs=2)
    long_contract = [world.probability[part][~monthly[part]].mean() for part in (dearer, with_rival)]
    month_to_month = [world.probability[part][monthly[part]].mean() for part in (dearer, with_rival)]
    assert long_contract[1] > 2 * long_contract[0]
    assert month_to_month[1] == pytest.approx(month_to_month[0], abs=0.02)


def test_retraining_begins_after_the_first_change_and_pays(cfg, simulated):
    price = first_day(5)
    assert all(decision.day > price for decision in simulated.decisions)
    assert simulated.days_until(price, promoted=False) <= 28
    assert any(decision.verdict.promote for decision in simulated.decisions if decision.trigger)
    assert simulated.captured(year.NEVER) < simulated.captured(year.CHURN_RETRAIN) < 1
    assert 0.5 < simulated.recovered() < 1


def test_no_strategy_earns_more_than_the_oracle_on_any_day(simulated):
    for strategy in (year.NEVER, year.MONTHLY, year.CHURN_RETRAIN):
        assert (simulated.profit[year.ORACLE] >= simulated.profit[strategy] - 1e-9).all()


def test_a_challenger_is_compared_on_rows_that_neither_model_has_seen(cfg):
    world = make_world(cfg.loop, 0)
    first = fit_logistic_regression(world.rows.take(known_rows(world, 0, cfg.loop)), world, cfg, 0)
    simulation = strategies.Simulation(world, cfg, 0, first)
    trained_on = []

    def fit_and_note(rows, *rest):
        trained_on.append(set(rows.customers))
        return fit_logistic_regression(rows, *rest)

    compared = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strategies, "fit_model", fit_and_note)
        patch.setattr(strategies, "_gate_verdict", lambda simulation, rows, *_: compared.append(rows))
        strategies.train_challenger(simulation, first, Trigger("alarm", ""), 200)
    rows = compared[0]
    assert len(rows) > 500
    assert not trained_on[0] & set(world.rows.customers[rows])
    assert (world.rows.times[rows] > first.seen).all()
    assert world.day[rows].max() < 200 - cfg.loop.label_days


def test_the_page_shows_every_window_and_decision(cfg, simulated, tmp_path):
    page.write_loop_page(tmp_path / "loop.html", [simulated, simulated], cfg)
    html = (tmp_path / "loop.html").read_text()
    assert html.count("<rect class=") >= len(simulated.windows) == 51
    assert html.count("<title>day ") == len(simulated.windows) + len(simulated.decisions)
    assert "Over 2 years" in html
