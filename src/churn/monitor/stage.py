"""`churn monitor`: whether what arrives looks like what was learnt, and what was predicted happens."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from churn.bundle.bundle import Bundle
from churn.bundle.registry import find_bundle
from churn.config.loop import MonitorConfig
from churn.config.root import Config
from churn.data.dataset import CUSTOMER_KEY
from churn.data.load import dataset_name
from churn.errors import UserError
from churn.files import append_line, atomic_write, read_lines
from churn.monitor import labels, page, prometheus, source
from churn.monitor.drift.compare import TOO_FEW_ROWS, DriftPolicy
from churn.monitor.window import Window, assess_window

HISTORY = "history.jsonl"
EXIT_CODES = {"warning": 10, "alarm": 11}
DIGEST = 64  # characters; Vertex AI's table names deployed models instead
OUTPUT = "outputs.churn_probability"


def monitor(cfg: Config) -> None:
    """Compare a window of the log with the bundle's profile; write JSON, page, gauges and a line of history.

    Raises `UserError` for a log or labels that cannot be read. Ends with the exit code 10 on a warning and 11
    on an alarm if `monitor.exit_code=true`.
    """
    bundle = find_bundle(cfg)
    if "score" not in bundle.profile:
        raise UserError("the bundle carries no profile to compare with", str(bundle.path), "train it again")
    since, until = _period(cfg.monitor)
    window, ignored = _read_window(cfg, bundle, since, until)
    chosen = _policy(cfg)
    report = {
        "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "from": since.isoformat(),
        "until": until.isoformat(),
        "bundle": bundle.digest,
        "other_bundles": ignored,
        **assess_window(window, bundle.facts.get("metrics", {}), chosen),
    }
    folder = monitor_dir(cfg)
    _record_report(folder, report)
    page.write_page(folder / "report.html", bundle, read_history(folder), chosen)
    prometheus.write_gauges(
        Path(cfg.monitor.prometheus or folder / "churn.prom"), bundle.facts["name"], report
    )
    print(_summarize_report(report, folder))
    if cfg.monitor.exit_code and report["status"] in EXIT_CODES:
        sys.exit(EXIT_CODES[report["status"]])


def _policy(cfg: Config) -> DriftPolicy:
    """From where on a change is worth a word, as configured."""
    chosen = cfg.monitor
    return DriftPolicy(
        min_rows=chosen.min_rows,
        warning_psi=chosen.warning_psi,
        alarm_psi=chosen.alarm_psi,
        permutations=chosen.permutations,
        seed=cfg.seed,
    )


def _period(chosen: MonitorConfig) -> tuple[datetime, datetime]:
    """First and last moment of the window, in UTC."""
    until = parse_time(chosen.until, "monitor.until")
    since = parse_time(chosen.since, "monitor.since") if chosen.since else until - timedelta(days=chosen.days)
    if since >= until:
        raise UserError(
            f"the window ends before it begins: {since} to {until}", "monitor.since, monitor.until"
        )
    return since, until


def parse_time(text: str | None, key: str) -> datetime:
    """An ISO date or time, UTC where no zone is named; now where there is none."""
    if text is None:
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"'{text}' is no time", key, "write 2026-11-24 or 2026-11-24T12:00") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _read_window(cfg: Config, bundle: Bundle, since: datetime, until: datetime) -> tuple[Window, int]:
    """The window, in one pass over the log, and how many of its rows other bundles answered.

    Those are not looked at. Outcomes are of all predictions that labels settle, older ones included.
    """
    window, ignored = Window.of(bundle.profile, cfg.seed), 0
    known, begin = None, since
    if place := cfg.monitor.labels:
        in_bigquery = place.startswith(source.BIGQUERY)
        table = source.read_bigquery_table(place, cfg) if in_bigquery else labels.read_labels(place)
        known = labels.labels_from_table(table, place, bundle.schema, until)
        begin = min(since, until - timedelta(days=cfg.monitor.label_days))
    names = {field["column"]: f"inputs.{field['input']}" for field in bundle.facts["inputs"]}
    for chunk in source.read_predictions(cfg, begin, until):
        table = _answered_by(chunk, bundle.digest)
        new = _in_window(table, since)
        ignored += _in_window(chunk, since).num_rows - new.num_rows
        _refuse_other_columns(table, names, source.log_location(cfg))
        if known is not None and table.num_rows:
            keys, times = (
                table[CUSTOMER_KEY].cast(pa.string()).to_numpy().astype(str),
                table["time"].to_numpy(),
            )
            outcome, treated = known.settle(keys, times, bundle.facts.get("horizon", cfg.data.horizon))
            window.outcomes.add(table[OUTPUT].to_numpy(), outcome, treated)
        if new.num_rows:
            columns = {column: new[name] for column, name in names.items()}
            window.summary.add(columns, new[OUTPUT].to_numpy())
    return window, ignored


def _in_window(table: pa.Table, since: datetime) -> pa.Table:
    """The rows from `since` on."""
    from churn.serve.log.read import filter_period

    return filter_period(table, since, None)


def _answered_by(table: pa.Table, digest: str) -> pa.Table:
    """The rows that this bundle answered; all of them where the log does not say."""
    bundles = table["bundle"]
    if table.num_rows and len(bundles[0].as_py()) != DIGEST:
        return table
    import pyarrow.compute as pc

    return table.filter(pc.equal(bundles, digest))


def _refuse_other_columns(table: pa.Table, names: dict[str, str], where: str) -> None:
    """Raise `UserError` if the log is of another model."""
    missing = [column for column, name in names.items() if name not in table.column_names]
    if table.num_rows and (missing or OUTPUT not in table.column_names):
        told = ", ".join(missing) or "churn_probability"
        raise UserError(
            f"the log lacks what the bundle reads: {told}", where, "name the bundle that served: bundle=DIR"
        )


def monitor_dir(cfg: Config) -> Path:
    """The folder of the history and the newest report."""
    return Path(cfg.monitor.dir or Path(cfg.run.root) / "monitor" / dataset_name(cfg.data))


def _record_report(folder: Path, report: dict[str, Any]) -> None:
    """Write the report, and append it to the history as one line."""
    with atomic_write(folder / "report.json") as aside:
        aside.write_text(json.dumps(report, indent=1, default=_to_plain_number))
    append_line(folder / HISTORY, json.dumps(report, default=_to_plain_number))


def _to_plain_number(value: Any) -> float | int:
    """Numbers of numpy, for JSON."""
    return value.item() if isinstance(value, np.generic) else float(value)


def read_history(folder: Path) -> list[dict[str, Any]]:
    """All reports so far, oldest first."""
    return [json.loads(line) for line in read_lines(folder / HISTORY)]


def _summarize_report(report: dict[str, Any], folder: Path) -> str:
    """What the terminal says."""
    told = [
        f"{report['status'].upper()}: {report['rows']:,} predictions, "
        f"{report['from'][:16]} to {report['until'][:16]}"
    ]
    if report["other_bundles"]:
        told.append(f"  {report['other_bundles']:,} answers of other bundles are not looked at")
    if report["status"] == TOO_FEW_ROWS:
        told.append("  too few for a verdict (monitor.min_rows)")
    for name, one in {**report["features"], "churn probability": report["score"]}.items():
        if one and one["status"] != "ok":
            told.append(f"  {one['status']:8}{name}: {page.describe_change(one)}")
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
