"""The training set of a challenger, and the fresh rows on which it is compared with the champion."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from churn.config.data import DataConfig, Source
from churn.config.loop import RetrainConfig, Treated
from churn.data.contract import CUSTOMER_KEY
from churn.data.dataset import Schema
from churn.data.declared import KEY
from churn.data.infer.target import ANY
from churn.retrain.labelled_rows import LabelledRows

TIME = "predicted_at"  # name of the time column where the training table has none
LEFT, STAYED = "left", "stayed"  # the words for who left, where the table has none, and who did not
DAY = 86_400  # seconds
ORIGIN = "the labelled rows of churn retrain"  # in its report: the file itself is gone then


def split_fresh(
    rows: LabelledRows, seen: np.datetime64, now: np.datetime64, cfg: RetrainConfig, seed: int
) -> tuple[LabelledRows, LabelledRows]:
    """The rows to train on and the fresh rows to compare on; no customer is in both.

    Fresh rows are the newest rows of a share of the customers, later than `seen`, the newest row that the
    champion was made from. The same customers are chosen in every retraining. Rows to train on are no older
    than `window_days`, and thinned by `half_life_days`.
    """
    rows = without_treatment(rows, cfg.treated)
    newest = rows.times.max() if len(rows) else seen
    is_new = (rows.times > seen) & (rows.times > newest - np.timedelta64(round(cfg.fresh_days * DAY), "s"))
    is_chosen = pd.util.hash_array(rows.customers) / 2.0**64 < cfg.fresh_share
    fresh = is_new & is_chosen
    kept = ~pd.Index(rows.customers).isin(rows.customers[fresh])  # NumPy compares each pair of texts
    age = (now - rows.times).astype(float) / DAY
    if cfg.window_days is not None:
        kept &= age <= cfg.window_days
    if cfg.half_life_days is not None:
        kept &= np.random.default_rng(seed).random(len(rows)) < 0.5 ** (age / cfg.half_life_days)
    return rows.take(kept), rows.take(fresh)


def without_treatment(rows: LabelledRows, treated: Treated) -> LabelledRows:
    """Rows whose labels show what happens to customers who are not called.

    `keep_out` leaves out the customers who were called. `correct` also repeats those held out as control in
    their place: they were drawn at random from the same list. The times of the copies differ by a second; all
    copies belong to one customer, so that the split keeps them together.
    """
    if treated is Treated.keep:
        return rows
    untreated = rows.take(rows.treated != 1)
    control = rows.take(rows.treated == 0)
    if treated is Treated.keep_out or not len(control):
        return untreated
    for number in range(round((len(rows) - len(untreated)) / len(control))):
        untreated += replace(control, times=control.times + np.timedelta64(number + 1, "s"))
    return untreated


def write_rows(rows: LabelledRows, schema: Schema, path: Path, events: dict[str, Any] | None = None) -> None:
    """Write a Parquet file that `data_config` describes.

    The challenger keeps the texts that mean "missing" to the champion, and `events`, the definition by which
    the champion's columns are made of event tables.
    """
    columns = {
        schema.id or CUSTOMER_KEY: rows.customers,
        schema.time or TIME: rows.times,
        schema.target: np.where(rows.churned == 1, left_word(schema), STAYED),
    }
    table = pa.Table.from_pandas(rows.frame.assign(**columns), preserve_index=False)
    declared: dict[str, Any] = {"origin": ORIGIN, "missing_numbers": schema.missing_numbers}
    declared |= {} if events is None else {"events": events}
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, KEY: json.dumps(declared)}), path)


def left_word(schema: Schema) -> str:
    """A word for "left" that a file can hold: that of the champion's table, unless it is blank or any."""
    return next((word for word in schema.churned if word not in ("", ANY)), LEFT)


def data_config(cfg: DataConfig, schema: Schema, path: Path) -> DataConfig:
    """The configuration that loads a file of `write_rows`, with the champion's columns in their roles.

    The challenger reads texts as the champion does, although the file has none in its numbers.
    """
    return DataConfig(
        name=cfg.name,
        source=Source.file,
        path=str(path),
        cache=cfg.cache,
        target=schema.target,
        churned=[left_word(schema)],
        id=schema.id or CUSTOMER_KEY,
        time=schema.time or TIME,
        horizon=cfg.horizon,
        numeric=list(schema.numeric),
        categorical=list(schema.categorical),
        missing=list(schema.missing),
        decimal=schema.decimal,
        thousands=schema.thousands,
        influence={name: bound for name, bound in cfg.influence.items() if name in schema.features},
        protected=[name for name in cfg.protected if name in schema.features],  # the file has no others
    )
