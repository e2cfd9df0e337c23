"""Folds keep the rows of a customer, and copies of a row, together; each member has its held-out rows."""

import numpy as np
import pandas as pd
import pytest
from conftest import compose_config

from churn.data.dataset import Dataset, Schema
from churn.errors import UserError
from churn.network.crossfit import plan_folds


def table(rows=400, customers=90):
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"a": random.integers(0, 300, rows).astype(float)})
    ids = random.integers(0, customers, rows).astype(str)
    schema = Schema("left", ("yes",), ("a",), (), id="customer")
    return Dataset("t", schema, frame, random.integers(0, 2, rows).astype(np.int8), ids=ids)


def test_rows_of_a_customer_and_copies_of_a_row_lie_in_one_fold():
    data = table(customers=2_000)
    rows = np.arange(0, 400, 2)
    folds = plan_folds(data, rows, compose_config().model, seed=1).fold_of_row
    for groups in (data.ids[rows], data.frame["a"].to_numpy()[rows]):
        assert pd.Series(folds).groupby(groups).nunique().max() == 1


def test_folds_are_about_equally_large_and_are_those_of_the_seed():
    data, rows = table(customers=10**6), np.arange(400)
    cfg = compose_config().model
    folds = plan_folds(data, rows, cfg, seed=1).fold_of_row
    assert np.bincount(folds, minlength=cfg.folds).min() > 400 / cfg.folds / 2
    assert np.array_equal(folds, plan_folds(data, rows, cfg, seed=1).fold_of_row)
    assert not np.array_equal(folds, plan_folds(data, rows, cfg, seed=2).fold_of_row)


def test_each_row_is_held_out_from_the_same_number_of_members():
    cfg = compose_config("model.members=20").model
    plan = plan_folds(table(), np.arange(400), cfg, seed=1)
    assert set(plan.held_out_mask().sum(axis=1)) == {20 // cfg.folds}


def test_a_fold_has_two_halves_and_copies_stay_together():
    data = table(customers=10**6)
    plan = plan_folds(data, np.arange(400), compose_config().model, seed=1)
    half = 2 * plan.fold_of_row + plan.half_of_row
    assert np.bincount(half, minlength=10).min() > 20
    assert pd.Series(half).groupby(data.frame["a"].to_numpy()).nunique().max() == 1


def test_members_that_cannot_be_divided_evenly_among_the_folds_are_refused():
    with pytest.raises(UserError, match="members"):
        plan_folds(table(), np.arange(400), compose_config("model.members=9").model, seed=1)
