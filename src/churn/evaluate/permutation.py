"""How much a rate differs between groups that chance alone has made."""

from __future__ import annotations

import numpy as np


def largest_differences(
    hits: np.ndarray, group: np.ndarray, customer: np.ndarray, permutations: int, seed: int
) -> np.ndarray:
    """[B] the largest difference between the shares of hits of two groups, with customers permuted.

    hits: [n] 0 or 1; group, customer: [n] numbers. The rows of a customer stay together, in the group of the
    first of them.
    """
    random, groups = np.random.default_rng(seed), group.max() + 1
    _, first, number = np.unique(customer, return_index=True, return_inverse=True)
    differences = np.empty(permutations)
    for i in range(permutations):
        drawn = random.permutation(group[first])[number]
        rows = np.bincount(drawn, minlength=groups)
        rates = np.bincount(drawn, hits, groups)[rows > 0] / rows[rows > 0]
        differences[i] = np.ptp(rates)
    return differences
