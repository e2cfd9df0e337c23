"""The page of one decision: the checks of the challenger, and their results."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from churn.config.loop import GateConfig
from churn.evaluate.report.templates import template_environment
from churn.files import write_text
from churn.retrain.gate import GATE_METRICS, Verdict
from churn.retrain.trigger import Trigger


def write_decision_page(
    path: Path, name: str, verdict: Verdict, trigger: Trigger, decided: datetime, gate: GateConfig
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
            gate=gate,
            metrics=GATE_METRICS,
            number=format_number,
        )
    )
    write_text(path, html)


def format_number(value: float, signed: bool = False) -> str:
    """A number with four decimals, or two from 1 on, and with a typographic minus."""
    text = f"{value:+.4f}" if abs(value) < 1 else f"{value:+,.2f}"
    if not value:
        return "0"
    return (text if signed else text.removeprefix("+")).replace("-", "−")
