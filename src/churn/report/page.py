"""The page itself: the content of a report laid out by the template."""

from __future__ import annotations

from pathlib import Path

from churn.files import write_aside
from churn.pages import environment
from churn.report import words
from churn.report.charts import charts
from churn.report.content import ReportContent
from churn.report.effects import effects, profit_curve

SHOWN_FEATURES = 20  # bars of the importance figure before the reader asks for all
SHOWN_SEGMENTS = 10  # likewise


def write(path: Path, content: ReportContent) -> None:
    """Write the report: one HTML file without scripts that needs nothing else."""
    page = render(content)
    with write_aside(path) as aside:
        aside.write_text(page, encoding="utf-8")


def render(content: ReportContent) -> str:
    """The HTML of the report."""
    evaluation = content.evaluation
    answer, reasons = words.verdict(evaluation)
    most = max([0.0, *(one.roc_auc.high for one in content.importance)]) or 1.0
    template = environment("report").get_template("template.html.j2")
    return template.render(
        **vars(content)
        | {"effects": effects(content.dependence), "profit_curve": profit_curve(content.profit)},
        words=words,
        rows=len(content.churned),
        names=sorted(evaluation.scores, key=order),
        statements=words.statements(evaluation, len(content.churned)),
        answer=answer,
        reasons=reasons,
        charts=charts(content.churned, content.predictions, content.history),
        position=lambda loss: 100 * max(loss, 0) / most,
        shown_features=SHOWN_FEATURES,
        shown_segments=SHOWN_SEGMENTS,
    )


def order(name: str) -> int:
    """The column of a prediction in the comparison; the unknown come last."""
    return list(words.NAMES).index(name) if name in words.NAMES else len(words.NAMES)
