"""Write tables to a CSV or Parquet file that appears whole."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from churn.errors import UserError
from churn.files import atomic_write

# The values of other columns differ from row to row: a dictionary of them would only take time.
parquet_writer = partial(pyarrow.parquet.ParquetWriter, use_dictionary=["certainty"])

WRITERS = {".csv": pyarrow.csv.CSVWriter, ".parquet": parquet_writer}


def check_output(output: str | None, example: str) -> Path:
    """The file to write; raises `UserError` if there is none, or one that is neither CSV nor Parquet."""
    if output is None:
        raise UserError("the file to write is not named", "output", example)
    suffix = Path(output).suffix
    if suffix not in WRITERS:
        raise UserError(f"cannot write '{suffix}' files", f"output={output}", f"one of: {', '.join(WRITERS)}")
    return Path(output)


def write_tables(tables: Iterator[pa.Table], output: Path) -> int:
    """Write the tables, one after the other, to a file that appears whole; gives the number of rows.

    Raises `UserError` if there is no table.
    """
    rows = 0
    with atomic_write(output) as temporary:
        writer = None
        for table in tables:
            writer = writer or WRITERS[output.suffix](temporary, table.schema)
            writer.write_table(table)
            rows += len(table)
        if writer is None:
            raise UserError("there are no customers to score", "input")
        writer.close()
    return rows
