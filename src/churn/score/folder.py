"""A folder of scores: its files appear one after the other, so that a killed scoring can go on."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from itertools import chain, islice
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from churn.bundle.bundle import Bundle
from churn.config.root import Config
from churn.config.serving import BeamRunner
from churn.data.sources.files import reading_keys
from churn.data.sources.paths import list_cloud_objects, list_files
from churn.data.writers import write_tables
from churn.errors import UserError, count
from churn.files import PARTIAL, write_text

FINGERPRINT_FILE = "_scored.json"  # in the folder: which scoring the files belong to


class ScoreFolder:
    """A folder of files part-00000.parquet, ..., each with the scores of `score.chunks_per_file` chunks."""

    def __init__(self, path: Path, bundle: Bundle, cfg: Config) -> None:
        """Count the files that an earlier process finished; raises `UserError` if it did another scoring."""
        self.path, self.chunks_per_file = path, cfg.score.chunks_per_file
        claim_folder(path, fingerprint_of(bundle, cfg))
        self.done = 0
        while self._file(self.done).exists():
            self.done += 1
        if self.done:
            there = f"{count(self.done, 'file')} there already"
            print(f"{there}: going on with the other rows; remarks are about these", flush=True)

    @property
    def chunks_done(self) -> int:
        """Chunks of the input whose scores are in finished files."""
        return self.done * self.chunks_per_file

    def _file(self, number: int) -> Path:
        """The file with this number, counted from 0."""
        return self.path / f"part-{number:05d}.parquet"

    def write(self, tables: Iterator[pa.Table]) -> int:
        """Write the remaining files; gives the number of rows in all files."""
        number = self.done
        for first in tables:
            write_tables(chain([first], islice(tables, self.chunks_per_file - 1)), self._file(number))
            number += 1
        return sum(pyarrow.parquet.read_metadata(self._file(i)).num_rows for i in range(number))


def claim_folder(path: Path, fingerprint: str) -> None:
    """Make a folder that belongs to one scoring; raises `UserError` if it holds something else."""
    file = path / FINGERPRINT_FILE
    names = [entry.name for entry in path.iterdir()] if path.is_dir() else [path.name] * path.exists()
    check_claim(names, file.read_bytes() if file.is_file() else None, fingerprint, str(path))
    write_text(file, fingerprint)


def check_claim(names: Collection[str], written: bytes | None, fingerprint: str, output: str) -> None:
    """Raise `UserError` if a folder with files of these names belongs to another scoring, or to none.

    `written` is what its `FINGERPRINT_FILE` says. A full disk or a kill may have left no more than the
    attempt to write that.
    """
    same = all(map(_is_partial, names)) if written is None else written == fingerprint.encode()
    if not same:
        raise UserError(
            "the folder holds something else, or scores of other rows or of another bundle",
            f"output={output}",
            "name a new folder, or remove this one",
        )


def _is_partial(name: str) -> bool:
    return name.startswith(".") and name.endswith(PARTIAL)


def fingerprint_of(bundle: Bundle, cfg: Config) -> str:
    """Everything that the contents of the folder depend on, as JSON."""
    unit: dict[str, object] = {"unit": "row group"}  # Beam's
    if cfg.beam.runner is BeamRunner.none:
        unit = {"chunk_rows": cfg.score.chunk_rows, "chunks_per_file": cfg.score.chunks_per_file}
    facts = {
        "bundle": bundle.digest,
        "input": _stamps(str(cfg.input)),
        "reading": reading_keys(cfg.data),
        **unit,
        "reasons": cfg.score.reasons,
        "keep": cfg.score.keep,
    }
    return json.dumps(facts, indent=1)


def _stamps(path: str) -> dict[str, list[int | None]]:
    """The size and modification time of each file of the input, local or gs://."""
    if path.startswith("gs://"):
        filesystem, keys = list_cloud_objects(path)
        return {info.path: [info.size, info.mtime_ns] for info in filesystem.get_file_info(keys)}
    stats = {name: Path(name).stat() for name in list_files(str(Path(path).expanduser()))}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}
