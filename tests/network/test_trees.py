"""Trees in a graph answer as CatBoost does, and nothing else is needed."""

from types import SimpleNamespace

import numpy as np
import pytest

from churn.backend import tensorflow
from churn.network.catboost_trees import PATIENCE, Settings, _AllReady, grow, repeated_columns
from churn.network.trees import NEVER, PRIOR_ROWS, Trees, join_trees


def table(rows=600):
    """Inputs of numbers, a flag and a column that is often missing; labels by a rule."""
    random = np.random.default_rng(0)
    numbers = random.normal(size=(rows, 2))
    numbers[::5, 1] = -1e30
    flag = random.random(rows) < 0.3
    churned = (random.random(rows) < np.where(flag & (numbers[:, 0] > 0), 0.8, 0.2)).astype(int)
    return np.column_stack([numbers, flag]).astype(np.float32), churned


def in_graph(trees, inputs):
    return [part.numpy() for part in join_trees([trees], [1.0])(tensorflow().constant(inputs.T))]


def random_trees(trees, depth, random):
    column, border = random.integers(0, 3, (trees, depth)), random.normal(size=(trees, depth))
    value, rows = random.normal(size=(trees, 2**depth)), random.uniform(1, 99, (trees, 2**depth))
    return Trees(column.astype(np.int32), border.astype(np.float32), value, rows, bias=0.5)


def by_hand(trees, inputs):
    """Log-odds and uncertainty, leaf by leaf."""
    leaf = (inputs[:, trees.column] > trees.border) @ (1 << np.arange(trees.column.shape[1]))  # [row, tree]
    tree = np.arange(len(trees.value))
    weight = trees.rows[tree, leaf] + PRIOR_ROWS
    return trees.value[tree, leaf].sum(axis=1) + trees.bias, (1 / weight).sum(axis=1)


@pytest.mark.parametrize("depth", [1, 4, 6])
def test_the_graph_gives_the_log_odds_of_catboost(depth):
    inputs, churned = table()
    grown = grow(inputs, churned, Settings(30, depth, 1))
    log_odds, _ = in_graph(grown.constants(), inputs)
    assert log_odds == pytest.approx(grown.log_odds(inputs, 30), abs=2e-6)
    assert np.ptp(log_odds) > 0.5


def test_trees_grow_on_until_the_losses_of_both_halves_have_stopped_falling():
    stopped, falling = [0.5, *[0.6] * PATIENCE], np.linspace(0.5, 0.4, PATIENCE + 1)
    for second, goes_on in ((falling, True), (stopped, False)):
        losses = {"learn": falling, "validation_0": stopped, "validation_1": second}
        info = SimpleNamespace(metrics={name: {"Logloss": list(loss)} for name, loss in losses.items()})
        assert _AllReady().after_iteration(info) is goes_on


def test_no_question_is_asked_of_two_columns_that_say_the_same():
    inputs, churned = table()
    often = 1 - inputs[:, 2:]  # the opposite, and a copy of it
    inputs = np.column_stack([inputs[:, :2], often, inputs[:, 2:], often, inputs[:, :1]])
    assert sorted(repeated_columns(inputs)) == [2, 4]  # the rare one stays; numbers are left as they are
    grown = grow(inputs, churned, Settings(30, 4, 1))
    trees = grown.constants()
    asked = set(trees.column[trees.border != NEVER])
    assert 3 in asked
    assert not asked & {2, 4}
    log_odds, _ = in_graph(trees, inputs)
    assert log_odds == pytest.approx(grown.log_odds(inputs, 30), abs=2e-6)


@pytest.mark.parametrize(("trees", "depth"), [(1, 4), (5, 1), (7, 2), (6, 5)])
def test_trees_that_are_joined_have_the_sums_of_each(trees, depth):
    random = np.random.default_rng(depth)
    forest, inputs = random_trees(trees, depth, random), random.normal(size=(40, 3)).astype(np.float32)
    for found, right in zip(in_graph(forest, inputs), by_hand(forest, inputs), strict=True):
        assert found == pytest.approx(right, abs=1e-5)


def test_trees_that_ask_the_same_become_one(monkeypatch):
    random = np.random.default_rng(0)
    forest, inputs = random_trees(20, 4, random), random.normal(size=(40, 3)).astype(np.float32)
    forest.border[:] = np.where(forest.border > 0, 0.5, -0.5)  # six questions: some trees ask one twice
    forest.border[::3, 1] = NEVER
    joined = join_trees([forest], [1.0])
    assert joined.leaves.shape == (2**6, 2)
    for found, right in zip(in_graph(forest, inputs), by_hand(forest, inputs), strict=True):
        assert found == pytest.approx(right, abs=1e-5)
    monkeypatch.setattr("churn.network.trees.DEEPEST", 4)
    alone = join_trees([forest], [1.0])
    assert 1 < len(alone.first) <= 20
    assert alone.question.shape[1] == 4


def test_trees_of_several_depths_are_added_up_by_their_weights():
    random = np.random.default_rng(0)
    forests = [random_trees(5, 6, random), random_trees(7, 4, random), random_trees(2, 1, random)]
    inputs = random.normal(size=(40, 3)).astype(np.float32)
    inputs[0, 0] = np.inf  # is above every border, but for those that are lacking
    found = join_trees(forests, [0.5, 0.2, 3.0])(tensorflow().constant(inputs.T))
    (first, rows), (second, more), (third, most) = (by_hand(forest, inputs) for forest in forests)
    assert found[0].numpy() == pytest.approx(0.5 * first + 0.2 * second + 3 * third, abs=2e-5)
    assert found[1].numpy() == pytest.approx(rows + more + most, abs=1e-5)


def test_the_uncertainty_is_larger_where_leaves_have_few_rows():
    trees = Trees(
        np.zeros((1, 1), np.int32),
        np.array([[0.5]], np.float32),
        np.zeros((1, 2), np.float32),
        np.array([[97, 1]], np.float32),
        bias=-1.5,
    )
    log_odds, uncertainty = in_graph(trees, np.array([[0.0], [1.0]], np.float32))
    assert log_odds.tolist() == [-1.5, -1.5]
    assert uncertainty == pytest.approx([1 / (97 + PRIOR_ROWS), 1 / (1 + PRIOR_ROWS)])


@pytest.mark.parametrize(("inputs", "churned"), [(np.ones((20, 2)), np.arange(20) % 4), (None, np.zeros(20))])
def test_trees_of_nothing_to_learn_give_the_churn_rate(inputs, churned):
    inputs = np.random.default_rng(0).normal(size=(20, 2)) if inputs is None else inputs
    churned = (churned == 1).astype(int)
    grown = grow(inputs.astype(np.float32), churned, Settings(10, 3, 1))
    rate = (churned.sum() + 0.5) / 21
    log_odds, _ = in_graph(grown.constants(), inputs.astype(np.float32))
    assert log_odds == pytest.approx(np.log(rate / (1 - rate)), abs=1e-6)
    assert (grown.constants().border == NEVER).all()
