"""Groups of customers that chance alone has made, and how much a rate differs between groups."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def permuted_groups(
    group: np.ndarray, customer: np.ndarray, permutations: int, seed: int
) -> Iterator[np.ndarray]:
    """[n] the group of each row, where each customer's rows have the groups of another's, drawn by chance.

    group, customer: [n] numbers. Rows take these groups one after the other, and again from the first where
    the other has fewer, so that a customer's rows agree, or change groups, as they do in truth.
    """
    random, order = np.random.default_rng(seed), np.argsort(customer, kind="stable")
    _, first, sizes = np.unique(customer[order], return_index=True, return_counts=True)
    number = np.repeat(np.arange(len(sizes)), sizes)
    place, in_order = np.arange(len(order)) - first[number], group[order]
    for _ in range(permutations):
        other, drawn = random.permutation(len(sizes))[number], np.empty_like(group)
        drawn[order] = in_order[first[other] + place % sizes[other]]
        yield drawn


def largest_difference(hits: np.ndarray, group: np.ndarray) -> float:
    """The largest difference between the shares of the hits [n], which are 0 or 1, of two groups."""
    rows = np.bincount(group)
    return float(np.ptp(np.bincount(group, hits)[rows > 0] / rows[rows > 0]))
