"""The page of one decision: what was asked of the challenger, and what it showed."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from churn.evaluate.report.templates import template_environment
from churn.files import atomic_write
from churn.retrain.gate import GATE_METRICS, GateCheck, Verdict
from churn.retrain.trigger import Trigger


def write_decision_page(
    path: Path, name: str, verdict: Verdict, trigger: Trigger, decided: datetime, confidence: float
) -> None:
    """Write the page: one HTML file without scripts."""
    html = (
        template_environment("retrain")
        .get_template("decision.html.j2")
        .render(
            name=name,
            verdict=verdict,
            trigger=trigger,
            decided=f"{decided:%Y-%m-%d %H:%M} UTC",
            confidence=confidence,
            metrics=GATE_METRICS,
            bars=[_bar_position(check) for check in verdict.checks],
            number=format_number,
        )
    )
    with atomic_write(path) as aside:
        aside.write_text(html, encoding="utf-8")


def _bar_position(check: GateCheck) -> dict[str, float]:
    """Where gain, bound and what is asked for lie on a line whose middle is 0, in per cent of it."""
    reach = 1.15 * max(abs(check.gain), abs(check.bound), abs(check.least), 1e-9)
    place = {key: 50 + 50 * getattr(check, key) / reach for key in ("gain", "bound", "least")}
    return place | {"left": min(place["gain"], place["bound"]), "width": abs(place["gain"] - place["bound"])}


def format_number(value: float, signed: bool = False) -> str:
    """Four decimals, of what is not below 1 two, with a true minus."""
    text = f"{value:+.4f}" if abs(value) < 1 else f"{value:+,.2f}"
    if not value:
        return "0"
    return (text if signed else text.removeprefix("+")).replace("-", "−")
