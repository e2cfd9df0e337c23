"""The call list: the customers whom it pays most to call, and why."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterable
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from churn.bundle import decision
from churn.bundle.bundle import Bundle
from churn.bundle.model import model_of
from churn.bundle.reasons import reason_columns
from churn.config.root import Config
from churn.config.serving import Runtime
from churn.config.training import DecisionConfig
from churn.data.coded import frame_features
from churn.data.repeats import RepeatedCustomers
from churn.data.sources.side_files import no_match_error, read_ids
from churn.data.table import RawTable
from churn.errors import UserError, count
from churn.score.candidates import as_kept, score_candidates, with_profit
from churn.score.common_reasons import set_apart

CALL, CONTROL = "call", "keep as control"  # what to do with a customer on the list
CONTROL_NOTE = f"'{CONTROL}' means: do not call. What becomes of these customers shows what calling changes"


class CallList(NamedTuple):
    """The list, and what is said once above it."""

    table: pd.DataFrame  # a row for each customer, greatest expected profit first
    common: list[str]  # reasons that most customers on the list share
    assumed: DecisionConfig  # what a call costs and brings


def call_list(bundle: Bundle, tables: Iterable[RawTable], cfg: Config) -> CallList:
    """At most `cfg.top` customers that are worth a call, greatest expected profit first.

    `churn.bundle.decision.worth_a_call` says who is. Each customer is listed once. The column `action` says
    whom to call, and who belongs to the control group (`treated` is 0); `decision.capacity` limits the calls.
    Memory is bounded by the list, one table and 8 bytes for each row (of `repeats.MOST_ROWS` at most). Raises
    `UserError` for impossible assumptions and rows that cannot be read.

    >>> call_list(bundle, [RawTable(frame)], compose_config("top=50")).table
    """
    assumed = decision.effective_assumptions(cfg.decision, bundle.facts, cfg.overridden)
    own = decision.effective_assumptions(DecisionConfig(), bundle.facts)
    barred_file = cfg.score.do_not_contact
    excluded = read_ids(barred_file, bundle.schema.id, "score.do_not_contact") if barred_file else set()
    best, rows, worth, left_out = pd.DataFrame(), 0, 0, 0
    seen, repeated = list[str](), RepeatedCustomers(bundle.schema.id)
    for table in tables:
        if excluded:
            check_ids(bundle, table.frame, f"score.do_not_contact={barred_file}")
        scored = with_profit(
            score_candidates(bundle, table, assumed, cfg.score.keep, rows, cfg.score.runtime), assumed
        )
        barred, pays = scored["key", "key"].isin(excluded), is_worth_a_call(scored, assumed, own)
        rows, worth, left_out = rows + len(scored), worth + (pays & ~barred).sum(), left_out + barred.sum()
        best = most_profitable(pd.concat([best, scored[pays & ~barred]]), cfg.top or 0)
        repeated.add(pa.array(scored["key", "key"], pa.string()))
        seen = seen or list(scored["key", "key"][:10])
    if excluded and not left_out:
        do = "write the ids as in the table; if no customer of it is barred: score.do_not_contact=null"
        raise no_match_error(excluded, seen, f"score.do_not_contact={barred_file}", do)
    again = repeated.describe("each is on the list once, at most")
    noun = "row" if again else "customer"
    print(
        "\n".join([f"{count(rows, noun)}, {worth:,} worth a call, {left_out:,} not to be contacted", *again])
    )
    chosen = list_of(best, assumed, cfg.seed, partial(explain_customers, bundle, runtime=cfg.score.runtime))
    _print_summary(chosen)
    return chosen


def check_ids(bundle: Bundle, columns: Container[str], where: str) -> None:
    """Raise `UserError` if customers are only numbered by their rows, and nobody can be left out by an id."""
    column = bundle.schema.id
    if column not in columns:
        do = f"add the column '{column}' to it" if column else "train with data.id=COLUMN"
        raise UserError("nobody can be left out: the table of customers has no column of ids", where, do)


def list_of(
    best: pd.DataFrame,
    assumed: DecisionConfig,
    seed: int,
    explain: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
) -> CallList:
    """The list of the best candidates, in their order, as long as `assumed.capacity` allows.

    `explain` gives the reasons of candidates; without it the list has none.
    """
    treated = _divide([] if best.empty else best["key", "key"], assumed, seed)
    best = best[: len(treated)]
    if best.columns.empty:
        return CallList(pd.DataFrame(columns=["action", "treated"]), [], assumed)
    parts = {name: pd.DataFrame(best[name]) for name in best.columns.get_level_values(0).unique()}
    answer = parts["answer"].drop(columns="churn").round({"expected_profit": 2})
    answer.insert(0, "expected_profit", answer.pop("expected_profit"))
    action = pd.DataFrame(
        {"action": np.where(treated, CALL, CONTROL), "treated": treated.astype(int)}, best.index
    )
    explained, common = set_apart(explain(best) if explain else pd.DataFrame(index=best.index))
    # The pieces of a file of JSON lines may differ in the type of a column.
    kept = [parts["kept"].apply(as_kept)] if "kept" in parts else []
    table = pd.concat([parts["id"], *kept, action, answer, explained], axis=1)
    return CallList(table, common, assumed)


def is_worth_a_call(scored: pd.DataFrame, assumed: DecisionConfig, own: DecisionConfig) -> np.ndarray:
    """[n] whether each candidate with a profit is worth a call; `own` are the bundle's assumptions."""
    answer = pd.DataFrame(scored["answer"])
    probability, called, profit = (
        answer[name].to_numpy(float) for name in ("churn_probability", "churn", "expected_profit")
    )
    return decision.worth_a_call(probability, called == 1, profit, assumed, own)


def most_profitable(scored: pd.DataFrame, length: int) -> pd.DataFrame:
    """The most profitable customers, each once."""
    by = ("answer", "expected_profit")
    ordered = scored.sort_values(by, ascending=False, kind="stable", ignore_index=True)
    return ordered[~ordered["key", "key"].duplicated()].reset_index(drop=True)[:length]


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


def explain_customers(bundle: Bundle, best: pd.DataFrame, runtime: Runtime = Runtime.litert) -> pd.DataFrame:
    """The main reasons of candidates in words; no columns if the bundle gives no reasons."""
    frame = pd.DataFrame(best["features"])
    model = model_of(bundle, runtime)
    if not model.gives_reasons or frame.empty:
        return pd.DataFrame(index=frame.index)
    rows = frame_features(frame, bundle.schema)
    return pd.DataFrame(reason_columns(model.answer(rows, reasons=True), rows), index=frame.index)


def _print_summary(chosen: CallList) -> None:
    """Print how many are called and held out, what that means, and the reasons that most share."""
    treated = chosen.table["treated"]
    print(f"{treated.sum():,} to call, {len(treated) - treated.sum():,} held out as control")
    if len(treated) > treated.sum():
        print(f"  {CONTROL_NOTE}")
    for reason in chosen.common:
        print(f"  {reason}")
