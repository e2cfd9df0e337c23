"""What the finished table shows: columns that decide the label, and seasons."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.stats import chi2_contingency

from churn.config.events import EventsConfig
from churn.data.dataset import Finding
from churn.data.findings.leakage import columns_that_reveal_target
from churn.data.sources.parquet import to_pandas
from churn.events.names import CHURNED, feature_roles
from churn.events.writing import Contents, sample_table

CHANCE = 0.01  # probability of differences between months under which they are called a season
MATTERS = 1.5  # ratio of the rates of the worst and the best month from which that matters


def decided_by_a_column(contents: Contents, cfg: EventsConfig) -> Iterator[Finding]:
    """Features that alone nearly give the label away, in a sample of the rows."""
    frame = to_pandas(sample_table(contents))
    churned = frame[CHURNED].to_numpy(np.int8)
    if churned.min(initial=1) == churned.max(initial=0):
        return
    roles = feature_roles(cfg)
    numbers = [name for name in roles["numeric"] if contents.known[name]]
    texts = [name for name in roles["categorical"] if contents.known[name]]
    features = frame[numbers].astype(np.float64).join(frame[texts].astype("str").fillna(""))
    yield from columns_that_reveal_target(features, churned)


def seasonal(contents: Contents) -> Iterator[Finding]:
    """Whether the base rate depends on the month, where more than a year of cut-offs shows it."""
    months: dict[str, np.ndarray] = {}
    for cutoff, (rows, churned) in contents.by_cutoff.items():
        months[cutoff[5:7]] = months.get(cutoff[5:7], np.zeros(2)) + np.array([churned, rows - churned])
    years = {cutoff[:4] for cutoff in contents.by_cutoff}
    table = np.array([months[month] for month in sorted(months)])
    if len(table) < 6 or len(years) < 2 or (table.sum(axis=0) == 0).any():
        return
    rate = table[:, 0] / table.sum(axis=1)
    probability = chi2_contingency(table).pvalue
    if probability < CHANCE and rate.max() > MATTERS * rate.min():
        low, high = (sorted(months)[i] for i in (int(rate.argmin()), int(rate.argmax())))
        yield Finding(
            "the base rate depends on the time of the year",
            f"{rate.max():.1%} at cut-offs of month {high}, {rate.min():.1%} of month {low}; by chance with "
            f"a probability of {probability:.1g}",
            "take cut-offs of whole years, and look at the report's calibration: the test part is one season",
        )
