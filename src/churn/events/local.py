"""A snapshot made on this machine: the file, what was found, and the page beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from churn.config.events import ChurnKind, EventsConfig
from churn.data.dataset import Finding
from churn.events.calendar import cutoff_days, decided_days, to_date
from churn.events.definition import label_days
from churn.events.duck import Workspace, fill_ages, snapshot_parts, to_sql
from churn.events.findings import find_oddities, history_findings
from churn.events.history import data_until, first_day
from churn.events.looks import decided_by_a_column, seasonal
from churn.events.outcome import population
from churn.events.silence import Silence, returns_after_silence
from churn.events.writing import Contents, write_snapshot


@dataclass(frozen=True)
class Made:
    """What a page of a snapshot shows."""

    cfg: EventsConfig  # with everything resolved
    output: Path
    until: int  # first day that the data do not hold whole
    contents: Contents
    censored: dict[str, int]  # customers whose outcome is not known yet, by cut-off
    weeks: dict[str, list[tuple[int, int]]]  # by table: Monday's day number, events
    silences: list[Silence]
    findings: tuple[Finding, ...]


def make_snapshot(work: Workspace, output: Path, seed: int) -> Made:
    """Write the file, and gather what there is to know about it; raises `UserError` if it would be empty."""
    cfg = work.cfg
    until = data_until(work)
    decided = until - label_days(cfg.churn, cfg.horizon)
    asked = cutoff_days(cfg.cutoffs, first_day(work) + max(cfg.windows), until - 1)
    cutoffs = decided_days(asked, decided)
    span = f"{to_date(cutoffs[0])} to {to_date(cutoffs[-1])}"
    print(f"Asking at {len(cutoffs)} cut-offs, {span} ...", flush=True)
    contents = write_snapshot(snapshot_parts(work, cutoffs), cfg, output, work.customers * len(cutoffs), seed)
    censored = _count_censored(work, [day for day in asked if day > decided])
    findings = [*find_oddities(work), *history_findings(work, cutoffs)]
    findings += [*seasonal(contents), *decided_by_a_column(contents, cfg)]
    return Made(
        cfg=cfg,
        output=output,
        until=until,
        contents=contents,
        censored=censored,
        weeks={name: _events_by_week(work, name) for name in cfg.tables},
        silences=[
            silence for name in _signs_of_life(cfg) if (silence := returns_after_silence(work, name, until))
        ],
        findings=tuple(findings),
    )


def _signs_of_life(cfg: EventsConfig) -> list[str]:
    """The tables whose silence is looked at: the one that defines inactivity, else all."""
    return [str(cfg.churn.table)] if cfg.churn.kind is ChurnKind.inactive else list(cfg.tables)


def _count_censored(work: Workspace, cutoffs: list[int]) -> dict[str, int]:
    """Customers at cut-offs whose outcome the data do not hold yet."""
    if not cutoffs:
        return {}
    sql = to_sql(population(work.tables, work.cfg, fill_ages(work, cutoffs)))
    counts = work.rows(
        f"SELECT cutoff, count(*) FROM ({sql}) WHERE customer IS NOT NULL GROUP BY cutoff ORDER BY cutoff"
    )
    return {str(to_date(day)): rows for day, rows in counts}


def _events_by_week(work: Workspace, name: str) -> list[tuple[int, int]]:
    """Events of each week; day 4 since 1970 was a Monday."""
    return work.rows(
        f"SELECT (day - 4) // 7 * 7 + 4 AS monday, count(*) FROM all_{name} GROUP BY monday ORDER BY monday"
    )


def summarize(made: Made, page: Path) -> str:
    """What the terminal says."""
    rows = made.contents.rows
    churned = sum(lost for _, lost in made.contents.by_cutoff.values())
    customers = sum(made.contents.rows_of_customer.values())
    kind = made.cfg.churn.kind.value.replace("_", " ")
    lines = [
        f"{rows:,} rows of {customers:,} customers at {len(made.contents.by_cutoff)} cut-offs; "
        f"{churned / rows:.1%} {kind} within {made.cfg.horizon} days"
    ]
    if made.censored:
        lines.append(
            f"  {sum(made.censored.values()):,} more, at {len(made.censored)} cut-offs, have no row: "
            f"their outcome was not known by {to_date(made.until)}"
        )
    lines += [f"! {finding.title}\n    {finding.evidence}\n    {finding.advice}" for finding in made.findings]
    return "\n".join(
        [
            *lines,
            f"Page:  {page}",
            f"Table: {made.output}  (churn train data=parquet data.path={made.output})",
        ]
    )
