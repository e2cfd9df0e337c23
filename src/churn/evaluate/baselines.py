"""What a practitioner would use instead of a network, fitted on the same rows."""

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


def fit_baselines(train: Part, validation: Part, schema: Schema, seed: int) -> dict[str, Predictor]:
    """The baselines by name, fitted on the train part; boosting stops early by the validation part."""
    rows = train.frame, train.churned
    # On a small table threads wait for each other longer than they work, more so on a busy machine.
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
    """scikit-learn's histogram gradient boosting, with the size of trees that validates better.

    A level that training has not seen counts as missing.
    """
    encoder, categories = tree_encoder(train[0], schema)
    fit = encoder.fit_transform(train[0]), train[1]
    best = fit_boosting(fit, (encoder.transform(validation[0]), validation[1]), categories, seed)
    return lambda frame: best.predict_proba(encoder.transform(frame))[:, 1]


def predict_baselines(experiment: Experiment) -> dict[str, np.ndarray]:
    """[n] probabilities of the test rows by name: of the baselines, and the tutorial's unless it is `cfg.model`."""
    train, validation, test = experiment.train, experiment.validation, experiment.test
    fitted = fit_baselines(train, validation, experiment.data.schema, experiment.cfg.seed)
    predictions = {name: predict(test.frame) for name, predict in fitted.items()}
    if experiment.cfg.model.name != ModelName.tutorial:
        tutorial = replace(experiment, cfg=with_tutorial_model(experiment.cfg))
        predictions["tutorial"] = fit_network(tutorial, quiet=True).predict(test.frame)
    return predictions
