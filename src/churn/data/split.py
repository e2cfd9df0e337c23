"""Split the rows into train, validation, calibration and test.

The rows of one customer, and copies of a row, stay in one part; where the table has a time, the parts follow
one another in time instead, so that a customer may be in several. The default network is cross-fitted on all
rows but the test part (`churn.network.crossfit`); baselines and the tutorial's network use the parts.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import train_test_split

from churn.config.data import SplitConfig, SplitMethod
from churn.data.dataset import Dataset
from churn.errors import UserError, count

DIGITS = 5  # in which the numbers of copies of a row agree
MOST_COPIES, MOST_COPIES_SHARE = 20, 0.01  # rows with equal features that may be copies of one row
FEW_IDS = 20  # so few values, each of several rows, name no customers
FEWEST = 2  # rows that a part needs: one of each kind
MOST_LINKED = 0.05  # share of the rows that may hang together because some have equal features


@dataclass(frozen=True)
class Splits:
    """Positions of the rows of each part, ascending except for `SplitMethod.article`; no row is in two."""

    train: np.ndarray
    validation: np.ndarray
    calibration: np.ndarray
    test: np.ndarray

    @classmethod
    def of(cls, part: np.ndarray) -> Splits:
        """From the part of each row: [n] 0 train, 1 validation, 2 calibration, 3 test."""
        return cls(*(np.flatnonzero(part == number) for number in range(4)))

    def sizes(self) -> dict[str, int]:
        """Rows of each part."""
        return {part.name: len(getattr(self, part.name)) for part in fields(self)}


def split_dataset(data: Dataset, cfg: SplitConfig, horizon: int, seed: int) -> Splits:
    """The four parts; the same data, configuration and seed give the same parts on any machine.

    `horizon`: days from a row's time until its label is known. Raises `UserError` if a part would be empty
    or have one class only, or if rows without dates are to be split by time.

    >>> splits = split_dataset(data, cfg.split, cfg.data.horizon, cfg.seed)
    >>> splits.sizes()
    """
    check_shares(cfg)
    if cfg.method == SplitMethod.time and data.times is None:
        raise UserError("no column has the date of a row", "split.method=time", "name it: data.time=COLUMN")
    few = ""
    if cfg.method == SplitMethod.article:
        parts = _split_like_the_article(len(data), cfg.test, seed)
    elif data.times is not None and is_by_time(data, cfg):
        parts, few = _split_by_time(data.times, cfg, horizon), _few_dates(data.times, data.churned, cfg)
    else:
        parts, few = _split_by_customer(data, cfg, seed), _few_customers(data)
    check_both_classes(parts, data.churned, cfg, few)
    return parts


def is_by_time(data: Dataset, cfg: SplitConfig) -> bool:
    """Whether the parts follow one another in time."""
    return data.times is not None and cfg.method not in (SplitMethod.customer, SplitMethod.article)


def check_shares(cfg: SplitConfig) -> None:
    """Raise `UserError` if the shares leave no rows to train on."""
    if (share := cfg.test + cfg.calibration + cfg.validation) >= 1:
        raise UserError(f"the parts take {share:.0%} of the rows and leave none to train on", "split.*")


def part_boundaries(cfg: SplitConfig) -> np.ndarray:
    """[3] the cumulative shares of the rows at which validation, calibration and test begin."""
    return np.cumsum([1 - cfg.test - cfg.calibration - cfg.validation, cfg.validation, cfg.calibration])


def _split_by_customer(data: Dataset, cfg: SplitConfig, seed: int) -> Splits:
    """Stratified parts in which the rows of a customer, and copies of a row, stay together."""
    groups = linked_groups(data)
    first_row = np.unique(groups, return_index=True)[1]
    churner_in_group = np.zeros(len(first_row), dtype=bool)
    np.logical_or.at(churner_in_group, groups, data.churned.astype(bool))
    size = np.bincount(groups)
    part_of_group = np.empty(len(size), dtype=int)
    rng = np.random.default_rng(seed)
    for churner in (False, True):
        members = rng.permutation(np.flatnonzero(churner_in_group == churner))
        middle = np.cumsum(size[members]) - size[members] / 2
        part_of_group[members] = np.searchsorted(part_boundaries(cfg) * size[members].sum(), middle)
    return Splits.of(part_of_group[groups])


class Links(NamedTuple):
    """Which rows stay together."""

    groups: np.ndarray  # [n] the group of each row
    alike: np.ndarray  # [n] rows with equal features have the same number
    note: str  # what kept rows with equal features apart, for a finding
    advice: str  # what becomes of such rows


def linked_groups(data: Dataset) -> np.ndarray:
    """[n] the group of each row, see `link_rows`."""
    return link_rows(data).groups


def link_rows(data: Dataset) -> Links:
    """Rows of one customer stay together, and rows with equal features, as far as those may be copies.

    Numbers that agree in `DIGITS` digits count as equal: nobody tells such customers apart.
    Many rows with equal features are no copies but a common kind of customer, of which each part needs some.
    Where such rows would link customer to customer until most of the table hangs together, only the id links.
    """
    alike = pd.factorize(pd.util.hash_pandas_object(_rounded(data), index=False))[0]
    sizes = np.bincount(alike)
    common = sizes[alike] > max(MOST_COPIES, MOST_COPIES_SHARE * len(alike))
    copies = np.where(common, len(sizes) + np.arange(len(alike)), alike)
    many = f"; kinds of more than {sizes[alike][~common].max(initial=MOST_COPIES):,} rows are no copies"
    note = f"{many}: {common.sum():,} rows" * bool(common.any())
    together = "stay in one part of the split" + " unless they are many" * bool(common.any())
    if data.ids is None:
        return Links(pd.factorize(copies)[0], alike, note, together)
    customer = pd.factorize(data.ids)[0]
    groups = _components(customer, pd.factorize(copies)[0])
    largest = np.bincount(groups).max()
    if largest > max(np.bincount(customer).max(), MOST_LINKED * len(groups)):
        chained = f"; they would link {largest:,} of {len(groups):,} rows to one another"
        return Links(customer, alike, chained, f"only '{data.schema.id}' keeps rows together")
    return Links(groups, alike, note, together)


def _components(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """[n] the group of each row, where rows with the same number in either array are linked."""
    nodes = first.max() + 1 + second.max() + 1
    links = coo_matrix((np.ones(len(first)), (first, first.max() + 1 + second)), shape=(nodes, nodes))
    return pd.factorize(connected_components(links, directed=False)[1][first])[0]


def _rounded(data: Dataset) -> pd.DataFrame:
    """The features, with numbers rounded to `DIGITS` significant digits."""
    numbers = data.frame[list(data.schema.numeric)].to_numpy(float)
    size = np.where(np.isfinite(numbers) & (numbers != 0), abs(numbers), 1.0)
    unit = 10.0 ** (np.floor(np.log10(size)) - DIGITS + 1)
    rounded = np.round(numbers / unit) * unit + 0.0  # one zero
    return data.frame.assign(**dict(zip(data.schema.numeric, rounded.T, strict=True)))


def _split_by_time(times: np.ndarray, cfg: SplitConfig, horizon: int) -> Splits:
    """Parts that follow one another in time, with a gap of `horizon` days before the test part.

    A row whose label is known only after the test part begins belongs to no part: nobody could have learned
    from it. The others are divided by their shares. Before their parts no gap is needed, since the model is
    cross-fitted on all of them together.
    """
    boundaries = part_boundaries(cfg)
    test = np.sort(times)[min(int(np.ceil(boundaries[-1] * len(times))), len(times) - 1)]
    known = (times + np.timedelta64(horizon, "D") <= test) & (times < test)
    rest = np.sort(times[known])
    places = np.ceil(boundaries[:-1] / boundaries[-1] * len(rest)).astype(int)
    part = np.searchsorted(np.append(rest, test)[places], times, side="right")
    return Splits.of(np.where(times >= test, 3, np.where(known, part, -1)))


def _split_like_the_article(rows: int, test: float, seed: int) -> Splits:
    """The tutorial's parts: random, not stratified; as in Keras, the last fifth of the rest is validation."""
    rest, held_out = train_test_split(np.arange(rows), test_size=test, random_state=seed)
    train = int(len(rest) * (1 - 0.2))
    return Splits(rest[:train], rest[train:], np.empty(0, dtype=int), held_out)


def _few_dates(times: np.ndarray, churned: np.ndarray, cfg: SplitConfig) -> str:
    """What to do if dates are so few that a part is empty whatever the horizon; empty if none is."""
    asked = np.diff(part_boundaries(cfg), prepend=0, append=1) * len(times)
    empty = np.array([*_split_by_time(times, cfg, 0).sizes().values()]) == 0
    if not (empty & (asked >= FEWEST)).any() or churned.min() == churned.max():
        return ""
    _, rows = np.unique(times, return_counts=True)
    dates = f"{count(len(rows), 'different date')}, and one has {rows.max() / len(times):.0%} of them"
    return f"split.method=customer divides by customer: the rows have {dates}, too many for a part"


def _few_customers(data: Dataset) -> str:
    """What to do if the ids are so few that they name no customers; empty if they are enough."""
    if data.ids is None or (ids := len(pd.unique(data.ids))) > min(FEW_IDS, len(data) / 2):
        return ""
    if np.bincount(data.churned, minlength=2).min() < len(fields(Splits)):  # too few for the parts, anyhow
        return ""
    return (
        f"name another column in data.id: '{data.schema.id}' has {count(ids, 'value')} in {len(data):,} rows,"
        " and the rows of a customer stay together"
    )


def check_both_classes(parts: Splits, churned: np.ndarray, cfg: SplitConfig, do: str = "") -> None:
    """Raise `UserError` for a part without rows or with one class only; calibration may be empty.

    do: the advice, if it is not to use more rows.
    """
    gap = ""
    if in_gap := len(churned) - sum(parts.sizes().values()):
        gap = f"; {in_gap:,} rows lie in the gap before the test: data.horizon, unless the file declares it"
    for part in fields(parts):
        rows = getattr(parts, part.name)
        left = int(churned[rows].sum())
        if part.name == "calibration" and len(rows) == 0:
            continue  # as in the tutorial
        if left in (0, len(rows)):
            raise UserError(
                f"the {part.name} part has {len(rows)} rows, {left} of them churned: it needs both kinds",
                "split",
                (do or _how_many_more(churned, cfg, part.name)) + gap,
            )


def _how_many_more(churned: np.ndarray, cfg: SplitConfig, part: str) -> str:
    """What to do about a part without both kinds of rows."""
    shares = np.diff(part_boundaries(cfg), prepend=0, append=1)
    shares = shares[shares > 1e-9]
    fewest, kind = min((int((churned == 1).sum()), "churned"), (int((churned == 0).sum()), "staying"))
    enough = int(np.ceil(1 / shares.min() - 1e-9))
    more = "use more data"
    if 0 < fewest < enough:
        more += f": the shares in split need about {enough:,} {kind} rows, the table has {fewest:,}"
    larger = f", or a larger share (split.{'*' if part == 'train' else part})"
    return more + larger * (not 0 < fewest < len(shares))
