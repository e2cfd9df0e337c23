"""The page of the monitor: charts of all features over time, worst first, in one file without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from churn.bundle.bundle import Bundle
from churn.bundle.money import format_amount
from churn.evaluate.metrics import METRICS
from churn.evaluate.report.templates import capitalize_first, template_environment
from churn.files import write_text
from churn.monitor.drift.alarm import STATUSES, TOO_FEW_ROWS, DriftPolicy
from churn.monitor.history import end_of_window
from churn.monitor.wording import SCORE, describe_change, describe_means, describe_outcomes

WINDOWS = 40  # the newest ones are shown
SLOTS = 12  # windows for which a chart has room, at least
NAMED = 3  # features in the verdict
SHOWN = 12  # features before the reader asks for all
SHOWN_METRICS = ("roc_auc", "log_loss", "calibration_slope", "calibration_intercept")
VERDICTS = {
    "ok": "The window looks like the training rows",
    "warning": "Something changed, but not enough to act at once",
    "alarm": "The customers or the predictions are not what they were in training",
    TOO_FEW_ROWS: "Too few predictions for a verdict",
}


def write_page(path: Path, bundle: Bundle, history: Sequence[dict[str, Any]], policy: DriftPolicy) -> None:
    """Write the page on the newest report, with the windows before it in the charts."""
    page = _render_page(bundle.facts, history, policy)
    write_text(path, page)


def _render_page(facts: dict[str, Any], history: Sequence[dict[str, Any]], policy: DriftPolicy) -> str:
    now, windows = history[-1], sorted(history, key=end_of_window)[-WINDOWS:]
    drifts = [(SCORE, now["score"])] if now["score"] else []
    drifts += sorted(now["features"].items(), key=lambda item: _severity(windows, *item), reverse=True)
    effects = _effects(now)
    template = template_environment("monitor").get_template("page.html.j2")
    return template.render(
        name=facts["name"],
        now=now,
        notes=[*now["notes"], *describe_outcomes(now)],
        windows=windows,
        span=_span(windows),
        days=[_last_day(window)[:10] for window in windows],
        slots=max(len(windows), SLOTS),
        verdict=_verdict(now),
        money=partial(_change_in_money, currency=facts.get("decision", {}).get("currency")),
        drifts=[
            (name, drift, _past(windows, name), describe_change(drift, False), describe_means(drift))
            for name, drift in drifts
        ],
        shown=SHOWN + 1,
        metrics=[
            (
                key,
                capitalize_first(METRICS[key].label),
                METRICS[key].meaning,
                _metric_course(windows, now, key, facts),
            )
            for key in SHOWN_METRICS
        ],
        own=facts.get("metrics", {}),
        policy=policy,
        effects=effects,
        reach=max([0.01, *(abs(part["effect"][end]) for part in effects for end in ("low", "high"))]),
    )


def _verdict(now: dict[str, Any]) -> str:
    """What the status means, and what changed most."""
    alarmed = [name for name, drift in now["features"].items() if drift["status"] == now["status"] != "ok"]
    if now["performance"] and now["performance"]["worse"]:
        return "The predictions are worse than in the test"
    if not alarmed:
        return VERDICTS[now["status"]]
    more = f" and {len(alarmed) - NAMED} more" if len(alarmed) > NAMED else ""
    return f"{VERDICTS[now['status']]}: {', '.join(alarmed[:NAMED])}{more}"


def _change_in_money(amount: float, currency: str | None) -> str:
    """A change of a profit, with its sign."""
    text = format_amount(abs(amount), currency)
    return ("−" if amount < 0 else "+") + text


def _span(windows: Sequence[dict[str, Any]]) -> list[str]:
    """The last days of the first and the last window; the times if it is one day.

    Below the left and the right end of a chart; both on the left if the windows do not fill it.
    """
    first, last = (_last_day(windows[i]) for i in (0, -1))
    one_day = len(windows) > 1 and first[:10] == last[:10]
    ends = [until[11:16] if one_day else until[:10] for until in (first, last)]
    return ends if len(windows) >= SLOTS else [" … ".join(dict.fromkeys(ends)), ""]


def _last_day(window: dict[str, Any]) -> str:
    """The last moment of a window: one that ends at midnight ends on the day before."""
    return f"{end_of_window(window) - timedelta(seconds=1):%Y-%m-%dT%H:%M}"


def _severity(windows: Sequence[dict[str, Any]], name: str, drift: dict[str, Any]) -> tuple[int, int]:
    """Sorts features: by the status now, then by the number of windows with a warning or an alarm."""
    past = [window["features"].get(name, {"status": "ok"})["status"] for window in windows]
    return STATUSES.index(drift["status"]), sum(status != "ok" for status in past)


def _effects(now: dict[str, Any]) -> list[dict[str, Any]]:
    """The deciles in which customers were called and others held out."""
    return [part for part in (now["treatment"] or {"deciles": []})["deciles"] if part["effect"]]


def _past(windows: Sequence[dict[str, Any]], name: str) -> list[tuple[int, dict[str, Any]]]:
    """The drift of a feature, or of the score, with the number of each window that has it."""
    drifts = [window["score"] if name == SCORE else window["features"].get(name) for window in windows]
    return [(i, drift) for i, drift in enumerate(drifts) if drift]


def _metric_course(
    windows: Sequence[dict[str, Any]], now: dict[str, Any], metric: str, facts: dict[str, Any]
) -> dict[str, Any] | None:
    """A metric by window and in the bundle's test, with the range of both; None if no window has it."""
    measured = [
        (i, window["performance"][metric]) for i, window in enumerate(windows) if window["performance"]
    ]
    points = [(i, estimate) for i, estimate in measured if estimate["low"] is not None]
    own = facts.get("metrics", {}).get(metric, {})
    own = own if own.get("low") is not None else None
    if not points:
        return None
    estimates = [estimate for _, estimate in points] + ([own] if own else [])
    low, high = min(each["low"] for each in estimates), max(each["high"] for each in estimates)
    return {
        "points": points,
        "own": own,
        "now": (now["performance"] or {}).get(metric),
        "low": low,
        "high": high,
    }
