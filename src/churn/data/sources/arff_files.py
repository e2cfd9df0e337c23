"""ARFF files (Weka, OpenML) as chunks, by liac-arff."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from churn.config.data import DataConfig
from churn.data.sources.chunk import Chunk
from churn.data.sources.encodings import open_text, recognise_encoding
from churn.data.sources.paths import SourceFile
from churn.errors import UserError, missing_extra


def arff_chunks(source: SourceFile, cfg: DataConfig, rows: int) -> Iterator[Chunk]:
    """An ARFF file in chunks of at most `rows` rows; the first has the columns and no rows.

    Numbers are numbers, everything else is text, `?` is missing. Raises `UserError` with the place of a
    mistake.
    """
    try:
        import arff
    except ImportError:
        raise missing_extra("liac-arff", "tables") from None
    with open_text(source, cfg.encoding or recognise_encoding(source).name) as text:
        try:
            # The generators give row after row; a sparse file names only the cells that are not 0.
            found = arff.ArffDecoder().decode(_dates_as_text(text), return_type=arff.DENSE_GEN)
            kinds = {name: _arrow_type(kind) for name, kind in found["attributes"]}
            records = iter(found["data"])
            yield Chunk(source.name, _to_table([], kinds), np.empty(0, int), "ARFF", unit="row", typed=True)
            row = 1
            while block := list(islice(records, rows)):
                lines = np.arange(row, row + len(block))
                yield Chunk(source.name, _to_table(block, kinds), lines, "ARFF", unit="row", typed=True)
                row += len(block)
        except arff.ArffException as error:
            what = str(error).replace(" in line -1", "")  # as liac-arff 2.5.0 numbers the lines of data
            raise UserError(f"this is no ARFF file: {what}", source.name, "export it again") from None


def _dates_as_text(lines: Iterable[str]) -> Iterator[str]:
    """The lines with dates declared as text, since liac-arff does not know dates."""
    name = r"'[^']*'|\"[^\"]*\"|\S+"
    date = re.compile(rf"^(\s*@attribute\s+(?:{name})\s+)date\b.*", re.IGNORECASE)
    for line in lines:
        yield date.sub(r"\1string", line) if line.lstrip()[:1] == "@" else line


def _arrow_type(kind: Any) -> pa.DataType:
    """Numbers as such; dates, texts and the levels of a category as text."""
    is_number = isinstance(kind, str) and kind.upper() in ("NUMERIC", "REAL", "INTEGER")
    return pa.float64() if is_number else pa.string()


def _to_table(records: list[list[Any]], kinds: dict[str, pa.DataType]) -> pa.Table:
    columns = zip(*records, strict=True) if records else [()] * len(kinds)
    return pa.table(
        [pa.array(cells, kind) for cells, kind in zip(columns, kinds.values(), strict=True)], list(kinds)
    )
