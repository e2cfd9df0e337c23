"""Keys of monitoring, retraining and the simulated year."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Optional

from churn.config.limits import (
    ANY_NUMBER,
    BETWEEN_ZERO_AND_ONE,
    ONE_OR_MORE,
    PER_CENT,
    POSITIVE,
    ZERO_OR_MORE,
    key,
)


@dataclass
class TriggerConfig:
    """When `churn retrain` trains a challenger (`churn.retrain.trigger`)."""

    alarms: int = key(
        2, ZERO_OR_MORE
    )  # windows with an alarm, the newest among them, that call for it; 0: none do ...
    windows: int = key(5, ONE_OR_MORE)  # ... out of the last so many
    performance: bool = True  # a drop of the performance whose interval excludes zero calls for it, too
    every_days: Optional[float] = key(None, POSITIVE)  # and so does a schedule
    cooldown_days: float = key(28.0, ZERO_OR_MORE)  # since the last retraining
    per_week: int = key(1, ONE_OR_MORE)  # retrainings, at most


@dataclass
class GateConfig:
    """What a challenger must show (`churn.retrain.gate`)."""

    margin_auc: float = key(0.02, POSITIVE)  # no worse means by less than this on 1,400 rows, on n rows ...
    margin_log_loss: float = key(0.015, POSITIVE)  # ... by the root of 1,400/n of it, but at least half; nats
    confidence: float = key(0.95, BETWEEN_ZERO_AND_ONE)  # of each one-sided bound
    bootstrap: int = key(1_000, ONE_OR_MORE)  # resamples behind the bounds
    min_rows: int = key(500, ONE_OR_MORE)  # fresh rows; fewer are no evidence
    min_churners: int = key(50, ONE_OR_MORE)  # and as many who stayed


class Treated(Enum):
    """What becomes of the labels of customers who were called: they are not what was predicted."""

    keep_out = "keep_out"  # they are left out
    correct = "correct"  # they are left out, and those held out as control stand for them, too
    keep = "keep"


@dataclass
class RetrainConfig:
    """`churn retrain`."""

    force: bool = False  # retrain whatever the trigger says
    now: Optional[str] = None  # the moment to decide at, ISO, UTC; null: now
    window_days: Optional[float] = key(730.0, POSITIVE)  # age of the oldest rows to train on; null: any
    half_life_days: Optional[float] = key(
        None, POSITIVE
    )  # age at which half of the rows are left out; null: none are
    fresh_share: float = key(
        0.3, BETWEEN_ZERO_AND_ONE
    )  # of the newest customers, who are only compared on ...
    fresh_days: float = key(
        90.0, POSITIVE
    )  # ... if they came in so many days before the newest label, after the champion's
    treated: Treated = Treated.keep_out
    segments: list[str] = field(default_factory=list)  # categories, each level of which must not be harmed
    probation_days: float = key(
        90.0, ZERO_OR_MORE
    )  # after a promotion, in which the version before may come back ...
    rollback_confidence: float = key(
        0.995, BETWEEN_ZERO_AND_ONE
    )  # ... if it is better, one-sided; many looks may err
    canary: int = key(
        20, PER_CENT
    )  # per cent of Vertex AI's traffic that a challenger gets until its probation is over
    trigger: TriggerConfig = field(default_factory=TriggerConfig)
    gate: GateConfig = field(default_factory=GateConfig)


@dataclass
class MonitorConfig:
    """`churn monitor`; files go to `dir`."""

    log: Optional[str] = None  # folder or Parquet file, or bq://PROJECT.DATASET.TABLE; null: the server's log
    since: Optional[str] = None  # first moment of the window, ISO, UTC; null: `days` before its end
    until: Optional[str] = None  # its end; null: now
    days: float = key(7.0, POSITIVE)
    labels: Optional[str] = None  # what became of customers: file or bq:// table, see docs/monitoring.md
    label_days: float = key(180.0, POSITIVE)  # before `until`: predictions that labels are matched with
    dir: Optional[str] = None  # null: <run.root>/monitor/<data name>
    prometheus: Optional[str] = None  # file for Prometheus' node exporter; null: churn.prom in `dir`
    exit_code: bool = False  # end with 10 on a warning and 11 on an alarm
    min_rows: int = key(200, ONE_OR_MORE)  # fewer are no evidence
    warning_psi: float = key(
        0.02, ZERO_OR_MORE
    )  # population stability index less its bias, from which a change matters
    alarm_psi: float = key(0.10, ZERO_OR_MORE)
    permutations: int = key(
        2_000, ZERO_OR_MORE
    )  # at most, of the comparison of all features together; 0: leave it out


@dataclass
class LoopConfig:
    """`churn loop`: the simulated year (`churn.retrain.simulation`)."""

    seeds: int = key(1, ONE_OR_MORE)  # years that are lived through, from `seed` on
    rows_per_day: int = key(40, ONE_OR_MORE)  # customers
    window_days: int = key(7, ONE_OR_MORE)  # between two looks of the monitor, and two decisions
    label_days: int = key(60, ONE_OR_MORE)  # until it is known who left
    memory_days: int = key(180, ONE_OR_MORE)  # of labelled rows that a model learns from
    settled_days: int = key(90, ONE_OR_MORE)  # of labelled rows that the monitor measures the champion on
    history_days: int = key(240, ONE_OR_MORE)  # before the year: what the first champion learns from
    price_month: int = key(5, ONE_OR_MORE)  # in which prices rise ...
    price_rise: float = key(0.5, ANY_NUMBER)  # ... by so many standard deviations of the monthly charge ...
    price_odds: float = key(0.8, ANY_NUMBER)  # ... and everybody's log-odds of leaving by this
    competitor_month: int = key(9, ONE_OR_MORE)  # in which a competitor raises ...
    competitor_odds: float = key(
        2.0, ANY_NUMBER
    )  # ... the log-odds of customers with long contracts, which it buys out
    epochs: int = key(16, ONE_OR_MORE)  # over the rows, of the small network that the simulation trains
