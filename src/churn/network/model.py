"""The model as a graph: raw numbers and codes of categories in, log-odds out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from churn.backend import tensorflow
from churn.network.encoder import Encoder
from churn.network.layers import first_kernels, logits_of_sums, network_logits
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

    def terms(self, numbers: Any, codes: Any) -> Any:
        """[n, F + C, S] what each column adds to the S sums from which `log_odds` computes the rest.

        These are the sums that the network's first layer and linear term give, and the number of the leaf in
        each tree. Numbers [F, n] float32 and codes [C, n] int32.
        """
        tf, encoder = tensorflow(), self.encoder
        columns = np.arange(numbers.shape[0] + codes.shape[0])[:, None]
        inputs = encoder.encode(numbers, codes)[:, None] * np.float32(columns == encoder.column_of_input)
        terms = inputs @ np.hstack(first_kernels(self.network))
        if not self.forests:
            return terms
        answers = tf.transpose(self.trees.answers(encoder.tree_inputs(numbers, codes)))
        of_column = np.float32(columns == encoder.column_of_tree_input[self.trees.column])
        return tf.concat([terms, (answers[:, None] * of_column) @ self.trees.bits], axis=2)

    def log_odds(self, sums: Any) -> Any:
        """[n] log-odds of a call, from the sums [n, S] of the terms of all columns."""
        tf = tensorflow()
        sizes = [kernel.shape[1] for kernel in first_kernels(self.network)]
        *sums, leaf = tf.split(sums, [*sizes, sums.shape[1] - sum(sizes)], axis=1)
        network = tf.reduce_mean(clip_logit(logits_of_sums(self.network, sums)), axis=1)
        if not self.forests:
            return network
        return self.trees.log_odds(leaf) + self.stack.network * network + self.stack.intercept
