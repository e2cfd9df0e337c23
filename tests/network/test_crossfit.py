"""Folds of the cross-fit keep together what belongs together, and do not look at labels."""

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


def test_rows_of_a_customer_lie_in_one_fold():
    data = table(customers=2_000)
    rows = np.arange(0, 400, 2)
    folds = plan_folds(data, rows, compose_config().model, seed=1).fold_of_row
    for of_one in pd.Series(folds).groupby(data.ids[rows]):
        assert of_one[1].nunique() == 1
    for of_copies in pd.Series(folds).groupby(data.frame["a"].to_numpy()[rows]):
        assert of_copies[1].nunique() == 1


def test_folds_are_about_equally_large_and_are_those_of_the_seed():
    data, rows = table(customers=10**6), np.arange(400)
    cfg = compose_config().model
    folds = plan_folds(data, rows, cfg, seed=1).fold_of_row
    assert np.bincount(folds, minlength=cfg.folds).min() > 400 / cfg.folds / 2
    assert np.array_equal(folds, plan_folds(data, rows, cfg, seed=1).fold_of_row)
    assert not np.array_equal(folds, plan_folds(data, rows, cfg, seed=2).fold_of_row)


def test_each_row_is_held_out_from_the_same_number_of_members():
    cfg = compose_config("model.members=20").model
    dealt = plan_folds(table(), np.arange(400), cfg, seed=1)
    assert set(dealt.held_out_mask().sum(axis=1)) == {20 // cfg.folds}
    assert not (dealt.held_out_mask() & dealt.stopping_mask()).any()
    assert np.array_equal(dealt.training_mask(), ~(dealt.held_out_mask() | dealt.stopping_mask()))


def test_half_of_another_fold_judges_a_member_and_copies_stay_together():
    data = table(customers=10**6)
    cfg = compose_config().model
    dealt = plan_folds(data, np.arange(400), cfg, seed=1)
    assert dealt.stopping_mask().mean(axis=0) == pytest.approx(1 / cfg.folds / 2, abs=0.02)
    for of_copies in pd.Series(dealt.stopping_half).groupby(data.frame["a"].to_numpy()):
        assert of_copies[1].nunique() == 1


def test_members_that_cannot_be_shared_out_over_the_folds_are_refused():
    with pytest.raises(UserError, match="members"):
        plan_folds(table(), np.arange(400), compose_config("model.members=9").model, seed=1)
