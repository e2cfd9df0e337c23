"""Keys of the data: where rows come from, what the columns mean, how rows are split."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Optional

from churn.config.limits import (
    ANY_NUMBER,
    BETWEEN_ZERO_AND_ONE,
    CHURN_RATE,
    DAYS,
    DAYS_OR_NONE,
    ONE_OR_MORE,
    POSITIVE,
    SHARE,
    ZERO_OR_MORE,
    day,
    key,
)


class Source(Enum):
    """Where rows come from; the readers are in `churn.data.sources`."""

    synthetic = "synthetic"
    file = "file"
    kaggle = "kaggle"
    bigquery = "bigquery"


class Drift(Enum):
    """What changes for the synthetic customers from `synthetic.drift_from` on."""

    none = "none"
    mean = "mean"  # monthly charges rise by `drift_size` standard deviations
    spread = "spread"  # the spread of monthly charges is multiplied by 1 + `drift_size`
    share = "share"  # `drift_size` of the customers move to fiber optic
    level = "level"  # `drift_size` of the customers pay by a new method
    missing = "missing"  # `drift_size` of the tenures go missing
    concept = "concept"  # the log-odds of churn of month-to-month customers rise by `drift_size`


@dataclass
class SyntheticConfig:
    """The generator of customers (`churn.data.sources.synthetic`)."""

    rows: int = key(10_000, ONE_OR_MORE)  # customers
    churn_rate: float = key(0.265, CHURN_RATE)  # share of customers who leave, before drift
    missing: float = key(0.01, SHARE)  # share of blank cells in the columns that can be blank
    start: str = day("2025-01-01")  # date of the first snapshot, ISO
    days: int = key(365, DAYS)  # days over which the snapshots are spread
    dates: bool = False  # add the column `Snapshot` with the date of each row
    drift: Drift = Drift.none
    drift_size: float = key(0.0, ANY_NUMBER)  # the unit depends on the kind, see Drift
    drift_from: Optional[str] = day(None)  # first date of the drift, ISO; null: from the start


@dataclass
class BigQueryConfig:
    """A table or a query of BigQuery (`churn.data.sources.bigquery`)."""

    project: Optional[str] = None  # that pays; null: `deploy.project`, else the default of the credentials
    table: Optional[str] = None  # PROJECT.DATASET.TABLE; set this or `query`
    query: Optional[str] = None  # one SELECT in GoogleSQL
    location: Optional[str] = None  # where the data are stored, e.g. EU; null: BigQuery finds it
    max_gigabytes: float = key(1.0, POSITIVE)  # 10^9 bytes; a larger read is refused before it is billed


@dataclass
class DataConfig:
    """A data set: where it is and what its columns mean. Roles that are not set are inferred and printed."""

    name: Optional[str] = None  # short name, part of the run directory; null: the name of the file
    source: Source = Source.file
    path: Optional[str] = (
        None  # file, glob or folder, local or gs://; or a database, e.g. postgresql://HOST/NAME
    )
    url: Optional[str] = None  # where to download the file from if `path` is null
    sha256: Optional[str] = None  # hash that the download must have; null: not checked
    cache: str = "${run.root}/cache"  # folder for downloads
    kaggle: Optional[str] = None  # OWNER/DATA-SET on Kaggle, or OWNER/DATA-SET/versions/N
    kaggle_file: Optional[str] = None  # file within it; null: its only file
    bigquery: BigQueryConfig = field(default_factory=BigQueryConfig)
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)

    target: Optional[str] = None  # column that says who left
    churned: list[str] = field(default_factory=list)  # its values that mean "left"; empty: usual spellings
    id: Optional[str] = None  # column that names the customer; never a feature
    time: Optional[str] = None  # column with the date of the row; rows are then split by time
    horizon: int = key(30, DAYS_OR_NONE)  # days from `time` until the label is known: gap before the test
    numeric: list[str] = field(default_factory=list)  # columns of numbers
    categorical: list[str] = field(default_factory=list)  # columns of categories
    drop: list[str] = field(default_factory=list)  # columns to leave out; say why in a comment
    # Columns about persons, such as names and addresses: they are read and forgotten, so that no file has
    # their cells. (The id is known without being named here.)
    personal: list[str] = field(default_factory=list)
    # Columns whose groups the decision should treat alike, such as gender; also in `drop` if the model must
    # not see them. The report shows what the decision does to each group (`churn.evaluate.fairness`).
    protected: list[str] = field(default_factory=list)
    # What customers can change themselves, and how far: for a number the least and the greatest change, for a
    # category the levels to move to. The report shows whose decision flips (`churn.evaluate.attack`).
    influence: dict[str, Any] = field(
        default_factory=dict
    )  # {MonthlyCharges: [-20, 0], Contract: [One year]}

    delimiter: Optional[str] = None  # of a text file; null: recognised
    encoding: Optional[str] = None  # of a text file; null: recognised
    skip_lines: Optional[int] = key(None, ZERO_OR_MORE)  # lines before the header; null: recognised
    sheet: Optional[str] = None  # of a workbook; null: the only visible one that is a table
    table: Optional[str] = None  # of a database, or the object of an R file; null: the only one
    query: Optional[str] = None  # of a database, instead of a table: one SELECT
    decimal: str = "."  # decimal mark of numbers in text
    thousands: Optional[str] = None  # thousands separator of numbers in text
    missing: list[str] = field(default_factory=list)  # texts that mean "missing", beside blank
    max_bad_rows: int = key(0, ZERO_OR_MORE)  # rows that may be set aside, in a file in the run
    drop_copies: bool = False  # drop exact copies of rows even if the table has no id


class SplitMethod(Enum):
    """How rows are divided into the four parts."""

    stratified = "stratified"  # by customer, with the same churn rate in each part
    time = "time"  # by time; used whenever `data.time` is set
    customer = "customer"  # as stratified, even if `data.time` is set: a challenger needs recent rows
    article = "article"  # as in the tutorial: random, not stratified, no calibration part


@dataclass
class SplitConfig:
    """Shares of the rows, from 0 to 1; the rest is the train part."""

    method: SplitMethod = SplitMethod.stratified
    test: float = key(0.2, BETWEEN_ZERO_AND_ONE)
    calibration: float = key(0.1, BETWEEN_ZERO_AND_ONE)
    validation: float = key(0.1, BETWEEN_ZERO_AND_ONE)
