"""Nothing that is fitted sees the test part, and nothing calibrated on a row has learnt its label."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import compose_config

from churn.bundle import export
from churn.bundle.calibration import apply_temperature
from churn.data.experiment import Experiment
from churn.data.split import split_dataset
from churn.evaluate.baselines import predict_baselines
from churn.network.fit import fit_network


@pytest.fixture(scope="module")
def experiment(customers):
    """Customers, split, for a small model."""
    cfg = compose_config("train.epochs=2", "model.trees=20", "model.folds=3", "model.members=3")
    return Experiment(customers, split_dataset(customers, cfg.split, 0, 42), cfg)


@pytest.fixture(scope="module")
def trained(experiment):
    return fit_network(experiment, quiet=True)


def with_other_test_part(experiment):
    """The experiment with other values, levels and labels in its test part."""
    data, rows = experiment.data, experiment.splits.test
    frame, churned = data.frame.copy(), data.churned.copy()
    frame.iloc[rows, frame.columns.get_loc("tenure")] = 1e6
    frame.iloc[rows, frame.columns.get_loc("payment")] = "shells"
    churned[rows] ^= 1
    return replace(experiment, data=replace(data, frame=frame, churned=churned))


def fitted_beside(graph):
    """What export fits beside the model."""
    background = graph.background.numbers.tobytes(), graph.background.categories.tobytes()
    return graph.temperature, graph.threshold, graph.prediction_sets, background


def test_no_model_no_baseline_and_no_calibration_depends_on_the_test_part(experiment, trained):
    other = with_other_test_part(experiment)
    again, rows = fit_network(other, quiet=True), experiment.data.frame
    assert np.array_equal(trained.predict(rows), again.predict(rows))
    one, two = (export._serving_graph(*each, None) for each in ((experiment, trained), (other, again)))
    assert fitted_beside(one) == fitted_beside(two)
    relabelled = replace(other, data=replace(other.data, frame=rows))  # the same rows to predict
    first, second = predict_baselines(experiment), predict_baselines(relabelled)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_temperature_threshold_and_sets_come_from_the_out_of_fold_predictions(experiment, trained):
    half = replace(trained, held_out_probability=trained.held_out_probability / 2)
    own, lower = (fitted_beside(export._serving_graph(experiment, each, None)) for each in (trained, half))
    assert all(one != other for one, other in zip(own[:3], lower[:3], strict=True))


def test_a_share_is_counted_among_the_served_probabilities_of_unlabelled_test_rows(experiment, trained):
    decision = replace(experiment.cfg.decision, top_share=0.1)
    cfg = replace(experiment.cfg, decision=decision)
    graph = export._serving_graph(replace(experiment, cfg=cfg), trained, None)
    rows = experiment.test.frame
    served = apply_temperature(trained.predict(rows), graph.temperature)
    assert (served >= graph.threshold).mean() == pytest.approx(0.1, abs=2 / len(rows))
    churned = experiment.data.churned.copy()
    churned[experiment.splits.test] ^= 1
    relabelled = replace(experiment, cfg=cfg, data=replace(experiment.data, churned=churned))
    assert export._serving_graph(relabelled, trained, None).threshold == graph.threshold
