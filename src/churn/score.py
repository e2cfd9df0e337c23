"""Churn probabilities for a file of customers, in chunks of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from churn.bundle import REASONS, Bundle, decoded
from churn.calls import call_list, said
from churn.config import Config
from churn.data import RawTable, files
from churn.errors import UserError
from churn.files import write_aside
from churn.registry import find_bundle
from churn.validate import features

WRITERS = {".csv": pyarrow.csv.CSVWriter, ".parquet": pyarrow.parquet.ParquetWriter}


def score(cfg: Config) -> None:
    """Write the id and the bundle's outputs for each row of `cfg.input` to `cfg.output`, in input order.

    With `score.sort=true` the customers most likely to leave come first; then all answers, though not
    all inputs, are held in memory. With `top=N` write only the list of the customers to call (see
    `churn.calls`). Raises `UserError` for rows that the bundle cannot read.
    """
    if cfg.input is None or cfg.output is None:
        raise UserError(
            "score needs a file to read and one to write", do="churn score input=FILE output=FILE"
        )
    output = Path(cfg.output)
    if output.suffix not in WRITERS:
        raise UserError(
            f"cannot write '{output.suffix}' files", f"output={output}", f"one of: {', '.join(WRITERS)}"
        )
    bundle = find_bundle(cfg)
    if cfg.score.reasons and REASONS not in bundle.saved_model.signatures:
        raise UserError("the bundle gives no reasons", "score.reasons", "train it with export.background=64")
    raws = files.chunks(cfg.input, cfg.data, cfg.score.chunk_rows)
    if cfg.top is not None:
        answers = iter([call_list(bundle, raws, cfg)])
    else:
        answers = (answer(bundle, raw, cfg.score.reasons) for raw in raws)
        answers = most_likely_first(answers) if cfg.score.sort else answers
    rows = write(answers, output)
    print(f"{rows:,} customers scored with {bundle.path}: {output}")


def answer(bundle: Bundle, raw: RawTable, reasons: bool = False) -> pd.DataFrame:
    """One row per customer: the id where the table has one, then the bundle's outputs, reasons in words."""
    frame = features(raw, bundle.schema)
    outputs = decoded(bundle.predict(frame, signature=REASONS if reasons else "serving_default"))
    del outputs["customer_key"]  # the id itself is here
    outputs |= dict(said(outputs, frame))
    first = ["churn_probability", "churn"]
    table = pd.DataFrame({name: outputs[name] for name in [*first, *sorted(outputs.keys() - set(first))]})
    if bundle.schema.id in raw.frame:
        table.insert(0, bundle.schema.id, raw.frame[bundle.schema.id].to_numpy())
    return table


def most_likely_first(answers: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """All answers as one table, highest probability first, ties in input order."""
    yield pd.concat(answers).sort_values("churn_probability", ascending=False, kind="stable")


def write(answers: Iterator[pd.DataFrame], output: Path) -> int:
    """Write the tables one after the other to a file that appears when it is whole; gives the rows."""
    rows = 0
    with write_aside(output) as aside:
        writer = None
        for table in answers:
            batch = pa.Table.from_pandas(table, preserve_index=False)
            writer = writer or WRITERS[output.suffix](aside, batch.schema)
            writer.write_table(batch)
            rows += len(table)
        if writer is None:
            raise UserError("there are no customers to score", "input")
        writer.close()
    return rows
