"""Write tables to CSV or Parquet files that appear whole."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from churn.errors import UserError
from churn.files import atomic_write

# Other columns differ from row to row: a dictionary of their values would only cost time.
parquet_writer = partial(pyarrow.parquet.ParquetWriter, use_dictionary=["certainty"])

WRITERS = {".csv": pyarrow.csv.CSVWriter, ".parquet": parquet_writer}


def check_output(output: str | None, example: str) -> Path:
    """The file to write; raises `UserError` if none is named, or of a kind that cannot be written."""
    if output is None:
        raise UserError("there is no file to write", "output", example)
    suffix = Path(output).suffix
    if suffix not in WRITERS:
        known = ", ".join(WRITERS)
        raise UserError(f"cannot write '{suffix}' files", f"output={output}", f"one of: {known}")
    return Path(output)


def write_tables(tables: Iterator[pa.Table], output: Path) -> int:
    """Write the tables one after the other to a file that appears when it is whole; gives the rows."""
    rows = 0
    with atomic_write(output) as aside:
        writer = None
        for table in tables:
            writer = writer or WRITERS[output.suffix](aside, table.schema)
            writer.write_table(table)
            rows += len(table)
        if writer is None:
            raise UserError("there are no customers to score", "input")
        writer.close()
    return rows
