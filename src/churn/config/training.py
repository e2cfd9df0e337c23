"""Keys of training: network, optimiser, decision, bundle, report."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Optional

from omegaconf import MISSING

from churn.config.limits import (
    BETWEEN_ZERO_AND_ONE,
    ONE_OR_MORE,
    POSITIVE,
    SHARE,
    SHARE_BELOW_ONE,
    TREE_DEPTH,
    ZERO_OR_MORE,
    key,
)


class ModelName(Enum):
    """The networks of `churn.network.layers`."""

    tutorial = "tutorial"
    network = "network"
    dense = "dense"


@dataclass
class ModelConfig:
    """Shape and settings of the network, and of the boosted trees that it reads."""

    name: ModelName = MISSING
    members: int = key(5, ONE_OR_MORE)  # networks in the ensemble
    folds: int = key(5, ONE_OR_MORE)  # parts of the rows; members and trees are fitted without one of them
    hidden: list[int] = key([32], ONE_OR_MORE)  # units of each hidden layer
    dropout: float = key(0.0, SHARE_BELOW_ONE)  # share of units dropped in training
    trees: int = key(500, ZERO_OR_MORE)  # boosted trees of each depth, at most; folds tell how many; 0: none
    tree_depths: list[int] = key([6, 4], TREE_DEPTH)  # levels of the trees; so many of each depth
    tree_rows: int = key(200_000, ONE_OR_MORE)  # rows that trees are grown on, at most: a random sample
    bins: int = key(16, ZERO_OR_MORE)  # quantile bins of each number, as inputs beside it; 0: none
    # Flags, bins and levels are divided by at least this standard deviation, however rare; 0: by their own.
    least_deviation: float = key(0.3, ZERO_OR_MORE)
    clip: float = key(4.0, ZERO_OR_MORE)  # largest input, in standard deviations; 0: a million
    max_levels: int = key(64, ONE_OR_MORE)  # levels of a category that get an input of their own
    min_level_rows: int = key(8, ONE_OR_MORE)  # a level of fewer train customers: unknown, not written


@dataclass
class AdversarialConfig:
    """Learning also from rows as customers would change them to be decided otherwise (`data.influence`)."""

    share: float = key(0.0, SHARE_BELOW_ONE)  # of each row's weight that its worst changed copy has; 0: off
    budget: float = key(1.0, POSITIVE)  # what a copy's changes may cost together (`churn.data.influence`)
    copies: int = key(8, ONE_OR_MORE)  # random changes of each row, of which the worst counts


@dataclass
class TrainConfig:
    """The optimiser, and what it learns from."""

    epochs: int = key(12, ONE_OR_MORE)  # passes over the train rows, at most
    batch_size: int = key(0, ZERO_OR_MORE)  # rows; 0: chosen by the number of rows
    learning_rate: float = key(3e-3, POSITIVE)  # the highest: it rises from 0 and falls as a cosine
    weight_decay: float = key(1e-2, ZERO_OR_MORE)  # of kernels only
    patience: int = key(0, ZERO_OR_MORE)  # of `tutorial`: epochs without a lower validation loss; 0: off
    adversarial: AdversarialConfig = field(default_factory=AdversarialConfig)
    profile: bool = False  # write a profile of TensorFlow to <run>/profile, for TensorBoard
    stream_rows: int = key(2_000_000, ZERO_OR_MORE)  # a Parquet table with more rows is never read as a whole
    shuffle_rows: int = key(262_144, ONE_OR_MORE)  # its rows that are in memory, and shuffled, at a time
    sample_rows: int = key(200_000, ONE_OR_MORE)  # its rows that are sampled for the encoding and the report


@dataclass
class DecisionConfig:
    """What a call costs and brings, in any one currency. The defaults are Verbraken et al.'s (2013)."""

    currency: Optional[str] = None  # of every amount, as it is shown: EUR, $
    customer_value: float = key(200.0, POSITIVE)  # money lost when a customer leaves
    value_column: Optional[str] = None  # column with the value of each customer; null: `customer_value`
    value_factor: float = key(1.0, POSITIVE)  # factor of `value_column`: 24 for two years of monthly charges
    contact_cost: float = key(1.0, ZERO_OR_MORE)  # money for calling one customer
    offer_cost: float = key(10.0, ZERO_OR_MORE)  # money for the offer, paid if it is accepted
    success: float = key(0.3, BETWEEN_ZERO_AND_ONE)  # chance that the offer keeps a customer who would leave
    success_evidence: float = key(20.0, POSITIVE)  # trials behind `success`: alpha + beta of its distribution
    threshold: Optional[float] = key(None, SHARE)  # lowest probability to call; null: the most profitable
    top_share: Optional[float] = key(None, SHARE)  # instead: the share of customers to call
    capacity: Optional[int] = key(None, ONE_OR_MORE)  # customers that can be called from one list
    control_share: float = key(
        0.1, SHARE_BELOW_ONE
    )  # share of a list not called (at least 1): the control group


@dataclass
class ExportConfig:
    """What the bundle's graph gives beside the probability."""

    reasons: bool = False  # put the reasons into the first signature, the only one Vertex AI calls
    light: bool = True  # write the light model, which serves and scores without TensorFlow
    background: int = key(64, ZERO_OR_MORE)  # train rows that reasons compare with; 0: no reasons
    refits: int = key(2, ZERO_OR_MORE)  # refits that calibrate the intervals; 0: no intervals
    certainty: float = key(0.9, SHARE_BELOW_ONE)  # share of each class that prediction sets cover; 0: no sets


@dataclass
class EvaluateConfig:
    """The numbers of the report."""

    bootstrap: int = key(1_000, ONE_OR_MORE)  # resamples behind each interval
    importance_repeats: int = key(5, ONE_OR_MORE)  # shuffles of each column


@dataclass
class RunConfig:
    """Where a run is written."""

    root: str = "runs"  # folder for everything that churn writes by default
    dir: Optional[str] = None  # null: <root>/<time>-<data>
