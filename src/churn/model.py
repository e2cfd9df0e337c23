"""The networks: encoded inputs in, one churn probability out."""

from __future__ import annotations

from typing import Any

from churn.backend import tensorflow
from churn.config import ModelConfig


def build(cfg: ModelConfig, inputs: int) -> Any:
    """A `keras.Model` from [n, inputs] float32 to [n, 1] probabilities, not yet trained.

    Both networks are stacks of ReLU layers under one sigmoid. `tutorial` has neither dropout nor weight
    decay; see configs/model/.
    """
    keras = tensorflow().keras
    layers = [keras.Input((inputs,))]
    for units in cfg.hidden:
        layers.append(keras.layers.Dense(units, activation="relu"))
        if cfg.dropout:
            layers.append(keras.layers.Dropout(cfg.dropout))
    layers.append(keras.layers.Dense(1, activation="sigmoid"))
    return keras.Sequential(layers)
