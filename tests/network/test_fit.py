"""Training is repeatable, survives a kill, and `tutorial` trains as the article does."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import compose_config
from scipy.special import expit

from churn.backend import tensorflow
from churn.data.experiment import Experiment
from churn.data.split import Splits, split_dataset
from churn.network.checkpoint import Checkpoint
from churn.network.encoding import tree_inputs
from churn.network.fit import fit_network, training_rows
from churn.network.log_odds import logit
from churn.network.trained import frame_tensors, predict_members
from churn.network.trainer import default_batch_size, make_optimizer
from churn.network.trees import join_trees


def trained(customers, checkpoint, *overrides):
    cfg = compose_config("train.epochs=4", *overrides)
    splits = split_dataset(customers, cfg.split, 0, cfg.seed)
    return fit_network(Experiment(customers, splits, cfg), checkpoint)


def weights(result):
    return np.concatenate([value.ravel() for value in result.network.get_weights()])


@pytest.mark.parametrize("model", ["dense", "network", "tutorial"])
def test_the_same_seed_gives_the_same_weights(customers, tmp_path, model):
    first = trained(customers, tmp_path / "a", f"model={model}")
    second = trained(customers, tmp_path / "b", f"model={model}")
    other = trained(customers, tmp_path / "c", f"model={model}", "seed=7")
    assert np.array_equal(weights(first), weights(second))
    assert not np.array_equal(weights(first), weights(other))


@pytest.mark.parametrize("model", ["dense", "network", "tutorial"])
def test_a_killed_training_ends_with_the_weights_of_an_uninterrupted_one(
    customers, tmp_path, model, monkeypatch
):
    uninterrupted = trained(customers, tmp_path / "uninterrupted", f"model={model}")
    save = Checkpoint.save

    def save_and_die(state):
        save(state)
        if state.epochs == 2:
            raise SystemExit("killed")

    monkeypatch.setattr(Checkpoint, "save", save_and_die)
    with pytest.raises(SystemExit):
        trained(customers, tmp_path / "broken", f"model={model}")
    monkeypatch.undo()
    resumed = trained(customers, tmp_path / "broken", f"model={model}")
    assert np.array_equal(weights(resumed), weights(uninterrupted))
    assert resumed.history == uninterrupted.history
    assert len(resumed.history["loss"]) == 4


def test_a_finished_training_is_not_trained_again(customers, tmp_path):
    first = trained(customers, tmp_path / "a")
    before = (tmp_path / "a").stat().st_mtime_ns
    assert np.array_equal(weights(trained(customers, tmp_path / "a")), weights(first))
    assert (tmp_path / "a").stat().st_mtime_ns == before


def test_early_stopping_keeps_the_weights_of_the_best_epoch(customers, tmp_path):
    settings = ["model=tutorial", "split.method=stratified", "train.epochs=60", "train.patience=3"]
    result = trained(customers, tmp_path / "a", *settings, "train.learning_rate=0.02")
    losses = result.history["val_loss"]
    assert len(losses) == np.argmin(losses) + 1 + 3 < 60
    splits = split_dataset(customers, compose_config().split, 0, 42)
    p = result.predict(customers.frame.iloc[splits.validation])
    y = customers.churned[splits.validation]
    assert -np.mean(y * np.log(p) + (1 - y) * np.log1p(-p)) == pytest.approx(min(losses), abs=1e-5)


def flipped(customers, rows):
    churned = customers.churned.copy()
    churned[rows] ^= 1
    return type(customers)(**{**vars(customers), "churned": churned})


def test_the_tutorial_s_weights_depend_on_the_train_part_only(customers, tmp_path):
    cfg = compose_config("model=tutorial", "split.method=stratified", "train.epochs=2")
    splits = split_dataset(customers, cfg.split, 0, 42)
    changed = flipped(customers, np.r_[splits.validation, splits.calibration, splits.test])
    honest = fit_network(Experiment(customers, splits, cfg), tmp_path / "a")
    assert np.array_equal(
        weights(honest), weights(fit_network(Experiment(changed, splits, cfg), tmp_path / "b"))
    )
    assert np.array_equal(honest.held_out_rows, splits.calibration)


def test_an_out_of_fold_prediction_does_not_depend_on_the_labels_of_its_half_of_the_fold(customers, tmp_path):
    """Neither through trees and network, nor through the number of trees, nor through the weights."""
    cfg = compose_config("train.epochs=3", "model.folds=4", "model.members=8", "model.trees=60")
    splits = split_dataset(customers, cfg.split, 0, 42)
    experiment = Experiment(customers, splits, cfg)
    honest, plan = fit_network(experiment, tmp_path / "a"), training_rows(experiment).plan
    in_fold = honest.fold_of_row == 3
    of_half = in_fold & (plan.half_of_row == 1)
    changed = flipped(customers, honest.held_out_rows[of_half])
    other = fit_network(Experiment(changed, splits, cfg), tmp_path / "b")
    assert np.array_equal(other.held_out_probability[of_half], honest.held_out_probability[of_half])
    assert not np.isclose(other.held_out_probability, honest.held_out_probability)[~in_fold].any()


def test_answers_do_not_depend_on_the_names_of_levels(customers):
    """The tolerance is the rounding of float32 in trees and network of the same numbers."""
    cfg = compose_config("train.epochs=3", "model.trees=60")
    names = {text: f"{chr(122 - i)} {text}" for i, text in enumerate(sorted(levels(customers)))}
    assert sorted(names.values()) == [names[text] for text in sorted(names, reverse=True)]
    renamed = customers.frame.assign(
        contract=customers.frame.contract.map(names), payment=customers.frame.payment.map(names)
    )
    splits = split_dataset(customers, cfg.split, 0, 42)
    tables = [customers, replace(customers, frame=renamed)]
    answers = [fit_network(Experiment(table, splits, cfg)).predict(table.frame) for table in tables]
    assert np.ptp(answers[0]) > 0.2
    assert answers[1] == pytest.approx(answers[0], abs=1e-6)


def levels(customers):
    return set(customers.frame.contract) | set(customers.frame.payment)


def test_the_network_does_not_depend_on_the_test_part(customers, tmp_path):
    cfg = compose_config("train.epochs=2")
    splits = split_dataset(customers, cfg.split, 0, 42)
    honest = fit_network(Experiment(customers, splits, cfg), tmp_path / "a")
    assert np.intersect1d(honest.held_out_rows, splits.test).size == 0
    assert len(honest.held_out_rows) + len(splits.test) == len(customers)
    other = fit_network(Experiment(flipped(customers, splits.test), splits, cfg), tmp_path / "b")
    assert np.array_equal(weights(honest), weights(other))


def test_a_prediction_stacks_trees_and_network(customers, tmp_path):
    result = trained(customers, tmp_path / "a")
    members = predict_members(result.network, result.encoder(*frame_tensors(customers.frame, result.schema)))
    assert members.shape == (len(customers), 5)
    inputs = tree_inputs(customers.frame, result.schema, result.encoder.encoding)
    trees = [join_trees([forest], [1])(inputs.T)[0].numpy() for forest in result.forests]
    assert len(trees) == 2
    expected = result.stack(trees, logit(members).mean(axis=1))
    assert result.log_odds(customers.frame)[0] == pytest.approx(expected, abs=1e-5)
    assert min(*result.stack.trees, result.stack.network) >= 0


def test_a_network_without_trees_predicts_the_mean_of_its_members(customers, tmp_path):
    result = trained(customers, tmp_path / "a", "model=network")
    members = predict_members(result.network, result.encoder(*frame_tensors(customers.frame, result.schema)))
    assert not result.forests
    assert result.predict(customers.frame) == pytest.approx(expit(logit(members).mean(axis=1)), abs=1e-6)


def test_the_tutorial_trains_as_the_article_s_script(customers, tmp_path):
    """The article's lines of Keras, on the same encoded inputs and the article's split."""
    cfg = compose_config("model=tutorial")
    splits = split_dataset(customers, cfg.split, 0, cfg.seed)
    result = fit_network(Experiment(customers, splits, cfg), tmp_path / "a")
    X = result.encoder(*frame_tensors(customers.frame, customers.schema)).numpy()
    y = customers.churned.astype("float32")

    from sklearn.model_selection import train_test_split

    keras = tensorflow().keras
    keras.utils.set_random_seed(42)  # the article sets none
    X_train, X_test, y_train, _ = train_test_split(X, y, test_size=0.2, random_state=42)
    model = keras.Sequential(
        [
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    history = model.fit(X_train, y_train, epochs=10, validation_split=0.2, verbose=0)

    for actual, expected in zip(result.network.get_weights(), model.get_weights(), strict=True):
        assert actual == pytest.approx(expected, abs=1e-6)
    assert result.predict(customers.frame.iloc[splits.test]) == pytest.approx(
        model.predict(X_test, verbose=0)[:, 0], abs=1e-6
    )
    assert result.history["val_loss"] == pytest.approx(history.history["val_loss"], abs=1e-6)


def test_weight_decay_spares_biases():
    cfg = compose_config("train.weight_decay=0.5", "train.learning_rate=0.1").train
    tf = tensorflow()
    kernel, bias = (tf.keras.Variable([1.0], name=name) for name in ("kernel", "bias"))
    optimizer = make_optimizer(cfg)
    optimizer.build([kernel, bias])
    optimizer.apply([tf.constant([0.0]), tf.constant([0.0])])
    assert (float(kernel[0]), float(bias[0])) == (pytest.approx(0.95), 1.0)


@pytest.mark.parametrize(("rows", "size"), [(100, 64), (9_000, 128), (10**6, 512)])
def test_batches_grow_with_the_table(rows, size):
    assert default_batch_size(rows) == size


def test_splits_know_their_sizes():
    assert Splits(*(np.arange(n) for n in (3, 2, 1, 1))).sizes() == {
        "train": 3,
        "validation": 2,
        "calibration": 1,
        "test": 1,
    }
