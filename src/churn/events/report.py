"""A snapshot made on this machine: the file, and what there is to know about it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from churn.config.events import ChurnKind, EventsConfig
from churn.data.dataset import Finding
from churn.errors import count
from churn.events.calendar import cutoff_days, decided_days, to_date
from churn.events.definition import days_to_hold, table_keys, tables_of
from churn.events.duck import fill_ages, snapshot_parts
from churn.events.findings.labels import label_findings
from churn.events.findings.tables import history_findings, table_findings
from churn.events.history import data_until, first_day
from churn.events.number_marks import doubtful_points
from churn.events.outcome import population
from churn.events.reading import table_place
from churn.events.silence import Silence, returns_after_silence
from churn.events.workspace import Workspace, to_sql
from churn.events.writing import Contents, write_snapshot


@dataclass(frozen=True)
class SnapshotReport:
    """What the page of a snapshot shows."""

    cfg: EventsConfig  # with everything resolved
    output: Path
    until: int  # first day that the data do not hold whole
    contents: Contents
    censored: dict[str, int]  # customers whose outcome is not known yet, by cut-off
    weeks: dict[str, list[tuple[int, int]]]  # by table: Monday's day number, events
    silences: list[Silence]
    findings: tuple[Finding, ...]
    for_labels: bool  # whether a bundle asked for it, whose predictions wait for what became of the customers

    @property
    def next_command(self) -> str:
        """What the table was made for."""
        if self.for_labels:
            return f"churn monitor monitor.labels={self.output}"
        return f"churn train data=parquet data.path={self.output}"


def make_snapshot(work: Workspace, output: Path, seed: int, for_labels: bool = False) -> SnapshotReport:
    """Write the file, and gather what there is to know about it; raises `UserError` if it would be empty."""
    if not for_labels:  # a bundle's definition has decided it
        _refuse_doubtful_points(work)
    cfg, until = work.cfg, data_until(work)
    cutoffs, undecided = _cutoffs(work, until)
    span = f"{to_date(cutoffs[0])} to {to_date(cutoffs[-1])}"
    print(f"Asking at {count(len(cutoffs), 'cut-off')}, {span} ...", flush=True)
    with closing(snapshot_parts(work, cutoffs)) as parts:  # while the database is open
        contents = write_snapshot(parts, cfg, output, work.customers * len(cutoffs), seed)
    with ThreadPoolExecutor(1) as aside:  # these need the rows, and the others need DuckDB
        of_labels = aside.submit(lambda: tuple(label_findings(contents, cfg)))
        silences = [returns_after_silence(work, name, until) for name in _signs_of_life(cfg)]
        censored = _count_censored(work, undecided)
        weeks = {name: _events_by_week(work, name) for name in cfg.tables}
        findings = (*table_findings(work), *history_findings(work, cutoffs), *of_labels.result())
    return SnapshotReport(
        cfg=cfg,
        output=output,
        until=until,
        contents=contents,
        censored=censored,
        weeks=weeks,
        silences=[silence for silence in silences if silence],
        findings=findings,
        for_labels=for_labels,
    )


def _refuse_doubtful_points(work: Workspace) -> None:
    """Refuse numbers such as 38, 950 and 1.234, of which nobody can tell whether they are thousands."""
    for name, found in work.readings.items():
        spec, keys = tables_of(work.cfg)[name], table_keys(work.cfg, name)
        for error in doubtful_points(found.shapes, spec, table_place(work.cfg, spec), keys):
            raise error


def _cutoffs(work: Workspace, until: int) -> tuple[list[int], list[int]]:
    """The cut-offs whose outcome is known, and those of which it is not known yet."""
    asked = cutoff_days(work.cfg.cutoffs, first_day(work) + max(work.cfg.windows), until - 1)
    decided = decided_days(asked, until - days_to_hold(work.cfg.churn, work.cfg.horizon))
    return decided, asked[len(decided) :]


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


def summarize(made: SnapshotReport, page: Path) -> str:
    """What the terminal says."""
    rows, censored = made.contents.rows, sum(made.censored.values())
    kind = made.cfg.churn.kind.value.replace("_", " ")
    lines = [
        f"{rows:,} rows of {made.contents.customers:,} customers "
        f"at {count(len(made.contents.by_cutoff), 'cut-off')}; "
        f"{made.contents.churned / rows:.1%} {kind} within {made.cfg.horizon} days"
    ]
    if made.censored:
        lines.append(
            f"  {censored:,} more, at {count(len(made.censored), 'cut-off')}, have no row: "
            f"their outcome was not known by {to_date(made.until)}"
        )
    lines += [f"! {finding.title}\n    {finding.evidence}\n    {finding.advice}" for finding in made.findings]
    lines += [f"Page:  {page}", f"Table: {made.output}  ({made.next_command})"]
    return "\n".join(lines)
