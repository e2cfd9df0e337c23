"""Reasons that set a customer apart: what most of a list share is said once, above it."""

from __future__ import annotations

from collections import Counter

import pandas as pd

COMMON = 0.5  # share of the customers from which a reason is common
FEWEST = 5  # customers; a shorter list has no common reasons


def set_apart(explained: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The reasons [n, r] of each customer, common ones last; and a line about each common one.

    >>> set_apart(reasons)[1]
    ['47 of 50: Contract is Month-to-month']
    """
    rows = explained.to_numpy(object).tolist()
    times = Counter(claim_of(reason) for row in rows for reason in row)
    least = max(FEWEST, COMMON * len(rows))
    common = {claim: number for claim, number in times.most_common() if number >= least}
    ordered = [sorted(row, key=lambda reason: claim_of(reason) in common) for row in rows]
    lines = [f"{number:,} of {len(rows):,}: {claim}" for claim, number in common.items()]
    return pd.DataFrame(ordered, explained.index, explained.columns), lines


def claim_of(reason: str) -> str:
    """A reason without its number.

    >>> claim_of("Contract is Month-to-month (+0.12)")
    'Contract is Month-to-month'
    """
    return reason.rpartition(" (")[0]
