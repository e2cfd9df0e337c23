"""With changed copies a model leans less on what customers can change; without, nothing is different."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import compose_config

from churn.bundle.bundle import Bundle
from churn.config.training import ModelName
from churn.data.experiment import Experiment
from churn.data.split import split_dataset
from churn.errors import UserError
from churn.network import trainer
from churn.network.adversarial import changed_copies, check_adversarial
from churn.network.boosting import LabelledRows, grow_rows
from churn.network.catboost_trees import Settings
from churn.network.fit import fit_network
from churn.network.log_odds import logit

INFLUENCE = {"contract": ["two years"]}


def config(share):
    cfg = compose_config(
        "train.epochs=3", "model.members=3", "model.folds=3", "model.trees=30", "train.adversarial.copies=1"
    )
    cfg.data.influence, cfg.train.adversarial.share = INFLUENCE, share
    return cfg


def test_a_hardened_model_moves_less_with_what_customers_can_change(customers, exported_bundle):
    cfg = config(0.5)
    experiment = Experiment(customers, split_dataset(customers, cfg.split, 0, cfg.seed), cfg)
    hardened = fit_network(experiment, quiet=True)
    plain = Bundle.load(exported_bundle)
    rows, changed = customers.frame, customers.frame.assign(contract="two years")
    moves = hardened.log_odds(rows)[0] - hardened.log_odds(changed)[0]
    scores = [logit(plain.predict(each)["churn_probability"].astype(float)) for each in (rows, changed)]
    assert 0 < moves.mean() < 0.7 * (scores[0] - scores[1]).mean() * 1.3, "1.3: the bundle's temperature"
    assert len(hardened.held_out_rows) == len(customers) - len(experiment.splits.test), "no copies"


def test_trees_learn_from_the_worst_copy_of_each_row():
    random = np.random.default_rng(0)
    inputs = random.normal(size=(600, 2)).astype(np.float32)
    churned = (random.random(600) < 1 / (1 + np.exp(-2 * inputs.sum(axis=1)))).astype(int)
    copies = [inputs + np.float32([move, 0]) for move in (-2, 2)]
    plain, hardened = (
        grow_rows(LabelledRows(inputs, churned, None, None, *changed), slice(None), Settings(40, 4, 0))
        for changed in ((), (copies, 0.5))
    )
    swing = [np.ptp([grown.log_odds(copy) for copy in copies], axis=0).mean() for grown in (plain, hardened)]
    assert swing[1] < 0.5 * swing[0]
    assert np.corrcoef(hardened.log_odds(inputs), inputs[:, 1])[0, 1] > 0.7, "the other column stays"


def test_the_loss_of_a_batch_has_the_worst_copy_of_each_member():
    import tensorflow as tf

    labels, rows = tf.constant([[1.0], [0.0]]), tf.constant([0, 1])
    block = trainer.Block(tf.constant([[0.5], [0.5]]), labels, tf.ones((2, 1)))
    copies = [tf.constant([[0.4], [0.9]]), tf.constant([[0.8], [0.2]])]
    network = lambda inputs, training: tf.concat([inputs, 1 - inputs], axis=1)  # noqa: E731
    loss = trainer._loss(network, replace(block, changed=copies, share=0.25), rows).numpy()
    worst = -np.log([[0.4, 0.2], [0.1, 0.2]])
    assert loss == pytest.approx(0.75 * np.log(2) + 0.25 * worst)
    assert trainer._loss(network, block, rows).numpy() == pytest.approx(np.log(2))


def test_what_cannot_be_had_is_refused_and_off_there_are_no_copies(customers):
    cfg = config(0.5)
    check_adversarial(cfg, in_memory=True)
    assert len(changed_copies(customers.frame, cfg)) == 1
    with pytest.raises(UserError, match="larger than memory"):
        check_adversarial(cfg, in_memory=False)
    cfg.model.name = ModelName.tutorial
    with pytest.raises(UserError, match="tutorial"):
        check_adversarial(cfg, in_memory=True)
    cfg.data.influence = {}
    with pytest.raises(UserError, match="what customers can change"):
        check_adversarial(cfg, in_memory=True)
    cfg.train.adversarial.share = 0.0
    check_adversarial(cfg, in_memory=False)
    assert changed_copies(customers.frame, cfg) == []
