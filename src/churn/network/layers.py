"""The networks: encoded inputs in, the churn probabilities of their members out."""

from __future__ import annotations

from typing import Any

import numpy as np

from churn.backend import tensorflow
from churn.config.training import ModelConfig
from churn.network.log_odds import EPSILON

STACK = "stack"  # name of a network that is nothing but stacks of ReLU layers, with or without a linear term


def build_network(cfg: ModelConfig, inputs: int) -> Any:
    """A `keras.Model` from [n, inputs] float32 to [n, cfg.members] probabilities, not yet trained.

    Their answers are pooled to one (see `churn.network.ensemble`). Each is a stack of ReLU layers under one sigmoid and,
    where there are several, a linear term beside it; no trained number belongs to two of them. `tutorial` has
    one member, neither dropout nor weight decay; see configs/model/.
    """
    return _single_network(cfg, inputs) if cfg.members == 1 else _member_networks(cfg, inputs)


def _single_network(cfg: ModelConfig, inputs: int) -> Any:
    """One network of the layers that the article has."""
    keras = tensorflow().keras
    layers = [keras.Input((inputs,))]
    for units in cfg.hidden:
        layers.append(keras.layers.Dense(units, activation="relu"))
        if cfg.dropout:
            layers.append(keras.layers.Dropout(cfg.dropout))
    return keras.Sequential([*layers, keras.layers.Dense(1), keras.layers.Activation("sigmoid")], name=STACK)


def _member_networks(cfg: ModelConfig, inputs: int) -> Any:
    """`cfg.members` networks side by side, each layer of all of them as one multiplication of matrices."""
    keras, members = tensorflow().keras, cfg.members

    class Members(keras.layers.Layer):  # type: ignore[name-defined]
        """A dense layer of every member: [n, i] or [M, n, i] to [M, n, units]."""

        def __init__(self, units: int, activation: str | None = None, **more: Any) -> None:
            super().__init__(**more)
            self.units, self.activation = units, keras.activations.get(activation)

        def build(self, shape: tuple[int | None, ...]) -> None:
            # Keras takes the members for a kernel's receptive field: `scale` undoes that for Glorot's limits.
            glorot = keras.initializers.VarianceScaling(members, "fan_avg", "uniform")
            self.kernel = self.add_weight((members, shape[-1], self.units), glorot, name="kernel")
            self.bias = self.add_weight((members, 1, self.units), "zeros", name="bias")

        def call(self, x: Any) -> Any:
            return self.activation(keras.ops.matmul(x, self.kernel) + self.bias)

    x = given = keras.Input((inputs,))
    for units in cfg.hidden:
        x = Members(units, "relu")(x)
        if cfg.dropout:
            x = keras.layers.Dropout(cfg.dropout)(x)
    x = keras.ops.transpose(keras.ops.squeeze(Members(1)(x), axis=2))
    linear = keras.layers.EinsumDense("ni,mi->nm", (members,), kernel_initializer="zeros", bias_axes=None)(
        given
    )
    return keras.Model(given, keras.layers.Activation("sigmoid")(keras.layers.Add()([x, linear])), name=STACK)


def network_logits(network: Any, inputs: Any) -> Any:
    """[n, M] log-odds of encoded inputs [n, D].

    What `build` makes becomes constants of the graph and products of two matrices, into which TensorFlow
    takes bias and ReLU: that saves a tenth of the whole graph's time, of 32 rows under XLA as of thousands.
    """
    tf = tensorflow()
    if network.name != STACK:
        probability = tf.clip_by_value(network(inputs, training=False), EPSILON, 1 - EPSILON)
        return tf.math.log(probability / (1 - probability))
    with tf.init_scope():
        weights = network.get_weights()
    linear = weights.pop() if len(weights) % 2 else None
    pairs = zip(weights[::2], weights[1::2], strict=True)
    layers = [
        (kernel.reshape(-1, *kernel.shape[-2:]), bias.reshape(-1, bias.shape[-1])) for kernel, bias in pairs
    ]
    *hidden, (last, constant) = layers
    members = [inputs] * len(last)
    for number, (kernels, biases) in enumerate(hidden):
        if number == 0:  # all read the same: one product
            together = tf.nn.relu(tf.nn.bias_add(inputs @ np.hstack(kernels), biases.ravel()))
            members = tf.split(together, len(last), axis=1)
        else:
            told = zip(members, kernels, biases, strict=True)
            members = [tf.nn.relu(tf.nn.bias_add(x @ kernel, bias)) for x, kernel, bias in told]
    found = tf.concat([x @ kernel for x, kernel in zip(members, last, strict=True)], axis=1)
    found = tf.nn.bias_add(found, constant.ravel())
    return found if linear is None else found + inputs @ linear.T
