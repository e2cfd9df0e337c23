"""A network and its constants in a graph give the same log-odds."""

import numpy as np
import pytest
from conftest import compose_config
from scipy.special import expit

from churn.backend import tensorflow
from churn.network import layers


@pytest.mark.parametrize(
    "settings",
    [
        ["model=tutorial"],
        [],
        ["model.hidden=[16]"],
        ["model.hidden=[]"],
        ["model.hidden=[8,16,4]", "model.members=3"],
    ],
)
def test_the_graph_of_constants_predicts_as_the_network_does(settings):
    random = np.random.default_rng(0)
    network = layers.build_network(compose_config(*settings).model, inputs=11)
    network.set_weights([random.normal(size=weight.shape) / 3 for weight in network.get_weights()])
    inputs = random.normal(size=(50, 11)).astype(np.float32)
    expected = network.predict(inputs, verbose=0)
    assert np.ptp(expected, axis=0).min() > 0.1
    assert expit(layers.network_logits(network, inputs).numpy()) == pytest.approx(expected, abs=1e-6)


def test_a_network_of_another_kind_is_called_as_it_is():
    keras, random = tensorflow().keras, np.random.default_rng(0)
    network = keras.Sequential(
        [keras.Input((11,)), keras.layers.Dense(5, "tanh"), keras.layers.Dense(2, "sigmoid")]
    )
    inputs = random.normal(size=(50, 11)).astype(np.float32)
    expected = network.predict(inputs, verbose=0)
    assert expit(layers.network_logits(network, inputs).numpy()) == pytest.approx(expected, abs=1e-6)
