"""Keys of event tables: what customers did, who has churned, and the snapshots that are made of both."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Optional

from churn.config.limits import (
    BETWEEN_ZERO_AND_ONE,
    DAYS,
    DAYS_OR_NONE,
    MONTHS,
    ONE_OR_MORE,
    POSITIVE,
    ZERO_OR_MORE,
    day,
    key,
)


class ChurnKind(Enum):
    """When a customer counts as churned (`churn.events.outcome`)."""

    cancelled = "cancelled"  # an event says so, or a contract ends and none goes on
    not_renewed = "not_renewed"  # a contract ends, and no other begins within `grace` days
    inactive = "inactive"  # no event within the horizon, of those with one in the `lookback` days before


class Step(Enum):
    """From one cut-off to the next."""

    day = "day"
    week = "week"  # Mondays
    month = "month"  # the first of each


class Engine(Enum):
    """What runs the queries."""

    duckdb = "duckdb"  # on this machine, out of core
    bigquery = "bigquery"  # Google's; all tables are bq://PROJECT.DATASET.TABLE


@dataclass
class TableConfig:
    """Where a table is, whose rows they are, and how its text is written."""

    path: Optional[str] = (
        None  # file, glob or folder below `events.folder`; gs://; bq://PROJECT.DATASET.TABLE
    )
    customer: Optional[str] = None  # column that names the customer
    arrival: Optional[str] = None  # column with the time from which a row was known; null: when it happened
    only: dict[str, list[str]] = field(default_factory=dict)  # column -> values: other rows are left out
    delimiter: Optional[str] = None  # null: recognised
    encoding: Optional[str] = None  # null: recognised
    decimal: str = "."  # decimal mark of numbers in text
    thousands: Optional[str] = None  # thousands separator of numbers in text


@dataclass
class EventTable(TableConfig):
    """Things that happened at a time, one a row."""

    time: Optional[str] = None  # column with the time of the event
    values: list[str] = field(default_factory=list)  # columns of numbers: sum, mean, spread, trend
    categories: list[str] = field(default_factory=list)  # columns of few texts: share of each level
    levels: dict[str, list[str]] = field(default_factory=dict)  # of a category; left out: the most frequent
    distinct: list[str] = field(default_factory=list)  # columns of many texts: how many different ones
    drop_copies: Optional[bool] = None  # copies of an event count once; null: where times have a time of day


@dataclass
class ContractTable(TableConfig):
    """Times during which somebody is a customer, one a row."""

    begin: Optional[str] = None  # column with the first day
    end: Optional[str] = None  # column with the last day; blank: it goes on


@dataclass
class PropertyTable(TableConfig):
    """What a customer is from a date on, until the next row."""

    since: Optional[str] = None  # column with that date; null: always, only right for what never changes
    numeric: list[str] = field(default_factory=list)
    categorical: list[str] = field(default_factory=list)
    dates: list[str] = field(default_factory=list)  # columns of dates: days since then


@dataclass
class ChurnConfig:
    """Who has churned."""

    kind: ChurnKind = ChurnKind.cancelled
    table: Optional[str] = None  # name of a table of contracts, or of events: cancellations, or signs of life
    begin: Optional[str] = None  # where `table` holds cancellations: the events with which somebody begins
    grace: int = key(30, DAYS_OR_NONE)  # days; not_renewed: in which the next contract may begin
    lookback: int = key(90, DAYS)  # days; inactive: customers are those with an event in them


@dataclass
class CutoffConfig:
    """The dates at whose first moment the question is asked."""

    first: Optional[str] = None  # ISO; null: the first before which the longest window has history
    last: Optional[str] = None  # ISO; null: the last whose outcome is known
    step: Step = Step.month


@dataclass
class SyntheticEventsConfig:
    """Synthetic event tables whose hazard is known (`churn.events.synthetic`)."""

    customers: int = key(3_000, ONE_OR_MORE)  # on the first day; others come later
    months: int = key(24, MONTHS)
    start: str = day("2023-01-01")  # ISO, the first of a month
    churn_rate: float = key(0.05, BETWEEN_ZERO_AND_ONE)  # share of customers who leave in a month, about


@dataclass
class EventsConfig:
    """`churn snapshot`: event tables to labelled point-in-time snapshots."""

    name: Optional[str] = None
    folder: Optional[str] = None  # that paths of tables are relative to; null: the current folder
    timezone: str = "UTC"  # of times without a zone, and in which days begin, e.g. Europe/Berlin
    tables: dict[str, EventTable] = field(default_factory=dict)
    contracts: dict[str, ContractTable] = field(default_factory=dict)
    properties: dict[str, PropertyTable] = field(default_factory=dict)
    churn: ChurnConfig = field(default_factory=ChurnConfig)
    cutoffs: CutoffConfig = field(default_factory=CutoffConfig)
    horizon: int = key(30, DAYS)  # days from the cut-off in which it is decided who churns
    windows: list[int] = key([30, 90, 180], DAYS)  # days before the cut-off that are summed up
    until: Optional[str] = None  # ISO, first day that the data do not hold whole; null: the newest event's
    max_levels: int = key(8, ONE_OR_MORE)  # levels of a category whose shares are features, at most
    max_bad_rows: int = key(0, ZERO_OR_MORE)  # rows that may be left out because a cell cannot be read
    engine: Engine = Engine.duckdb
    memory_gb: float = key(0.6, POSITIVE)  # 10^9 bytes that DuckDB may hold; more goes to `scratch`
    threads: Optional[int] = key(None, ONE_OR_MORE)  # null: one for each core
    scratch: Optional[str] = None  # folder for what does not fit in memory; null: the system's temporary one
    plan_only: bool = False  # bigquery: print the SQL and what it would read, and stop
    synthetic: SyntheticEventsConfig = field(default_factory=SyntheticEventsConfig)
