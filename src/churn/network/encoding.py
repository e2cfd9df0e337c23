"""From raw customer fields to the numbers that a network reads.

scikit-learn fits on the train part; what it fitted becomes constants of the TensorFlow graph, so that the
bundle needs nothing beside itself, and training and serving run the same operations.

What the graph does with what it cannot use as it is:

- beside itself, a number is spread over `bins` inputs, one for each of its quantile bins: 0 below the bin, 1
  above, linear within (the piecewise-linear encoding of Gorishniy et al. 2022, On Embeddings for Numerical
  Features), which lets a small network bend where the data are;
- a missing number (NaN or <= -1e30) counts as the train median; where training saw the column with gaps,
  a flag beside it says that the number was missing;
- categories with too few train rows share one input; a text never seen in training goes there too, or sets
  no input of its column where training had no such rare levels;
- a missing category (the empty string) is a level like any other;
- inputs are standardised; flags, bins and levels are divided by `least_deviation` at least, so that what few
  rows have does not become a huge number; no input is further than `clip` from 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from churn.backend import tensorflow
from churn.config.training import ModelConfig
from churn.data.dataset import MISSING_BELOW, Schema


@dataclass(frozen=True)
class Encoding:
    """What scikit-learn fitted, as the constants that `Encoder` applies.

    The inputs of the network, in this order: the numbers, the flags, the bins, the levels of each category.
    """

    median: np.ndarray  # [F] float32, of each number
    flagged: np.ndarray  # positions of the numbers that have a flag
    binned: np.ndarray  # [B] position of the number that each bin belongs to
    lower: np.ndarray  # [B] float32 lower and
    upper: np.ndarray  # [B] float32 upper edge of the bins
    lowest: np.ndarray  # [F] least and
    highest: np.ndarray  # [F] greatest value in training
    positions: tuple[dict[str, int], ...]  # per category: level -> input, rare levels the same
    rare: tuple[int | None, ...]  # per category: the input that rare and unknown levels share
    widths: tuple[int, ...]  # per category: number of inputs
    shift: np.ndarray  # [D] float32 mean and
    scale: np.ndarray  # [D] float32 standard deviation of each input in training, or the least one allowed
    clip: float  # largest input; infinite: any


def make_transformer(schema: Schema, cfg: ModelConfig) -> ColumnTransformer:
    """The scikit-learn transformer, to be fitted on the train part."""
    numbers = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    bins = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), Bins(cfg.bins))
    levels = OneHotEncoder(
        min_frequency=cfg.min_level_rows,
        max_categories=cfg.max_levels,
        handle_unknown="infrequent_if_exist",
        sparse_output=False,
    )
    numeric, categorical = list(schema.numeric), list(schema.categorical)
    columns = [("numbers", numbers, numeric), ("bins", bins, numeric), ("levels", levels, categorical)]
    return make_pipeline(ColumnTransformer([c for c in columns if c[2]]), StandardScaler())


class Bins(TransformerMixin, BaseEstimator):
    """Piecewise-linear encoding of [n, F] numbers, [n, B], with at most `bins` quantile bins a number."""

    def __init__(self, bins: int) -> None:
        self.bins = bins

    def fit(self, X: np.ndarray, y: None = None) -> Bins:
        """Edges at the quantiles; a number with few distinct values has fewer bins, a constant none."""
        shares = np.linspace(0, 1, self.bins + 1) if self.bins else np.empty(0)
        edges = [np.unique(np.quantile(column, shares).astype(np.float32)) for column in X.T]
        self.column_ = np.repeat(np.arange(len(edges)), [max(0, len(e) - 1) for e in edges])
        self.lower_ = np.concatenate([e[:-1] for e in edges])
        self.upper_ = np.concatenate([e[1:] for e in edges])
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """0 below a bin, 1 above it, linear within."""
        return np.clip((X[:, self.column_] - self.lower_) / (self.upper_ - self.lower_), 0, 1)


def _to_encoding(fitted: Any, frame: pd.DataFrame, schema: Schema, cfg: ModelConfig) -> Encoding:
    """What a fitted `transformer` learnt, from the same rows that it was fitted on."""
    columns, scaler = fitted[0].named_transformers_, fitted[1]
    numbers = frame[list(schema.numeric)].to_numpy(float)
    positions, rare, widths = [], [], []
    if schema.categorical:
        encoder = columns["levels"]
        for levels, infrequent in zip(encoder.categories_, encoder.infrequent_categories_, strict=True):
            shared = set() if infrequent is None else set(infrequent)
            own = [level for level in levels if level not in shared]
            place = {level: i for i, level in enumerate(own)} | dict.fromkeys(shared, len(own))
            positions.append(place)
            rare.append(len(own) if shared else None)
            widths.append(len(own) + bool(shared))
    imputer, bins = (columns["numbers"], columns["bins"][1]) if schema.numeric else (None, None)
    none, nothing = np.empty(0, int), np.empty(0, np.float32)
    is_number = np.arange(len(scaler.scale_)) < len(schema.numeric)
    return Encoding(
        median=imputer.statistics_.astype(np.float32) if imputer else nothing,
        flagged=imputer.indicator_.features_ if imputer else none,
        binned=bins.column_ if bins else none,
        lower=bins.lower_ if bins else nothing,
        upper=bins.upper_ if bins else nothing,
        lowest=np.nanmin(numbers, axis=0, initial=np.inf).astype(np.float32),
        highest=np.nanmax(numbers, axis=0, initial=-np.inf).astype(np.float32),
        positions=tuple(positions),
        rare=tuple(rare),
        widths=tuple(widths),
        shift=scaler.mean_.astype(np.float32),
        scale=np.maximum(scaler.scale_, np.where(is_number, 0, cfg.least_deviation)).astype(np.float32),
        clip=cfg.clip or np.inf,
    )


def fit_encoding(frame: pd.DataFrame, schema: Schema, cfg: ModelConfig) -> Encoding:
    """Constants from the rows of the train part, features as in `Dataset.frame`."""
    return _to_encoding(make_transformer(schema, cfg).fit(frame), frame, schema, cfg)


class Encoder:
    """The graph of an `Encoding`: numbers [n, F] float32 and categories [n, C] string -> [n, D] float32.

    In between a text is a code, its place in `words`, the same for all columns; 0 is a text that none has.
    What is done to a whole column is far faster where it lies in one piece: codes are [C, n], numbers [F, n].
    """

    def __init__(self, encoding: Encoding) -> None:
        tf = tensorflow()
        self.encoding = encoding
        vocabulary = sorted({level for levels in encoding.positions for level in levels})
        # One table for all columns: looking up a matrix once is faster than each column by itself.
        self.lookup = tf.keras.layers.StringLookup(
            vocabulary=vocabulary or ["-"], mask_token=None, oov_token="\1"
        )
        _, *words = self.lookup.get_vocabulary()  # the first stands for every unknown text
        self.words = {word: code for code, word in enumerate(words, 1)}
        columns, size = len(encoding.positions), 1 + len(words)
        # For each column its words in turn: which level input the word sets, -1 for none; if it is unknown.
        self.first = np.arange(columns, dtype=np.int32) * size
        self.position, self.unknown = np.full(columns * size, -1, np.int32), np.ones(columns * size, np.int32)
        self.column = np.repeat(np.arange(columns), encoding.widths)  # of each of these inputs
        offsets = np.cumsum(encoding.widths, dtype=int) - encoding.widths
        told = zip(self.first, offsets, encoding.positions, encoding.rare, strict=True)
        for first, offset, place, rare in told:
            if rare is not None:
                self.position[first : first + size] = offset + rare
            for word, code in self.words.items():
                if word in place:
                    self.position[first + code], self.unknown[first + code] = offset + place[word], 0

    def __call__(self, numbers: Any, categories: Any) -> Any:
        """Inputs of the network."""
        transpose = tensorflow().transpose
        return self.of_codes(transpose(numbers), self.codes(transpose(categories)))

    def codes(self, categories: Any) -> Any:
        """int32 of texts."""
        return tensorflow().cast(self.lookup(categories), "int32")

    def of_codes(self, numbers: Any, codes: Any) -> Any:
        """Inputs of the network, where the texts have been looked up."""
        return self.inputs(numbers, _is_missing(numbers), codes + self.first[:, None])

    def read(self, numbers: Any, codes: Any) -> tuple[Any, Any]:
        """The same, and [n] int32 how many fields are unlike anything in training."""
        missing, word = _is_missing(numbers), codes + self.first[:, None]
        return self.inputs(numbers, missing, word), self.unseen(numbers, missing, word)

    def inputs(self, numbers: Any, missing: Any, word: Any) -> Any:
        """Scaled numbers, flags, bins and levels; `position` and `unknown` tell what a word is."""
        tf, constant = tensorflow(), self.encoding
        flags = tf.cast(tf.gather(missing, constant.flagged), tf.float32)
        filled = tf.where(missing, constant.median[:, None], numbers)
        above = tf.gather(filled, constant.binned) - constant.lower[:, None]
        bins = tf.clip_by_value(above / (constant.upper - constant.lower)[:, None], 0, 1)
        place = tf.gather(tf.gather(self.position, word), self.column)
        levels = tf.cast(place == np.arange(len(self.column))[:, None], tf.float32)
        together = tf.concat([filled, flags, bins, levels], axis=0)
        scaled = (together - constant.shift[:, None]) / constant.scale[:, None]
        if np.isfinite(constant.clip):
            scaled = tf.clip_by_value(scaled, -constant.clip, constant.clip)
        return tf.transpose(scaled)

    def unseen(self, numbers: Any, missing: Any, word: Any) -> Any:
        """Counts of the numbers out of range or missing as never before, and of unknown levels."""
        tf, constant = tensorflow(), self.encoding
        is_new = ~np.isin(np.arange(len(constant.median)), constant.flagged)
        lowest, highest = constant.lowest[:, None], constant.highest[:, None]
        out_of_range = ~missing & ((numbers < lowest) | (numbers > highest))
        unlike = tf.cast((missing & is_new[:, None]) | out_of_range, tf.int32)
        return tf.reduce_sum(tf.concat([unlike, tf.gather(self.unknown, word)], axis=0), axis=0)


def _is_missing(numbers: Any) -> Any:
    """Whether a number is one of the two spellings of "missing"."""
    tf = tensorflow()  # whose optimizer would make `<=`, which NaN is not, of `~(numbers > ...)`
    return tf.math.is_nan(numbers) | (numbers <= MISSING_BELOW)
