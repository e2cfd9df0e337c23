"""The model as a graph: raw numbers and codes of categories in, log-odds out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from churn.backend import tensorflow
from churn.network.encoder import Encoder
from churn.network.layers import network_logits
from churn.network.log_odds import clip_logit
from churn.network.stack import NETWORK_ALONE, Stack
from churn.network.trees import JoinedTrees, Trees, join_trees


@dataclass(frozen=True)
class Model:
    """Encoder, network, and the boosted trees that it is stacked with."""

    encoder: Encoder
    network: Any  # keras.Model: [n, D] -> [n, M]
    forests: Sequence[Trees] = ()  # trees of each depth
    stack: Stack = NETWORK_ALONE

    @cached_property
    def trees(self) -> JoinedTrees:
        """The trees of all forests by the weights of the stack."""
        return join_trees(self.forests, self.stack.trees)

    def __call__(self, numbers: Any, codes: Any) -> tuple[Any, Any]:
        """[n] log-odds and [n] the trees' uncertainty, from numbers [F, n] float32 and codes [C, n] int32."""
        tf = tensorflow()
        members = network_logits(self.network, self.encoder.encode(numbers, codes))
        network = tf.reduce_mean(clip_logit(members), axis=1)
        if not self.forests:
            return network, tf.zeros_like(network)
        inputs = self.encoder.tree_inputs(numbers, codes)
        log_odds, uncertainty = self.trees(inputs)
        return log_odds + self.stack.network * network + self.stack.intercept, uncertainty
