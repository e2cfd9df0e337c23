"""Keys of the data: where rows come from, what columns mean, how rows are split."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Optional

from churn.config.limits import (
    ANY_NUMBER,
    BETWEEN_ZERO_AND_ONE,
    ONE_OR_MORE,
    POSITIVE,
    SHARE,
    ZERO_OR_MORE,
    key,
)


class Source(Enum):
    """Where rows come from; each is a module of `churn.data`."""

    synthetic = "synthetic"
    file = "file"
    kaggle = "kaggle"
    bigquery = "bigquery"


class Drift(Enum):
    """What changes in the synthetic world from `synthetic.drift_from` on."""

    none = "none"
    mean = "mean"  # monthly charges rise by `drift_size` standard deviations
    spread = "spread"  # the spread of monthly charges is multiplied by 1 + `drift_size`
    share = "share"  # `drift_size` of the customers move to fiber optic
    level = "level"  # `drift_size` of the customers pay by a method never seen before
    missing = "missing"  # `drift_size` of the tenures go missing
    concept = "concept"  # same inputs, other behaviour: log-odds of month-to-month customers + `drift_size`


@dataclass
class SyntheticConfig:
    """The embedded generator (`churn.data.sources.synthetic`)."""

    rows: int = key(10_000, ONE_OR_MORE)  # customers
    churn_rate: float = key(0.265, BETWEEN_ZERO_AND_ONE)  # share of customers who leave, before drift
    missing: float = key(0.01, SHARE)  # share of blank cells in the columns that can be blank
    start: str = "2025-01-01"  # date of the first snapshot, ISO
    days: int = key(365, ONE_OR_MORE)  # days over which snapshots spread
    dates: bool = False  # whether to add the column `Snapshot` with the date of each row
    drift: Drift = Drift.none
    drift_size: float = key(0.0, ANY_NUMBER)  # unit depends on the kind, see Drift
    drift_from: Optional[str] = None  # date from which drift acts, ISO; null: from the start


@dataclass
class BigQueryConfig:
    """A table or a query (`churn.data.sources.bigquery`)."""

    project: Optional[str] = None  # project that pays; null: the default of the credentials
    table: Optional[str] = None  # project.dataset.table, or
    query: Optional[str] = None  # a SELECT in GoogleSQL
    location: Optional[str] = None  # where the data lie, e.g. EU; null: found by the service
    max_gigabytes: float = key(
        1.0, POSITIVE
    )  # 10^9 bytes; what would read more is refused before anything is billed


@dataclass
class DataConfig:
    """A data set: where it is and what its columns mean. Empty roles are inferred and printed."""

    name: Optional[str] = None  # short name, part of the run directory; null: the file's
    source: Source = Source.file
    path: Optional[str] = None  # file, glob or folder, local or gs://
    url: Optional[str] = None  # where to download `path` from if it is not given
    sha256: Optional[str] = None  # what the download must hash to
    cache: str = "${run.root}/cache"  # folder that keeps downloads
    kaggle: Optional[str] = None  # owner/data-set on Kaggle, or owner/data-set/versions/N
    kaggle_file: Optional[str] = None  # file within it; null: the only table there
    bigquery: BigQueryConfig = field(default_factory=BigQueryConfig)
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)

    target: Optional[str] = None  # column that says who left
    churned: list[str] = field(default_factory=list)  # its values that mean "left"; empty: usual spellings
    id: Optional[str] = None  # column that names the customer; never a feature
    time: Optional[str] = None  # column with the date of the row; the split is then by time
    horizon: int = key(30, ZERO_OR_MORE)  # days after `time` in which the label is decided; gap between parts
    numeric: list[str] = field(default_factory=list)
    categorical: list[str] = field(default_factory=list)
    drop: list[str] = field(default_factory=list)  # columns left out; say why in a comment

    delimiter: Optional[str] = None  # null: recognised
    encoding: Optional[str] = None  # null: recognised
    skip_lines: Optional[int] = key(None, ZERO_OR_MORE)  # lines before the header; null: recognised
    decimal: str = "."  # decimal mark of numbers in text
    thousands: Optional[str] = None  # thousands separator of numbers in text
    missing: list[str] = field(default_factory=list)  # texts that mean "missing", beside blank
    max_bad_rows: int = key(0, ZERO_OR_MORE)  # rows that may be set aside in a file next to the run
    drop_copies: bool = False  # drop exact copies of rows even where no id tells that they are copies


class SplitMethod(Enum):
    """How rows are dealt out to the four parts."""

    stratified = "stratified"  # by customer and copy, same churn rate in each part
    time = "time"  # chosen by itself where `data.time` is named
    customer = (
        "customer"  # as stratified, even where `data.time` is named: what a challenger learns is recent
    )
    article = "article"  # the tutorial's: random, not stratified, no calibration part


@dataclass
class SplitConfig:
    """Shares of the rows; what remains is the train part."""

    method: SplitMethod = SplitMethod.stratified
    test: float = key(0.2, BETWEEN_ZERO_AND_ONE)
    calibration: float = key(0.1, BETWEEN_ZERO_AND_ONE)
    validation: float = key(0.1, BETWEEN_ZERO_AND_ONE)
