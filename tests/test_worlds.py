"""In a simulated world labels follow its truth, and nothing of the test part is touched."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import configured

from churn import worlds
from churn.split import split


@pytest.fixture
def asked(customers, monkeypatch):
    """Worlds of a network that says 0.3 of everyone, and what was asked to be fitted in each."""
    cfg = configured("export.worlds=2")
    parts = split(customers, cfg.split, 0, cfg.seed)
    rows = np.sort(np.concatenate([parts.train, parts.validation, parts.calibration]))
    trained = SimpleNamespace(
        held_out_rows=rows, held_out_members=np.full((len(rows), 8), 0.3), fold_of_member=np.arange(8)
    )
    fitted = []

    def train(data, splits, cfg, checkpoint, quiet):
        fitted.append((data, splits, cfg))
        return replace_members(trained, len(rows))

    monkeypatch.setattr(worlds, "train", train)
    return SimpleNamespace(
        found=worlds.simulate(trained, customers, parts, cfg),
        fitted=fitted,
        rows=rows,
        parts=parts,
        trained=trained,
    )


def replace_members(trained, rows):
    """The network of a world: its four members say 0.1, 0.2, 0.3 and 0.4."""
    return SimpleNamespace(**vars(trained) | {"held_out_members": np.tile([0.1, 0.2, 0.3, 0.4], (rows, 1))})


def test_labels_are_drawn_anew_in_each_world_and_only_of_the_rows_that_train(asked, customers):
    truth = asked.found[0].truth
    labels = [data.churned for data, _, _ in asked.fitted]
    for drawn in labels:
        assert drawn[asked.rows].mean() == pytest.approx(truth.mean(), abs=0.06)
        assert np.corrcoef(drawn[asked.rows], truth)[0, 1] > 0.1
        assert np.array_equal(drawn[asked.parts.test], customers.churned[asked.parts.test])
    assert not np.array_equal(*labels)


def test_the_truth_lies_between_the_network_and_the_trees(asked, customers):
    truth = asked.found[0].truth
    assert np.array_equal(truth, asked.found[1].truth)
    assert truth.std() > 0.02  # the network says the same of all: this is the trees' part
    left = customers.churned[asked.rows] == 1
    assert truth[left].mean() > truth[~left].mean()


def test_a_world_s_network_is_like_ours_but_for_its_members(asked):
    models = [cfg.model for _, _, cfg in asked.fitted]
    ours = configured().model
    assert all(replace(model, members=ours.members, folds=ours.folds) == ours for model in models)
    assert asked.found[0].answer == pytest.approx(0.25)


def test_a_single_network_and_few_customers_have_no_worlds(asked, customers):
    assert worlds.possible(asked.trained, customers)
    single = SimpleNamespace(**vars(asked.trained) | {"fold_of_member": np.zeros(1)})
    few = SimpleNamespace(**vars(asked.trained) | {"held_out_rows": asked.rows[:60]})
    assert not worlds.possible(single, customers)
    assert not worlds.possible(few, customers)
