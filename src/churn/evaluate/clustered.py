"""Clustered standard errors: 95 % intervals where rows of one customer tell less than as many customers.

Everywhere `customer` [n] numbers the customer of each row, as `churn.data.customers.number_customers` does.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from churn.evaluate.bootstrap import Estimate, jeffreys_interval

WIDTH = 1.96  # standard errors to each side


def clustered_interval(value: float, deviations: np.ndarray, customer: np.ndarray) -> Estimate:
    """`value` with its 95 % interval; each row adds its deviation [n] to the error, together per customer.

    >>> auc, deviations = auc_deviations(churned, probability, customer)
    >>> clustered_interval(auc, deviations, customer)
    """
    error = float(np.sqrt((np.bincount(customer, deviations) ** 2).sum()))
    return Estimate(value, value - WIDTH * error, value + WIDTH * error)


def mean_interval(values: np.ndarray, customer: np.ndarray) -> Estimate:
    """The mean of [n] values with its 95 % interval."""
    return clustered_interval(float(values.mean()), _mean_deviations(values, customer), customer)


def auc_interval(churned: np.ndarray, probability: np.ndarray, customer: np.ndarray) -> Estimate:
    """ROC AUC with its 95 % interval, see `auc_deviations`."""
    found = clustered_interval(*auc_deviations(churned, probability, customer), customer)
    return Estimate(found.value, max(0.0, found.low), min(1.0, found.high))


def auc_deviations(
    churned: np.ndarray, probability: np.ndarray, customer: np.ndarray
) -> tuple[float, np.ndarray]:
    """ROC AUC, and what each row [n] adds to its error.

    As by DeLong, DeLong and Clarke-Pearson 1988; with several rows of a customer by Obuchowski 1997.
    """
    left = churned == 1
    ranks, deviations = rankdata(probability), np.empty(len(churned))
    above = (ranks[left] - rankdata(probability[left])) / (~left).sum()  # share of stayers below each churner
    below = 1 - (ranks[~left] - rankdata(probability[~left])) / left.sum()
    deviations[left] = _mean_deviations(above, customer[left])
    deviations[~left] = _mean_deviations(below, customer[~left])
    return float(above.mean()), deviations


def share_interval(hits: np.ndarray, customer: np.ndarray) -> Estimate:
    """The share of the hits [n] with its 95 % interval (Jeffreys' for the effective rows)."""
    share, rows = float(hits.mean()), effective_rows(hits, customer)
    low, high = jeffreys_interval(share * rows, rows)
    return Estimate(share, float(low), float(high))


def effective_rows(hits: np.ndarray, customer: np.ndarray) -> float:
    """How many independent rows would tell as much about the share of the hits [n], which are 0 or 1.

    Where all hits, or all customers, are alike: the customers. Source: Korn and Graubard 1998, Confidence
    Intervals for Proportions.
    """
    share, rows, size = hits.mean(), len(hits), np.bincount(customer)
    customers = np.count_nonzero(size)
    deviations = np.bincount(customer, hits) * rows - hits.sum() * size  # whole numbers, so that 0 is 0
    if not deviations.any():
        return float(customers)
    error = (deviations**2).sum() / rows**4 * customers / (customers - 1) * (rows - 1) / rows
    return float(min(rows, share * (1 - share) / error))


def _mean_deviations(values: np.ndarray, customer: np.ndarray) -> np.ndarray:
    """[n] what each value adds to the error of their mean; unknown of one customer."""
    customers = len(np.unique(customer))
    factor = np.sqrt(customers / (customers - 1)) if customers > 1 else np.nan
    return (values - values.mean()) / len(values) * factor
