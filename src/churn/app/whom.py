"""The list on the page: the same numbers as `churn score`, filtered, with the profit curve."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from churn.app.train import READING
from churn.app.upload import Upload
from churn.bundle.bundle import Bundle
from churn.bundle.decision import effective_assumptions
from churn.config.keys import type_key, type_keys
from churn.config.root import Config
from churn.config.training import DecisionConfig
from churn.data.writers import write_tables
from churn.errors import shell_override
from churn.score.call_list import CallList, explain_customers, is_worth_a_call, list_of, most_profitable
from churn.score.candidates import with_profit
from churn.scratch import scratch_folder

MONEY = ("customer_value", "contact_cost", "offer_cost", "success")  # what the page lets people change
MOST_CONTROL, SPARE = 0.4, 1_000  # up to this share, and with so many more, twice the capacity fills a list
POINTS = 200  # of the curve, at most


@dataclass(frozen=True)
class Ranked:
    """Candidates that are worth a call, greatest expected profit first, and what was assumed.

    Of a large file only what ranks them is sorted; `first` looks up the rest of those that are shown.
    """

    best: pd.DataFrame  # answers, profit, key, and ("row", "row"), the position in `scored`
    scored: pd.DataFrame
    assumed: DecisionConfig
    barred: int  # customers not to be contacted

    def first(self) -> pd.DataFrame:
        """All columns of those who may be on the list, which the capacity ends."""
        capacity, share = self.assumed.capacity, self.assumed.control_share
        few = capacity is not None and share < MOST_CONTROL
        top = self.best[: 2 * capacity + SPARE] if few and capacity else self.best
        rows = self.scored.iloc[top["row", "row"]].reset_index(drop=True)
        rows["answer", "expected_profit"] = top["answer", "expected_profit"].to_numpy()
        return rows

    @property
    def curve(self) -> np.ndarray:
        """[k + 1] expected profit of calling the first k customers."""
        return np.concatenate([[0.0], np.cumsum(self.best["answer", "expected_profit"].to_numpy(float))])


def assumptions(bundle: Bundle, changed: Mapping[str, Any], cfg: Config) -> DecisionConfig:
    """The bundle's assumptions with those that `churn app` was given, then those that the page changed."""
    given = [*cfg.overridden, *(f"decision.{name}" for name in changed)]
    return effective_assumptions(replace(cfg.decision, **changed), bundle.facts, given)


def rank(
    scored: pd.DataFrame, bundle: Bundle, assumed: DecisionConfig, excluded: Collection[str] = ()
) -> Ranked:
    """The candidates worth a call, each once, without those not to be contacted."""
    own = ("features", assumed.value_column)
    own = own if own in scored else ("features", bundle.schema.features[0])
    ranking = [
        name for name in scored.columns.tolist() if name[0] in ("answer", "value", "key") or name == own
    ]
    valued = with_profit(scored[ranking], assumed)
    valued["row", "row"] = np.arange(len(scored))
    barred = valued["key", "key"].isin(excluded)
    pays = is_worth_a_call(valued, assumed, effective_assumptions(DecisionConfig(), bundle.facts))
    best = most_profitable(valued[pays & ~barred], len(valued))
    return Ranked(best, scored, assumed, int(barred.sum()))


def monday_list(ranked: Ranked, bundle: Bundle, seed: int) -> CallList:
    """The list of the customers to call and of the control group, with the reasons of all."""
    return list_of(ranked.first(), ranked.assumed, seed, partial(explain_customers, bundle))


def matching(table: pd.DataFrame, text: str, column: str, level: str, certainty: str) -> pd.DataFrame:
    """The rows of a list that hold a text anywhere, a level in one column, and a certainty; "" for any."""
    kept = np.ones(len(table), bool)
    if text:
        cells = table.astype(str).apply(lambda one: one.str.contains(text, case=False, regex=False))
        kept &= cells.any(axis=1).to_numpy(bool)
    if column and level:
        kept &= (table[column].astype(str) == level).to_numpy(bool)
    if certainty:  # a model may say nothing about it
        kept &= (table["certainty"] == certainty).to_numpy(bool) if "certainty" in table else False
    return table[kept]


def to_file(table: pd.DataFrame, suffix: str) -> bytes:
    """A list as a file: .csv or .xlsx."""
    with scratch_folder() as folder:
        file = folder / f"list{suffix}"
        write_tables(iter([pa.Table.from_pandas(table, preserve_index=False)]), file)
        return file.read_bytes()


def command(upload: Upload, bundle: Bundle, assumed: DecisionConfig, barred: str, cfg: Config) -> str:
    """The command that writes the same list; `barred` is the file of those not to be contacted, or ""."""
    parts = [
        "churn score",
        type_key("bundle", str(bundle.path)),
        type_key("input", upload.name),
        "output=monday.csv",
        f"top={upload.rows}",
        *([shell_override("score.keep", *upload.kept)] if upload.kept else []),
        *([type_key("score.do_not_contact", barred)] if barred else []),
        *_differences(assumed, effective_assumptions(DecisionConfig(), bundle.facts)),
        *type_keys(cfg, ("seed", *READING)),
    ]
    return " ".join(parts)


def _differences(assumed: DecisionConfig, own: DecisionConfig) -> list[str]:
    """What to type so that assumptions hold in place of the bundle's own; the capacity is always named."""
    values = {name: value for name, value in vars(assumed).items() if value != getattr(own, name)}
    values["capacity"] = assumed.capacity
    return [type_key(f"decision.{name}", _as_typed(value)) for name, value in values.items()]


def _as_typed(value: float | str | None) -> str:
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return "null" if value is None else str(value)


def draw_curve(ranked: Ranked, called: int) -> dict[str, Any]:
    """Positions, in per cent of the drawing, of the profit curve and of "here you are"."""
    curve = ranked.curve
    top = max(curve.max(), 1e-9)
    at = np.unique(np.linspace(0, len(curve) - 1, min(POINTS, len(curve))).astype(int))
    end = max(len(curve) - 1, 1)
    points = " ".join(f"{100 * i / end:.2f},{100 - 100 * curve[i] / top:.2f}" for i in at)
    return {"points": points, "x": 100 * called / end, "top": float(top), "end": len(curve) - 1}
