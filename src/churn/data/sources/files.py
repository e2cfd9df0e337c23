"""Tables from files: text or Parquet, one or many, local or gs://, whole or in chunks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa

from churn.config.data import DataConfig
from churn.data.sources import parquet, text
from churn.data.sources.chunk import Chunk
from churn.data.sources.formats import is_parquet
from churn.data.sources.paths import SourceFile, local_files
from churn.data.table import BAD_ROW, RawTable
from churn.errors import UserError, did_you_mean, user_error_of_many

CHUNK_ROWS = 100_000  # rows parsed at a time if the whole table is read


def read_files(cfg: DataConfig) -> RawTable:
    """The table in the files of `cfg.path`; raises `UserError` if they are no table, or an empty one."""
    if cfg.path is None:
        raise UserError(
            "no table is named", "data.path", "data.path=FILE, or data=synthetic for synthetic customers"
        )
    return to_raw_table(cfg.path, list(file_chunks(cfg.path, cfg, CHUNK_ROWS)))


def raw_tables(path: str, cfg: DataConfig, rows: int) -> Iterator[RawTable]:
    """The table of `path` in pieces of at most `rows` rows; one piece is in memory at a time."""
    for chunk in file_chunks(path, cfg, rows):
        if len(chunk.table) or chunk.broken:
            yield to_raw_table(path, [chunk])


def file_chunks(path: str, cfg: DataConfig, rows: int) -> Iterator[Chunk]:
    """The chunks of all files of `path`, with the columns in the order of the first file.

    Raises `UserError` if the files differ in their columns or kind, or if there is no row at all.
    """
    with local_files(path) as sources:
        kinds = {is_parquet(source): source.name for source in sources}
        if len(kinds) > 1:
            raise UserError(
                "some of the files are text, others Parquet",
                f"{kinds[False]}, {kinds[True]}",
                "choose one kind by a glob",
            )
        read_chunks = parquet.parquet_chunks if True in kinds else text.text_chunks
        names: list[str] = []
        empty = True
        for source in sources:
            for chunk in read_chunks(source, cfg, rows):
                check_same_columns(chunk.table.column_names, names, source, sources[0])
                names = names or chunk.table.column_names
                empty = empty and not len(chunk.table) and not chunk.broken
                yield chunk._replace(table=chunk.table.select(names))
    if empty:
        raise UserError(f"the table has {len(names)} columns but no rows", path, "export it again")


def check_same_columns(names: list[str], expected: list[str], source: SourceFile, first: SourceFile) -> None:
    """Raise `UserError` if columns have the same name, or are not those of the first file.

    `expected` are the columns of the first file, or [] for the first file itself.
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(
            f"several columns have the same name: {', '.join(twice)}", source.name, "rename them in the file"
        )
    if expected and set(names) != set(expected):
        problems = [
            UserError(f"column '{name}' is missing{did_you_mean(name, names)}")
            for name in expected
            if name not in names
        ]
        problems += [
            UserError(f"column '{name}' is not in {first.name}") for name in names if name not in expected
        ]
        raise user_error_of_many(f"{source.name} and {first.name} are not parts of one table", problems)


def to_raw_table(path: str, chunks: list[Chunk]) -> RawTable:
    """One table of some chunks of it; columns with neither name nor content are left out."""
    frame = parquet.to_pandas(pa.concat_tables(chunk.table for chunk in chunks))
    nameless = [name for name in map(str, frame) if name.startswith("Unnamed: ") and frame[name].eq("").all()]
    rows = [len(chunk.lines) for chunk in chunks]
    files = {chunk.file for chunk in chunks}
    broken = [(chunk.file, row.line, "", row.value, row.reason) for chunk in chunks for row in chunk.broken]
    return RawTable(
        frame.drop(columns=nameless),
        origin=path if len(files) == 1 else f"{len(files)} files of {path}",
        lines=np.concatenate([chunk.lines for chunk in chunks]),
        files=np.repeat(np.array([chunk.file for chunk in chunks], dtype=object), rows),
        notes=_reading_notes(chunks),
        unit="row" if chunks[0].note == "Parquet" else "line",
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
