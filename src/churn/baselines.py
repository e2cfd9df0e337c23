"""What a practitioner would use instead of a network, fitted on the same rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from churn.schema import Schema

THREADS_FROM = 50_000  # rows
MOST_LEVELS = 255  # of a category, that trees can tell apart
Predict = Callable[[pd.DataFrame], np.ndarray]  # features of n rows -> [n] churn probabilities


def fit(
    frame_train: pd.DataFrame,
    churned_train: np.ndarray,
    frame_validation: pd.DataFrame,
    churned_validation: np.ndarray,
    schema: Schema,
    seed: int,
) -> dict[str, Predict]:
    """The baselines by name: fitted on the train rows, boosting stopped early on the validation rows.

    Frames hold the features as `Dataset.frame` does.
    """
    train, validation = (frame_train, churned_train), (frame_validation, churned_validation)
    # On a small table threads wait for each other longer than they work: several times so on a busy machine.
    with threadpool_limits(1 if len(frame_train) < THREADS_FROM else None):
        return {
            "base_rate": probabilities(DummyClassifier(strategy="prior").fit(*train)),
            "logistic_regression": probabilities(logistic_regression(schema).fit(*train)),
            "boosting": boosting(train, validation, schema, seed),
        }


def probabilities(classifier: Any) -> Predict:
    """The probability of class 1 by a fitted scikit-learn classifier."""
    return lambda frame: classifier.predict_proba(frame)[:, 1]


def logistic_regression(schema: Schema) -> Any:
    """Standardised numbers (the median where missing, and a flag) and one-hot categories, with L2 penalty."""
    numbers = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), StandardScaler()
    )
    levels = OneHotEncoder(handle_unknown="ignore")
    return make_pipeline(
        ColumnTransformer(
            [("numbers", numbers, list(schema.numeric)), ("levels", levels, list(schema.categorical))]
        ),
        LogisticRegression(solver="newton-cholesky"),
    )


def boosting(train: tuple, validation: tuple, schema: Schema, seed: int) -> Predict:
    """scikit-learn's histogram gradient boosting, with the size of trees that validates better.

    A level that training has not seen counts as missing.
    """
    encoder, categories = trees_encoder(train[0], schema)
    fit = encoder.fit_transform(train[0]), train[1]
    best = boosted(fit, (encoder.transform(validation[0]), validation[1]), categories, seed)
    return lambda frame: best.predict_proba(encoder.transform(frame))[:, 1]


def boosted(
    train: tuple,
    validation: tuple,
    categories: list[bool] | None,
    seed: int,
    learning_rate: float = 0.05,
    patience: int = 20,
) -> Any:
    """A classifier of encoded rows; after `patience` trees without a better validation loss it stops."""

    def fitted(leaves: int) -> Any:
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

    return max(map(fitted, (8, 31)), key=lambda classifier: classifier.validation_score_.max())


def trees(frame: pd.DataFrame, churned: np.ndarray, schema: Schema) -> Predict:
    """Boosted trees of one size, stopped early by a tenth of these rows: quick, a little worse."""
    encoder, categories = trees_encoder(frame, schema)
    classifier = HistGradientBoostingClassifier(
        learning_rate=0.08,
        max_leaf_nodes=12,
        max_iter=300,
        early_stopping=True,
        categorical_features=categories,
        random_state=0,
    ).fit(encoder.fit_transform(frame), churned)
    return lambda other: classifier.predict_proba(encoder.transform(other))[:, 1]


def trees_encoder(frame: pd.DataFrame, schema: Schema) -> tuple[ColumnTransformer, list[bool]]:
    """Numbers as they are and levels by number, not yet fitted; and which of its outputs are categories."""
    names = list(schema.categorical)
    many = bool(names) and frame[names].nunique().max() > MOST_LEVELS
    levels = OrdinalEncoder(
        max_categories=MOST_LEVELS if many else None,  # to count the levels takes longer than all the rest
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
    )
    numbers = filled(frame, schema)
    columns = [("numbers", "passthrough", numbers), ("levels", levels, names)]
    return ColumnTransformer(columns), [False] * len(numbers) + [True] * len(schema.categorical)


def filled(frame: pd.DataFrame, schema: Schema) -> list[str]:
    """The numeric columns that have a value at all: trees cannot bin an empty one."""
    return [name for name in schema.numeric if frame[name].notna().any()]
