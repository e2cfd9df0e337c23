"""A file on the page: what was recognised, what is odd, and the answers for its customers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from churn.bundle.bundle import Bundle
from churn.bundle.choice import check_columns
from churn.bundle.decision import check_decision, effective_assumptions, worth_a_call
from churn.bundle.unseen import UnseenCells
from churn.config.root import Config
from churn.config.training import DecisionConfig
from churn.data.features import to_arrow_features
from churn.data.sources import files
from churn.data.sources.chunk import Chunk
from churn.data.validate import to_features
from churn.errors import UserError, count
from churn.score.candidates import score_candidates
from churn.score.kept import own_columns

CHUNK_ROWS = 20_000  # rows between two reports of progress
READING = (  # keys that say how a file is read
    "data.query", "data.delimiter", "data.encoding", "data.skip_lines", "data.sheet", "data.table",
    "data.decimal", "data.thousands", "data.missing", "data.max_bad_rows",
)  # fmt: skip
Report = Callable[[str], None]


@dataclass(frozen=True)
class Upload:
    """A file that a person dropped, or an example."""

    path: Path
    name: str  # for people
    digest: str  # sha256 of the bytes
    rows: int = 0
    kept: tuple[str, ...] = ()  # columns that are carried along: no inputs of the model
    remarks: tuple[str, ...] = ()  # what was recognised, and what is odd but can be scored
    problem: str = ""  # why it cannot be scored; "" if it can


def file_digest(path: Path) -> str:
    """The sha256 of a file, which is read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_error(error: UserError, path: Path, name: str) -> str:
    """What is wrong with a file, under its own name, and where to type the keys that the message asks for."""
    text = str(error).replace(str(path), name)
    if keys := [key for key in READING if re.search(rf"\b{re.escape(key)}\b", text)]:
        example = " ".join(f"{key}=..." for key in keys)
        text += f"\n  on this page: end it, and start it with that key, as in churn app {example}"
    return text


def inspect_upload(path: Path, name: str, bundle: Bundle, cfg: Config, report: Report) -> Upload:
    """What a file holds, in words; nothing is predicted. `report` is told how far it is."""
    upload = Upload(path, name, file_digest(path))
    try:
        return _inspect(upload, bundle, cfg, report)
    except UserError as error:
        return replace(upload, problem=describe_error(error, path, name))


def _inspect(upload: Upload, bundle: Bundle, cfg: Config, report: Report) -> Upload:
    schema, unseen, rows, names, note = bundle.schema, UnseenCells(bundle), 0, [""], ""
    for chunk in _chunks(upload.path, bundle, cfg):
        names, note, rows = chunk.table.column_names, chunk.note, rows + len(chunk.table)
        check_columns(bundle, names, upload.name, cfg)
        features = to_arrow_features(chunk.table, schema)
        if features is None or chunk.broken:
            to_features(files.to_raw_table(upload.name, [chunk]), schema)  # raises the error
        else:
            unseen.add_features(features)
        report(f"{rows:,} rows read")
    _check_assumptions(bundle, names, cfg)
    carried = [name for name in names if name not in {*schema.features, schema.id, schema.target}]
    own = own_columns(bundle)
    kept = tuple(name for name in carried if name not in own)
    left_out = [name for name in carried if name in own]
    remarks = [f"{count(rows, 'row')}, {count(len(names), 'column')}" + (f"; {note}" if note else "")]
    remarks.append(f"all {len(schema.features)} columns that the model needs are there")
    if schema.id in names:
        remarks.append(f"customers are named by the column '{schema.id}'")
    else:
        remarks.append("no column names the customers: they are numbered by their rows")
    if kept:
        remarks.append(f"carried along, not used by the model: {', '.join(kept)}")
    if left_out:
        remarks.append(f"left out, the list has such a column itself: {', '.join(left_out)}")
    remarks += [f"odd: {column}" for column in map(str, unseen.columns())]
    return replace(upload, rows=rows, kept=kept, remarks=tuple(remarks))


def _check_assumptions(bundle: Bundle, names: Collection[str], cfg: Config) -> None:
    """Raise `UserError` for assumptions under which a table with these columns can have no list."""
    assumed = effective_assumptions(cfg.decision, bundle.facts, cfg.overridden)
    numbers = [name for name in names if name not in bundle.schema.categorical]
    check_decision(assumed, pd.DataFrame(columns=numbers, dtype=float))
    nobody, own = np.empty(0), effective_assumptions(DecisionConfig(), bundle.facts)
    worth_a_call(nobody, nobody == 1, nobody, assumed, own)


def score_upload(upload: Upload, bundle: Bundle, cfg: Config, report: Report) -> pd.DataFrame:
    """The candidates of a file (`churn.score.candidates`), without profits."""
    assumed = effective_assumptions(cfg.decision, bundle.facts, cfg.overridden)
    parts, rows = [], 0
    for chunk in _chunks(upload.path, bundle, cfg):
        raw = files.to_raw_table(upload.name, [chunk])
        parts.append(score_candidates(bundle, raw, assumed, upload.kept, rows))
        rows += len(raw.frame)
        report(f"{rows:,} of {upload.rows:,} customers scored")
    return pd.concat(parts, ignore_index=True)


def _chunks(path: Path, bundle: Bundle, cfg: Config) -> Iterator[Chunk]:
    chunks = files.file_chunks(str(path), files.with_marks(cfg.data, bundle.schema), CHUNK_ROWS)
    return (chunk for chunk in chunks if len(chunk.table) or chunk.broken)
