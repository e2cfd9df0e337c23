"""Keys of monitoring, retraining and the simulated year."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Optional

from churn.config.limits import (
    ANY_NUMBER,
    BETWEEN_ZERO_AND_ONE,
    DAYS,
    DAYS_OR_NONE,
    ONE_OR_MORE,
    PER_CENT,
    POSITIVE,
    SHARE,
    ZERO_OR_MORE,
    key,
)


@dataclass
class TriggerConfig:
    """When `churn retrain` trains a challenger (`churn.retrain.trigger`)."""

    # A retraining starts if `alarms` of the last `windows` windows had an alarm by drift, the newest included
    # (0: never), if the performance dropped, or if the last retraining was `every_days` ago.
    alarms: int = key(2, ZERO_OR_MORE)
    windows: int = key(5, ONE_OR_MORE)
    performance: bool = True  # a drop counts if its interval excludes zero
    every_days: Optional[float] = key(None, DAYS)  # null: no schedule
    cooldown_days: float = key(28.0, DAYS_OR_NONE)  # days after a retraining without another one
    per_week: int = key(1, ONE_OR_MORE)  # retrainings, at most


@dataclass
class GateConfig:
    """What a challenger must show (`churn.retrain.gate`)."""

    # "No worse" means: worse by less than the margin, with 1,400 rows. With n rows the margin is multiplied
    # by the square root of 1,400/n, but at least by half.
    margin_auc: float = key(0.02, POSITIVE)
    margin_log_loss: float = key(0.015, POSITIVE)  # nats
    confidence: float = key(0.95, BETWEEN_ZERO_AND_ONE)  # of each one-sided bound for "no worse"
    superiority: float = key(0.99, BETWEEN_ZERO_AND_ONE)  # of each one-sided bound for "better"
    bootstrap: int = key(1_000, ONE_OR_MORE)  # resamples for the bounds
    min_rows: int = key(500, ONE_OR_MORE)  # fresh rows; with fewer there is no promotion
    min_churners: int = key(50, ONE_OR_MORE)  # churners among them, and the same number of stayers
    # Largest difference between two groups of `data.protected`, on the test part; null: any. A model above
    # it, or one whose groups are unknown, does not become the champion: not by itself, nor by `promote`.
    demographic_parity: Optional[float] = key(None, SHARE)  # of their selection rates
    equalized_odds: Optional[float] = key(None, SHARE)  # of their true, or their false positive rates


class Treated(Enum):
    """What to do with the labels of customers who were called: the call may have changed them."""

    keep_out = "keep_out"  # leave these customers out
    correct = "correct"  # leave them out, and weight up the control customers, who were not called
    keep = "keep"


@dataclass
class RetrainConfig:
    """`churn retrain`."""

    force: bool = False  # retrain whatever the trigger says
    now: Optional[str] = None  # time of the decision, ISO, UTC; null: now
    window_days: Optional[float] = key(730.0, DAYS)  # age of the oldest rows to train on; null: any age
    half_life_days: Optional[float] = key(None, DAYS)  # age at which half of the rows are used; null: all
    # Fresh rows only compare the models. They belong to this share of the customers, are newer than the
    # champion's training rows, and are at most this many days older than the newest row.
    fresh_share: float = key(0.3, BETWEEN_ZERO_AND_ONE)
    fresh_days: float = key(90.0, DAYS)
    treated: Treated = Treated.keep_out
    segments: list[str] = field(default_factory=list)  # categories; the challenger must not harm any level
    probation_days: float = key(90.0, DAYS_OR_NONE)  # days whose outcomes may undo a promotion ...
    rollback_confidence: float = key(0.995, BETWEEN_ZERO_AND_ONE)  # ... if it is worse with this confidence
    # Before anything is trained: if more customers with open windows left than predicted, the log-odds rise.
    recalibration_days: float = key(28.0, DAYS_OR_NONE)  # age of the oldest predictions that count; 0: never
    recalibration_significance: float = key(0.0005, BETWEEN_ZERO_AND_ONE)  # share of false ones, one decision
    canary: int = key(20, PER_CENT)  # per cent of Vertex AI's traffic for a challenger during its probation
    trigger: TriggerConfig = field(default_factory=TriggerConfig)
    gate: GateConfig = field(default_factory=GateConfig)


@dataclass
class MonitorConfig:
    """`churn monitor`; files go to `dir`."""

    log: Optional[str] = None  # folder, Parquet file or bq://PROJECT.DATASET.TABLE; null: the server's log
    since: Optional[str] = None  # start of the window, ISO, UTC; null: `days` before its end
    until: Optional[str] = None  # end of the window, ISO, UTC; null: now
    days: float = key(7.0, DAYS)  # length of the window
    labels: Optional[str] = None  # who left: file or bq:// table, see docs/monitoring.md
    label_days: float = key(180.0, DAYS)  # age of the oldest closed windows that measure the model
    dir: Optional[str] = None  # null: <run.root>/monitor/<data name>
    prometheus: Optional[str] = None  # file for Prometheus' node exporter; null: churn.prom in `dir`
    exit_code: bool = False  # end with code 10 after a warning and 11 after an alarm
    min_rows: int = key(200, ONE_OR_MORE)  # predictions; with fewer there is no verdict
    # Bias-corrected population stability index from which a significant change is a warning, or an alarm.
    warning_psi: float = key(0.02, ZERO_OR_MORE)
    alarm_psi: float = key(0.10, ZERO_OR_MORE)
    permutations: int = key(2_000, ZERO_OR_MORE)  # for the test of all features together, at most; 0: no test


@dataclass
class LoopConfig:
    """`churn loop`: the simulated year (`churn.retrain.simulation`)."""

    seeds: int = key(1, ONE_OR_MORE)  # years to simulate, with the seeds `seed`, `seed` + 1, ...
    rows_per_day: int = key(40, ONE_OR_MORE)  # customers
    window_days: int = key(7, DAYS)  # days between two reports of the monitor, and two decisions
    label_days: int = key(60, DAYS)  # days until it is known who stayed; who left is known at once
    memory_days: int = key(180, DAYS)  # days of labelled rows that a model learns from
    settled_days: int = key(90, DAYS)  # days of labelled rows that measure the champion
    history_days: int = key(240, DAYS)  # days before the year, for the first champion
    price_month: int = key(5, ONE_OR_MORE)  # month in which prices rise ...
    price_rise: float = key(0.5, ANY_NUMBER)  # ... by this many standard deviations of the monthly charge ...
    price_odds: float = key(0.8, ANY_NUMBER)  # ... and everybody's log-odds of churn by this
    competitor_month: int = key(9, ONE_OR_MORE)  # month in which a competitor buys out long contracts ...
    competitor_odds: float = key(2.0, ANY_NUMBER)  # ... and their customers' log-odds of churn rise by this
    epochs: int = key(16, ONE_OR_MORE)  # of the small network of the simulation
