"""Render the report: its content, laid out by the template."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path

from churn.evaluate.evaluation import MODEL
from churn.evaluate.metrics import METRICS
from churn.evaluate.report import wording
from churn.evaluate.report.content import ReportContent
from churn.evaluate.report.drawing import Chart
from churn.evaluate.report.effects import draw_effects, draw_profit_curve, draw_selection
from churn.evaluate.report.stress import draw_robustness
from churn.evaluate.report.templates import template_environment
from churn.files import write_text
from churn.parallel import LAZY

SHOWN_FEATURES = 20  # bars of the importance figure; the others are folded away
SHOWN_SEGMENTS = 10  # likewise


def write_report(
    path: Path, content: ReportContent, charts: Sequence[Chart], worker: Executor = LAZY
) -> None:
    """Write the report: one HTML file that needs neither scripts nor other files."""
    page = render_report(content, charts, worker)
    write_text(path, page)


def render_report(content: ReportContent, charts: Sequence[Chart], worker: Executor = LAZY) -> str:
    """The HTML of the report, with the figures of `draw_charts`; `worker` draws some of the others."""
    effects = worker.submit(draw_effects, content.dependence)
    evaluation = content.evaluation
    answer, comparisons = wording.verdict(evaluation)
    largest = max([0.0, *(importance.roc_auc.high for importance in content.importance)]) or 1.0
    template = template_environment("evaluate/report").get_template("template.html.j2")
    return template.render(
        **vars(content)
        | {"stress": draw_robustness(content.robustness), "profit_curve": draw_profit_curve(content.profit)}
        | {"selection": draw_selection(content.fairness), "effects": effects.result()},
        words=wording,
        metrics=METRICS,
        rows=len(content.churned),
        names=sorted(evaluation.scores, key=_column_order),
        statements=[
            wording.money_statement(content.profit, content.assumptions),
            *wording.statements(evaluation, len(content.churned)),
        ],
        confusion=wording.confusion(content.churned, content.predictions[MODEL] >= content.profit.threshold),
        answer=answer,
        comparisons=comparisons,
        charts=charts,
        position=lambda loss: 100 * max(loss, 0) / largest,
        shown_features=SHOWN_FEATURES,
        shown_segments=SHOWN_SEGMENTS,
    )


def _column_order(name: str) -> int:
    """The position of a prediction in the comparison; names without a label come last."""
    return list(wording.NAMES).index(name) if name in wording.NAMES else len(wording.NAMES)
