"""Baselines: simpler models, fitted and compared on the same rows as the network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from churn.config.root import with_tutorial_model
from churn.config.training import ModelName
from churn.data.dataset import Schema
from churn.data.experiment import Experiment, Part
from churn.network.fit import fit_network
from churn.network.trees import THREADS_FROM, Predictor, fit_boosting, predictor, tree_encoder


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
            "base_rate": predictor(DummyClassifier(strategy="prior").fit(*rows)),
            "logistic_regression": predictor(_logistic_regression(schema).fit(*rows)),
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
    """scikit-learn's histogram gradient boosting; a level that training has not seen counts as missing."""
    encoder, categories = tree_encoder(train[0], schema)
    encoded = encoder.fit_transform(train[0]), train[1]
    trees = fit_boosting(encoded, (encoder.transform(validation[0]), validation[1]), categories, seed)
    return predictor(make_pipeline(encoder, trees))
