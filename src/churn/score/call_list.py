"""The call list: the customers whom it pays most to call, and why."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import pandas as pd

from churn.bundle import decision
from churn.bundle.model import Model
from churn.bundle.reasons import reason_columns
from churn.config.root import Config
from churn.config.training import DecisionConfig
from churn.data.coded import frame_features
from churn.data.dataset import Schema
from churn.data.infer.cells import to_ids, to_numbers
from churn.data.sources.side_files import no_match_error, read_ids
from churn.data.table import RawTable
from churn.data.validate import to_features
from churn.errors import UserError, count
from churn.score.output import sort_outputs

ROW = "row"  # takes the place of the id if the table has none: 1 for the first customer


def call_list(model: Model, tables: Iterable[RawTable], cfg: Config) -> pd.DataFrame:
    """At most `cfg.top` customers that are worth a call, greatest expected profit first.

    `churn.bundle.decision.worth_a_call` says who is. Each customer is listed once. `treated` is 0 for the
    control group: do not call these; `decision.capacity` limits the others. Memory is bounded by the list and
    one table. Raises `UserError` for impossible assumptions and rows that cannot be read.

    >>> call_list(Model(bundle), [RawTable(frame)], compose_config("top=50"))
    """
    bundle = model.bundle
    assumed = decision.effective_assumptions(cfg.decision, bundle.facts, cfg.overridden)
    own = decision.effective_assumptions(DecisionConfig(), bundle.facts)
    barred_file = cfg.score.do_not_contact
    excluded = read_ids(barred_file, bundle.schema.id, "score.do_not_contact") if barred_file else set()
    best, rows, worth, left_out, again = pd.DataFrame(), 0, 0, 0, 0
    seen: list[str] = []
    for table in tables:
        scored = _score_candidates(model, table, assumed, rows)
        barred, pays = scored["key", "key"].isin(excluded), _pays(scored, assumed, own)
        rows, worth, left_out = rows + len(scored), worth + (pays & ~barred).sum(), left_out + barred.sum()
        best, repeated = _most_profitable(pd.concat([best, scored[pays & ~barred]]), cfg.top or 0)
        again += repeated
        seen = seen or list(scored["key", "key"][:10])
    if excluded and not left_out:
        do = "write the ids as in the table; if no customer of it is barred: score.do_not_contact=null"
        raise no_match_error(excluded, seen, f"score.do_not_contact={barred_file}", do)
    noun = "row" if again else "customer"
    print(f"{count(rows, noun)}, {worth:,} worth a call, {left_out:,} not to be contacted")
    if again:
        print(f"{count(again, 'further row')} of customers left out: each is on the list once, at most")
    treated = _divide([] if best.empty else best["key", "key"], assumed, cfg.seed)
    print(f"{treated.sum():,} to call, {len(treated) - treated.sum():,} held out as control")
    best = best[: len(treated)]
    answers = pd.DataFrame(best["answer"]).drop(columns="churn").round({"expected_profit": 2})
    answers.insert(1, "treated", treated.astype(int))
    return pd.concat([answers, _explain_customers(model, pd.DataFrame(best["features"]))], axis=1)


def _pays(scored: pd.DataFrame, assumed: DecisionConfig, own: DecisionConfig) -> np.ndarray:
    """[n] whether each customer is worth a call."""
    answer = pd.DataFrame(scored["answer"])
    probability, called, profit = (
        answer[name].to_numpy(float) for name in ("churn_probability", "churn", "expected_profit")
    )
    return decision.worth_a_call(probability, called == 1, profit, assumed, own)


def _most_profitable(scored: pd.DataFrame, length: int) -> tuple[pd.DataFrame, int]:
    """The most profitable customers, each once, and how many further rows they had."""
    by = ("answer", "expected_profit")
    ordered = scored.sort_values(by, ascending=False, kind="stable", ignore_index=True)
    key = ordered["key", "key"]
    again = key.duplicated() & (key != "")
    return ordered[~again].reset_index(drop=True)[:length], int(again.sum())


def _score_candidates(model: Model, raw: RawTable, assumed: DecisionConfig, before: int) -> pd.DataFrame:
    """Columns ("answer", ...), ("features", ...) and ("key", "key"); `before` rows were read earlier."""
    bundle = model.bundle
    frame = to_features(raw, bundle.schema)
    # Reasons are computed later, only for the customers on the list.
    outputs = model.answer(frame_features(frame, bundle.schema), reasons=False)
    name = bundle.schema.id if bundle.schema.id in raw.frame else None
    ids = raw.frame[name] if name else pd.Series(np.arange(len(frame)) + before + 1)
    valued = _with_value(raw, frame, bundle.schema, assumed.value_column)
    decision.check_decision(assumed, valued)
    value = decision.customer_values(valued, assumed)
    profit = decision.expected_profit(outputs["churn_probability"].astype(float), value, assumed)
    answer = {name or ROW: to_ids(ids) if name else ids, "expected_profit": profit}
    answer |= {output: outputs[output] for output in sort_outputs(outputs)}
    key = pd.DataFrame({"key": to_ids(ids)})
    return pd.concat({"answer": pd.DataFrame(answer), "features": frame, "key": key}, axis=1)


def _with_value(raw: RawTable, frame: pd.DataFrame, schema: Schema, column: str | None) -> pd.DataFrame:
    """The features, and the column with the customers' values if it is not one of them."""
    if column is None or column in frame or column not in raw.frame:
        return frame
    value, *wrong = to_numbers(raw.frame[column], schema)
    if np.any(wrong):
        first = raw.frame[column][np.any(wrong, axis=0)].iloc[0]
        where = f"column '{column}' (decision.value_column)"
        raise UserError(f"'{first}' is not a number", where, "correct it")
    return frame.assign(**{column: value})


def _divide(keys: Iterable[str], assumed: DecisionConfig, seed: int) -> np.ndarray:
    """Whether each customer on the list may be called; shorter than the list where the capacity ends it.

    A hash of the key decides who is held out, so that the group is nearly the same in every list: those below
    `control_share` and, where nobody is, the lowest. Somebody is always called.
    """
    lot = np.array([_lot(key, seed) for key in keys], float)
    held_out = (lot < assumed.control_share) & (lot < lot.max(initial=0))
    length = _length(held_out, assumed.capacity)
    if assumed.control_share and length > 1 and not held_out[:length].any():
        held_out[np.argmin(lot[:length])] = True
        length = _length(held_out, assumed.capacity)
    return ~held_out[:length]


def _length(held_out: np.ndarray, capacity: int | None) -> int:
    """The length of the list with at most `capacity` customers to call."""
    called = np.cumsum(~held_out)
    return len(called) if capacity is None else int(np.searchsorted(called, capacity, side="right"))


def _lot(key: str, seed: int) -> float:
    """A number from 0 to 1 for each customer, always the same."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{key}".encode()).digest()[:8], "big") / 2**64


def _explain_customers(model: Model, frame: pd.DataFrame) -> pd.DataFrame:
    """The main reasons of each customer in words; no columns if the bundle gives no reasons."""
    if not model.gives_reasons or frame.empty:
        return pd.DataFrame(index=frame.index)
    rows = frame_features(frame, model.bundle.schema)
    return pd.DataFrame(reason_columns(model.answer(rows, reasons=True), rows), index=frame.index)
