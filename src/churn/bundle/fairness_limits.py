"""The limits of fairness that a bundle must keep to become the champion (`retrain.gate`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from churn.config.loop import GateConfig
from churn.config.root import Config

_MEANINGS = {
    "demographic_parity": "selection rates",
    "equalized_odds": "true or false positive rates",
}


def broken_limit(facts: dict[str, Any], gate: GateConfig) -> str | None:
    """Why the gate's limits of fairness keep a bundle with these facts out; None if they do not.

    What counts is the difference measured on the test part, whatever chance alone gives: too small a sample
    is no reason to let a model pass.

    >>> broken_limit(bundle.facts, cfg.retrain.gate)
    """
    limits = {name: limit for name in _MEANINGS if (limit := getattr(gate, name)) is not None}
    fairness = facts.get("fairness") or {}
    for name, limit in limits.items():
        if columns := fairness.get("unknown"):
            return f"its fairness by {', '.join(columns)} is unknown, and retrain.gate.{name} is a limit"
        if not fairness.get("groupings"):
            return f"its fairness is unknown (train with data.protected), and retrain.gate.{name} is a limit"
        worst = max(fairness["groupings"], key=lambda grouping: grouping["differences"][name]["value"])
        if worst["differences"][name]["value"] > limit:
            return _excess(worst, name, limit)
    return None


def _excess(grouping: dict[str, Any], name: str, limit: float) -> str:
    difference, columns = grouping["differences"][name]["value"], " and ".join(grouping["columns"])
    found = f"{_MEANINGS[name]} differ by {difference:.3f} between groups of {columns}"
    return f"{found}, more than retrain.gate.{name}={limit:g}"


def limits_of_promotion(run: Path, cfg: Config) -> GateConfig:
    """The gate with the stricter of its limits of fairness and the run's own.

    A limit that the command itself names, `null` too, counts as it is: then people decide on another one.
    """
    said, own = vars(cfg.retrain.gate), vars(limits_of_run(run))
    unsaid = [name for name in _MEANINGS if f"retrain.gate.{name}" not in cfg.overridden]
    limits = {name: [limit for limit in (said[name], own[name]) if limit is not None] for name in unsaid}
    return GateConfig(**said | {name: min(both, default=None) for name, both in limits.items()})


def limits_of_run(run: Path) -> GateConfig:
    """A gate with the limits of fairness that a run was trained with."""
    trained = OmegaConf.load(run / "config.yaml")
    return GateConfig(**{name: OmegaConf.select(trained, f"retrain.gate.{name}") for name in _MEANINGS})
