"""Tuned boosted trees on given folds; runs in the environment of `make bench-setup`.

peers.py TABLE.parquet PREDICTIONS.parquet [--seeds 3]. TABLE holds the features (numbers as float, categories
as text) and `churned` (0/1); every seed has its own 5 stratified folds. Each library is tuned on each
training fold: 30 draws from a fixed space, compared by the log loss of 3 inner folds with early stopping. The
best is fitted on the whole training fold, with the mean number of rounds of its inner folds. The output has
seed, fold, row and the probability of each library.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import xgboost
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold

warnings.filterwarnings("ignore", category=UserWarning)
TRIALS, INNER, OUTER, MOST_ROUNDS, STOP_AFTER = 30, 3, 5, 1000, 30
Rng = np.random.Generator
# Fits with parameters, frame, labels, and either an evaluation set or a number of rounds.
Fit = Callable[..., tuple[Callable[[pd.DataFrame], np.ndarray], int]]


def log_uniform(rng: Rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def xgboost_space(rng: Rng) -> dict[str, Any]:
    return {
        "learning_rate": log_uniform(rng, 0.02, 0.2), "max_depth": int(rng.integers(2, 9)),
        "min_child_weight": log_uniform(rng, 0.5, 50), "subsample": rng.uniform(0.5, 1),
        "colsample_bytree": rng.uniform(0.4, 1), "reg_lambda": log_uniform(rng, 0.1, 50),
        "gamma": float(rng.choice([0, 0.1, 1.0])),
    }  # fmt: skip


def lightgbm_space(rng: Rng) -> dict[str, Any]:
    return {
        "learning_rate": log_uniform(rng, 0.02, 0.2), "num_leaves": int(log_uniform(rng, 4, 128)),
        "min_child_samples": int(log_uniform(rng, 5, 100)), "subsample": rng.uniform(0.5, 1),
        "subsample_freq": 1, "colsample_bytree": rng.uniform(0.4, 1),
        "reg_lambda": log_uniform(rng, 0.01, 50),
    }  # fmt: skip


def catboost_space(rng: Rng) -> dict[str, Any]:
    return {
        "learning_rate": log_uniform(rng, 0.03, 0.2), "depth": int(rng.integers(3, 8)),
        "l2_leaf_reg": log_uniform(rng, 1, 30), "random_strength": log_uniform(rng, 0.1, 10),
    }  # fmt: skip


def fit_xgboost(params, X, y, valid=None, rounds=MOST_ROUNDS):  # noqa: ANN001, ANN201
    model = xgboost.XGBClassifier(
        **params, n_estimators=rounds, n_jobs=1, tree_method="hist", enable_categorical=True, random_state=0,
        early_stopping_rounds=STOP_AFTER if valid else None,
    )  # fmt: skip
    model.fit(X, y, eval_set=[valid] if valid else None, verbose=False)
    return lambda frame: model.predict_proba(frame)[:, 1], (model.best_iteration + 1 if valid else rounds)


def fit_lightgbm(params, X, y, valid=None, rounds=MOST_ROUNDS):  # noqa: ANN001, ANN201
    model = lightgbm.LGBMClassifier(**params, n_estimators=rounds, n_jobs=1, verbose=-1, random_state=0)
    stop = [lightgbm.early_stopping(STOP_AFTER, verbose=False)] if valid else None
    held_out = {"eval_X": valid[0], "eval_y": valid[1]} if valid else {}
    model.fit(X, y, **held_out, callbacks=stop)
    return lambda frame: model.predict_proba(frame)[:, 1], (model.best_iteration_ if valid else rounds)


def fit_catboost(params, X, y, valid=None, rounds=MOST_ROUNDS):  # noqa: ANN001, ANN201
    categories = [c for c in X if X[c].dtype == "category"]
    model = catboost.CatBoostClassifier(
        **params, iterations=rounds, thread_count=1, random_seed=0, verbose=False, allow_writing_files=False,
        cat_features=categories, max_ctr_complexity=1,
        early_stopping_rounds=STOP_AFTER if valid else None, use_best_model=bool(valid),
    )  # fmt: skip
    model.fit(X, y, eval_set=valid)
    return lambda frame: model.predict_proba(frame)[:, 1], (model.tree_count_ if valid else rounds)


PEERS: dict[str, tuple[Callable[[Rng], dict[str, Any]], Fit]] = {
    "xgboost": (xgboost_space, fit_xgboost),
    "lightgbm": (lightgbm_space, fit_lightgbm),
    "catboost": (catboost_space, fit_catboost),
}


def tune(name: str, X: pd.DataFrame, y: np.ndarray, seed: int) -> Callable[[pd.DataFrame], np.ndarray]:
    """The predictor of the trial with the lowest inner log loss, fitted on all rows."""
    space, fit = PEERS[name]
    rng = np.random.default_rng(seed)
    inner = list(StratifiedKFold(INNER, shuffle=True, random_state=seed).split(X, y))
    best: tuple[float, dict[str, Any], int] = (np.inf, {}, 0)
    for _ in range(TRIALS):
        params, losses, rounds = space(rng), [], []
        for train, valid in inner:
            predict, used = fit(params, X.iloc[train], y[train], (X.iloc[valid], y[valid]))
            losses.append(log_loss(y[valid], predict(X.iloc[valid])))
            rounds.append(used)
        if np.mean(losses) < best[0]:
            best = float(np.mean(losses)), params, max(1, int(np.mean(rounds)))
    return fit(best[1], X, y, None, best[2])[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table")
    parser.add_argument("predictions")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    table = pd.read_parquet(options.table)
    y = table.pop("churned").to_numpy(int)
    X = table.apply(lambda c: c if c.dtype.kind == "f" else c.astype("category"))
    parts = []
    for seed in range(options.seeds):
        folds = StratifiedKFold(OUTER, shuffle=True, random_state=seed).split(X, y)
        for fold, (train, test) in enumerate(folds):
            part = pd.DataFrame({"seed": seed, "fold": fold, "row": test})
            for name in PEERS:
                began = time.process_time()
                part[name] = tune(name, X.iloc[train], y[train], seed)(X.iloc[test]).astype("float32")
                part[f"{name}_seconds"] = time.process_time() - began
                print(seed, fold, name, round(part[f"{name}_seconds"][0], 1), flush=True)
            parts.append(part)
            pd.concat(parts).to_parquet(options.predictions)


if __name__ == "__main__":
    main()
