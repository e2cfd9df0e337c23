"""The networks: encoded inputs in, the churn probabilities of their members out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.linalg import block_diag

from churn.backend import tensorflow
from churn.config.training import ModelConfig
from churn.network.log_odds import EPSILON

STACK = "stack"  # name of a network that is nothing but stacks of ReLU layers, with or without a linear term


def build_network(cfg: ModelConfig, inputs: int) -> Any:
    """A `keras.Model` from [n, inputs] float32 to [n, cfg.members] probabilities, not yet trained.

    A single member (`tutorial`) is a stack of ReLU layers. Several members have a linear term beside the
    stack and share no weights; their mean log-odds count. See configs/model/.

    >>> build_network(cfg.model, inputs=40).summary()
    """
    return _single_network(cfg, inputs) if cfg.members == 1 else _member_networks(cfg, inputs)


def _single_network(cfg: ModelConfig, inputs: int) -> Any:
    keras = tensorflow().keras
    layers = [keras.Input((inputs,))]
    for units in cfg.hidden:
        layers.append(keras.layers.Dense(units, activation="relu"))
        if cfg.dropout:
            layers.append(keras.layers.Dropout(cfg.dropout))
    return keras.Sequential([*layers, keras.layers.Dense(1), keras.layers.Activation("sigmoid")], name=STACK)


def _member_networks(cfg: ModelConfig, inputs: int) -> Any:
    """`cfg.members` networks side by side: one multiplication computes a layer of all members."""
    keras, members = tensorflow().keras, cfg.members

    class Members(keras.layers.Layer):  # type: ignore[name-defined]
        """A dense layer of every member: [n, i] or [M, n, i] to [M, n, units]."""

        def __init__(self, units: int, activation: str | None = None, **more: Any) -> None:
            super().__init__(**more)
            self.units, self.activation = units, keras.activations.get(activation)

        def build(self, shape: tuple[int | None, ...]) -> None:
            # Keras takes the first axis for a receptive field: `scale` undoes that in Glorot's limits.
            glorot = keras.initializers.VarianceScaling(members, "fan_avg", "uniform")
            self.kernel = self.add_weight((members, shape[-1], self.units), glorot, name="kernel")
            self.bias = self.add_weight((members, 1, self.units), "zeros", name="bias")

        def call(self, x: Any) -> Any:
            return self.activation(keras.ops.matmul(x, self.kernel) + self.bias)

    x = start = keras.Input((inputs,))
    for units in cfg.hidden:
        x = Members(units, "relu")(x)
        if cfg.dropout:
            x = keras.layers.Dropout(cfg.dropout)(x)
    x = keras.ops.transpose(keras.ops.squeeze(Members(1)(x), axis=2))
    linear = keras.layers.EinsumDense("ni,mi->nm", (members,), kernel_initializer="zeros", bias_axes=None)
    x = keras.layers.Add()([x, linear(start)])
    return keras.Model(start, keras.layers.Activation("sigmoid")(x), name=STACK)


def network_logits(network: Any, inputs: Any) -> Any:
    """[n, M] log-odds of encoded inputs [n, D].

    A network of `build_network` becomes constants of the graph and products of two matrices, which TensorFlow
    fuses with bias and ReLU: this takes a tenth less time for the whole graph, for 32 rows under XLA as for
    thousands.
    """
    if network.name != STACK:
        return logits_of_sums(network, [inputs])
    return logits_of_sums(network, [inputs @ kernel for kernel in first_kernels(network)])


def first_kernels(network: Any) -> list[np.ndarray]:
    """Kernels [D, s] of all that reads the inputs: of the first layer, and of the linear term beside it.

    For a network that `build_network` does not know: the unit matrix.
    """
    if network.name != STACK:
        return [np.eye(network.input_shape[-1], dtype=np.float32)]
    ((first, _), *others), linear = _layers_by_member(network)
    kernel = np.hstack(list(first))  # all members read the same inputs: one product
    if linear is None:
        return [kernel]
    # Without a hidden layer one product, too: TensorFlow cannot fuse the sum of two of the same inputs.
    return [kernel, linear.T] if others else [kernel + linear.T]


def logits_of_sums(network: Any, sums: Sequence[Any]) -> Any:
    """[n, M] log-odds from the products [n, s] of the inputs and each of `first_kernels`."""
    tf = tensorflow()
    outputs, *linear = sums
    if network.name != STACK:
        probability = tf.clip_by_value(network(outputs, training=False), EPSILON, 1 - EPSILON)
        return tf.math.log(probability / (1 - probability))
    ((_, first_biases), *others), _ = _layers_by_member(network)
    outputs = tf.nn.bias_add(outputs, first_biases.ravel())
    for kernels, biases in others:
        outputs = tf.nn.bias_add(_by_member(tf.nn.relu(outputs), kernels), biases.ravel())
    return outputs + linear[0] if linear else outputs


def _by_member(outputs: Any, kernels: np.ndarray) -> Any:
    """[n, M * units] the product of each member's outputs [n, M * i], side by side, and its kernel."""
    if kernels.shape[-1] == 1:
        return outputs @ block_diag(*kernels)
    tf = tensorflow()
    parts = tf.split(outputs, len(kernels), axis=1)
    return tf.concat([part @ kernel for part, kernel in zip(parts, kernels, strict=True)], axis=1)


def _layers_by_member(network: Any) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray | None]:
    """Kernel [M, i, units] and bias [M, units] of each layer, and the kernel [M, D] of the linear term."""
    with tensorflow().init_scope():
        weights = network.get_weights()
    linear = weights.pop() if len(weights) % 2 else None
    layers = zip(weights[::2], weights[1::2], strict=True)
    by_member = [
        (kernel.reshape(-1, *kernel.shape[-2:]), bias.reshape(-1, bias.shape[-1])) for kernel, bias in layers
    ]
    return by_member, linear
