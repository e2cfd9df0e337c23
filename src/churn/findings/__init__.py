"""What a reader of the report must know about the data: leaks, copies, columns that mislead."""

from __future__ import annotations

from churn.findings import leakage, quality
from churn.schema import Dataset, Finding


def find(data: Dataset) -> tuple[Finding, ...]:
    """All of it, with evidence and advice."""
    return leakage.find(data) + quality.find(data)
