"""Refits learn labels drawn from a known probability, on the rows of the network."""

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
def refitted(customers, monkeypatch):
    """Refits of a network that predicts 0.3 for everyone, and the calls of `fit_crossfitted`."""
    cfg = compose_config("export.refits=2")
    parts = split_dataset(customers, cfg.split, 0, cfg.seed)
    rows = np.sort(np.concatenate([parts.train, parts.validation, parts.calibration]))
    trained = SimpleNamespace(
        held_out_rows=rows,
        held_out_members=np.full((len(rows), 5), 0.3),
        fold_of_member=np.arange(5),
        ensemble=LogitMean(),
    )
    calls = []

    def fit_crossfitted(training, cfg, quiet):
        calls.append((training.labels, cfg))
        members = np.tile([0.1, 0.2, 0.3, 0.6, 0.6, 0.6], (len(training.rows), 1))
        return SimpleNamespace(**vars(trained) | {"held_out_members": members})

    monkeypatch.setattr(parametric_bootstrap, "fit_crossfitted", fit_crossfitted)
    experiment = Experiment(customers, parts, cfg)
    refits = parametric_bootstrap.refit(experiment, trained)
    return SimpleNamespace(refits=refits, calls=calls, rows=rows, trained=trained, experiment=experiment)


def test_each_refit_has_its_own_labels_drawn_from_the_truth(refitted):
    truth = refitted.refits[0].truth
    labels = refitted.calls[0][0].reshape(len(refitted.rows), 2, -1)  # [row, refit, member]
    assert (labels == labels[:, :, :1]).all()
    for drawn in labels[:, :, 0].T:
        assert drawn.mean() == pytest.approx(truth.mean(), abs=0.06)
        assert np.corrcoef(drawn, truth)[0, 1] > 0.1
    assert not np.array_equal(*labels[:, :, 0].T)


def test_the_truth_lies_between_the_network_and_the_trees(refitted, customers):
    truth = refitted.refits[0].truth
    assert np.array_equal(truth, refitted.refits[1].truth)
    assert truth.std() > 0.02  # the network predicts 0.3 for all: this is the trees' part
    left = customers.churned[refitted.rows] == 1
    assert truth[left].mean() > truth[~left].mean()


def test_refits_have_the_settings_of_the_network_except_members_and_folds(refitted):
    network, model = compose_config().model, refitted.calls[0][1].model
    assert replace(model, members=network.members, folds=network.folds) == network
    assert [refit.predicted for refit in refitted.refits] == [
        pytest.approx(0.19, abs=0.01),
        pytest.approx(0.6),
    ]


def test_a_single_network_and_few_customers_are_not_refitted(refitted):
    assert parametric_bootstrap.can_refit(refitted.experiment, refitted.trained)
    single = SimpleNamespace(**vars(refitted.trained) | {"fold_of_member": np.zeros(1)})
    few = SimpleNamespace(**vars(refitted.trained) | {"held_out_rows": refitted.rows[:60]})
    assert not parametric_bootstrap.can_refit(refitted.experiment, single)
    assert not parametric_bootstrap.can_refit(refitted.experiment, few)
