"""From a raw table and its schema to a data set, or to one error that lists every bad cell."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd

from churn.config.data import DataConfig
from churn.data.dataset import Dataset, Finding, Schema
from churn.data.infer.cells import (
    as_written,
    has_lost_digits,
    to_ids,
    to_levels,
    to_numbers,
    to_text,
    to_times,
)
from churn.data.infer.number_format import NUMBER
from churn.data.infer.target import format_counts, left_and_blank
from churn.data.spelling import number_example
from churn.data.table import BAD_ROW, IN_MEMORY, RawTable
from churn.errors import UserError, count, did_you_mean, shell_override, user_error_of_many

NO_NUMBER = "not a number"
LOST_DIGITS = "an id that lost digits as a floating-point number: export it as text, or as a whole number"
MOST_LEVELS = 10  # different numbers of a protected column that are levels instead of amounts
SHOWN = 20  # bad cells listed for each column and reason


@dataclass(frozen=True)
class _BadCells:
    """Cells of one column that cannot be used, all for the same reason."""

    column: str
    reason: str
    rows: np.ndarray  # positions in the raw table


def validate_table(raw: RawTable, schema: Schema, cfg: DataConfig) -> Dataset:
    """The data set of a raw table.

    Exact copies of a row are dropped if the table has an id, or if `cfg.drop_copies` is set. Up to
    `cfg.max_bad_rows` rows with bad cells are set aside, none of a sample. Raises `UserError` if there are
    more, or if the other rows are all of one class.
    """
    copies = raw.frame.duplicated().to_numpy()
    drop_copies = schema.id is not None or cfg.drop_copies
    frame, bad = _parse_columns(raw, schema)
    bad += _unusable_roles(raw, schema)
    bad_rows = _list_bad_rows(raw, bad)
    if (unusable := _count_rows(bad_rows)) > (0 if raw.is_sample else cfg.max_bad_rows):
        raise _too_many_bad_rows(raw, bad_rows, _suggest_remedy(bad_rows, raw))
    kept = ~copies if drop_copies else np.ones(len(frame), dtype=bool)
    for cells in bad:
        kept[cells.rows] = False
    data = Dataset(
        name=cfg.name or raw.origin,
        schema=schema,
        frame=frame[kept].reset_index(drop=True),
        churned=_labels(raw, schema)[kept],
        ids=None if schema.id is None else to_ids(raw.frame[schema.id]).to_numpy(object)[kept],
        times=None if schema.time is None else to_times(raw.frame[schema.time])[0][kept],
        true_probability=None if raw.true_probability is None else raw.true_probability[kept],
        findings=tuple(_findings_on_rows(int(copies.sum()), drop_copies, unusable, raw)),
        notes=raw.notes,
        origin=raw.origin,
        bad_rows=bad_rows if unusable else None,
        facts={
            "rows_read": _rows_read(raw),
            "copies_dropped": int(copies.sum()) if drop_copies else 0,
            "bad_rows": unusable,
        },
        protected=_protected_columns(raw, frame, schema, cfg.protected)[kept].reset_index(drop=True)
        if cfg.protected
        else None,
    )
    _check_classes(data)
    return replace(data, fingerprint=_dataset_fingerprint(data))


def to_features(raw: RawTable, schema: Schema) -> pd.DataFrame:
    """The features of rows to predict, as in `Dataset.frame`; the table needs no target.

    Columns may be in any order, beside others; unknown levels stay as they are. Raises one `UserError` for
    all missing columns, or for all cells that should be numbers and are not.
    """
    frame, bad = _parse_columns(raw, schema)
    bad_rows = _list_bad_rows(raw, bad)
    if len(bad_rows):
        raise _too_many_bad_rows(raw, bad_rows, _remedy_in_prediction(bad_rows, schema))
    return frame


def unusable_cells(raw: RawTable, schema: Schema) -> UserError | None:
    """The error for cells that `validate_table` refuses in rows of a table that is not in memory, if any."""
    bad_rows = _list_bad_rows(raw, _parse_columns(raw, schema)[1] + _unusable_roles(raw, schema))
    remedy = _suggest_remedy(bad_rows, replace(raw, is_sample=True))
    return _too_many_bad_rows(raw, bad_rows, remedy) if len(bad_rows) else None


def _parse_columns(raw: RawTable, schema: Schema) -> tuple[pd.DataFrame, list[_BadCells]]:
    """The features as in `Dataset.frame`, and the cells that should be numbers and are not."""
    if error := missing_columns(raw.frame.columns, schema, raw.origin):
        raise error
    columns: dict[str, np.ndarray | pd.Series] = {}
    bad = []
    for name in schema.numeric:
        columns[name], not_a_number, too_large = to_numbers(raw.frame[name], schema, schema.missing_numbers)
        bad.append(_BadCells(name, NO_NUMBER, np.flatnonzero(not_a_number)))
        bad.append(_BadCells(name, "infinite, or 1e30 and more", np.flatnonzero(too_large)))
    for name in schema.categorical:
        columns[name] = to_levels(raw.frame[name], schema)
    return pd.DataFrame(columns, index=raw.frame.index), bad


def _protected_columns(raw: RawTable, frame: pd.DataFrame, schema: Schema, names: list[str]) -> pd.DataFrame:
    """The protected columns: as the model sees them, or as numbers or texts where it does not."""
    columns = {
        name: frame[name] if name in frame else _numbers_or_texts(raw.frame[name], schema) for name in names
    }
    return pd.DataFrame(columns, index=raw.frame.index)


def _numbers_or_texts(column: pd.Series, schema: Schema) -> np.ndarray | pd.Series:
    """Numbers if all cells are, and they are more than a few levels."""
    numbers, not_a_number, _ = to_numbers(column, schema, schema.missing_numbers)
    few = len(np.unique(numbers[~np.isnan(numbers)])) <= MOST_LEVELS
    return to_text(column, schema) if few or not_a_number.any() else numbers


def missing_columns(columns: Collection[str], schema: Schema, origin: str) -> UserError | None:
    """The error for features that a table with these columns lacks; None if it has all."""
    absent = [name for name in schema.features if name not in columns]
    if not absent:
        return None
    problems = [UserError(f"column '{name}' is missing{did_you_mean(name, columns)}") for name in absent]
    return user_error_of_many(f"{origin} is not a table that this model can read", problems)


def _unusable_roles(raw: RawTable, schema: Schema) -> list[_BadCells]:
    """Blank cells in the target and the id, and cells of the time that are not dates."""
    target = raw.frame[schema.target]
    blank = np.flatnonzero(left_and_blank(to_text(target, schema).to_numpy(object), schema)[1])
    values = format_counts(as_written(target.drop(target.index[blank])).value_counts(), len(blank))
    bad = [_BadCells(schema.target, f"a blank target ({values})", blank)]
    if schema.id is not None:
        ids = raw.frame[schema.id]
        bad.append(_BadCells(schema.id, "a blank id", np.flatnonzero(to_ids(ids) == "")))
        bad.append(_BadCells(schema.id, LOST_DIGITS, np.flatnonzero(has_lost_digits(ids))))
    if schema.time is not None:
        bad.append(_BadCells(schema.time, "not a date", np.flatnonzero(to_times(raw.frame[schema.time])[1])))
    return bad


def _labels(raw: RawTable, schema: Schema) -> np.ndarray:
    """[n] int8, 1 = left."""
    target = to_text(raw.frame[schema.target], schema).to_numpy(object)
    return left_and_blank(target, schema)[0].astype(np.int8)


def _list_bad_rows(raw: RawTable, bad: Iterable[_BadCells]) -> pd.DataFrame:
    """A table of all bad cells, by column and reason, with the columns `BAD_ROW`."""
    tables = [] if raw.broken is None else [raw.broken]
    for cells in (cells for cells in bad if len(cells.rows)):
        lines = cells.rows + 1 if raw.lines is None else raw.lines[cells.rows]
        files = raw.origin if raw.files is None else raw.files[cells.rows]
        values = as_written(raw.frame[cells.column].iloc[cells.rows]).to_numpy(object)
        rows = (files, lines, cells.column, values, cells.reason)
        tables.append(pd.DataFrame(dict(zip(BAD_ROW, rows, strict=True)), index=cells.rows))
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=list(BAD_ROW))


def _count_rows(bad_rows: pd.DataFrame) -> int:
    """Rows with at least one problem."""
    return len(bad_rows[["file", "line"]].drop_duplicates())


def _too_many_bad_rows(raw: RawTable, bad_rows: pd.DataFrame, do: str) -> UserError:
    """The error that lists all problems, grouped by column and reason."""
    lines = [f"{raw.origin}: {_count_rows(bad_rows):,} of {_rows_read(raw):,} rows cannot be used"]
    for (column, reason), cells in bad_rows.groupby(["column", "reason"], sort=False):
        lines.append("- " + f"column '{column}': " * bool(column) + f"{reason}; rows: {len(cells):,}")
        for file, line, _, value, _ in cells[:SHOWN].itertuples(index=False):
            lines.append("    " + f"{file}, " * (file != raw.origin) + f"{raw.unit} {line}: '{value[:80]}'")
        lines += [f"    and {len(cells) - SHOWN:,} more"] * (len(cells) > SHOWN)
    return UserError("\n".join(lines), do=do)


def _suggest_remedy(bad_rows: pd.DataFrame, raw: RawTable) -> str:
    """What to do about rows that cannot be trained on; they can be set aside unless they are all."""
    texts = bad_rows["value"][bad_rows["reason"] == NO_NUMBER].unique()[:5]
    remedies = ["correct them"]
    if len(texts):
        remedies.append(f"if a text means 'missing', name it: {shell_override('data.missing', *texts)}")
    if raw.is_sample:
        remedies.append(f"or {IN_MEMORY}")
    elif (unusable := _count_rows(bad_rows)) < _rows_read(raw):
        remedies.append(f"or set the rows aside: data.max_bad_rows={unusable}")
    return "; ".join(remedies)


def _remedy_in_prediction(bad_rows: pd.DataFrame, schema: Schema) -> str:
    """What to do about rows that cannot be predicted; numbers may be written unlike those of training."""
    texts = bad_rows["value"][bad_rows["reason"] == NO_NUMBER].map(str)
    others = texts[texts.str.fullmatch(NUMBER)]
    if others.empty:
        return "correct them" + "; leave a cell blank whose text means 'missing'" * (not texts.empty)
    return (
        f"this model reads numbers like {number_example(schema)}, here is {others.iloc[0]}: write them alike"
    )


def _rows_read(raw: RawTable) -> int:
    """Rows of the table, including those that do not fit its header."""
    return len(raw.frame) + (0 if raw.broken is None else len(raw.broken))


def _findings_on_rows(copies: int, dropped: bool, bad_rows: int, raw: RawTable) -> Iterator[Finding]:
    """Findings about rows that were set aside, and about copies."""
    if bad_rows:
        yield Finding(
            f"{count(bad_rows, 'row')} set aside", "their cells cannot be used", "see the file of bad rows"
        )
    if copies:
        yield Finding(
            f"{count(copies, 'exact copy', 'exact copies')} of other rows {'dropped' if dropped else 'kept'}",
            f"{copies:,} of {_rows_read(raw):,} rows agree with another in every column",
            "there is nothing to do"
            if dropped
            else "copies stay in one part of the split; if they are mistakes: data.drop_copies=true",
        )


def _check_classes(data: Dataset) -> None:
    """Raise `UserError` if the target has one class only."""
    churners = int(data.churned.sum())
    if churners in (0, len(data)):
        raise UserError(
            f"of {len(data):,} rows that can be used, {churners:,} left: both kinds of customers are needed",
            f"{data.origin}, column '{data.schema.target}'",
        )


def _dataset_fingerprint(data: Dataset) -> str:
    """The sha256 of rows and roles, the same on any machine."""
    digest = hashlib.sha256(json.dumps(asdict(data.schema)).encode())
    for part in (data.frame, data.churned, data.ids, data.times):
        if part is not None:
            hashes = pd.util.hash_pandas_object(pd.DataFrame(part), index=False)
            digest.update(hashes.to_numpy("<u8").tobytes())
    return digest.hexdigest()
