"""The page that helps to choose a definition, in one file without scripts."""

from __future__ import annotations

from pathlib import Path

from churn.config.events import ChurnKind, EventsConfig
from churn.evaluate.report.templates import template_environment
from churn.events import charts
from churn.events.calendar import to_date
from churn.events.definition import label_days
from churn.events.local import Made
from churn.events.names import feature_roles
from churn.files import atomic_write


def write_page(path: Path, made: Made) -> None:
    """Write the page of a snapshot."""
    page = _render_page(made)
    with atomic_write(path) as aside:
        aside.write_text(page, encoding="utf-8")


def _render_page(made: Made) -> str:
    """The HTML."""
    contents = made.contents
    figures = [charts.draw_base_rate(contents.by_cutoff, made.censored)]
    if made.silences:
        figures.append(charts.draw_silence(made.silences))
    figures.append(charts.draw_rows(contents.rows_of_customer))
    if any(made.weeks.values()):
        figures.append(charts.draw_weeks({name: weeks for name, weeks in made.weeks.items() if weeks}))
    return template_environment("events").get_template("page.html.j2").render(
        made=made,
        cfg=made.cfg,
        rows=contents.rows,
        customers=sum(contents.rows_of_customer.values()),
        churned=sum(lost for _, lost in contents.by_cutoff.values()),
        rule=_describe_churn(made.cfg),
        charts=figures,
        until=to_date(made.until),
        decided=label_days(made.cfg.churn, made.cfg.horizon),
        features={role: len(names) for role, names in feature_roles(made.cfg).items()},
        empty=[name for of in feature_roles(made.cfg).values() for name in of if not contents.known[name]],
    )  # fmt: skip


def _describe_churn(cfg: EventsConfig) -> str:
    """The definition in a sentence."""
    churn, table, within = cfg.churn, f"‘{cfg.churn.table}’", f"in the {cfg.horizon} days from the cut-off on"
    if churn.kind is ChurnKind.inactive:
        who = f"has an event in {table} in the {churn.lookback} days before the cut-off"
        return f"A customer is who {who}; churned is who has none {within}."
    if churn.begin:
        who = f"has an event in ‘{churn.begin}’ before the cut-off and none in {table} since"
        return f"A customer is who {who}; churned is who has one in {table} {within}."
    who = f"A customer is whose contract in {table} runs at the cut-off; churned is whose"
    if churn.kind is ChurnKind.not_renewed:
        return f"{who} contract ends {within}, and who begins no other within {churn.grace} days."
    return f"{who} last contract ends {within}."
