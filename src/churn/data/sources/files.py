"""Tables from files of many formats: one or many files, local or gs://, whole or in chunks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from churn.config.data import DataConfig
from churn.data.sources import columns
from churn.data.sources.chunk import Chunk
from churn.data.sources.compressed import unpacked
from churn.data.sources.formats import TEXT, Format, recognise_format
from churn.data.sources.paths import SourceFile, is_delta, local_files
from churn.data.spelling import TextRules
from churn.data.table import BAD_ROW, NoRowsError, RawTable
from churn.errors import UserError, did_you_mean, user_error_of_many
from churn.scratch import scratch_folder

CHUNK_ROWS = 100_000  # rows parsed at a time if the whole table is read
_READING = ("delimiter", "encoding", "skip_lines", "sheet", "table", "query")  # keys of the data


def read_files(cfg: DataConfig) -> RawTable:
    """The table that `cfg.path` names; raises `UserError` if it is no table, or an empty one."""
    if cfg.path is None:
        raise UserError(
            "no table is named", "data.path", "data.path=FILE, or data=synthetic for synthetic customers"
        )
    return to_raw_table(cfg.path, list(file_chunks(cfg.path, cfg, CHUNK_ROWS)), cfg.decimal)


def raw_tables(path: str, cfg: DataConfig, rows: int) -> Iterator[RawTable]:
    """The table of `path` in pieces of at most `rows` rows; one piece is in memory at a time."""
    for chunk in file_chunks(path, cfg, rows):
        if len(chunk.table) or chunk.broken:
            yield to_raw_table(path, [chunk])


def with_marks(cfg: DataConfig, rules: TextRules) -> DataConfig:
    """The configuration for tables whose numbers in text are written by these rules."""
    return replace(cfg, decimal=rules.decimal, thousands=rules.thousands)


def reading_keys(cfg: DataConfig) -> dict[str, Any]:
    """The keys that decide which cells the same files give; the others decide what the cells mean."""
    return {name: getattr(cfg, name) for name in _READING}


def file_chunks(path: str, cfg: DataConfig, rows: int) -> Iterator[Chunk]:
    """The chunks of the files, folder or database that `path` names, columns in the order of the first file.

    Columns whose types differ from file to file are text. Raises `UserError` if the files differ in their
    columns or format, or if there is no row at all.
    """
    names, empty = list[str](), True
    for chunk in _chunks(path, cfg, rows):
        names, empty = chunk.table.column_names, empty and not len(chunk.table) and not chunk.broken
        yield chunk
    if empty:
        raise NoRowsError(names, path)


def _chunks(path: str, cfg: DataConfig, rows: int) -> Iterator[Chunk]:
    """The chunks of whatever `path` names."""
    if "://" in path and not path.startswith("gs://"):
        from churn.data.sources.databases import address_chunks

        for chunk in address_chunks(path, cfg, rows):
            _refuse_repeated(chunk.table.column_names, chunk.file)
            yield chunk
    elif is_delta(path):
        from churn.data.sources.delta import delta_chunks

        yield from delta_chunks(path, cfg, rows)
    else:
        with _unpacked_files(path) as sources:
            yield from _parts_of_one_table(sources, cfg, rows)


@contextmanager
def _unpacked_files(path: str) -> Iterator[list[tuple[SourceFile, Format]]]:
    """The files of a path with their formats; those that have to be unpacked are."""
    with local_files(path) as sources, scratch_folder() as folder:
        kinds = [recognise_format(source) for source in sources]
        yield [
            (source if kind.is_stream else unpacked(source, folder), kind)
            for source, kind in zip(sources, kinds, strict=True)
        ]


def _parts_of_one_table(
    sources: list[tuple[SourceFile, Format]], cfg: DataConfig, rows: int
) -> Iterator[Chunk]:
    """The chunks of files that are parts of one table."""
    kind = _only_kind(sources)
    files = [source for source, _ in sources]
    types = _types_of_parts(files, kind, cfg, rows) if kind is not TEXT and len(files) > 1 else None
    names: list[str] = []
    for source in files:
        for chunk in kind.read(source, cfg, rows):
            table = with_partition_keys(chunk.table, source.keys)
            check_same_columns(table.column_names, names, source.name, files[0].name)
            names = names or table.column_names
            yield chunk._replace(
                table=columns.conform(table, types, cfg.decimal) if types else table.select(names)
            )


def _only_kind(sources: list[tuple[SourceFile, Format]]) -> Format:
    """The format of all files; raises `UserError` if there are several."""
    by_kind = {kind: source.name for source, kind in sources}
    if len(by_kind) > 1:
        listed = ", ".join(f"{name} is {kind.name}" for kind, name in by_kind.items())
        raise UserError("the files are of several formats", listed, "choose one format by a glob")
    return next(iter(by_kind))


def _types_of_parts(
    files: list[SourceFile], kind: Format, cfg: DataConfig, rows: int
) -> dict[str, pa.DataType]:
    """The types that hold the columns of all files, by the first chunk of each, which has no rows."""
    schemas: list[pa.Schema] = []
    for source in files:
        head = with_partition_keys(next(kind.read(source, cfg, rows)).table, source.keys)
        check_same_columns(head.column_names, schemas[0].names if schemas else [], source.name, files[0].name)
        schemas.append(head.schema)
    return columns.common_types(schemas)


def with_partition_keys(table: pa.Table, keys: Mapping[str, str | None]) -> pa.Table:
    """The table with the columns that the folders KEY=VALUE of its path hold."""
    for key, value in keys.items():
        if key not in table.column_names:
            table = table.append_column(key, columns.constant_text(value, len(table)))
    return table


def check_same_columns(names: list[str], expected: list[str], place: str, first: str) -> None:
    """Raise `UserError` if the columns of a file have the same name, or are not those of the first file.

    `expected` are the columns of the first file, or [] for the first file itself.
    """
    _refuse_repeated(names, place)
    if expected and set(names) != set(expected):
        problems = [
            UserError(f"column '{name}' is missing{did_you_mean(name, names)}")
            for name in expected
            if name not in names
        ]
        problems += [
            UserError(f"column '{name}' is not in {first}") for name in names if name not in expected
        ]
        raise user_error_of_many(f"{place} and {first} are not parts of one table", problems)


def _refuse_repeated(names: list[str], place: str) -> None:
    """Raise `UserError` if columns have the same name."""
    if twice := sorted(name for name, times in Counter(names).items() if times > 1):
        what, do = "several columns have the same name", "rename them in the file or the query"
        raise UserError(f"{what}: {', '.join(twice)}", place, do)


def to_raw_table(path: str, chunks: list[Chunk], decimal: str = ".") -> RawTable:
    """One table of some chunks of it; columns with neither name nor content are left out.

    `decimal`: as `join_tables` takes it.
    """
    import pandas as pd

    frame = columns.to_pandas(columns.join_tables([chunk.table for chunk in chunks], decimal))
    nameless = [name for name in map(str, frame) if name.startswith("Unnamed: ") and frame[name].eq("").all()]
    rows = [len(chunk.lines) for chunk in chunks]
    files = {chunk.file for chunk in chunks}
    broken = [(chunk.file, row.line, "", row.value, row.reason) for chunk in chunks for row in chunk.broken]
    return RawTable(
        frame.drop(columns=nameless),
        origin=path if len(files) == 1 else f"{len(files)} files of {path}",
        lines=np.concatenate([chunk.lines for chunk in chunks]),
        files=np.repeat(np.array([chunk.file for chunk in chunks], dtype=object), rows),
        notes=(*_reading_notes(chunks), *_marked_notes(chunks)),
        unit=chunks[0].unit,
        broken=pd.DataFrame(broken, columns=list(BAD_ROW)),
    )


def _reading_notes(chunks: list[Chunk]) -> tuple[str, ...]:
    """How the files were read; one note for all files that were read in the same way."""
    files_by_note: dict[str, list[str]] = {}
    for file, note in dict.fromkeys((chunk.file, chunk.note) for chunk in chunks):
        files_by_note.setdefault(note, []).append(file)
    return tuple(
        f"{files[0] if len(files) == 1 else f'{len(files)} files'}: {note}"
        for note, files in files_by_note.items()
    )


def _marked_notes(chunks: list[Chunk]) -> tuple[str, ...]:
    """What the files themselves mark as missing."""
    marked: Counter[str] = Counter()
    for chunk in chunks:
        marked.update(chunk.marked)
    listed = ", ".join(f"'{name}' {cells:,}" for name, cells in marked.items())
    return (f"cells that the file marks as errors or missing count as missing: {listed}",) if listed else ()
