"""The page that helps to choose a definition, in one file without scripts."""

from __future__ import annotations

from pathlib import Path

from churn.config.events import ChurnKind, EventsConfig
from churn.errors import count
from churn.evaluate.report.drawing import Chart
from churn.evaluate.report.templates import template_environment
from churn.events import charts
from churn.events.calendar import to_date
from churn.events.definition import label_days
from churn.events.names import feature_roles
from churn.events.report import SnapshotReport
from churn.files import atomic_write


def write_page(path: Path, made: SnapshotReport) -> None:
    """Write the page of a snapshot."""
    page = _render_page(made)
    with atomic_write(path) as aside:
        aside.write_text(page, encoding="utf-8")


def _render_page(made: SnapshotReport) -> str:
    """The HTML."""
    roles = feature_roles(made.cfg)
    return template_environment("events").get_template("page.html.j2").render(
        made=made,
        cfg=made.cfg,
        rows=made.contents.rows,
        customers=made.contents.customers,
        churned=made.contents.churned,
        rule=_describe_churn(made.cfg),
        charts=_charts(made),
        count=count,
        until=to_date(made.until),
        decided=label_days(made.cfg.churn, made.cfg.horizon),
        features={role: len(names) for role, names in roles.items()},
        empty=[name for names in roles.values() for name in names if not made.contents.known[name]],
    )  # fmt: skip


def _charts(made: SnapshotReport) -> list[Chart]:
    """The figures that there is something to draw for."""
    weeks = {name: weeks for name, weeks in made.weeks.items() if weeks}
    figures = [charts.draw_base_rate(made.contents.by_cutoff, made.censored)]
    figures += [charts.draw_silence(made.silences)] if made.silences else []
    figures.append(charts.draw_rows(made.contents.rows_of_customer))
    return figures + ([charts.draw_weeks(weeks)] if weeks else [])


def _describe_churn(cfg: EventsConfig) -> str:
    """The definition in two sentences."""
    churn, table, within = cfg.churn, f"‘{cfg.churn.table}’", f"in the {cfg.horizon} days from the cut-off on"
    if churn.kind is ChurnKind.inactive:
        who = f"an event in {table} in the {churn.lookback} days before the cut-off"
        return f"Customers are those with {who}. Those without one {within} have churned."
    if churn.begin:
        who = f"an event in ‘{churn.begin}’ before the cut-off, and none in {table} since"
        return f"Customers are those with {who}. Those with one in {table} {within} have churned."
    who = f"Customers are those with a contract in {table} that runs at the cut-off."
    if churn.kind is ChurnKind.not_renewed:
        end = f"If it ends {within} and no other begins within {churn.grace} days, they have churned."
    else:
        end = f"If the last one ends {within}, they have churned."
    return f"{who} {end}"
