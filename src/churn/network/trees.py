"""Boosted trees: a baseline, and the source of soft labels for the network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from churn.data.dataset import Schema

THREADS_FROM = 50_000  # rows; on smaller tables threads wait for each other longer than they work
MOST_LEVELS = 255  # of a category, that trees can tell apart

Predictor = Callable[[pd.DataFrame], np.ndarray]  # features of n rows -> [n] churn probabilities


def predictor(classifier: Any) -> Predictor:
    """The probability of class 1 by a fitted scikit-learn classifier."""
    return lambda frame: classifier.predict_proba(frame)[:, 1]


def fit_boosting(
    train: tuple,
    validation: tuple,
    categories: list[bool] | None,
    seed: int,
    learning_rate: float = 0.05,
    patience: int = 20,
) -> Any:
    """Boosted trees of the size that validates better; stopped `patience` trees after the best loss.

    `train` and `validation` are encoded rows and their labels; `categories` marks the categorical columns.
    """

    def fit(leaves: int) -> Any:
        classifier = HistGradientBoostingClassifier(
            learning_rate=learning_rate,
            max_leaf_nodes=leaves,
            max_iter=1_000,  # at most; early stopping decides
            early_stopping=True,
            n_iter_no_change=patience,
            categorical_features=categories,
            random_state=seed,
        )
        return classifier.fit(*train, X_val=validation[0], y_val=validation[1])

    return max(map(fit, (8, 31)), key=lambda classifier: classifier.validation_score_.max())


def fit_small_trees(frame: pd.DataFrame, churned: np.ndarray, schema: Schema) -> Predictor:
    """Boosted trees of one size, stopped early on a tenth of the rows: quick, and slightly less accurate."""
    encoder, categories = tree_encoder(frame, schema)
    classifier = HistGradientBoostingClassifier(
        learning_rate=0.08,
        max_leaf_nodes=12,
        max_iter=300,
        early_stopping=True,
        categorical_features=categories,
        random_state=0,
    )
    return predictor(make_pipeline(encoder, classifier).fit(frame, churned))


def tree_encoder(frame: pd.DataFrame, schema: Schema) -> tuple[ColumnTransformer, list[bool]]:
    """A transformer for trees, not yet fitted (numbers unchanged, levels as codes), and `categories`."""
    names = list(schema.categorical)
    many = bool(names) and frame[names].nunique().max() > MOST_LEVELS
    levels = OrdinalEncoder(
        max_categories=MOST_LEVELS if many else None,  # counting the levels takes longer than all the rest
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
    )
    numbers = columns_with_values(frame, schema)
    columns = [("numbers", "passthrough", numbers), ("levels", levels, names)]
    return ColumnTransformer(columns), [False] * len(numbers) + [True] * len(schema.categorical)


def columns_with_values(frame: pd.DataFrame, schema: Schema) -> list[str]:
    """The numeric columns that have at least one value: trees cannot bin an empty column."""
    return [name for name in schema.numeric if frame[name].notna().any()]
