"""Keys of training: network, optimiser, decision, bundle, report."""

from dataclasses import dataclass
from enum import Enum
from typing import Optional

from omegaconf import MISSING

from churn.config.limits import (
    BETWEEN_ZERO_AND_ONE,
    ONE_OR_MORE,
    POSITIVE,
    SHARE,
    SHARE_BELOW_ONE,
    ZERO_OR_MORE,
    key,
)


class ModelName(Enum):
    """The networks of `churn.network.layers`."""

    tutorial = "tutorial"
    dense = "dense"


@dataclass
class ModelConfig:
    """Shape and settings of the network."""

    name: ModelName = MISSING
    members: int = key(5, ONE_OR_MORE)  # networks whose answers are pooled to one
    folds: int = key(5, ONE_OR_MORE)  # each member is trained without one of so many parts of the rows
    hidden: list[int] = key([64, 64], ONE_OR_MORE)  # units of each layer
    dropout: float = key(0.0, SHARE_BELOW_ONE)  # share of units silenced in training
    dropout_labels_only: float = key(0.1, SHARE_BELOW_ONE)  # the same where `dense` learns from labels only
    bins: int = key(16, ZERO_OR_MORE)  # quantile bins that a number is spread over, beside itself; 0: none
    least_deviation: float = key(
        0.3, ZERO_OR_MORE
    )  # that flags, bins and levels are divided by, however rare; 0: their own
    clip: float = key(4.0, ZERO_OR_MORE)  # largest input, in standard deviations; 0: any
    max_levels: int = key(64, ONE_OR_MORE)  # levels of a category that get an input of their own
    min_level_rows: int = key(8, ONE_OR_MORE)  # a level with fewer train rows counts as unknown


@dataclass
class TrainConfig:
    """The optimiser and its loop."""

    epochs: int = key(12, ONE_OR_MORE)  # passes over the train rows, at most
    batch_size: int = key(0, ZERO_OR_MORE)  # rows; 0: by the number of rows
    learning_rate: float = key(3e-3, POSITIVE)  # at its highest: it rises from 0 and falls back as a cosine
    weight_decay: float = key(1e-2, ZERO_OR_MORE)  # on kernels only
    patience: int = key(
        8, ZERO_OR_MORE
    )  # epochs without a better validation loss before stopping; 0: no early stopping
    hard_label_weight: float = key(0.5, ZERO_OR_MORE)  # of a real row beside a made-up one
    augmented: float = key(
        10.0, ZERO_OR_MORE
    )  # rows that boosted trees answer for, for each real one; 0: learn from labels only
    max_augmented: int = key(25_000, ZERO_OR_MORE)  # such rows, at most
    distill_up_to: int = key(60_000, ZERO_OR_MORE)  # real rows; more of them teach well enough without trees
    profile: bool = False  # write what TensorFlow did while training to <run>/profile, for TensorBoard
    stream_rows: int = key(
        2_000_000, ZERO_OR_MORE
    )  # rows of a Parquet table above which it is never in memory as a whole
    shuffle_rows: int = key(
        262_144, ONE_OR_MORE
    )  # rows of it that are in memory and shuffled together, in whole row groups
    sample_rows: int = key(
        200_000, ONE_OR_MORE
    )  # rows of it that the encoding is fitted on and the report is made of


@dataclass
class DecisionConfig:
    """What a call costs and brings, in any one currency. The defaults are Verbraken et al.'s (2013)."""

    customer_value: float = key(200.0, POSITIVE)  # lost when a customer leaves
    value_column: Optional[str] = None  # column of numbers that says it for each customer instead ...
    value_factor: float = key(
        1.0, POSITIVE
    )  # ... multiplied by this, e.g. 24 for two years of a monthly charge
    contact_cost: float = key(1.0, ZERO_OR_MORE)  # of calling one customer
    offer_cost: float = key(10.0, ZERO_OR_MORE)  # of the offer, paid if it is taken
    success: float = key(0.3, BETWEEN_ZERO_AND_ONE)  # chance that the offer keeps a customer who would leave
    success_evidence: float = key(
        20.0, POSITIVE
    )  # trials that this chance is worth: alpha + beta of a beta distribution
    threshold: Optional[float] = key(None, SHARE)  # probability from which to call; null: the most profitable
    top_share: Optional[float] = key(None, SHARE)  # or: the threshold that calls this share of the customers
    capacity: Optional[int] = key(
        None, ONE_OR_MORE
    )  # calls that can be made; the list of `churn score` is no longer
    control_share: float = key(
        0.1, SHARE_BELOW_ONE
    )  # share of that list that is not called, to measure what calling does


@dataclass
class ExportConfig:
    """What the bundle's graph gives beside the probability."""

    reasons: bool = (
        False  # put the reasons into the first signature too; Vertex AI's containers call only that
    )
    background: int = key(
        64, ZERO_OR_MORE
    )  # train rows kept in the bundle, which reasons compare with; 0: no reasons
    refits: int = key(
        2, ZERO_OR_MORE
    )  # simulated worlds that calibrate the intervals, each a third of a fit; 0: no intervals
    certainty: float = key(
        0.9, SHARE_BELOW_ONE
    )  # share of leavers, and of stayers, that the sets shall cover; 0: no sets


@dataclass
class EvaluateConfig:
    """The numbers of the report."""

    bootstrap: int = key(1_000, ONE_OR_MORE)  # resamples behind each interval
    importance_repeats: int = key(5, ONE_OR_MORE)  # shuffles of each column


@dataclass
class RunConfig:
    """Where a run is written."""

    root: str = "runs"  # everything churn writes by itself lies here
    dir: Optional[str] = None  # null: <root>/<time>-<data>
