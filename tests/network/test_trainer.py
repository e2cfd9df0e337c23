"""The loop learns what Keras's `fit` learns, in any order and block."""

import numpy as np
import pytest

from churn.backend import tensorflow
from churn.network import trainer


def table(rows=70):
    random = np.random.default_rng(0)
    return random.normal(size=(rows, 5)).astype("f4"), random.integers(0, 2, (rows, 1)).astype("f4")


def network():
    keras = tensorflow().keras
    keras.utils.set_random_seed(1)
    layers = [keras.Input((5,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1, "sigmoid")]
    return keras.Sequential(layers)


@pytest.mark.parametrize("xla", [True, False])
def test_an_epoch_gives_the_weights_and_the_loss_of_keras_s_own(xla):
    keras, (inputs, targets) = tensorflow().keras, table()
    ours, theirs = network(), network()
    ordered = np.append(np.arange(70), [-1] * 26).reshape(3, 32).astype("i4")
    train = trainer.compile_epoch(ours, keras.optimizers.Adam(0.01), xla)
    losses = [train(trainer.Block(inputs, targets, np.ones_like(targets)), ordered)[0] for _ in range(3)]
    theirs.compile(keras.optimizers.Adam(0.01), loss="binary_crossentropy")
    history = theirs.fit(inputs, targets, batch_size=32, epochs=3, shuffle=False, verbose=0).history
    for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert mine == pytest.approx(other, abs=1e-5)
    assert losses == pytest.approx(history["loss"], abs=1e-5)


def test_rows_of_weight_zero_teach_nothing():
    keras, (inputs, targets) = tensorflow().keras, table()
    weights = np.ones_like(targets)
    weights[::2] = 0
    spoilt = np.where(weights == 0, 1 - targets, targets)
    found = []
    for labels in (targets, spoilt):
        net = network()
        train = trainer.compile_epoch(net, keras.optimizers.Adam(0.01), xla=False)
        train(trainer.Block(inputs, labels, weights), trainer.shuffled_batches(70, 32, seed=1, epoch=0))
        found.append(net.get_weights()[0])
    assert np.array_equal(*found)


def test_a_member_is_judged_on_the_rows_that_judge_it():
    keras, (inputs, targets) = tensorflow().keras, table()
    judges = np.zeros_like(targets)
    judges[:10] = 1
    net = network()
    train = trainer.compile_epoch(net, keras.optimizers.SGD(0.0), xla=False)
    block = trainer.Block(inputs, targets, 1 - judges, judges)
    _, judged = train(block, trainer.shuffled_batches(70, 32, seed=1, epoch=0))
    expected = trainer.cross_entropy(targets, net(inputs)).numpy()[:10].mean()
    assert judged == pytest.approx([expected], abs=1e-6)


def test_batches_hold_every_row_once_in_an_order_of_their_own():
    first, again, other = (trainer.shuffled_batches(70, 32, 1, epoch) for epoch in (0, 0, 1))
    assert first.shape == (3, 32)
    assert sorted(first[first >= 0]) == list(range(70))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
