"""The list for Monday: the customers whom it pays most to call, and why."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from churn.bundle import decision, reasons
from churn.bundle.bundle import REASONS, Bundle, decode_strings
from churn.config.root import Config
from churn.config.training import DecisionConfig
from churn.data.dataset import CUSTOMER_KEY, Schema
from churn.data.infer.cells import to_numbers, to_text
from churn.data.table import RawTable
from churn.data.validate import to_features
from churn.errors import UserError

FIRST = (
    "churn_probability",
    "churn_probability_low",
    "churn_probability_high",
    "churn",
    "certainty",
)  # columns, before the others by name
ROW = "row"  # stands for the id where the table has none: 1 for the first customer


def call_list(bundle: Bundle, raws: Iterable[RawTable], cfg: Config) -> pd.DataFrame:
    """At most `cfg.top` customers, greatest expected profit first, of those that are worth a call.

    That are those whom the graph would call, or, where customers have a value of their own, those with an
    expected profit above zero. `treated` is 0 for the control group: do not call them. Memory is bounded by
    the list and one chunk. Raises `UserError` for assumptions without sense and rows that cannot be read.
    """
    assumed = decision.effective_assumptions(cfg.decision, bundle.facts)
    avoid = _read_excluded_ids(cfg.score.do_not_contact, bundle.schema.id)
    length = min(cfg.top or 0, assumed.capacity or cfg.top or 0)
    best, read, worth, left_out = pd.DataFrame(), 0, 0, 0
    for raw in raws:
        found = _score_candidates(bundle, raw, assumed, read)
        listed = found["key", "key"].isin(avoid)
        pays = (
            found["answer", "expected_profit"] > 0 if assumed.value_column else found["answer", "churn"] == 1
        )
        read, worth, left_out = read + len(found), worth + (pays & ~listed).sum(), left_out + listed.sum()
        best = pd.concat([best, found[pays & ~listed]])
        best = best.sort_values(
            ("answer", "expected_profit"), ascending=False, kind="stable", ignore_index=True
        )[:length]
    print(f"{read:,} customers, {worth:,} worth a call, {left_out:,} not to be contacted")
    table = pd.DataFrame(best["answer"]).drop(columns="churn").round({"expected_profit": 2})
    called = [_may_be_called(key, cfg.seed, assumed.control_share) for key in best["key", "key"]]
    table.insert(1, "treated", np.array(called, int))
    return pd.concat([table, _explain_customers(bundle, pd.DataFrame(best["features"]))], axis=1)


def _score_candidates(bundle: Bundle, raw: RawTable, assumed: DecisionConfig, before: int) -> pd.DataFrame:
    """Answers, features and key of each row, under these names; `before` rows were read earlier."""
    frame = to_features(raw, bundle.schema)
    left_out = {
        CUSTOMER_KEY,
        *reasons.reason_outputs(bundle.schema),
    }  # reasons follow for those on the list
    outputs = {name: of for name, of in decode_strings(bundle.predict(frame)).items() if name not in left_out}
    name = bundle.schema.id if bundle.schema.id in raw.frame else None
    ids = raw.frame[name] if name else pd.Series(np.arange(len(frame)) + before + 1)
    valued = _with_value(raw, frame, bundle.schema, assumed.value_column)
    decision.check_decision(assumed, valued)
    value = decision.customer_values(valued, assumed)
    profit = decision.expected_profit(outputs["churn_probability"].astype(float), value, assumed)
    answer = {name or ROW: ids.to_numpy(), "expected_profit": profit}
    answer |= {output: outputs[output] for output in sort_outputs(outputs)}
    key = pd.DataFrame({"key": to_text(ids)})
    return pd.concat({"answer": pd.DataFrame(answer), "features": frame, "key": key}, axis=1)


def sort_outputs(names: Iterable[str]) -> list[str]:
    """The names of outputs as people read them: the probability with its interval first."""
    return sorted(names, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name))


def _with_value(raw: RawTable, frame: pd.DataFrame, schema: Schema, column: str | None) -> pd.DataFrame:
    """The features, and the column that holds the value where it is none of them."""
    if column is None or column in frame or column not in raw.frame:
        return frame
    value, *wrong = to_numbers(raw.frame[column], schema.missing, schema.decimal, schema.thousands)
    if np.any(wrong):
        first = raw.frame[column][np.any(wrong, axis=0)].iloc[0]
        raise UserError(
            f"'{first}' is not a number", f"column '{column}' (decision.value_column)", "correct it"
        )
    return frame.assign(**{column: value})


def _read_excluded_ids(path: str | None, column: str | None) -> set[str]:
    """The ids in a Parquet or text file: in its column `column`, or one a line, with or without a name."""
    if path is None:
        return set()
    if not Path(path).is_file():
        raise UserError("there is no such file", f"score.do_not_contact={path}")
    if path.endswith(".parquet"):
        frame = pd.read_parquet(path)
        header, ids = list(frame.columns), [to_text(frame[name]).tolist() for name in frame.columns]
    else:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
        delimiter = next((mark for mark in ",;\t|" if lines and mark in lines[0]), ",")
        header, *rows = list(csv.reader(lines, delimiter=delimiter)) or [[]]
        ids = [[row[i].strip() for row in rows if len(row) > i] for i in range(len(header))]
    if column not in header and len(header) > 1:
        raise UserError(
            f"there is no column '{column}'", f"score.do_not_contact={path}", "name the column of ids so"
        )
    position = header.index(column) if column in header else 0
    return {header[position], *ids[position]} if header else set()


def _may_be_called(key: str, seed: int, control_share: float) -> bool:
    """Whether a customer may be called: by a hash of the key, so that the control group stays the same."""
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 >= control_share


def _explain_customers(bundle: Bundle, frame: pd.DataFrame) -> pd.DataFrame:
    """The main reasons of each customer, in words; no columns where the bundle has none."""
    if REASONS not in bundle.saved_model.signatures or frame.empty:
        return pd.DataFrame(index=frame.index)
    return reasons_in_words(decode_strings(bundle.predict(frame, signature=REASONS)), frame)


def reasons_in_words(outputs: dict[str, np.ndarray], frame: pd.DataFrame) -> pd.DataFrame:
    """Columns `reason_1`, ... in words, of the outputs with the reasons for the rows of `frame`."""
    columns = {}
    for i in range(1, sum(name.startswith("reason_") for name in outputs) + 1):
        names = outputs[f"reason_{i}"]
        cells = [frame[name].iat[row] for row, name in enumerate(names)]
        columns[f"reason_{i}"] = list(
            map(reasons.reason_in_words, names, cells, outputs[f"contribution_{i}"])
        )
    return pd.DataFrame(columns, index=frame.index)
