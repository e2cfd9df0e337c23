import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from churn.config.root import compose_config
from churn.data.dataset import Dataset, Schema
from churn.data.experiment import Experiment, Part
from churn.data.split import Splits
from churn.evaluate import baselines
from churn.network.fit import fit_network

SCHEMA = Schema("left", ("yes",), numeric=("tenure", "charges"), categorical=("plan", "city"))


def customers(rows: int, seed: int) -> Part:
    """Short tenure and plan "b" leave; charges have gaps, a city has 400 levels and says nothing."""
    random = np.random.default_rng(seed)
    tenure, plan = random.uniform(0, 72, rows), random.choice(["a", "b", ""], rows)
    charges = np.where(random.random(rows) < 0.2, np.nan, random.normal(60, 20, rows))
    city = random.integers(0, 400, rows).astype(str)
    chance = 1 / (1 + np.exp(0.08 * tenure - 2.5 * (plan == "b")))
    frame = pd.DataFrame({"tenure": tenure, "charges": charges, "plan": plan, "city": city})
    return Part(frame, (random.random(rows) < chance).astype(np.int8), None)


@pytest.fixture(scope="module")
def fitted():
    return baselines.fit_baselines(customers(2_000, 0), customers(500, 1), SCHEMA, seed=0)


def test_the_base_rate_is_the_churn_rate_of_the_rows_of_both_parts(fitted):
    frame = customers(5, 2).frame
    rate = np.append(customers(2_000, 0).churned, customers(500, 1).churned).mean()
    assert fitted["base_rate"](frame) == pytest.approx(np.full(5, rate))


def test_boosting_learns_from_the_validation_part_too():
    train, validation = customers(2_000, 0), customers(500, 1)
    new = validation.frame["plan"].eq("a")  # in the train part nobody has plan "c"
    validation.frame.loc[new, "plan"] = "c"
    validation.churned[new] = 1
    predict = baselines.fit_baselines(train, validation, SCHEMA, seed=0)["boosting"]
    of_a, of_c = (predict(customers(200, 2).frame.assign(plan=plan)).mean() for plan in "ac")
    assert of_c > of_a + 0.2


@pytest.mark.parametrize("name", ["logistic_regression", "boosting"])
def test_a_baseline_finds_what_is_there_despite_gaps_and_hundreds_of_levels(fitted, name):
    known = customers(2_000, 2)
    assert roc_auc_score(known.churned, fitted[name](known.frame)) > 0.8


@pytest.mark.parametrize("name", ["logistic_regression", "boosting"])
def test_unseen_levels_and_gaps_get_a_probability(fitted, name):
    frame = customers(3, 2).frame
    frame["city"], frame["plan"], frame["tenure"] = "never seen", "neither", np.nan
    assert np.all((fitted[name](frame) > 0) & (fitted[name](frame) < 1))


def test_boosting_takes_an_unseen_level_for_a_missing_one_which_goes_with_the_many():
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"tenure": np.zeros(600), "charges": np.zeros(600)})
    frame["plan"], frame["city"] = random.choice(["a", "a", "a", "b"], 600), "x"
    part = Part(frame, (frame["plan"] == "b").to_numpy(np.int8), None)
    predict = baselines.fit_baselines(part, part, SCHEMA, seed=0)["boosting"]
    of_a, of_b, of_unseen = (predict(frame.assign(plan=plan))[0] for plan in "abc")
    assert of_unseen == of_a < 0.1 < 0.9 < of_b


@pytest.mark.parametrize("kind", ["numeric", "categorical"])
def test_columns_may_all_be_of_one_kind(kind):
    schema = Schema("left", ("yes",), **{"numeric": (), "categorical": (), kind: getattr(SCHEMA, kind)})
    train, validation = (
        replace(part, frame=part.frame[list(schema.features)])
        for part in (customers(300, 0), customers(100, 1))
    )
    predictors = baselines.fit_baselines(train, validation, schema, seed=0)
    predictors["tutorial"] = baselines.fit_tutorial_network(train, schema, compose_config("model=tutorial"))
    assert all(np.isfinite(predict(validation.frame)).all() for predict in predictors.values())


def test_the_tutorial_s_network_is_that_of_keras_but_for_its_random_start():
    train, test, cfg = customers(3_000, 0), customers(3_000, 2), compose_config("model=tutorial")
    data = Dataset("customers", SCHEMA, train.frame, train.churned)
    splits = Splits(np.arange(2_500), np.arange(2_500, 2_750), np.arange(2_750, 3_000), np.empty(0, int))
    keras = fit_network(Experiment(data, splits, cfg), quiet=True).predict(test.frame)
    part = Part(train.frame.iloc[:2_500], train.churned[:2_500], None)
    found = baselines.fit_tutorial_network(part, SCHEMA, cfg)(test.frame)
    assert np.corrcoef(found, keras)[0, 1] > 0.97
    losses = [log_loss(test.churned, probability) for probability in (found, keras)]
    assert losses[0] == pytest.approx(losses[1], abs=0.01)


def test_the_baselines_need_no_tensorflow():
    code = """
import sys
from churn.config.root import compose_config
from churn.data.experiment import Experiment
from churn.data.load import load_dataset
from churn.evaluate.baselines import predict_baselines

cfg = compose_config("data=synthetic", "data.synthetic.rows=400")
print(*predict_baselines(Experiment.split(load_dataset(cfg.data, cfg.seed), cfg)))
print("tensorflow" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["base_rate logistic_regression boosting tutorial", "False"]


def test_empty_constant_and_huge_columns_in_a_table_of_twelve_rows_do_no_harm():
    frame = customers(12, 0).frame
    frame["tenure"], frame["charges"], frame["plan"] = np.nan, [1e30] + [0.0] * 11, "same"
    part = Part(frame, np.array([1, 0, 0] * 4, np.int8), None)
    predictors = baselines.fit_baselines(part, part, SCHEMA, seed=0)
    predictors["tutorial"] = baselines.fit_tutorial_network(part, SCHEMA, compose_config("model=tutorial"))
    assert all(np.isfinite(predict(frame)).all() for predict in predictors.values())


def test_a_number_far_beyond_those_of_training_gets_a_probability():
    train, test = customers(200, 0), customers(200, 1).frame
    train.frame["charges"] *= 1e-11
    test["charges"] = 9e29
    predictors = baselines.fit_baselines(train, train, SCHEMA, seed=0)
    predictors["tutorial"] = baselines.fit_tutorial_network(train, SCHEMA, compose_config("model=tutorial"))
    assert all(np.isfinite(predict(test)).all() for predict in predictors.values())


def test_a_table_whose_columns_are_blank_until_the_test_part_has_its_churn_rate():
    schema = Schema("left", ("yes",), ("tenure", "charges"), ())
    frame = pd.DataFrame({"tenure": np.full(12, np.nan), "charges": np.full(12, np.nan)})
    part = Part(frame, np.array([1, 0, 0] * 4, np.int8), None)
    later = pd.DataFrame({"tenure": [1.0, 2.0], "charges": [3.0, np.nan]})
    assert baselines.fit_baselines(part, part, schema, seed=0)["boosting"](later) == pytest.approx(1 / 3)


def test_the_same_seed_gives_the_same_probabilities(fitted):
    frame = customers(100, 2).frame
    again = baselines.fit_baselines(customers(2_000, 0), customers(500, 1), SCHEMA, seed=0)
    assert all((again[name](frame) == fitted[name](frame)).all() for name in fitted)
