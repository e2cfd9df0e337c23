import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from churn import baselines
from churn.schema import Schema

SCHEMA = Schema("left", ("yes",), numeric=("tenure", "charges"), categorical=("plan", "city"))


def customers(rows: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Short tenure and plan "b" leave; charges have gaps, a city has 400 levels and says nothing."""
    random = np.random.default_rng(seed)
    tenure, plan = random.uniform(0, 72, rows), random.choice(["a", "b", ""], rows)
    charges = np.where(random.random(rows) < 0.2, np.nan, random.normal(60, 20, rows))
    city = random.integers(0, 400, rows).astype(str)
    chance = 1 / (1 + np.exp(0.08 * tenure - 2.5 * (plan == "b")))
    frame = pd.DataFrame({"tenure": tenure, "charges": charges, "plan": plan, "city": city})
    return frame, (random.random(rows) < chance).astype(np.int8)


@pytest.fixture(scope="module")
def fitted():
    return baselines.fit(*customers(2_000, 0), *customers(500, 1), SCHEMA, seed=0)


def test_the_base_rate_is_the_churn_rate_of_the_train_rows(fitted):
    frame, _ = customers(5, 2)
    assert fitted["base_rate"](frame) == pytest.approx(np.full(5, customers(2_000, 0)[1].mean()))


@pytest.mark.parametrize("name", ["logistic_regression", "boosting"])
def test_a_baseline_finds_what_is_there_despite_gaps_and_hundreds_of_levels(fitted, name):
    frame, churned = customers(2_000, 2)
    assert roc_auc_score(churned, fitted[name](frame)) > 0.8


@pytest.mark.parametrize("name", ["logistic_regression", "boosting"])
def test_unseen_levels_and_gaps_get_a_probability(fitted, name):
    frame, _ = customers(3, 2)
    frame["city"], frame["plan"], frame["tenure"] = "never seen", "neither", np.nan
    assert np.all((fitted[name](frame) > 0) & (fitted[name](frame) < 1))


def test_boosting_takes_an_unseen_level_for_a_missing_one_which_goes_with_the_many():
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"tenure": np.zeros(600), "charges": np.zeros(600)})
    frame["plan"], frame["city"] = random.choice(["a", "a", "a", "b"], 600), "x"
    churned = (frame["plan"] == "b").to_numpy(np.int8)
    predict = baselines.fit(frame, churned, frame, churned, SCHEMA, seed=0)["boosting"]
    of_a, of_b, of_unseen = (predict(frame.assign(plan=plan))[0] for plan in "abc")
    assert of_unseen == of_a < 0.1 < 0.9 < of_b


@pytest.mark.parametrize("kind", ["numeric", "categorical"])
def test_columns_may_all_be_of_one_kind(kind):
    schema = Schema("left", ("yes",), **{"numeric": (), "categorical": (), kind: getattr(SCHEMA, kind)})
    (train, left), (validation, left_too) = customers(300, 0), customers(100, 1)
    columns = list(schema.features)
    found = baselines.fit(train[columns], left, validation[columns], left_too, schema, seed=0)
    assert all(np.isfinite(predict(validation[columns])).all() for predict in found.values())


def test_empty_constant_and_huge_columns_in_a_table_of_twelve_rows_do_no_harm():
    frame, _ = customers(12, 0)
    frame["tenure"], frame["charges"], frame["plan"] = np.nan, [1e30] + [0.0] * 11, "same"
    churned = np.array([1, 0, 0] * 4, np.int8)
    found = baselines.fit(frame, churned, frame, churned, SCHEMA, seed=0)
    assert all(np.isfinite(predict(frame)).all() for predict in found.values())


def test_the_same_seed_gives_the_same_probabilities(fitted):
    frame, _ = customers(100, 2)
    again = baselines.fit(*customers(2_000, 0), *customers(500, 1), SCHEMA, seed=0)
    assert all((again[name](frame) == fitted[name](frame)).all() for name in fitted)
