"""Baselines: simpler models, fitted and compared on the same rows as the model.

Only the tutorial's network learns from fewer: without the validation part, as in the article. scikit-learn
fits it here, so that a second process need not import TensorFlow; `model=tutorial` trains it with Keras.
"""

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
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from churn.config.root import Config, with_tutorial_model
from churn.config.training import ModelName
from churn.data.dataset import Schema
from churn.data.experiment import Experiment, Part
from churn.network.catboost_trees import THREADS_FROM
from churn.network.encoding import LARGEST, make_transformer

MOST_LEVELS = 255  # of a category, that trees can tell apart
MOST_TREES = 1_000
PATIENCE = 20  # trees without a lower validation loss

Predictor = Callable[[pd.DataFrame], np.ndarray]  # features of n rows -> [n] churn probabilities


def predict_baselines(experiment: Experiment) -> dict[str, np.ndarray]:
    """[n] probabilities of the test rows by baseline.

    The tutorial's network is one of them, unless it is the network of `cfg.model`.
    """
    splits, test = experiment.splits, experiment.test
    more = replace(splits, train=np.union1d(splits.train, splits.calibration), calibration=splits.train[:0])
    experiment = replace(experiment, splits=more)
    train, validation = experiment.part(more.train), experiment.part(splits.validation)
    fitted = fit_baselines(train, validation, experiment.data.schema, experiment.cfg.seed)
    predictions = {name: predict(test.frame) for name, predict in fitted.items()}
    if experiment.cfg.model.name != ModelName.tutorial:
        tutorial = with_tutorial_model(experiment.cfg)
        predictions["tutorial"] = fit_tutorial_network(train, experiment.data.schema, tutorial)(test.frame)
    return predictions


def fit_baselines(train: Part, validation: Part, schema: Schema, seed: int) -> dict[str, Predictor]:
    """The baselines by name, fitted on both parts; for boosting the validation part tells how many trees.

    >>> fitted = fit_baselines(experiment.train, experiment.validation, data.schema, seed=42)
    >>> fitted["boosting"](experiment.test.frame)  # [n] probabilities
    """
    rows = pd.concat([train.frame, validation.frame]), np.append(train.churned, validation.churned)
    with threadpool_limits(1 if len(train.frame) < THREADS_FROM else None):
        return {
            "base_rate": _predictor(DummyClassifier(strategy="prior").fit(*rows)),
            "logistic_regression": _predictor(_logistic_regression(schema).fit(*rows)),
            "boosting": _boosting(train, validation, schema, seed),
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


def _boosting(train: Part, validation: Part, schema: Schema, seed: int) -> Predictor:
    """scikit-learn's histogram gradient boosting, of the size and number of trees that validate better.

    With these it is fitted again on both parts; a level that they do not have counts as missing.
    """
    both = pd.concat([train.frame, validation.frame])
    if not (_columns_with_values(both, schema) or schema.categorical):
        labels = np.append(train.churned, validation.churned)
        return _predictor(DummyClassifier(strategy="prior").fit(both, labels))
    encoder, categories = _tree_encoder(both, schema)
    encoded, size = encoder.fit_transform(both), len(train.frame)

    def untrained(leaves: int, trees: int, **more: Any) -> HistGradientBoostingClassifier:
        return HistGradientBoostingClassifier(
            learning_rate=0.05,
            max_leaf_nodes=leaves,
            max_iter=trees,
            categorical_features=categories,
            random_state=seed,
            **more,
        )

    def stopped_early(leaves: int) -> Any:
        classifier = untrained(leaves, MOST_TREES, early_stopping=True, n_iter_no_change=PATIENCE)
        return classifier.fit(encoded[:size], train.churned, X_val=encoded[size:], y_val=validation.churned)

    best = max(map(stopped_early, (8, 31)), key=lambda classifier: classifier.validation_score_.max())
    trees = max(1, int(best.validation_score_.argmax()))  # the first score is that of no trees
    again = untrained(best.max_leaf_nodes, trees, early_stopping=False)
    again.fit(encoded, np.append(train.churned, validation.churned))
    return _predictor(make_pipeline(encoder, again))


def fit_tutorial_network(train: Part, schema: Schema, cfg: Config) -> Predictor:
    """The network of `model=tutorial`, whose settings are in `cfg`: the same but for its random start."""
    levels = [train.frame[name].unique() for name in schema.categorical]
    transformer, size = make_transformer(schema, cfg.model, levels), len(train.frame)
    transformer.fit(train.frame)

    def encoded(frame: pd.DataFrame) -> np.ndarray:
        return np.clip(transformer.transform(frame), -LARGEST, LARGEST).astype(np.float32)

    inputs = encoded(train.frame)
    network = MLPClassifier(
        tuple(cfg.model.hidden),
        alpha=0.0,
        batch_size=min(cfg.train.batch_size, size),
        learning_rate_init=cfg.train.learning_rate,
        random_state=cfg.seed,
    )
    with threadpool_limits(1):  # on a batch of 32 rows threads only wait for each other
        for _ in range(cfg.train.epochs):
            network.partial_fit(inputs, train.churned, classes=[0, 1])
    return lambda frame: network.predict_proba(encoded(frame))[:, 1]


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
