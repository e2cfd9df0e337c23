"""Baselines: simpler models, fitted and compared on the same rows as the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
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

from churn.config.root import with_tutorial_model
from churn.config.training import ModelName
from churn.data.dataset import Schema
from churn.data.experiment import Experiment, Part
from churn.network.boosting import THREADS_FROM
from churn.network.fit import fit_network

MOST_LEVELS = 255  # of a category, that trees can tell apart
PATIENCE = 20  # trees without a lower validation loss

Predictor = Callable[[pd.DataFrame], np.ndarray]  # features of n rows -> [n] churn probabilities


def predict_baselines(experiment: Experiment) -> dict[str, np.ndarray]:
    """[n] probabilities of the test rows by baseline.

    The tutorial's network is one of them, unless it is the network of `cfg.model`.
    """
    train, validation, test = experiment.train, experiment.validation, experiment.test
    fitted = fit_baselines(train, validation, experiment.data.schema, experiment.cfg.seed)
    predictions = {name: predict(test.frame) for name, predict in fitted.items()}
    if experiment.cfg.model.name != ModelName.tutorial:
        tutorial = replace(experiment, cfg=with_tutorial_model(experiment.cfg))
        predictions["tutorial"] = fit_network(tutorial, quiet=True).predict(test.frame)
    return predictions


def fit_baselines(train: Part, validation: Part, schema: Schema, seed: int) -> dict[str, Predictor]:
    """The baselines by name, fitted on the train part; boosting stops early on the validation part.

    >>> fitted = fit_baselines(experiment.train, experiment.validation, data.schema, seed=42)
    >>> fitted["boosting"](experiment.test.frame)  # [n] probabilities
    """
    rows = train.frame, train.churned
    with threadpool_limits(1 if len(train.frame) < THREADS_FROM else None):
        return {
            "base_rate": _predictor(DummyClassifier(strategy="prior").fit(*rows)),
            "logistic_regression": _predictor(_logistic_regression(schema).fit(*rows)),
            "boosting": _boosting(rows, (validation.frame, validation.churned), schema, seed),
        }


def _logistic_regression(schema: Schema) -> Any:
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


def _boosting(train: tuple, validation: tuple, schema: Schema, seed: int) -> Predictor:
    """scikit-learn's histogram gradient boosting, of the size that validates better.

    Stopped `PATIENCE` trees after the best loss; a level that training has not seen counts as missing.
    """
    encoder, categories = _tree_encoder(train[0], schema)
    rows, validation_rows = encoder.fit_transform(train[0]), encoder.transform(validation[0])

    def fit(leaves: int) -> Any:
        classifier = HistGradientBoostingClassifier(
            learning_rate=0.05,
            max_leaf_nodes=leaves,
            max_iter=1_000,  # at most; early stopping decides
            early_stopping=True,
            n_iter_no_change=PATIENCE,
            categorical_features=categories,
            random_state=seed,
        )
        return classifier.fit(rows, train[1], X_val=validation_rows, y_val=validation[1])

    trees = max(map(fit, (8, 31)), key=lambda classifier: classifier.validation_score_.max())
    return _predictor(make_pipeline(encoder, trees))


def _predictor(classifier: Any) -> Predictor:
    """The probability of class 1 by a fitted scikit-learn classifier."""
    return lambda frame: classifier.predict_proba(frame)[:, 1]


def _tree_encoder(frame: pd.DataFrame, schema: Schema) -> tuple[ColumnTransformer, list[bool]]:
    """A transformer for trees, not yet fitted (numbers unchanged, levels as codes), and `categories`."""
    names = list(schema.categorical)
    many = bool(names) and frame[names].nunique().max() > MOST_LEVELS
    levels = OrdinalEncoder(
        max_categories=MOST_LEVELS if many else None,  # counting the levels takes longer than all the rest
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
    )
    numbers = _columns_with_values(frame, schema)
    columns = [("numbers", "passthrough", numbers), ("levels", levels, names)]
    return ColumnTransformer(columns), [False] * len(numbers) + [True] * len(schema.categorical)


def _columns_with_values(frame: pd.DataFrame, schema: Schema) -> list[str]:
    """The numeric columns that have at least one value: trees cannot bin an empty column."""
    return [name for name in schema.numeric if frame[name].notna().any()]
