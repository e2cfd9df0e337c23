"""MLflow's client, and its database `runs/mlflow.db`: made whole, checked, with one writer at a time."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from churn.config.secrets import hide_passwords
from churn.errors import UserError
from churn.files import LOCK, atomic_write, exclusive, make_folder
from churn.refusals import refusal_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

PATIENCE = 60.0  # seconds to wait for another process that writes
SERVER = "MLFLOW_TRACKING_URI"  # names the tracking server that is used instead of the database
STORED_PATHS = (  # tables and columns of MLflow's database with paths of artifacts
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def import_mlflow() -> None:
    """Import MLflow and what its client imports later: this takes a second."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow  # noqa: F401

    if not on_server():
        from mlflow.store.model_registry import sqlalchemy_store as _  # noqa: F401
        from mlflow.store.tracking import sqlalchemy_store  # noqa: F401


def mlflow_client(root: str) -> MlflowClient:
    """A client of the tracking server, or of the database below `root`, which is made if it does not exist.

    Raises `UserError` for a database that is damaged: its champion must not be forgotten in silence; and for
    a server that does not answer.
    """
    import_mlflow()
    # After the import, which sets the levels. MLflow prints the traceback of an error that it raises, too.
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if on_server():
        return _open_server(os.environ[SERVER])
    file = database_file(root)
    if not os.path.lexists(file):
        make_folder(file.parent)
        with one_writer(root):
            if not os.path.lexists(file):  # no other process was faster
                _make_database(file)
    return _open_database(file)


def on_server() -> bool:
    """Whether a tracking server takes the place of the database."""
    return bool(os.environ.get(SERVER))


def _open_server(address: str) -> MlflowClient:
    """A client of a tracking server; raises `UserError`, without its password, if it does not answer."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        client = MlflowClient(address)
        client.search_registered_models(max_results=1)
        return client
    except MlflowException as error:
        what = hide_passwords(f"the tracking server does not answer: {error}")
        raise UserError(what, hide_passwords(f"{SERVER}={address}"), "start it, or correct that") from None


def _make_database(file: Path) -> None:
    """Make an empty database aside and move it into place: a kill leaves no half of a schema."""
    from mlflow import MlflowClient

    with atomic_write(file) as aside:
        MlflowClient(f"sqlite:///{aside}")


def _open_database(file: Path) -> MlflowClient:
    """A client of a database; raises `UserError` if that cannot be read."""
    from mlflow import MlflowClient

    with _damage_explained(file):
        _check_database(file)
        _follow_moved_folder(file)
        client = MlflowClient(f"sqlite:///{file}")
        client.search_registered_models(max_results=1)
        return client


def _check_database(file: Path) -> None:
    """Raise `sqlite3.DatabaseError` for what is not a whole database."""
    if not file.is_file() or not file.stat().st_size:
        raise sqlite3.DatabaseError("it is an empty file" if file.is_file() else "it is not a file")
    # `rw` undoes what a killed process began to write; a file that is read-only is read all the same.
    address = f"file:{quote(str(file))}?mode=rw"
    with closing(sqlite3.connect(address, uri=True, timeout=PATIENCE)) as connection:
        problems = [str(row[0]) for row in connection.execute("PRAGMA quick_check(1)")]
        version = connection.execute("SELECT count(*) FROM alembic_version").fetchone()[0]
    if problems != ["ok"]:
        raise sqlite3.DatabaseError(problems[0])
    if not version:
        raise sqlite3.DatabaseError("it was not made to its end")


def _follow_moved_folder(file: Path) -> None:
    """Correct the paths that MLflow stores if the folder of the database was moved or copied.

    MLflow stores absolute paths; the artifacts lie in `mlflow/` beside the database.
    """
    here = str(file.with_name("mlflow"))
    with closing(sqlite3.connect(file, timeout=PATIENCE)) as connection, connection:
        stored = connection.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
        for (before,) in stored:
            if before and before != here and before.endswith("/mlflow"):
                for table, column in STORED_PATHS:
                    moved = f"UPDATE {table} SET {column} = ? || substr({column}, ?)"
                    length = len(before)
                    where = (here, length + 1, length, before)
                    connection.execute(f"{moved} WHERE substr({column}, 1, ?) = ?", where)


@contextmanager
def _damage_explained(file: Path) -> Iterator[None]:
    """Turn what SQLite, SQLAlchemy and MLflow raise for a damaged database into one `UserError`."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (sqlite3.Error, SQLAlchemyError, MlflowException) as error:
        if refusal_of(error):
            raise
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        if "locked" in reason:
            raise UserError("the registry is in use by another process", str(file), "try again") from None
        do = (
            "put back a copy of it; or move it away: then `churn promote run=DIR` registers a run anew, "
            "which makes it the champion"
        )
        raise UserError(f"the registry is damaged: {reason}", str(file), do) from None


def database_file(root: str) -> Path:
    """The database of runs and versions below `root`."""
    return Path(root).resolve() / "mlflow.db"


@contextmanager
def one_writer(root: str) -> Iterator[None]:
    """Wait until no other process of this machine writes the database; a server orders its writers itself."""
    if on_server():
        yield
        return
    with exclusive(Path(root) / f".mlflow.db{LOCK}"):
        yield
