"""What the rows of a snapshot show about its labels: columns that reveal them, and seasons."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.stats import chi2_contingency

from churn.config.events import EventsConfig
from churn.data.dataset import Finding
from churn.data.findings.leakage import columns_that_reveal_target
from churn.data.sources.columns import to_pandas
from churn.events.names import CHURNED, CUSTOMER, feature_roles
from churn.events.writing import Contents, sample_table

CHANCE = 0.01  # probability of differences between months under which they are called a season
MATTERS = 1.5  # ratio of the rates of the worst and the best month from which that matters


def label_findings(contents: Contents, cfg: EventsConfig) -> Iterator[Finding]:
    """Both kinds."""
    yield from _seasons(contents)
    yield from _revealing_columns(contents, cfg)


def _revealing_columns(contents: Contents, cfg: EventsConfig) -> Iterator[Finding]:
    """Features that alone nearly give the label away, in a sample of the rows."""
    frame, roles = to_pandas(sample_table(contents)), feature_roles(cfg)
    numbers = [name for name in roles["numeric"] if contents.known[name]]
    texts = [name for name in roles["categorical"] if contents.known[name]]
    features = frame[numbers].astype(np.float64).join(frame[texts].astype("str").fillna(""))
    ids, churned = frame[CUSTOMER].to_numpy(), frame[CHURNED].to_numpy(np.int8)
    yield from columns_that_reveal_target(features, churned, ids)


def _seasons(contents: Contents) -> Iterator[Finding]:
    """Whether the base rate depends on the month, where more than a year of cut-offs shows it."""
    months = _counts_by_month(contents)
    years = {cutoff[:4] for cutoff in contents.by_cutoff}
    table = np.array([months[month] for month in sorted(months)])
    if len(table) < 6 or len(years) < 2 or (table.sum(axis=0) == 0).any():
        return
    rate = table[:, 0] / table.sum(axis=1)
    chance = chi2_contingency(table).pvalue
    if chance < CHANCE and rate.max() > MATTERS * rate.min():
        low, high = (sorted(months)[i] for i in (int(rate.argmin()), int(rate.argmax())))
        evidence = (
            f"{rate.max():.1%} at cut-offs of month {high}, {rate.min():.1%} of month {low}; by chance "
        )
        evidence += f"with a probability of {chance:.1g}"
        do = "take cut-offs of whole years, and look at the report's calibration: the test part is one season"
        yield Finding("the base rate depends on the time of the year", evidence, do)


def _counts_by_month(contents: Contents) -> dict[str, np.ndarray]:
    """Rows [2] that churned and did not, by the month of the cut-off."""
    months: dict[str, np.ndarray] = {}
    for cutoff, (rows, churned) in contents.by_cutoff.items():
        months[cutoff[5:7]] = months.get(cutoff[5:7], np.zeros(2)) + np.array([churned, rows - churned])
    return months
