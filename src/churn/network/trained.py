"""A trained network with the encoding of its inputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss

from churn.backend import tensorflow
from churn.data.dataset import Dataset, Schema
from churn.network.encoding import Encoder
from churn.network.ensemble import LogitMean


@dataclass(frozen=True)
class Trained:
    """A trained network of M members, its encoding, and its predictions of held-out rows.

    Held out are, for `dense`, all rows but the test part, each predicted by the members that are not trained
    on its fold; for `tutorial`, the calibration part, or the validation part if there is none.

    >>> trained.predict(frame)  # [n] probabilities
    """

    schema: Schema
    encoder: Encoder
    network: Any  # keras.Model: [n, D] -> [n, M]
    history: dict[str, list[float]]  # per epoch: "loss", and with early stopping "val_loss"
    held_out_rows: np.ndarray  # [h] positions in the Dataset
    held_out_probability: np.ndarray  # [h] by members that have not seen the label of the row
    held_out_members: np.ndarray  # [h, M] of every member, also of those that have seen the row
    fold_of_row: np.ndarray  # [h] the fold of each held-out row
    fold_of_member: np.ndarray  # [M] the fold that each member is not trained on
    ensemble: LogitMean = field(default_factory=LogitMean)  # members to one probability

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """[n] churn probabilities of rows as in `Dataset.frame`."""
        inputs = self.encoder(*frame_tensors(frame, self.schema))
        return self.ensemble(predict_members(self.network, inputs))

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
