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

BLOCK = 100_000  # rows parsed at a time where the whole table is wanted


def read_files(cfg: DataConfig) -> RawTable:
    """The table in the files that `cfg.path` names; raises `UserError` for what is no table, or empty."""
    if cfg.path is None:
        raise UserError(
            "no table is named", "data.path", "data.path=FILE, or data=synthetic for a made-up one"
        )
    return to_raw_table(cfg.path, list(file_chunks(cfg.path, cfg, BLOCK)))


def raw_tables(path: str, cfg: DataConfig, rows: int) -> Iterator[RawTable]:
    """The same table in pieces of at most `rows` rows, with memory for one of them."""
    for part in file_chunks(path, cfg, rows):
        if len(part.table) or part.broken:
            yield to_raw_table(path, [part])


def file_chunks(path: str, cfg: DataConfig, rows: int) -> Iterator[Chunk]:
    """The stretches of all files, with the columns in the order of the first file.

    Raises `UserError` if the files differ in their columns or kind, or if there is no row at all.
    """
    with local_files(path) as places:
        kinds = {is_parquet(place): place.name for place in places}
        if len(kinds) > 1:
            raise UserError(
                "some of the files are text, others Parquet",
                f"{kinds[False]}, {kinds[True]}",
                "name one kind by a glob",
            )
        read_parts = parquet.parquet_chunks if True in kinds else text.text_chunks
        names: list[str] = []
        empty = True
        for place in places:
            for part in read_parts(place, cfg, rows):
                check_same_columns(part.table.column_names, names, place, places[0])
                names = names or part.table.column_names
                empty = empty and not len(part.table) and not part.broken
                yield part._replace(table=part.table.select(names))
    if empty:
        raise UserError(f"the table has {len(names)} columns but no rows", path, "export it again")


def check_same_columns(found: list[str], expected: list[str], place: SourceFile, first: SourceFile) -> None:
    """Refuse columns of the same name, and files whose columns are not the first file's."""
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        raise UserError(
            f"several columns have the same name: {', '.join(twice)}", place.name, "rename them in the file"
        )
    if expected and set(found) != set(expected):
        problems = [
            UserError(f"column '{name}' is missing{did_you_mean(name, found)}")
            for name in expected
            if name not in found
        ]
        problems += [
            UserError(f"column '{name}' is not in {first.name}") for name in found if name not in expected
        ]
        raise user_error_of_many(f"{place.name} and {first.name} are not parts of one table", problems)


def to_raw_table(path: str, found: list[Chunk]) -> RawTable:
    """Parts of one table as a table; columns with neither name nor content are left out."""
    frame = parquet.to_pandas(pa.concat_tables(part.table for part in found))
    nameless = [name for name in map(str, frame) if name.startswith("Unnamed: ") and frame[name].eq("").all()]
    rows = [len(part.lines) for part in found]
    names = {part.file for part in found}
    broken = [(part.file, row.line, "", row.value, row.reason) for part in found for row in part.broken]
    return RawTable(
        frame.drop(columns=nameless),
        origin=path if len(names) == 1 else f"{len(names)} files of {path}",
        lines=np.concatenate([part.lines for part in found]),
        files=np.repeat(np.array([part.file for part in found], dtype=object), rows),
        notes=_reading_notes(found),
        unit="row" if found[0].note == "Parquet" else "line",
        broken=pd.DataFrame(broken, columns=list(BAD_ROW)),
    )


def _reading_notes(found: list[Chunk]) -> tuple[str, ...]:
    """How the files were read, said once for those that are alike."""
    alike: dict[str, list[str]] = {}
    for file, note in dict.fromkeys((part.file, part.note) for part in found):
        alike.setdefault(note, []).append(file)
    return tuple(
        f"{files[0] if len(files) == 1 else f'{len(files)} files'}: {note}" for note, files in alike.items()
    )
