"""`churn score`: the bundle's answers for a file or a BigQuery table of customers, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute

from churn.backend import arrow_alone
from churn.bundle.bundle import Bundle
from churn.bundle.choice import check_columns, check_reading, choose_bundle
from churn.bundle.model import Model, model_of
from churn.bundle.unseen import UnseenCells
from churn.config.root import Config
from churn.config.serving import BeamRunner
from churn.data.coded import ArrowFeatures
from churn.data.features import to_arrow_features
from churn.data.progress import announced
from churn.data.repeats import RepeatedCustomers
from churn.data.sources import files, warehouse
from churn.data.sources.chunk import Chunk
from churn.data.sources.columns import join_tables
from churn.data.sources.paths import is_delta
from churn.data.writers import WRITERS, write_tables
from churn.errors import UserError, count, missing_extra
from churn.events.scoring import INPUT, scoring_features
from churn.parallel import prefetch
from churn.score.answer import score_chunk
from churn.score.folder import ScoreFolder
from churn.score.kept import add_kept, check_kept
from churn.score.output import check_output
from churn.scratch import scratch_folder


def score(cfg: Config) -> None:
    """Write the id and the bundle's outputs for each row of `cfg.input` to `cfg.output`, in input order.

    If the output is a folder, its files appear one after the other, and a scoring that was killed goes on
    after the last file. With `score.sort=true` the customers most likely to leave come first; all answers,
    but not all inputs, are then in memory. With `top=N` write only the call list (`churn.score.call_list`).
    Input and output may be bq://PROJECT.DATASET.TABLE: rows then have no order, and the new table appears
    whole. With `input=events` the rows are made of event tables by the definition in the bundle
    (`churn.events.scoring`). Raises `UserError` for rows that the bundle cannot read.

    >>> score(compose_config("input=customers.csv", "output=scores.csv"))
    """
    _check_input_and_output(cfg)
    arrow_alone()
    bundle = choose_bundle(cfg)
    check_reading(bundle.schema, cfg)
    if _in_bigquery(cfg.input) and bundle.schema.id is None:
        raise UserError(
            "rows of BigQuery have no order, and the bundle has no column of customer ids",
            f"input={cfg.input}",
            "train with data.id=COLUMN",
        )
    seen = _Seen(UnseenCells(bundle), RepeatedCustomers(bundle.schema.id))
    with scoring_features(bundle, cfg) as ready, _output_file(ready) as output:
        rows = _write_scores(bundle, output, ready, seen)
    print(f"{count(rows, 'customer')} scored with {bundle.path}: {cfg.output}")
    for line in seen.remarks():
        print(f"! {line}")


class _Seen(NamedTuple):
    """What was noticed about the rows."""

    cells: UnseenCells
    customers: RepeatedCustomers

    def remarks(self) -> list[str]:
        """A line about each thing that the user should know."""
        repeated = self.customers.describe("each row has its score; top=N lists each customer once")
        return [*map(str, self.cells.columns()), *repeated]


def _write_scores(bundle: Bundle, output: Path, cfg: Config, seen: _Seen) -> int:
    """Write scores or the call list; gives the number of rows."""
    model = model_of(bundle, cfg.score.runtime)
    if cfg.score.reasons and not model.gives_reasons:
        raise UserError("the bundle gives no reasons", "score.reasons", "train it with export.background=64")
    if cfg.beam.runner is not BeamRunner.none:
        return _score_by_beam(bundle, cfg, seen.cells)
    if cfg.top is not None:
        from churn.score.call_list import call_list

        tables = (files.to_raw_table(str(cfg.input), [chunk]) for chunk in _counted(bundle, cfg, seen))
        calls = call_list(bundle, tables, cfg)
        rows = write_tables(iter([pa.Table.from_pandas(calls.table, preserve_index=False)]), output)
        if cfg.score.page:
            from churn.score.page import write_page

            write_page(Path(cfg.score.page), calls, bundle)
        return rows
    if output.suffix in WRITERS:
        scored = _score_chunks(model, cfg, seen)
        return write_tables(_most_likely_first(scored) if cfg.score.sort else scored, output)
    folder = ScoreFolder(output, bundle, cfg)
    return folder.write(_score_chunks(model, cfg, seen, folder.chunks_done))


def _has_no_order(cfg: Config) -> bool:
    """Whether a second reading may give other rows, or the same in another order."""
    path = str(cfg.input)
    is_address = "://" in path and not path.startswith("gs://")
    return is_address or is_delta(path) or cfg.data.query is not None


def _in_bigquery(path: str | None) -> bool:
    return str(path).startswith(warehouse.SCHEME)


@contextmanager
def _output_file(cfg: Config) -> Iterator[Path]:
    """The file or folder to write; for a table of BigQuery a file that is loaded into it afterwards."""
    if not _in_bigquery(cfg.output):
        yield Path(str(cfg.output))
        return
    warehouse.check_writable(str(cfg.output), cfg.data)
    with scratch_folder() as folder:
        file = folder / "scores.parquet"
        yield file
        warehouse.load_parquet(file, str(cfg.output), cfg.data)


def _input_chunks(bundle: Bundle, cfg: Config) -> Iterator[Chunk]:
    """The rows of `cfg.input`, a chunk at a time; raises `UserError` if they lack a column."""
    read = warehouse.bigquery_chunks if _in_bigquery(cfg.input) else files.file_chunks
    print("Scoring ...", flush=True)
    chunks = read(str(cfg.input), files.with_marks(cfg.data, bundle.schema), cfg.score.chunk_rows)
    for chunk in announced(chunks, lambda chunk: len(chunk.table), "read"):
        if len(chunk.table) or chunk.broken:
            check_columns(bundle, chunk.table.column_names, chunk.file, cfg)
            check_kept(cfg.score.keep, chunk, bundle)
            yield chunk


def _score_by_beam(bundle: Bundle, cfg: Config, unseen: UnseenCells) -> int:
    """Score on many workers; gives the number of rows."""
    try:
        from churn.score import beam
    except ImportError:
        raise missing_extra("apache-beam", "scale") from None
    if Path(str(cfg.output)).suffix:
        raise UserError("Beam writes a folder", f"output={cfg.output}", "name one, without a suffix")
    return beam.score_with_beam(bundle, cfg, unseen)


def _check_input_and_output(cfg: Config) -> None:
    """Raise `UserError` for combinations that cannot be read or written."""
    if cfg.input is None or cfg.output is None:
        do = "churn score input=FILE output=FILE"
        raise UserError("score needs a file to read and one to write", do=do)
    in_order = not _has_no_order(cfg) and cfg.input != INPUT and cfg.top is None and not cfg.score.sort
    if cfg.beam.runner is not BeamRunner.none and not in_order:
        what = "Beam scores Parquet files, to a folder and in their order: no database, no list"
        raise UserError(what, f"beam.runner={cfg.beam.runner.value}", "leave beam.runner out")
    suffix = ".parquet" if _in_bigquery(cfg.output) else Path(cfg.output).suffix
    if suffix and suffix not in WRITERS:
        do = f"one of: {', '.join(WRITERS)}, or a folder"
        raise UserError(f"cannot write '{suffix}' files", f"output={cfg.output}", do)
    if not suffix and _has_no_order(cfg):
        fault = "rows of a database, a query or a Delta table have no order: "
        fault += "a killed scoring could not go on in a folder"
        do = "name a .csv or .parquet file"
        do += ", or a table: output=bq://PROJECT.DATASET.TABLE" * _in_bigquery(cfg.input)
        raise UserError(fault, f"output={cfg.output}", do)
    if not suffix and cfg.input == INPUT:
        do = "name a .csv or .parquet file"
        raise UserError("features of today are made anew each time", f"output={cfg.output}", do)
    if cfg.score.cutoff and cfg.input != INPUT:
        what = "a file's features are of one day already: a cut-off is for event tables"
        raise UserError(what, f"score.cutoff={cfg.score.cutoff}", "input=events, or leave it out")
    if cfg.score.page and (cfg.top is None or Path(cfg.score.page).suffix != ".html"):
        do = "churn score input=FILE output=monday.csv top=50 score.page=monday.html"
        raise UserError("the page shows a call list, in HTML", f"score.page={cfg.score.page}", do)
    if cfg.score.do_not_contact and cfg.top is None:
        what = "only a call list leaves customers out: without top=N all of them are written"
        do = "add top=N, or leave it out"
        raise UserError(what, f"score.do_not_contact={cfg.score.do_not_contact}", do)
    if not suffix and (cfg.top is not None or cfg.score.sort):
        raise UserError("a sorted list is one file", f"output={cfg.output}", "name a .csv or .parquet file")
    check_output(cfg)
    given = [key for key in cfg.overridden if key.startswith("decision.")]
    if given and cfg.top is None:
        fault = "these keys change the call list only; the column `churn` follows the bundle's own threshold"
        raise UserError(fault, ", ".join(given), "add top=N, or leave them out")


def _score_chunks(model: Model, cfg: Config, seen: _Seen, skip: int = 0) -> Iterator[pa.Table]:
    """The answers for all chunks after the first `skip`; reading, computing and writing overlap."""
    chunks = islice(_input_chunks(model.bundle, cfg), skip, None)
    read = prefetch((chunk, _features(model.bundle, chunk, seen)) for chunk in chunks)
    scored = prefetch(
        add_kept(score_chunk(model, chunk, features, cfg.score.reasons), chunk, cfg.score.keep)
        for chunk, features in read
    )
    return seen.customers.counted(scored)


def _features(bundle: Bundle, chunk: Chunk, seen: _Seen) -> ArrowFeatures | None:
    """The features of a chunk, counted; None if some cell cannot be used."""
    features = to_arrow_features(chunk.table, bundle.schema)
    if features is not None:
        seen.cells.add_features(features)
    return features


def _counted(bundle: Bundle, cfg: Config, seen: _Seen) -> Iterator[Chunk]:
    """The chunks of the input, their features counted."""
    for chunk in _input_chunks(bundle, cfg):
        _features(bundle, chunk, seen)
        yield chunk


def _most_likely_first(answers: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """All answers as one table, highest probability first, ties in input order."""
    table = join_tables(list(answers))
    by = table.append_column("-", pa.compute.negate(table["churn_probability"]))
    yield table.take(pa.compute.sort_indices(by, [("-", "ascending")]))
