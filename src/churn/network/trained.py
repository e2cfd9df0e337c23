"""A trained network and trees, with the encoding of their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.metrics import log_loss

from churn.backend import tensorflow
from churn.data.dataset import Dataset, Schema
from churn.network.encoder import Encoder
from churn.network.log_odds import logit
from churn.network.model import Model
from churn.network.stack import NETWORK_ALONE, Stack
from churn.network.trees import Trees

NO_ROWS = np.empty(0, int)


@dataclass(frozen=True)
class Trained:
    """A trained network of M members and the trees beside it, their encoding, and held-out predictions.

    Held out are, for a cross-fitted model, all rows but the test part, each predicted by trees and members
    that are not fitted on its fold; for `tutorial`, the calibration part, or the validation part if there is
    none.

    >>> trained.predict(frame)  # [n] probabilities
    """

    schema: Schema
    encoder: Encoder
    network: Any  # keras.Model: [n, D] -> [n, M]
    history: dict[str, list[float]]  # per epoch: "loss", and with a validation part "val_loss"
    forests: Sequence[Trees] = ()  # trees of each depth
    stack: Stack = NETWORK_ALONE  # the weights of trees and network
    held_out_rows: np.ndarray = field(default_factory=NO_ROWS.copy)  # [h] positions in the Dataset
    held_out_probability: np.ndarray = field(default_factory=NO_ROWS.copy)  # [h] not from the row's label
    fold_of_row: np.ndarray = field(default_factory=NO_ROWS.copy)  # [h] the fold of each held-out row

    @property
    def model(self) -> Model:
        """Encoder, network, trees and stack as a graph."""
        return Model(self.encoder, self.network, self.forests, self.stack)

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """[n] churn probabilities of rows as in `Dataset.frame`."""
        return expit(self.log_odds(frame)[0])

    def log_odds(self, frame: pd.DataFrame, size: int = 8_192) -> tuple[np.ndarray, np.ndarray]:
        """[n] log-odds of rows as in `Dataset.frame`, and [n] the trees' uncertainty."""
        tf, chunks = tensorflow(), []
        for i in range(0, len(frame), size):
            numbers, categories = frame_tensors(frame.iloc[i : i + size], self.schema)
            codes = self.encoder.codes(tf.transpose(categories))
            chunks.append([part.numpy() for part in self.model(tf.transpose(numbers), codes)])
        log_odds, uncertainty = (np.concatenate(parts).astype(float) for parts in zip(*chunks, strict=True))
        return log_odds, uncertainty

    def predict_without(self, frame: pd.DataFrame, fold: np.ndarray) -> np.ndarray:
        """[n] churn probabilities by the network's members that did not learn from the fold of each row."""
        inputs = self.encoder(*frame_tensors(frame, self.schema))
        log_odds = logit(predict_members(self.network, inputs))
        fold_of_member = np.arange(log_odds.shape[1]) % (self.fold_of_row.max() + 1)
        return expit(np.average(log_odds, axis=1, weights=fold[:, None] == fold_of_member))

    def held_out_log_loss(self, data: Dataset) -> float:
        """Log loss of the held-out rows of `data`, in nats."""
        return float(log_loss(data.churned[self.held_out_rows], self.held_out_probability, labels=[0, 1]))


def predict_members(network: Any, inputs: Any, size: int = 8_192) -> np.ndarray:
    """[n, M] probabilities of encoded rows [n, D], computed `size` rows at a time."""
    chunks = [network(inputs[i : i + size], training=False).numpy() for i in range(0, len(inputs), size)]
    return np.concatenate(chunks).astype(float)


def frame_tensors(frame: pd.DataFrame, schema: Schema) -> tuple[Any, Any]:
    """Numbers [n, F] float32 and categories [n, C] string of rows as in `Dataset.frame`."""
    tf = tensorflow()
    numbers = tf.constant(frame[list(schema.numeric)].to_numpy(np.float32))
    categories = frame[list(schema.categorical)].to_numpy(object)
    return numbers, tf.constant(categories, tf.string, shape=categories.shape)
