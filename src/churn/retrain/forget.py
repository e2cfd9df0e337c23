"""`churn forget`: remove a person from the log and from future trainings, and name what learnt from them."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from churn.bundle.database import database_file, mlflow_client, on_server
from churn.config.root import Config
from churn.data.forgotten import Forgotten, forgotten_file, put_on_list
from churn.data.id_hash import id_hash
from churn.data.infer.cells import to_id, to_ids
from churn.data.learnt import FILE, has_learnt
from churn.data.sources.files import CHUNK_ROWS, raw_tables
from churn.data.table import RawTable
from churn.errors import UserError, count
from churn.files import LOCK, exclusive
from churn.monitor.source import server_log
from churn.scratch import scratch_folder
from churn.serve.log.compact import compact_all
from churn.serve.log.erase import Erased, erase_rows

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

LONGEST = 1_000  # characters of an id
# Of tables, or parts of them. Only the first pattern follows links, such as `latest`, as * does.
COPIES = ("*/bad_rows.csv", "**/bad_rows.csv", "uploads/*/*", "cache/**/*")
BINARY = "\0\N{REPLACEMENT CHARACTER}"  # signs that no text has


def forget(cfg: Config) -> None:
    """Forget the customer `cfg.id`; the id is not printed.

    First the customer is put on the list that trainings and the server heed, so that a command that is killed
    can be run again and does the rest. Raises `UserError` where no customer is named, and where the log is to
    be a file.

    >>> forget(compose_config("id=7590-VHVEG"))
    """
    if not cfg.id or not (customer := id_hash(cfg)(cfg.id)) or len(cfg.id) > LONGEST:
        raise UserError("no customer is named", "id", "churn forget id=ID, with the id as in the table")
    if (log := server_log(cfg)).is_file():
        raise UserError("a file is where the folder of the log belongs", str(log), "serve.log.dir=DIR")
    with exclusive(Path(cfg.run.root) / f".forget{LOCK}"):
        new = put_on_list(cfg, customer)
        done = _erase(cfg)
    listed = "is" if new else "was already"
    print(f"The customer {listed} on the list {forgotten_file(cfg)}: no training learns from them.")
    print(_describe(done, cfg))
    for line in _models_that_learnt(cfg, customer):
        print(line)
    for line in _copies_of_tables(cfg, cfg.id):
        print(line)
    print("Not touched: your own tables, labels and files of scores, and logs elsewhere (Vertex AI's).")


def _erase(cfg: Config) -> Erased | None:
    """Remove the customers on the list from the server's log; None if there is no log."""
    folder = server_log(cfg)
    if not folder.is_dir():
        return None
    compact_all(folder, partial(Forgotten.of, cfg))
    return erase_rows(folder, Forgotten.of(cfg))


def _describe(done: Erased | None, cfg: Config) -> str:
    """What was removed from the log, and what was not."""
    log = server_log(cfg)
    if done is None:
        return f"There is no log at {log}: if a server writes one elsewhere, name it: serve.log.dir=DIR"
    text = f"{count(done.rows, 'row')} removed from the log {log}, in {count(done.files, 'file')}."
    if done.waiting:
        minutes = f"{cfg.serve.log.segment_seconds / 60:.0f} minutes"
        text += f" The server is writing {count(done.waiting, 'row')} more: they go within {minutes}."
    if done.unread:
        text += f" {count(done.unread, 'broken file')} could not be read: look there, or remove them."
    return text


def _copies_of_tables(cfg: Config, customer: str) -> Iterator[str]:
    """A line for each file below `run.root`, copied or set aside from tables, that may have the customer."""
    found = (file for pattern in COPIES for file in sorted(Path(cfg.run.root).glob(pattern)))
    once = {file.resolve(): file for file in found if file.is_file()}
    for file in once.values():
        has = _has_customer(file, cfg, customer)
        if has:
            rows = "may have rows of the customer"
            yield f"A copy of a table {rows}: {file}: remove them there, or the file."
        elif has is None:
            yield f"A copy of a table cannot be read: {file}: look there, or remove it."


def _has_customer(file: Path, cfg: Config, customer: str) -> bool | None:
    """Whether a file has the id as a word or a cell; None if it can be read neither as text nor as table."""
    word = re.compile(rf"(?<![\w-]){re.escape(customer.strip())}(?![\w-])")
    texts = [part.decode(errors="replace") for part in _parts(file)]
    if any(map(word.search, texts)):
        return True
    try:
        return any(_is_in_table(raw, word, customer) for raw in raw_tables(str(file), cfg.data, CHUNK_ROWS))
    except UserError:
        return None if any(mark in text for mark in BINARY for text in texts) else False


def _is_in_table(raw: RawTable, word: re.Pattern[str], customer: str) -> bool:
    """Whether a cell is the id, in any spelling of a number, or a row that was set aside has it as a word."""
    if any((to_ids(column) == to_id(customer)).any() for _, column in raw.frame.items()):
        return True
    return raw.broken is not None and any(map(word.search, raw.broken["value"].astype(str)))


def _parts(file: Path) -> Iterator[bytes]:
    """The content of a file, and of what it holds as an archive."""
    yield file.read_bytes()
    with suppress(zipfile.BadZipFile), zipfile.ZipFile(file) as archive:
        yield from (archive.read(name) for name in archive.namelist())


def _models_that_learnt(cfg: Config, customer: str) -> Iterator[str]:
    """A line for each registered version that learnt from the customer, or of which that is not known."""
    if not on_server() and not database_file(cfg.run.root).exists():
        yield "No model is registered."
        return
    client, known = mlflow_client(cfg.run.root), False
    for version in client.search_model_versions():
        learnt = _has_learnt(client, version, customer)
        aliases = ", ".join(client.get_model_version(version.name, version.version).aliases)
        name = f"version {version.version} of '{version.name}'" + f" ({aliases})" * bool(aliases)
        if learnt:
            known = True
            yield f"Learnt from the customer: {name}: train it anew, and promote that."
        elif learnt is None:
            yield f"Not known whether it learnt from the customer: {name}"
    if not known:
        yield "No version is known to have learnt from the customer."


def _has_learnt(client: MlflowClient, version: ModelVersion, customer: str) -> bool | None:
    """Whether a version learnt from a customer; None if its run has no list, or one by another key."""
    from mlflow.environment_variables import MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR

    if FILE not in {entry.path for entry in client.list_artifacts(version.run_id)}:
        return None
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set(False)
    with scratch_folder() as folder:
        return has_learnt(Path(client.download_artifacts(version.run_id, FILE, str(folder))), customer)
