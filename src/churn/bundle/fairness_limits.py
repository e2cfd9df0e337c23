"""The limits of fairness that a bundle must keep to become the champion (`retrain.gate`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from churn.config.loop import GateConfig

_MEANINGS = {
    "demographic_parity": "selection rates",
    "equalized_odds": "true or false positive rates",
}


def broken_limit(facts: dict[str, Any], gate: GateConfig) -> str | None:
    """Why the gate's limits of fairness keep a bundle with these facts out; None if they do not.

    What counts is the difference measured on the test part, whatever its interval: too small a sample is no
    reason to let a model pass.

    >>> broken_limit(bundle.facts, cfg.retrain.gate)
    """
    for name, meaning in _MEANINGS.items():
        limit = getattr(gate, name)
        if limit is None:
            continue
        groupings = (facts.get("fairness") or {}).get("groupings")
        if not groupings:
            return f"its fairness is unknown (train with data.protected), and retrain.gate.{name} is a limit"
        worst = max(groupings, key=lambda grouping: grouping["differences"][name]["value"])
        difference, columns = worst["differences"][name]["value"], " and ".join(worst["columns"])
        if difference > limit:
            found = f"{meaning} differ by {difference:.3f} between groups of {columns}"
            return f"{found}, more than retrain.gate.{name}={limit:g}"
    return None


def limits_of_run(run: Path) -> GateConfig:
    """A gate with the limits of fairness that a run was trained with."""
    trained = OmegaConf.load(run / "config.yaml")
    return GateConfig(**{name: OmegaConf.select(trained, f"retrain.gate.{name}") for name in _MEANINGS})
