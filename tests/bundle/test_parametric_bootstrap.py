"""In a simulated world labels follow its truth, and nothing of the test part is touched."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import compose_config

from churn.bundle import parametric_bootstrap
from churn.data.experiment import Experiment
from churn.data.split import split_dataset
from churn.network.ensemble import LogitMean


@pytest.fixture
def asked(customers, monkeypatch):
    """Worlds of a network that says 0.3 of everyone, and what was asked to be fitted in each."""
    cfg = compose_config("export.refits=2")
    parts = split_dataset(customers, cfg.split, 0, cfg.seed)
    rows = np.sort(np.concatenate([parts.train, parts.validation, parts.calibration]))
    trained = SimpleNamespace(
        held_out_rows=rows,
        held_out_members=np.full((len(rows), 5), 0.3),
        fold_of_member=np.arange(5),
        pool=LogitMean(),
    )
    fitted = []

    def fit_crossfitted(training, cfg, quiet):
        fitted.append((training.labels, cfg))
        says = np.tile([0.1, 0.2, 0.3, 0.6, 0.6, 0.6], (len(training.rows), 1))
        return SimpleNamespace(**vars(trained) | {"held_out_members": says})

    monkeypatch.setattr(parametric_bootstrap, "fit_crossfitted", fit_crossfitted)
    experiment = Experiment(customers, parts, cfg)
    found = parametric_bootstrap.refit(experiment, trained)
    return SimpleNamespace(found=found, fitted=fitted, rows=rows, trained=trained, experiment=experiment)


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
    ours, theirs = compose_config().model, asked.fitted[0][1].model
    assert replace(theirs, members=ours.members, folds=ours.folds) == ours
    assert [world.answer for world in asked.found] == [pytest.approx(0.19, abs=0.01), pytest.approx(0.6)]


def test_a_single_network_and_few_customers_are_not_refitted(asked):
    assert parametric_bootstrap.can_refit(asked.experiment, asked.trained)
    single = SimpleNamespace(**vars(asked.trained) | {"fold_of_member": np.zeros(1)})
    few = SimpleNamespace(**vars(asked.trained) | {"held_out_rows": asked.rows[:60]})
    assert not parametric_bootstrap.can_refit(asked.experiment, single)
    assert not parametric_bootstrap.can_refit(asked.experiment, few)
