"""Churn probabilities for a file or a BigQuery table of customers, in chunks of bounded memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute

from churn.ahead import ahead
from churn.bundle import REASONS, Bundle
from churn.calls import call_list, in_order, said
from churn.columns import Columns, columns
from churn.config import BeamRunner, Config
from churn.data import files, warehouse
from churn.data.parquet import decoded
from churn.data.part import Part
from churn.errors import UserError, missing_extra
from churn.registry import find_bundle
from churn.scores import WRITERS, Folder, write
from churn.validate import features


def score(cfg: Config) -> None:
    """Write the id and the bundle's outputs for each row of `cfg.input` to `cfg.output`, in input order.

    Where the output is a folder, its files appear one after the other, and a scoring that was killed goes
    on after the last of them. With `score.sort=true` the customers most likely to leave come first; then
    all answers, though not all inputs, are held in memory. With `top=N` write only the list of the
    customers to call (see `churn.calls`). Input and output may be bq://PROJECT.DATASET.TABLE: rows then have
    no order, and the new table appears whole. Raises `UserError` for rows that the bundle cannot read.
    """
    check(cfg)
    bundle = find_bundle(cfg)
    if in_bigquery(cfg.input) and bundle.schema.id is None:
        raise UserError(
            "rows of BigQuery have no order, and this bundle knows no id of customers",
            f"input={cfg.input}",
            "train with data.id=COLUMN",
        )
    with placed(cfg) as output:
        rows = write_scores(bundle, output, cfg)
    print(f"{rows:,} customers scored with {bundle.path}: {cfg.output}")


def write_scores(bundle: Bundle, output: Path, cfg: Config) -> int:
    """Write what the configuration asks for; gives the rows."""
    if cfg.score.reasons and REASONS not in bundle.saved_model.signatures:
        raise UserError("the bundle gives no reasons", "score.reasons", "train it with export.background=64")
    if cfg.beam.runner is not BeamRunner.none:
        return by_beam(bundle, cfg)
    if cfg.top is not None:
        raws = (files.raw_table(str(cfg.input), [part]) for part in customers(cfg))
        found = call_list(bundle, raws, cfg)
        return write(iter([pa.Table.from_pandas(found, preserve_index=False)]), output)
    if output.suffix in WRITERS:
        scored = answers(bundle, cfg)
        return write(most_likely_first(scored) if cfg.score.sort else scored, output)
    folder = Folder(output, bundle, cfg)
    return folder.write(answers(bundle, cfg, folder.chunks_done))


def in_bigquery(place: str | None) -> bool:
    """Whether it is a table of BigQuery."""
    return str(place).startswith(warehouse.PLACE)


@contextmanager
def placed(cfg: Config) -> Iterator[Path]:
    """The file or folder to write; for a table of BigQuery a file that is loaded into it at the end."""
    if not in_bigquery(cfg.output):
        yield Path(str(cfg.output))
        return
    warehouse.check(str(cfg.output), cfg.data)
    with tempfile.TemporaryDirectory(prefix="churn-") as folder:
        file = Path(folder) / "scores.parquet"
        yield file
        warehouse.load(file, str(cfg.output), cfg.data)


def customers(cfg: Config) -> Iterator[Part]:
    """The rows of `cfg.input`, a chunk at a time."""
    read = warehouse.parts if in_bigquery(cfg.input) else files.parts
    parts = read(str(cfg.input), cfg.data, cfg.score.chunk_rows)
    return (part for part in parts if len(part.table) or part.broken)


def by_beam(bundle: Bundle, cfg: Config) -> int:
    """Score on many workers; gives the rows."""
    try:
        from churn import beam
    except ImportError:
        raise missing_extra("apache-beam", "scale") from None
    if Path(str(cfg.output)).suffix:
        raise UserError("Beam writes a folder", f"output={cfg.output}", "name one, without a suffix")
    return beam.score(bundle, cfg)


def check(cfg: Config) -> None:
    """Refuse what cannot be read or written."""
    if cfg.input is None or cfg.output is None:
        raise UserError(
            "score needs a file to read and one to write", do="churn score input=FILE output=FILE"
        )
    suffix = ".parquet" if in_bigquery(cfg.output) else Path(cfg.output).suffix
    if suffix and suffix not in WRITERS:
        raise UserError(
            f"cannot write '{suffix}' files",
            f"output={cfg.output}",
            f"one of: {', '.join(WRITERS)}, or a folder",
        )
    if not suffix and in_bigquery(cfg.input):
        do = "name a .csv or .parquet file, or a table: output=bq://PROJECT.DATASET.TABLE"
        raise UserError("rows of BigQuery come in no order; a folder could not be gone on with", "output", do)
    if not suffix and (cfg.top is not None or cfg.score.sort):
        raise UserError("a sorted list is one file", f"output={cfg.output}", "name a .csv or .parquet file")


def answers(bundle: Bundle, cfg: Config, skip: int = 0) -> Iterator[pa.Table]:
    """The answers for each chunk but the first `skip`; reading, computing and writing overlap."""
    chunks = islice(customers(cfg), skip, None)
    read = ((part, columns(part.table, bundle.schema)) for part in chunks)
    return ahead(answer(bundle, part, ready, cfg.score.reasons) for part, ready in ahead(read))


def answer(bundle: Bundle, part: Part, ready: Columns | None, reasons: bool = False) -> pa.Table:
    """One row per customer: the id where the table has one, then the bundle's outputs, reasons in words.

    `ready` are the features where all cells can be used. Raises `UserError` that names those that cannot.
    """
    if ready is None or part.broken:
        raw = files.raw_table(part.file, [part])
        features(raw, bundle.schema)  # says which
        raise AssertionError(f"{part.file}: unusable, but not why")
    outputs = bundle.run(ready, signature=REASONS) if reasons else bundle.run_coded(ready)
    outputs.pop("customer_key", None)  # the id itself is here
    table = {name: values(outputs[name]) for name in in_order(outputs)}
    if "reason_1" in table:
        frame = features(files.raw_table(part.file, [part]), bundle.schema)
        table |= said({name: column.to_numpy(zero_copy_only=False) for name, column in table.items()}, frame)
    if (name := bundle.schema.id) and name in part.table.column_names:
        table = {name: decoded(part.table[name])} | table
    return pa.table(table)


def values(tensor: object) -> pa.Array:
    """An output of the graph as a column, text in place of bytes."""
    column = pa.array(tensor.numpy())  # type: ignore[attr-defined]
    return column.cast(pa.string()) if pa.types.is_binary(column.type) else column


def most_likely_first(answers: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """All answers as one table, highest probability first, ties in input order."""
    together = pa.concat_tables(answers)
    by = together.append_column("-", pa.compute.negate(together["churn_probability"]))
    yield together.take(pa.compute.sort_indices(by, [("-", "ascending")]))
