"""In a simulated world labels follow its truth, and nothing of the test part is touched."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import configured

from churn import worlds
from churn.pool import Pool
from churn.split import split


@pytest.fixture
def asked(customers, monkeypatch):
    """Worlds of a network that says 0.3 of everyone, and what was asked to be fitted in each."""
    cfg = configured("export.worlds=2")
    parts = split(customers, cfg.split, 0, cfg.seed)
    rows = np.sort(np.concatenate([parts.train, parts.validation, parts.calibration]))
    trained = SimpleNamespace(
        held_out_rows=rows,
        held_out_members=np.full((len(rows), 5), 0.3),
        fold_of_member=np.arange(5),
        pool=Pool(),
    )
    fitted = []

    def crossfitted(data, rows, labels, cfg, quiet):
        fitted.append((labels, cfg))
        says = np.tile([0.1, 0.2, 0.3, 0.6, 0.6, 0.6], (len(rows), 1))
        return SimpleNamespace(**vars(trained) | {"held_out_members": says})

    monkeypatch.setattr(worlds, "crossfitted", crossfitted)
    found = worlds.simulate(trained, customers, cfg)
    return SimpleNamespace(found=found, fitted=fitted, rows=rows, trained=trained)


def test_labels_are_drawn_anew_in_each_world(asked):
    truth = asked.found[0].truth
    labels = asked.fitted[0][0]
    worlds_of_members = labels.reshape(len(asked.rows), 2, -1)
    assert (worlds_of_members == worlds_of_members[:, :, :1]).all()
    for drawn in worlds_of_members[:, :, 0].T:
        assert drawn.mean() == pytest.approx(truth.mean(), abs=0.06)
        assert np.corrcoef(drawn, truth)[0, 1] > 0.1
    assert not np.array_equal(*worlds_of_members[:, :, 0].T)


def test_the_truth_lies_between_the_network_and_the_trees(asked, customers):
    truth = asked.found[0].truth
    assert np.array_equal(truth, asked.found[1].truth)
    assert truth.std() > 0.02  # the network says the same of all: this is the trees' part
    left = customers.churned[asked.rows] == 1
    assert truth[left].mean() > truth[~left].mean()


def test_the_networks_of_worlds_are_like_ours_but_for_their_members(asked):
    ours, theirs = configured().model, asked.fitted[0][1].model
    assert replace(theirs, members=ours.members, folds=ours.folds) == ours
    assert [world.answer for world in asked.found] == [pytest.approx(0.19, abs=0.01), pytest.approx(0.6)]


def test_a_single_network_and_few_customers_have_no_worlds(asked, customers):
    assert worlds.possible(asked.trained, customers)
    single = SimpleNamespace(**vars(asked.trained) | {"fold_of_member": np.zeros(1)})
    few = SimpleNamespace(**vars(asked.trained) | {"held_out_rows": asked.rows[:60]})
    assert not worlds.possible(single, customers)
    assert not worlds.possible(few, customers)
