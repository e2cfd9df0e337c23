"""`churn monitor`: whether what arrives looks like what was learnt, and what was predicted happens."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from churn.bundle import Bundle
from churn.config import Config, MonitorConfig
from churn.data import name_of
from churn.drift import FEW, Policy
from churn.errors import UserError
from churn.files import append, lines, write_aside
from churn.monitor import gauges, labels, page, source
from churn.monitor.window import Window, assess
from churn.registry import find_bundle

HISTORY = "history.jsonl"
EXIT_CODES = {"warning": 10, "alarm": 11}
DIGEST = 64  # characters; Vertex AI's table names deployed models instead
KEY, OUTPUT = "customer_key", "outputs.churn_probability"


def monitor(cfg: Config) -> None:
    """Compare a window of the log with the bundle's profile; write JSON, page, gauges and a line of history.

    Raises `UserError` for a log or labels that cannot be read. Ends with the exit code 10 on a warning and 11
    on an alarm if `monitor.exit_code=true`.
    """
    bundle = find_bundle(cfg)
    if "score" not in bundle.profile:
        raise UserError("the bundle carries no profile to compare with", str(bundle.path), "train it again")
    since, until = period(cfg.monitor)
    window, ignored = read(cfg, bundle, since, until)
    chosen = policy(cfg)
    report = {
        "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "from": since.isoformat(),
        "until": until.isoformat(),
        "bundle": bundle.digest,
        "other_bundles": ignored,
        **assess(window, bundle.facts.get("metrics", {}), chosen),
    }
    folder = place(cfg)
    record(folder, report)
    page.write(folder / "report.html", bundle, history(folder), chosen)
    gauges.write(Path(cfg.monitor.gauges or folder / "churn.prom"), bundle.facts["name"], report)
    print(in_words(report, folder))
    if cfg.monitor.exit_code and report["status"] in EXIT_CODES:
        sys.exit(EXIT_CODES[report["status"]])


def policy(cfg: Config) -> Policy:
    """From where on a change is worth a word, as configured."""
    chosen = cfg.monitor
    return Policy(
        min_rows=chosen.min_rows,
        warning_psi=chosen.warning_psi,
        alarm_psi=chosen.alarm_psi,
        permutations=chosen.permutations,
        seed=cfg.seed,
    )


def period(chosen: MonitorConfig) -> tuple[datetime, datetime]:
    """First and last moment of the window, in UTC."""
    until = moment(chosen.until, "monitor.until")
    since = moment(chosen.since, "monitor.since") if chosen.since else until - timedelta(days=chosen.days)
    if since >= until:
        raise UserError(
            f"the window ends before it begins: {since} to {until}", "monitor.since, monitor.until"
        )
    return since, until


def moment(text: str | None, key: str) -> datetime:
    """An ISO date or time, UTC where no zone is named; now where there is none."""
    if text is None:
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"'{text}' is no time", key, "write 2026-11-24 or 2026-11-24T12:00") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def read(cfg: Config, bundle: Bundle, since: datetime, until: datetime) -> tuple[Window, int]:
    """The window, in one pass over the log, and how many of its rows other bundles answered.

    Those are not looked at. Outcomes are of all predictions that labels settle, older ones included.
    """
    window, ignored = Window.of(bundle.profile, cfg.seed), 0
    known, begin = None, since
    if place := cfg.monitor.labels:
        in_bigquery = place.startswith(source.BIGQUERY)
        table = source.table_of(place, cfg) if in_bigquery else labels.read(place)
        known = labels.of_table(table, place, bundle.schema, until)
        begin = min(since, until - timedelta(days=cfg.monitor.label_days))
    names = {field["column"]: f"inputs.{field['input']}" for field in bundle.facts["inputs"]}
    for chunk in source.predictions(cfg, begin, until):
        table = answered_by(chunk, bundle.digest)
        new = in_window(table, since)
        ignored += in_window(chunk, since).num_rows - new.num_rows
        refuse_other_columns(table, names, source.where(cfg))
        if known is not None and table.num_rows:
            keys, times = table[KEY].cast(pa.string()).to_numpy().astype(str), table["time"].to_numpy()
            outcome, treated = known.settle(keys, times, cfg.data.horizon)
            window.outcomes.add(table[OUTPUT].to_numpy(), outcome, treated)
        if new.num_rows:
            columns = {column: new[name] for column, name in names.items()}
            window.summary.add(columns, new[OUTPUT].to_numpy())
    return window, ignored


def in_window(table: pa.Table, since: datetime) -> pa.Table:
    """The rows from `since` on."""
    from churn.predictionlog import between

    return between(table, since, None)


def answered_by(table: pa.Table, digest: str) -> pa.Table:
    """The rows that this bundle answered; all of them where the log does not say."""
    bundles = table["bundle"]
    if table.num_rows and len(bundles[0].as_py()) != DIGEST:
        return table
    import pyarrow.compute as pc

    return table.filter(pc.equal(bundles, digest))


def refuse_other_columns(table: pa.Table, names: dict[str, str], where: str) -> None:
    """Raise `UserError` if the log is of another model."""
    missing = [column for column, name in names.items() if name not in table.column_names]
    if table.num_rows and (missing or OUTPUT not in table.column_names):
        told = ", ".join(missing) or "churn_probability"
        raise UserError(
            f"the log lacks what the bundle reads: {told}", where, "name the bundle that served: bundle=DIR"
        )


def place(cfg: Config) -> Path:
    """The folder of the history and the newest report."""
    return Path(cfg.monitor.dir or Path(cfg.run.root) / "monitor" / name_of(cfg.data))


def record(folder: Path, report: dict[str, Any]) -> None:
    """Write the report, and append it to the history as one line."""
    with write_aside(folder / "report.json") as aside:
        aside.write_text(json.dumps(report, indent=1, default=number))
    append(folder / HISTORY, json.dumps(report, default=number))


def number(value: Any) -> float | int:
    """Numbers of numpy, for JSON."""
    return value.item() if isinstance(value, np.generic) else float(value)


def history(folder: Path) -> list[dict[str, Any]]:
    """All reports so far, oldest first."""
    return [json.loads(line) for line in lines(folder / HISTORY)]


def in_words(report: dict[str, Any], folder: Path) -> str:
    """What the terminal says."""
    told = [
        f"{report['status'].upper()}: {report['rows']:,} predictions, "
        f"{report['from'][:16]} to {report['until'][:16]}"
    ]
    if report["other_bundles"]:
        told.append(f"  {report['other_bundles']:,} answers of other bundles are not looked at")
    if report["status"] == FEW:
        told.append("  too few for a verdict (monitor.min_rows)")
    for name, one in {**report["features"], "churn probability": report["score"]}.items():
        if one and one["status"] != "ok":
            told.append(f"  {one['status']:8}{name}: {page.change(one)}")
    joint = report["together"]
    if joint and joint["status"] != "ok":
        told.append(
            f"  {joint['status']:8}all features together: told from training with AUC {joint['auc']:.2f}"
        )
    measured = report["performance"]
    if measured:
        auc, worse = measured["roc_auc"], measured["worse_in"]
        told.append(
            f"  {measured['rows']:,} settled: ROC AUC {auc['value']:.3f} "
            f"({auc['low']:.3f} to {auc['high']:.3f}), "
            + (f"worse in {', '.join(worse)}" if worse else "no worse than in the test")
        )
    return "\n".join([*told, f"Page: {folder / 'report.html'}"])
