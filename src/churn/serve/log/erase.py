"""Removes the rows of customers from the prediction log; each file changes whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from churn.data.contract import CUSTOMER_KEY
from churn.data.features import id_column
from churn.data.forgotten import Forgotten
from churn.files import PERSONAL, atomic_write
from churn.serve.log.broken import FOLDER as BROKEN
from churn.serve.log.broken import UNREADABLE
from churn.serve.log.read import LINES, file_chunks


@dataclass
class Erased:
    """What was done to a log."""

    rows: int = 0  # removed
    files: int = 0  # from which they were removed
    waiting: int = 0  # rows in files that a server writes: they go when it closes the file
    unread: int = 0  # files that cannot be read, and were left as they are


def without_rows_of(table: pa.Table, forgotten: Forgotten) -> pa.Table:
    """A chunk of the log without the customers on the list."""
    if not forgotten.hashes or not table.num_rows:
        return table
    column = id_column(table[CUSTOMER_KEY])
    gone = forgotten.rows_of(column.levels)[column.codes]
    return table.filter(pa.array(~gone)) if gone.any() else table


def erase_rows(folder: Path, forgotten: Forgotten) -> Erased:
    """Remove the rows from every Parquet file of a log, and count those that are still lines."""
    done = Erased()
    for file in sorted(folder.glob("[!.]*.parquet")):
        try:
            removed = _erase_from(file, forgotten)
        except (OSError, *UNREADABLE) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            done.unread += 1
            continue
        done.rows, done.files = done.rows + removed, done.files + bool(removed)
    for file in sorted(folder.glob(f"[!.]*{LINES}")):
        chunks = list(file_chunks(file))
        done.waiting += sum(c.num_rows - without_rows_of(c, forgotten).num_rows for c in chunks)
    done.unread += len(list((folder / BROKEN).glob("*")))
    return done


def _erase_from(file: Path, forgotten: Forgotten) -> int:
    """Write a Parquet file anew without the rows, if it has any; gives how many."""
    chunks = list(file_chunks(file))
    kept = [without_rows_of(chunk, forgotten) for chunk in chunks]
    removed = sum(chunk.num_rows for chunk in chunks) - sum(chunk.num_rows for chunk in kept)
    if removed:
        schema = kept[0].schema.with_metadata(pq.read_schema(file).metadata)
        with (
            atomic_write(file, PERSONAL) as aside,
            pq.ParquetWriter(aside, schema, compression="zstd") as writer,
        ):
            for chunk in kept:
                writer.write_table(chunk)
    return removed
