"""`churn monitor`: whether inputs have drifted, and whether predictions are as good as in the test."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from churn.backend import arrow_alone
from churn.bundle.choice import choose_bundle
from churn.config.root import Config
from churn.files import refuse_foreign
from churn.monitor.collect import collect_window
from churn.monitor.drift.alarm import DriftPolicy
from churn.monitor.history import monitor_dir, read_history, record_report
from churn.monitor.page import write_page
from churn.monitor.period import Period
from churn.monitor.prometheus import write_gauges
from churn.monitor.source import server_log
from churn.monitor.window import assess_window
from churn.monitor.wording import summarize_report
from churn.serve.log.retention import remove_old

EXIT_CODES = {"warning": 10, "alarm": 11}


def monitor(cfg: Config) -> None:
    """Compare a window of the log with training; write report, history, page and gauges.

    Raises `UserError` for a log or labels that cannot be read. With `monitor.exit_code=true` the exit code is
    10 on a warning and 11 on an alarm.

    >>> monitor(compose_config("monitor.days=7", "monitor.labels=labels.csv"))
    """
    arrow_alone()
    remove_old(server_log(cfg), cfg.serve.log.keep_days)
    bundle, policy, period = choose_bundle(cfg), DriftPolicy.of(cfg), Period.of(cfg.monitor)
    folder = monitor_dir(cfg, bundle.facts["name"])
    refuse_foreign(folder / "report.json", r'^\{\s*"time": "')
    refuse_foreign(folder / "report.html", "<title>Churn monitor: ")
    print("Reading the log ...", flush=True)
    found = collect_window(cfg, bundle, period)
    report = {
        "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "from": period.since.isoformat(),
        "until": period.until.isoformat(),
        "bundle": bundle.digest,
        **found.to_json(),
        **assess_window(found.window, bundle.facts.get("metrics", {}), policy),
    }
    record_report(folder, report)
    write_page(folder / "report.html", bundle, read_history(folder), policy)
    write_gauges(Path(cfg.monitor.prometheus or folder / "churn.prom"), bundle.facts["name"], report)
    print(summarize_report(report, folder))
    if cfg.monitor.exit_code and report["status"] in EXIT_CODES:
        sys.exit(EXIT_CODES[report["status"]])
