"""The networks: encoded inputs in, the churn probabilities of their members out."""

from __future__ import annotations

from typing import Any

from churn.backend import tensorflow
from churn.config import ModelConfig


def build(cfg: ModelConfig, inputs: int) -> Any:
    """A `keras.Model` from [n, inputs] float32 to [n, cfg.members] probabilities, not yet trained.

    Their answers are pooled to one (see `churn.pool`). Each is a stack of ReLU layers under one sigmoid and,
    where there are several, a linear term beside it; no trained number belongs to two of them. `tutorial` has
    one member, neither dropout nor weight decay; see configs/model/.
    """
    return single(cfg, inputs) if cfg.members == 1 else ensemble(cfg, inputs)


def single(cfg: ModelConfig, inputs: int) -> Any:
    """One network of the layers that the article has."""
    keras = tensorflow().keras
    layers = [keras.Input((inputs,))]
    for units in cfg.hidden:
        layers.append(keras.layers.Dense(units, activation="relu"))
        if cfg.dropout:
            layers.append(keras.layers.Dropout(cfg.dropout))
    return keras.Sequential([*layers, keras.layers.Dense(1), keras.layers.Activation("sigmoid")])


def without_sigmoid(network: Any) -> Any:
    """The same network with log-odds in place of probabilities."""
    return tensorflow().keras.Model(network.inputs, network.layers[-1].input)


def ensemble(cfg: ModelConfig, inputs: int) -> Any:
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
    return keras.Model(given, keras.layers.Activation("sigmoid")(keras.layers.Add()([x, linear])))
