"""Refits learn labels drawn from a known probability, on the rows of the model."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import compose_config
from scipy.special import expit

from churn.bundle import parametric_bootstrap
from churn.data.experiment import Experiment
from churn.data.split import split_dataset
from churn.network.fit import fit_network


@pytest.fixture(scope="module")
def refitted(customers):
    """A model, its refits, and the labels that their trees and their networks learnt."""
    cfg = compose_config("export.refits=2", "train.epochs=4", "model.trees=60")
    experiment = Experiment(customers, split_dataset(customers, cfg.split, 0, cfg.seed), cfg)
    trained, labels, blocks = fit_network(experiment, quiet=True), [], []
    grow, fit_members = parametric_bootstrap.grow_rows, parametric_bootstrap.fit_members

    def grow_and_note(rows, learns, settings):
        labels.append(rows.churned)
        return grow(rows, learns, settings)

    def fit_and_note(network, block, cfg):
        blocks.append(block)
        return fit_members(network, block, cfg)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parametric_bootstrap, "grow_rows", grow_and_note)
        patch.setattr(parametric_bootstrap, "fit_members", fit_and_note)
        refits = parametric_bootstrap.refit(experiment, trained)
    return SimpleNamespace(
        refits=refits, labels=labels, block=blocks[0], trained=trained, experiment=experiment
    )


def test_each_refit_has_its_own_labels_drawn_from_the_out_of_fold_predictions(refitted):
    truth = expit(refitted.refits[0].truth)
    assert truth == pytest.approx(refitted.trained.held_out_probability)
    first, _, second, _ = refitted.labels  # two depths each
    for drawn in (first, second):
        assert drawn.mean() == pytest.approx(truth.mean(), abs=0.06)
        assert np.corrcoef(drawn, truth)[0, 1] > 0.1
    assert not np.array_equal(first, second)
    assert np.array_equal(refitted.block.labels[:, :: parametric_bootstrap.MEMBERS].T, [first, second])


def test_refits_recover_the_truth_with_errors(refitted):
    for refit in refitted.refits:
        assert np.corrcoef(refit.predicted, refit.truth)[0, 1] > 0.5
        assert np.abs(refit.predicted - refit.truth).mean() > 0.05
    assert not np.allclose(refitted.refits[0].predicted, refitted.refits[1].predicted)


def test_models_without_trees_and_few_customers_are_not_refitted(refitted):
    assert parametric_bootstrap.can_refit(refitted.experiment, refitted.trained)
    few = replace(refitted.trained, held_out_rows=refitted.trained.held_out_rows[:60])
    assert not parametric_bootstrap.can_refit(refitted.experiment, few)
    assert not parametric_bootstrap.can_refit(refitted.experiment, replace(refitted.trained, forests=()))
