"""The training loop gives the weights and losses of Keras's `fit`."""

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
    keras, (inputs, labels) = tensorflow().keras, table()
    loop, keras_fit = network(), network()
    ordered = np.append(np.arange(70), [-1] * 26).reshape(3, 32).astype("i4")
    train = trainer.compile_epoch(loop, keras.optimizers.Adam(0.01), xla)
    losses = [train(trainer.Block(inputs, labels, np.ones_like(labels)), ordered) for _ in range(3)]
    keras_fit.compile(keras.optimizers.Adam(0.01), loss="binary_crossentropy")
    history = keras_fit.fit(inputs, labels, batch_size=32, epochs=3, shuffle=False, verbose=0).history
    for actual, expected in zip(loop.get_weights(), keras_fit.get_weights(), strict=True):
        assert actual == pytest.approx(expected, abs=1e-5)
    assert losses == pytest.approx(history["loss"], abs=1e-5)


def test_rows_of_weight_zero_do_not_change_the_weights():
    keras, (inputs, labels) = tensorflow().keras, table()
    weights = np.ones_like(labels)
    weights[::2] = 0
    flipped = np.where(weights == 0, 1 - labels, labels)
    kernels = []
    for block_labels in (labels, flipped):
        net = network()
        train = trainer.compile_epoch(net, keras.optimizers.Adam(0.01), xla=False)
        train(trainer.Block(inputs, block_labels, weights), trainer.shuffled_batches(70, 32, seed=1, epoch=0))
        kernels.append(net.get_weights()[0])
    assert np.array_equal(*kernels)


def test_batches_hold_every_row_once_in_an_order_that_depends_on_the_epoch():
    first, again, other = (trainer.shuffled_batches(70, 32, 1, epoch) for epoch in (0, 0, 1))
    assert first.shape == (3, 32)
    assert sorted(first[first >= 0]) == list(range(70))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
