"""From raw customer fields to the inputs of a network.

scikit-learn fits the encoding on the train part; the fitted values become constants of the TensorFlow graph.
So the bundle needs no other file, and training and serving run the same operations.

What the graph does with the values:

- a number is one input, and is also spread over `bins` inputs, one for each of its quantile bins: 0 below the
  bin, 1 above it, linear within (the piecewise-linear encoding of Gorishniy et al. 2022, On Embeddings for
  Numerical Features), so that a small network can bend where the data are;
- a missing number (NaN or <= -1e30) is replaced by the train median; if the column had missing values in
  training, a flag beside it says that the number was missing;
- levels of too few customers count as unknown: they may name a person, so the graph does not hold them. An
  unknown text sets the input that such levels share, or none of its column if training had no rare levels;
- a missing category (the empty string) is a level like any other; levels are ordered by their rows, so that
  nothing depends on their names;
- inputs are standardised; flags, bins and levels are divided by at least `least_deviation`, so that what few
  rows have does not become a huge number; no input is further than `clip` from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from churn.config.training import ModelConfig
from churn.data.contract import MISSING_BELOW
from churn.data.customers import count_customers
from churn.data.dataset import Schema

LARGEST = 1e6  # input of a network without `clip`, in standard deviations; far larger ones make it overflow
_UNKNOWN = -1  # the code of a text that too few customers have


@dataclass(frozen=True)
class Encoding:
    """The fitted constants that `Encoder` applies.

    The inputs of the network are, in this order: numbers, flags, bins, and the levels of each category.
    """

    median: np.ndarray  # [F] float32, of each number
    flagged: np.ndarray  # positions of the numbers that have a flag
    binned: np.ndarray  # [B] position of the number of each bin
    lower: np.ndarray  # [B] float32 lower and
    upper: np.ndarray  # [B] float32 upper edge of the bins
    lowest: np.ndarray  # [F] least and
    highest: np.ndarray  # [F] greatest value in training
    positions: tuple[dict[str, int], ...]  # per category: level -> input; without the rare levels
    rare: tuple[int | None, ...]  # per category: the input that rare and unknown levels share
    widths: tuple[int, ...]  # per category: number of inputs
    shift: np.ndarray  # [D] float32 mean and
    scale: np.ndarray  # [D] float32 standard deviation of each input in training, or the least one allowed
    clip: float  # largest input

    @property
    def missing_in_trees(self) -> np.ndarray:
        """[F] float32 what trees read for a missing number."""
        flagged = np.isin(np.arange(len(self.median)), self.flagged)
        return np.where(flagged, np.float32(MISSING_BELOW), self.median)


def make_transformer(schema: Schema, cfg: ModelConfig, levels: Sequence[np.ndarray]) -> Pipeline:
    """The transformer of the rows, not yet fitted: the inputs of the network before the limits of `cfg`.

    levels: the distinct values of each category, the most frequent first.
    """
    numbers = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    bins = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), Bins(cfg.bins))
    one_hot = OneHotEncoder(
        categories=list(levels),
        min_frequency=cfg.min_level_rows,
        max_categories=cfg.max_levels,
        handle_unknown="infrequent_if_exist",
        sparse_output=False,
    )
    numeric, categorical = list(schema.numeric), list(schema.categorical)
    columns = [("numbers", numbers, numeric), ("bins", bins, numeric), ("levels", one_hot, categorical)]
    return make_pipeline(ColumnTransformer([c for c in columns if c[2]]), StandardScaler())


def _levels_by_rows(column: pd.Series) -> np.ndarray:
    """The distinct texts, the most frequent first; of two equally frequent ones, the one that comes first."""
    codes, levels = pd.factorize(column.to_numpy())
    return levels[np.argsort(-np.bincount(codes), kind="stable")]


class Bins(TransformerMixin, BaseEstimator):
    """Piecewise-linear encoding of numbers [n, F] as [n, B], with at most `bins` quantile bins per number.

    >>> Bins(4).fit_transform(np.array([[1.0], [2.0], [3.0]]))
    """

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


def fit_encoding(
    frame: pd.DataFrame, schema: Schema, cfg: ModelConfig, ids: np.ndarray | None = None
) -> Encoding:
    """The constants, fitted on rows of the train part as in `Dataset.frame`, with the customers' `ids` [n].

    >>> encoder = Encoder(fit_encoding(train.frame, data.schema, cfg.model, train.ids))
    """
    texts = {name: _levels_by_rows(frame[name]) for name in schema.categorical}
    coded = _with_codes(frame, texts, cfg.min_level_rows, ids)
    codes = [np.arange(len(known)) for known in texts.values()]
    fitted = make_transformer(schema, cfg, codes).fit(coded)
    columns, scaler = fitted[0].named_transformers_, fitted[1]
    numbers = frame[list(schema.numeric)].to_numpy(float)
    levels = _level_inputs(columns["levels"], coded, texts) if texts else []
    imputer, bins = (columns["numbers"], columns["bins"][1]) if schema.numeric else (None, None)
    no_positions, no_values = np.empty(0, int), np.empty(0, np.float32)
    is_number = np.arange(len(scaler.scale_)) < len(schema.numeric)
    return Encoding(
        median=imputer.statistics_.astype(np.float32) if imputer else no_values,
        flagged=imputer.indicator_.features_ if imputer else no_positions,
        binned=bins.column_ if bins else no_positions,
        lower=bins.lower_ if bins else no_values,
        upper=bins.upper_ if bins else no_values,
        lowest=np.nanmin(numbers, axis=0, initial=np.inf).astype(np.float32),
        highest=np.nanmax(numbers, axis=0, initial=-np.inf).astype(np.float32),
        positions=tuple(position for position, _, _ in levels),
        rare=tuple(rare for _, rare, _ in levels),
        widths=tuple(width for _, _, width in levels),
        shift=scaler.mean_.astype(np.float32),
        scale=np.maximum(scaler.scale_, np.where(is_number, 0, cfg.least_deviation)).astype(np.float32),
        clip=cfg.clip or LARGEST,
    )


def _with_codes(
    frame: pd.DataFrame, texts: dict[str, np.ndarray], least: int, ids: np.ndarray | None
) -> pd.DataFrame:
    """The frame with the position of each text among its column's: numbers are counted much faster.

    A text of fewer than `least` customers is -1, unknown to the transformer.
    """
    customers, coded = None if ids is None else pd.factorize(ids)[0], {}
    for name, known in texts.items():
        codes = pd.Index(known).get_indexer(frame[name])
        shared = count_customers(pd.Series(codes), customers).sort_index().to_numpy() >= least
        coded[name] = np.where(shared[codes], codes, _UNKNOWN)
    return frame.assign(**coded)


def _level_inputs(
    encoder: OneHotEncoder, coded: pd.DataFrame, texts: dict[str, np.ndarray]
) -> list[tuple[dict[str, int], int | None, int]]:
    """For each category: the input of each level, the input of rare levels, and the number of inputs.

    Levels beyond `max_levels` share the input of rare levels, and are known all the same.
    """
    inputs = []
    for (name, levels), infrequent in zip(texts.items(), encoder.infrequent_categories_, strict=True):
        rare = set() if infrequent is None else set(infrequent.tolist())
        frequent = [level for code, level in enumerate(levels) if code not in rare]
        shared = set(coded[name].unique())
        known = [levels[code] for code in rare if code in shared or not levels[code]]
        position = {level: i for i, level in enumerate(frequent)} | dict.fromkeys(known, len(frequent))
        inputs.append((position, len(frequent) if rare else None, len(frequent) + bool(rare)))
    return inputs


def tree_inputs(frame: pd.DataFrame, schema: Schema, encoding: Encoding) -> np.ndarray:
    """[n, K] float32: what boosted trees read, as `Encoder.tree_inputs` gives it; does not need TensorFlow.

    Numbers, a missing one below all others if the column had missing values in training, else the median;
    and 0 or 1 for each level of each category.
    """
    numbers = frame[list(schema.numeric)].to_numpy(np.float32)
    missing = np.isnan(numbers) | (numbers <= MISSING_BELOW)
    columns = [np.where(missing, encoding.missing_in_trees, numbers)]
    categories = zip(schema.categorical, encoding.positions, encoding.rare, encoding.widths, strict=True)
    for name, position, rare, width in categories:
        codes, texts = pd.factorize(frame[name].to_numpy(object))
        unknown = -1 if rare is None else rare
        place = np.array([position.get(text, unknown) for text in texts])[codes]
        columns.append(place[:, None] == np.arange(width))
    return np.concatenate(columns, axis=1, dtype=np.float32)
