"""The decision: which customers are worth a call.

Who decides what:

- `choose_threshold` (here) chooses the threshold of a bundle, once, when the bundle is exported;
- `churn.bundle.graph` applies it: the output `churn` is 1 where the probability reaches the threshold. This
  is the decision of every endpoint and of every scored file;
- `churn.score.call_list` (`churn score top=N`) ranks customers by `expected_profit`. It lists those that are
  `worth_a_call`: those with `churn` = 1 or, under other assumptions than the bundle's and if each customer
  has a value of their own (`decision.value_column`), those whose expected profit is above zero; it leaves out
  the do-not-contact list, keeps to the capacity, and marks the control group;
- `churn.evaluate.profit` measures what these decisions earn on the test part, `churn.retrain.gate` what those
  of champion and challenger earn on fresh rows. Neither changes them.

What a call brings: success * (value - offer) - contact for a customer who would leave, and -offer - contact
for one who would stay, since stayers take the offer too (Verbraken, Verbeke and Baesens 2013, A Novel
Profit Maximizing Metric, IEEE TKDE 25(5)).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special
from scipy.special import expit

from churn.config.training import DecisionConfig
from churn.errors import UserError
from churn.network.log_odds import logit

if TYPE_CHECKING:
    import pandas as pd

NOBODY = 2.0  # a threshold that no probability reaches


def check_decision(cfg: DecisionConfig, frame: pd.DataFrame) -> None:
    """Raise `UserError` for both a threshold and a share, or a value column that `frame` does not have."""
    if cfg.threshold is not None and cfg.top_share is not None:
        raise UserError(
            "both a threshold and a share are given", "decision", "choose one: threshold or top_share"
        )
    customer_values(frame, cfg)


def customer_values(frame: pd.DataFrame, cfg: DecisionConfig) -> np.ndarray:
    """[n] what is lost if each customer of `frame` leaves; `cfg.customer_value` where the column is empty."""
    column = cfg.value_column
    if column is None:
        return np.full(len(frame), cfg.customer_value)
    import pandas as pd

    if column not in frame or not pd.api.types.is_numeric_dtype(frame[column]):
        raise UserError(
            f"there is no column of numbers '{column}' among the features",
            "decision.value_column",
            "name one of them",
        )
    own = frame[column].to_numpy(float) * cfg.value_factor
    return np.where(np.isnan(own), cfg.customer_value, np.maximum(own, 0))


def call_gain(churned: np.ndarray, value: np.ndarray, cfg: DecisionConfig) -> np.ndarray:
    """[n] what calling each customer brings; `churned` is 1 for those who would leave.

    >>> call_gain(np.array([1, 0]), np.array([200.0, 200.0]), DecisionConfig())  # 56, -11
    """
    kept = cfg.success * (value - cfg.offer_cost) - cfg.contact_cost
    return np.where(churned == 1, kept, -cfg.offer_cost - cfg.contact_cost)


def expected_profit(probability: np.ndarray, value: np.ndarray, cfg: DecisionConfig) -> np.ndarray:
    """[n] what calling each customer brings on average, given the probability that they leave."""
    leaving, staying = (call_gain(np.array(churned), value, cfg) for churned in (1, 0))
    return probability * leaving + (1 - probability) * staying


def policy_profit(probability: np.ndarray, value: float, threshold: float, cfg: DecisionConfig) -> np.ndarray:
    """[n] expected profit of calling those whose probability reaches the threshold; 0 for the others."""
    called = probability >= threshold
    return np.where(called, expected_profit(probability, np.array(value), cfg), 0.0)


def break_even(value: float, cfg: DecisionConfig) -> float:
    """The probability at which the expected profit of a call is zero; `NOBODY` if a call never pays.

    >>> break_even(200, DecisionConfig())  # 0.164
    """
    kept, wasted = (float(call_gain(np.array(churned), np.array(value), cfg)) for churned in (1, 0))
    return -wasted / (kept - wasted) if kept > 0 else NOBODY


def choose_threshold(
    cfg: DecisionConfig,
    churned: np.ndarray,
    probability: np.ndarray,
    value: np.ndarray,
    final: Callable[[], np.ndarray] | None = None,
) -> float:
    """The probability from which to call, chosen on [n] held-out rows; n may be 0.

    A fixed threshold or share of `cfg` comes first. Otherwise it is the most profitable threshold for a
    customer of average value: the probability at which a call breaks even by a logistic regression of
    `churned` on the log-odds. The peak of the measured profit instead would follow chance: chosen on 704
    Telco customers it earned 0.5 to 2 % less on others.

    A share is counted among the probabilities that `final` gives: those of the model that will be served for
    rows that it has not learnt from. The test part's may be taken, since no label is used; its share of calls
    is then as asked by construction. Out-of-fold probabilities are of other models, and those of rows that
    it learnt from are spread wider: a share chosen by either calls fewer new customers than asked.
    """
    if cfg.threshold is not None:
        return cfg.threshold
    if cfg.top_share is not None:
        if len(probability) == 0:
            raise UserError("a share needs calibration rows", "decision.top_share", "use decision.threshold")
        return float(np.quantile(final() if final else probability, 1 - cfg.top_share))
    even = break_even(value.mean() if len(value) else cfg.customer_value, cfg)
    if len(churned) == 0 or not 0 < even < 1:
        return even
    intercept, slope = _calibration_line(churned, probability)
    if not slope > 0:  # too few rows for a calibration
        return even
    return float(expit((special.logit(even) - intercept) / slope))


def _calibration_line(churned: np.ndarray, probability: np.ndarray) -> tuple[float, float]:
    """Intercept and slope of the logistic regression of `churned` on the log-odds; slope 0 if it has none."""
    x = logit(probability, np.finfo(float).eps)[:, None]
    if np.ptp(x) == 0 or _separable(churned == 1, x[:, 0]):
        return 0.0, 0.0
    from sklearn.linear_model import LogisticRegression  # only training chooses a threshold

    line = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10).fit(x, churned)
    return float(line.intercept_[0]), float(line.coef_[0, 0])


def _separable(churned: np.ndarray, x: np.ndarray) -> bool:
    """Whether a limit on `x` separates churners from stayers: then the regression has no maximum."""
    if churned.all() or not churned.any():
        return True
    left, stayed = x[churned], x[~churned]
    return bool(left.min() >= stayed.max() or stayed.min() >= left.max())


def effective_assumptions(
    cfg: DecisionConfig, facts: dict[str, Any], given: Collection[str] = ()
) -> DecisionConfig:
    """The assumptions of a bundle's training, with the keys of `cfg` that the user set.

    These are the keys in `given` (full keys, `Config.overridden`) and those that differ from their defaults.
    A threshold takes the place of a share and the other way round. `facts` is the bundle's `bundle.json`.
    """
    default, own = DecisionConfig(), dict(facts.get("decision", {}))
    changed = {
        field.name: getattr(cfg, field.name)
        for field in fields(cfg)
        if f"decision.{field.name}" in given or getattr(cfg, field.name) != getattr(default, field.name)
    }
    if {"threshold", "top_share"} & changed.keys():
        own |= {"threshold": None, "top_share": None}
    return replace(default, **(own | changed))


def worth_a_call(
    probability: np.ndarray,
    called: np.ndarray,
    profit: np.ndarray,
    in_force: DecisionConfig,
    own: DecisionConfig,
) -> np.ndarray:
    """[n] whether each customer is worth a call under the assumptions in force.

    called: the bundle's own decision, which holds under its own assumptions `own`; profit: the expected one.
    """
    if in_force.threshold is not None:
        return probability >= in_force.threshold
    if in_force.top_share is not None:
        if in_force.top_share != own.top_share:
            do = "leave it out, and name the length of the list: top=N"
            raise UserError(
                "the share of customers is fixed when a bundle is trained", "decision.top_share", do
            )
        return called
    if in_force.value_column is None and _who_pays(in_force) == _who_pays(own):
        return called
    return profit > 0


def _who_pays(cfg: DecisionConfig) -> DecisionConfig:
    """The assumptions without those that only shape the list, or its look."""
    return replace(cfg, currency=None, capacity=None, control_share=0.0, success_evidence=1.0)
