"""The recalibrated champion: a version of its own, when more customers leave than it predicts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from omegaconf import OmegaConf

from churn.bundle.bundle import Bundle
from churn.bundle.shift import shift_bundle
from churn.config.root import Config
from churn.files import write_text
from churn.monitor import source
from churn.monitor.closed_windows import ClosedWindows
from churn.monitor.collect import configured_labels, label_horizon, oldest_labelled
from churn.monitor.drift.profile import shift_profile
from churn.monitor.labels import DAY, SECONDS, Labels, to_seconds
from churn.retrain.labelled_rows import frame_of_log, has_inputs
from churn.retrain.recalibration import OpenWindows, Shift, fit_shift
from churn.runs import new_run, reserve_run

MONTH = 31  # days of earlier looks at least: customers may leave on one day of the month
LEAST_AGES = 50  # leavers of closed windows, who show how soon customers leave; with fewer there is no shift


def needed_shift(cfg: Config, champion: Bundle, now: datetime) -> Shift | None:
    """The shift of the champion's log-odds that the log and the labels call for; None if they do not."""
    days = cfg.retrain.recalibration_days
    if (
        cfg.bundle
        or not days
        or (known := configured_labels(cfg, champion, now)) is None
        or not len(known.keys)
        or known.stayed is not None  # a snapshot does not say when somebody left
    ):
        return None
    closed, newest = ClosedWindows(known, label_horizon(champion, cfg)), list[_Predictions]()
    for chunk in source.read_predictions(cfg, _oldest_needed(cfg, champion, now), now):
        if has_inputs(chunk, champion):
            keys = known.customers_of(chunk)
            closed.add(keys, chunk["time"].to_numpy(), np.zeros(len(keys)))
            closed.compact()
            newest.append(_Predictions.of(chunk, keys, champion, int(known.known.max()) - days * DAY))
    begun, leavers = _past_leavers(closed)
    if len(leavers) < LEAST_AGES or begun.max() - begun.min() < (days + MONTH) * DAY:
        return None
    rows = _Predictions(
        np.concatenate([part.key for part in newest]),
        np.concatenate([part.time for part in newest]),
        pd.concat([part.frame for part in newest], ignore_index=True),
    )
    shift = fit_shift(_open_windows(rows, closed, champion, begun, leavers))
    return shift if shift.needed(cfg.retrain) else None


def _oldest_needed(cfg: Config, champion: Bundle, now: datetime) -> datetime:
    """When the oldest prediction was made that counts: as the monitor's, or for a month of earlier looks.

    A second month lets labels come late.
    """
    days = cfg.retrain.recalibration_days + 2 * MONTH + label_horizon(champion, cfg)
    return min(oldest_labelled(cfg, champion, now), now - timedelta(days=days))


@dataclass(frozen=True)
class _Predictions:
    """Predictions [n] of the log."""

    key: np.ndarray  # [n] str
    time: np.ndarray  # [n] seconds
    frame: pd.DataFrame  # features as in `Dataset.frame`

    @classmethod
    def of(cls, chunk: pa.Table, keys: np.ndarray, champion: Bundle, since: float) -> _Predictions:
        """Those of a chunk, about the customers `keys`, since a time."""
        times = to_seconds(chunk["time"].to_numpy())
        kept = times >= since
        return cls(keys[kept], times[kept], frame_of_log(chunk.filter(pa.array(kept)), champion))


def _past_leavers(closed: ClosedWindows) -> tuple[np.ndarray, np.ndarray]:
    """[m] when each prediction with a closed window about a leaver was made, and seconds until they left."""
    rows = closed.settled.take(closed.once_a_period())
    rows = rows.take(np.flatnonzero(rows.churned == 1))
    return rows.time, _next_leave(closed.labels, rows.customer, rows.time) - rows.time


def _next_leave(known: Labels, customer: np.ndarray, time: np.ndarray) -> np.ndarray:
    """[n] when each customer left after a time; far in the future for those who did not."""
    position = np.searchsorted(known.left, customer * SECONDS + time, "right")
    left = np.append(known.left, (len(known.keys) + 1) * SECONDS)[position]
    return np.where(left // SECONDS == customer, left % SECONDS, SECONDS)


def _open_windows(
    rows: _Predictions, closed: ClosedWindows, champion: Bundle, begun: np.ndarray, leavers: np.ndarray
) -> OpenWindows:
    """The first of these predictions about each customer who was not called, by the champion."""
    known, reach = closed.labels, int(closed.labels.known.max())
    first = np.unique(rows.key, return_index=True)[1]
    code = np.searchsorted(known.keys, rows.key[first]).clip(max=len(known.keys) - 1)
    labelled = known.keys[code] == rows.key[first]
    kept = (rows.key[first] != "") & (rows.time[first] <= reach) & ~(labelled & (known.treated[code] == 1))
    first, code, labelled = first[kept], code[kept], labelled[kept]
    time = rows.time[first]
    end = np.minimum(reach, time + closed.horizon * DAY)
    left = labelled & (_next_leave(known, code, time) <= end)
    probability = champion.predict(rows.frame.iloc[first])["churn_probability"]
    return OpenWindows(probability.astype(float), left, reach - time, leavers, begun)


def write_recalibrated(cfg: Config, champion: Bundle, shift: Shift) -> Path:
    """The directory of a run whose bundle is the champion with shifted log-odds."""
    total = champion.facts.get("recalibrated", 0.0) + shift.log_odds
    with reserve_run(cfg) as run, new_run(cfg, run, f"{champion.digest} {total}") as directory:
        profile = shift_profile(champion.profile, shift.log_odds)
        facts = {"recalibrated": total, "fairness": None}  # the rates of groups are others now
        shift_bundle(champion, shift.log_odds, directory / "bundle", profile, **facts)
        before = champion.path.parent / "metrics.json"  # a bundle that was copied has none beside it
        metrics = json.loads(before.read_text()) if before.exists() else {}
        metrics |= {"test": champion.facts["metrics"], "recalibrated": total}
        write_text(directory / "metrics.json", json.dumps(metrics, indent=1))
        write_text(directory / "config.yaml", OmegaConf.to_yaml(OmegaConf.structured(cfg)))
        write_text(directory / "report.html", f"<!doctype html><title>Recalibrated</title><p>{shift}.")
    return run
