"""The page of the monitor: small multiples over time, worst first, in one file without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from churn.bundle.bundle import Bundle
from churn.evaluate.metrics import METRICS
from churn.evaluate.report.templates import capitalize_first, template_environment
from churn.files import atomic_write
from churn.monitor.drift.compare import STATUSES, TOO_FEW_ROWS, DriftPolicy

WINDOWS = 40  # the newest ones are shown
SHOWN = 12  # features before the reader asks for all
WIDTH, HEIGHT = 280.0, 84.0  # of a small drawing, without unit
SHOWN_METRICS = ("roc_auc", "log_loss", "calibration_slope", "calibration_intercept")
WORDS = {
    "ok": "What arrives looks like what was learnt",
    "warning": "Something changed; not enough to act on at once",
    "alarm": "What arrives, or what becomes of it, is not what was learnt",
    TOO_FEW_ROWS: "Too few predictions for a verdict",
}


def write_page(path: Path, bundle: Bundle, history: Sequence[dict[str, Any]], policy: DriftPolicy) -> None:
    """Write the page on the newest report, with those before it as its past."""
    page = _render_page(bundle.facts, history, policy)
    with atomic_write(path) as aside:
        aside.write_text(page, encoding="utf-8")


def _render_page(facts: dict[str, Any], history: Sequence[dict[str, Any]], policy: DriftPolicy) -> str:
    """The HTML."""
    now, windows = history[-1], history[-WINDOWS:]
    drifts = [("churn probability", now["score"])] if now["score"] else []
    drifts += sorted(now["features"].items(), key=lambda item: _severity(windows, *item), reverse=True)
    multiples = [(name, one, _bars(windows, name), describe_change(one)) for name, one in drifts]
    template = template_environment("monitor").get_template("page.html.j2")
    return template.render(
        name=facts["name"],
        now=now,
        windows=windows,
        span=_span(windows),
        words=WORDS[now["status"]],
        multiples=multiples,
        shown=SHOWN + 1,
        metrics=[
            (
                key,
                capitalize_first(METRICS[key].label),
                METRICS[key].meaning,
                _metric_course(windows, key, facts),
            )
            for key in SHOWN_METRICS
        ],
        own=facts.get("metrics", {}),
        policy=policy,
        limit=max([0.01, *(abs(bar["effect"][end]) for bar in _effects(now) for end in ("low", "high"))]),
        effects=_effects(now),
        width=WIDTH,
        height=HEIGHT,
    )


def _span(windows: Sequence[dict[str, Any]]) -> list[str]:
    """The days on which the first and the last window ended, or, if that is one, the times."""
    first, last = (windows[i]["until"] for i in (0, -1))
    return [
        until[11:16] if len(windows) > 1 and first[:10] == last[:10] else until[:10]
        for until in (first, last)
    ]


def _severity(windows: Sequence[dict[str, Any]], name: str, one: dict[str, Any]) -> tuple[int, int]:
    """What comes first: the status now, then in how many of the windows it was not ok."""
    past = [window["features"].get(name, {"status": "ok"})["status"] for window in windows]
    return STATUSES.index(one["status"]), sum(status != "ok" for status in past)


def _effects(now: dict[str, Any]) -> list[dict[str, Any]]:
    """What calling did in each decile that has both groups."""
    return [part for part in (now["treatment"] or {"deciles": []})["deciles"] if part["effect"]]


def _bars(windows: Sequence[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """A bar for each window: the corrected PSI of one feature, on the scale of all its windows."""
    past = [
        window["score"] if name == "churn probability" else window["features"].get(name) for window in windows
    ]
    top = max([0.12, *(one["psi"] for one in past if one)])
    step = WIDTH / max(len(past), 12)
    return [
        {
            "x": i * step,
            "width": 0.75 * step,
            "height": HEIGHT * max(one["psi"], 0.01 * top) / top,
            "status": one["status"],
            "text": f"{window['until'][:10]}: PSI {one['psi']:.3f}",
            "top": top,
        }
        for i, (window, one) in enumerate(zip(windows, past, strict=True))
        if one
    ]


def _metric_course(
    windows: Sequence[dict[str, Any]], metric: str, facts: dict[str, Any]
) -> dict[str, Any] | None:
    """Points with intervals of one metric over the windows that have it, and the bundle's own as a band."""
    measured = [
        (i, window["performance"][metric]) for i, window in enumerate(windows) if window["performance"]
    ]
    measured = [(i, one) for i, one in measured if one["low"] is not None]
    own = facts.get("metrics", {}).get(metric, {})
    own = own if own.get("low") is not None else None
    if not measured:
        return None
    ends = [one[end] for _, one in measured for end in ("low", "high")]
    ends += [own["low"], own["high"]] if own else []
    low, high = min(ends), max(ends)
    scale = HEIGHT / (high - low or 1)
    step = WIDTH / max(len(windows), 12)

    def y(value: float) -> float:
        return (high - value) * scale

    points = [
        {"x": (i + 0.5) * step, "y": y(one["value"]), "top": y(one["high"]), "bottom": y(one["low"])}
        for i, one in measured
    ]
    band = own and {
        "top": y(own["high"]),
        "height": (own["high"] - own["low"]) * scale,
        "middle": y(own["value"]),
    }
    return {"points": points, "band": band, "newest": measured[-1][1], "low": low, "high": high}


def describe_change(one: dict[str, Any]) -> str:
    """What happened to a feature, in words."""
    parts = []
    before, after = one["missing"]
    if abs(after - before) > 0.005:
        parts.append(f"missing {_percent(before)} → {_percent(after)}")
    if one["unseen"]:
        parts.append(f"unseen levels {_percent(one['unseen'])}")
    if one["outside"] > 0.001:
        parts.append(f"out of range {_percent(one['outside'])}")
    if one["shift"]:
        parts.append(f"moved by {one['shift']:.2f} sd")
    parts.append(f"PSI {max(one['psi'], 0):.3f}, Jensen–Shannon {one['jensen_shannon']:.2f}")
    parts.append(f"mean probability {100 * one['probability']:+.1f} points".replace("-", "−"))
    return ", ".join(parts)


def _percent(share: float) -> str:
    """A share for people."""
    return f"{100 * share:.1f} %"
