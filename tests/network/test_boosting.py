"""Trees are cross-fitted: nothing in a row's out-of-fold log-odds comes from the labels of its half."""

import resource
from dataclasses import replace

import catboost
import numpy as np
import pytest
from conftest import compose_config

from churn.errors import UserError
from churn.network.boosting import LabelledRows, cross_fit, first_minimum
from churn.network.catboost_trees import PATIENCE, Grown
from churn.network.crossfit import CrossfitPlan
from churn.refusals import refusal_of

CFG = compose_config("model.folds=3", "model.members=3", "model.trees=60").model


def rows(churned=None, count=600):
    random = np.random.default_rng(0)
    inputs = random.normal(size=(count, 3)).astype(np.float32)
    labels = (random.random(count) < np.where(inputs[:, 0] > 0.5, 0.7, 0.1)).astype(int)
    plan = CrossfitPlan(np.arange(count) % 3, np.arange(count) % 6 // 3, np.arange(3))
    return LabelledRows(inputs, labels if churned is None else churned, plan, np.ones(count, bool))


@pytest.mark.parametrize("moves", [(), (-0.5, 0.5)])
def test_a_half_s_number_of_trees_and_their_copies_do_not_come_from_its_own_labels(moves):
    honest = rows()
    plan = honest.plan
    of_half = (plan.fold_of_row == 1) & (plan.half_of_row == 0)
    other = rows(np.where(of_half, 1 - honest.churned, honest.churned))
    changed = [honest.inputs + np.float32([move, 0, 0]) for move in moves]
    honest, other = (replace(table, changed=changed, share=0.25) for table in (honest, other))
    before, after = (cross_fit(table, 3, CFG, seed=1) for table in (honest, other))
    assert np.array_equal(before.by_half[1, of_half], after.by_half[1, of_half])
    assert not np.allclose(before.by_half[1, ~of_half], after.by_half[1, ~of_half])


def test_trees_are_grown_on_the_sampled_rows_only():
    table = rows()
    table.sampled[::2] = False
    flipped = rows(np.where(table.sampled, table.churned, 1 - table.churned))
    flipped.sampled[::2] = False
    before, after = (cross_fit(each, 3, CFG, seed=1) for each in (table, flipped))
    some = min(len(before.trees.value), len(after.trees.value))
    assert np.array_equal(before.trees.border[:some], after.trees.border[:some])
    assert np.array_equal(before.trees.value[:some], after.trees.value[:some])


def test_a_fold_without_rows_says_nothing_about_the_number_of_trees():
    """As where one customer has more rows than a fold."""
    table = replace(rows(), plan=CrossfitPlan(np.arange(600) % 2, np.arange(600) % 4 // 2, np.arange(2)))
    two, three = (cross_fit(table, 3, replace(CFG, folds=folds), seed=1) for folds in (2, 3))
    assert len(three.trees.value) == len(two.trees.value) > 1
    assert np.array_equal(three.out_of_fold, two.out_of_fold)


def test_the_first_minimum_looks_no_further_than_the_patience():
    losses = np.concatenate([[0.5, 0.4], np.full(PATIENCE - 1, 0.45), [0.3]])
    assert first_minimum(losses) == len(losses)
    assert first_minimum(np.insert(losses, 2, 0.45)) == 2
    assert first_minimum(np.array([0.3, 0.4])) == 1


@pytest.mark.parametrize("leavers", [[0], [0, 3, 6, 9]])
def test_a_few_churners_all_in_one_fold_are_no_error(leavers):
    churned = np.zeros(60, int)
    churned[leavers] = 1
    fitted = cross_fit(rows(churned, count=60), 3, CFG, seed=1)
    assert np.isfinite(fitted.by_half).all()
    assert np.isfinite(fitted.out_of_fold).all()


@pytest.mark.parametrize("missing", [1, 100_000])
def test_trees_that_catboost_could_not_write_are_refused(missing, tmp_path):
    """CatBoost 1.2.10 gives no error where only the end of its JSON cannot be written."""
    rows = np.random.default_rng(0).normal(size=(500, 5))
    model = catboost.CatBoostClassifier(iterations=100, depth=6, verbose=False, allow_writing_files=False)
    grown = Grown(model.fit(rows, rows[:, 0] > 0), 0.0, 6, [])
    model.save_model(str(tmp_path / "whole.json"), format="json")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (tmp_path / "whole.json").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size - missing, before[1]))
    try:
        with pytest.raises((UserError, catboost.CatBoostError)) as refused:
            grown.constants()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    if missing == 1:
        assert "could not write its trees to their end" in str(refused.value)
    else:
        assert "File too large" in str(refusal_of(refused.value))
