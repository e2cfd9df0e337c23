"""Attacks, worse data and membership inference give the numbers that are known for simple models."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from churn.config.root import compose_config
from churn.data.dataset import Dataset, Schema
from churn.data.experiment import Experiment, Part
from churn.data.influence import check_influence
from churn.errors import UserError
from churn.evaluate import robustness
from churn.evaluate.attack import attack
from churn.network.fit import fit_network

SCHEMA = Schema("left", ("yes",), ("spend", "calls"), ("plan",))
FRAME = pd.DataFrame(
    {
        "spend": [0.0, 40.0, 60.0, 100.0, np.nan],
        "calls": [1.0, 2.0, 3.0, 9.0, 4.0],
        "plan": ["a", "a", "b", "b", "a"],
    }
)


def model(rows):
    """Called are those who spend 50 or more; plan c takes 20 off; a missing number counts as 0."""
    score = rows["spend"].fillna(0).to_numpy(float) - 20 * (rows["plan"] == "c").to_numpy()
    return 1 / (1 + np.exp(-(score - 50) / 10))


def attacked(influence, predict=model, frame=FRAME):
    return attack(predict, frame, 0.5, influence, FRAME)


def test_a_decision_flips_at_the_least_budget_that_reaches_the_threshold():
    found = attacked({"spend": [-40, 40]})
    assert found.called.tolist() == [False, False, True, True, False]
    assert found.cost.tolist() == [np.inf, 0.25, 0.375, np.inf, np.inf]
    assert found.success(False, 0.25).value == pytest.approx(1 / 3)
    assert found.success(True, 0.25).value == 0
    assert found.success(True, 3.0).value == 0.5


def test_numbers_stay_in_the_range_of_training_and_whole_where_it_is_whole():
    seen = []

    def watching(rows):
        seen.append(rows)
        return model(rows)

    attacked({"spend": [-1_000, 1_000], "calls": [-3, 3]}, watching)
    rows = pd.concat(seen)
    assert rows["spend"].min() == 0
    assert rows["spend"].max() == 100
    assert set(rows["calls"] % 1) == {0.0}
    assert rows["calls"].between(1, 9).all()


def test_only_listed_levels_are_tried_and_cost_one():
    assert attacked({"plan": ["a"]}).cost.tolist() == [np.inf] * 5
    assert attacked({"plan": ["c"]}).cost.tolist() == [np.inf, np.inf, 1, np.inf, np.inf]


def test_changes_of_several_columns_add_up():
    both = attacked({"spend": [-40, 40], "plan": ["c"]})
    assert both.cost[3] == 1.875  # 35 less and another plan, in steps of 5: 100 - 35 - 20 < 50
    assert both.cost[2] == 0.375


def test_the_next_change_is_weighed_from_where_the_last_one_led():
    """Called are only those who change all they can."""

    def demanding(rows):
        score = rows["spend"].fillna(0) / 4 + 8 * rows["calls"] + 30 * (rows["plan"] == "c")
        return 1 / (1 + np.exp(-(score.to_numpy(float) - 85) / 10))

    assert attacked({"spend": [-40, 40], "calls": [-3, 3], "plan": ["c"]}, demanding).cost[1] == 2.5


def test_nobody_to_attack_is_unknown_and_not_zero():
    assert np.isnan(attacked({"plan": ["c"]}, frame=FRAME[:2]).success(True, 1.0).value)


@pytest.mark.parametrize(
    ("influence", "says"),
    [
        ({"spent": [-1, 1]}, "'spent' is no input of the model; did you mean 'spend'"),
        ({"spend": 5}, "write .least, greatest. change"),
        ({"spend": [5, 9]}, "around 0"),
        ({"spend": [-1]}, "around 0"),
        ({"spend": [0, 0]}, "around 0"),
        ({"spend": [-math.inf, 0]}, "around 0"),
        ({"spend": ["a", "b"]}, "around 0"),
        ({"plan": ["z"]}, "no customer has the level 'z'"),
        ({"plan": []}, "write"),
        ({"plan": ["z"], "spend": [1, 2]}, r"level 'z'[\s\S]*around 0"),
    ],
)
def test_bounds_that_make_no_sense_are_named(influence, says):
    with pytest.raises(UserError, match=says):
        check_influence(influence, SCHEMA, FRAME)
    check_influence({"spend": [-10, 0], "plan": ["b"]}, SCHEMA, FRAME)


def frame(rows, seed=0):
    random = np.random.default_rng(seed)
    x = pd.DataFrame({"x": random.normal(size=rows), "noise": random.normal(size=rows)})
    return x, (random.random(rows) < 1 / (1 + np.exp(-3 * x["x"]))).to_numpy(np.int8)


def by_x(rows):
    return 1 / (1 + np.exp(-3 * rows["x"].fillna(0).to_numpy()))


def test_auc_falls_to_chance_without_the_column_that_matters_and_not_without_others():
    rows, churned = frame(2_000)
    curve = robustness._missing_curve(by_x, Part(rows, churned, None), ["x", "noise"])
    assert curve.amount == [0, 1, 2]
    assert curve.roc_auc[0].value > 0.85
    assert curve.roc_auc[1].value == 0.5
    assert (
        robustness._missing_curve(by_x, Part(rows, churned, None), ["noise"]).roc_auc[1].value
        == curve.roc_auc[0].value
    )


def test_auc_falls_with_the_share_of_outliers():
    rows, churned = frame(2_000)
    scores = [one.value for one in robustness._outlier_curve(by_x, Part(rows, churned, None), 0).roc_auc]
    assert scores == sorted(scores, reverse=True)
    # Of two rows, 64 % keep their order as before, 4 % are in random order, 32 % are ranked by a coin.
    assert scores[-1] == pytest.approx(0.64 * scores[0] + 0.36 * 0.5, abs=0.04)


@pytest.fixture
def experiment():
    rows, churned = frame(1_000)
    schema = Schema("left", ("yes",), ("x", "noise"), ())
    return Experiment.split(Dataset("d", schema, rows, churned), compose_config())


def membership(experiment, predict, without=lambda frame, fold: np.full(len(frame), 0.5)):
    """Of a model beside networks `without` each fold."""
    rows = np.concatenate([experiment.splits.train, experiment.splits.validation])
    folds = np.arange(len(rows)) % 8
    trained = SimpleNamespace(held_out_rows=rows, fold_of_row=folds, predict_without=without)
    return robustness._membership(experiment, trained, predict)


def test_a_model_that_knows_its_rows_by_heart_is_found_out_and_one_that_does_not_is_not(experiment):
    test = set(experiment.test.frame["x"])

    def by_heart(rows):
        known = experiment.data.churned[experiment.data.frame.index.get_indexer(rows.index)]
        return np.where(rows["x"].isin(test), 0.5, np.where(known == 1, 0.9, 0.1))

    assert membership(experiment, by_heart).model.value == 1
    assert not membership(experiment, by_heart).no_better_than_chance
    blind = membership(experiment, lambda rows: np.full(len(rows), 0.5))
    assert blind.model.value == blind.honest.value == 0.5
    assert blind.no_better_than_chance


def test_test_rows_that_are_only_harder_do_not_make_a_model_give_something_away(experiment):
    test = set(experiment.test.frame["x"])

    def harder(rows, fold=None):
        """Right about half of the others, and knows nothing of test rows."""
        left = experiment.data.churned[experiment.data.frame.index.get_indexer(rows.index)] == 1
        known = ~rows["x"].isin(test) & (rows["noise"] > 0)
        return np.where(known, np.where(left, 0.9, 0.1), 0.5)

    found = membership(experiment, harder, harder)
    assert found.model.low > 0.5
    assert found.model == found.honest
    assert found.difference.value == 0
    assert found.no_better_than_chance


def test_networks_without_a_fold_are_those_that_predicted_its_rows(experiment):
    dense = replace(experiment, cfg=compose_config("model=dense", "train.epochs=1", "model.trees=0"))
    trained = fit_network(dense, quiet=True)
    rows = dense.data.frame.iloc[trained.held_out_rows]
    found = trained.predict_without(rows, trained.fold_of_row)
    np.testing.assert_allclose(found, trained.held_out_probability, atol=1e-6)


def test_label_noise_flips_labels_to_learn_from_and_none_to_measure_with(experiment, monkeypatch):
    seen = []

    def fit(noisy, quiet):
        seen.append(noisy.data.churned)
        return SimpleNamespace(predict=by_x)

    monkeypatch.setattr(robustness, "fit_network", fit)
    curve = robustness._noise_curve(experiment, [0.0, 0.2])
    flipped = [(labels != experiment.data.churned).mean() for labels in seen]
    assert flipped == [0, pytest.approx(0.2, abs=0.04)]
    assert curve.roc_auc[0] == curve.roc_auc[1], "both are measured with the true labels"
    assert curve.roc_auc[0].value > 0.8


def test_models_that_learn_from_wrong_labels_predict_worse(experiment):
    cfg = compose_config("model=tutorial", "train.epochs=3", "train.learning_rate=0.02")
    curve = robustness._noise_curve(replace(experiment, cfg=cfg), [0.0, 0.4])
    right, wrong = curve.log_loss
    assert right.high < wrong.low, "the probabilities are drawn to 1/2"
    assert curve.roc_auc[0].value > 0.85 > curve.log_loss[0].value
    assert wrong.value == pytest.approx(np.log(2), abs=0.1)


def test_a_model_that_is_not_cross_fitted_is_asked_about_its_train_part(experiment):
    tutorial = replace(experiment, cfg=compose_config("model=tutorial", "train.epochs=1"))
    seen = []

    def predict(frame):
        seen.append(set(frame.index))
        return np.full(len(frame), 0.5)

    found = robustness._membership(tutorial, fit_network(tutorial, quiet=True), predict)
    splits = experiment.splits
    assert seen == [set(rows) for rows in (splits.train, splits.test, splits.calibration, splits.test)]
    assert found.no_better_than_chance
    assert not found.unknown


def test_what_later_months_alone_give_is_unknown_of_a_model_that_is_not_cross_fitted(experiment):
    times = np.datetime64("2025-01-01", "s") + np.arange(1_000) * np.timedelta64(1, "D")
    cfg = compose_config("model=tutorial", "split.method=time", "train.epochs=1")
    dated = Experiment.split(replace(experiment.data, times=times), cfg)
    later = experiment.data.frame.iloc[dated.splits.test].index

    def drifted(rows):
        return np.where(rows.index.isin(later), 0.5, np.where(by_x(rows) > 0.5, 0.9, 0.1))

    found = robustness._membership(dated, fit_network(dated, quiet=True), drifted)
    assert found.model.low > 0.5
    assert found.unknown
    assert found.no_better_than_chance
