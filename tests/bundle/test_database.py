"""The registry's database appears whole, has one writer at a time, and is refused when it is damaged."""

import sqlite3
import subprocess
import sys

import pytest

from churn.bundle.database import mlflow_client
from churn.bundle.registry import champion_path
from churn.config.root import compose_config
from churn.errors import UserError


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def flip_header(path):
    path.write_bytes(b"\x00" + path.read_bytes()[1:])


def flip_page(path):
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 3 + 200] = bytes(200)
    path.write_bytes(content)


def folder(path):
    path.unlink()
    path.mkdir()


def foreign(path):
    path.write_text("a letter\n" * 1000)


def half_made(path):
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE experiments (experiment_id INTEGER)")
    connection.close()


@pytest.mark.parametrize("damage", [cut, empty, flip_header, flip_page, folder, foreign, half_made])
def test_a_damaged_registry_is_one_message_and_no_champion_is_forgotten(damage, database, tmp_path):
    file = tmp_path / "mlflow.db"
    file.write_bytes(database)
    damage(file)
    with pytest.raises(UserError, match="the registry is damaged") as refused:
        champion_path(compose_config(f"run.root={tmp_path}", "data.name=customers"))
    assert refused.value.where == str(file)
    assert "put back a copy" in refused.value.do


def test_a_server_that_does_not_answer_is_one_message_without_its_password(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:tell@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UserError, match="the tracking server does not answer") as refused:
        mlflow_client(str(tmp_path))
    assert refused.value.where == "MLFLOW_TRACKING_URI=http://ann:***@127.0.0.1:9"
    assert "tell" not in str(refused.value)


def test_a_kill_while_the_database_is_made_leaves_none(tmp_path, database):
    code = (
        "import os, sqlalchemy.engine.base as base, churn.bundle.database as d\n"
        "from sqlalchemy import event, Engine\n"
        "count = iter(range(10**6))\n"
        "@event.listens_for(Engine, 'before_cursor_execute')\n"
        "def die(*_):\n"
        "    if next(count) == 40: os.kill(os.getpid(), 9)\n"
        f"d.mlflow_client({str(tmp_path)!r})"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == -9
    assert not (tmp_path / "mlflow.db").exists()
    mlflow_client(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_two_processes_that_make_the_database_at_once_get_one(tmp_path):
    code = f"from churn.bundle.database import mlflow_client; mlflow_client({str(tmp_path)!r})"
    both = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_what_a_killed_process_began_to_write_is_undone(tmp_path, database):
    file = tmp_path / "mlflow.db"
    file.write_bytes(database)
    code = (
        "import os, sqlite3\n"
        f"c = sqlite3.connect({str(file)!r}, isolation_level=None)\n"
        "c.execute('PRAGMA cache_size = 1')\n"
        "c.execute('BEGIN IMMEDIATE')\n"
        "c.execute('CREATE TABLE t AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n '"
        " 'LIMIT 50000) SELECT i, hex(randomblob(50)) FROM n')\n"
        "c.execute('DELETE FROM experiments')\n"
        "os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert file.with_name("mlflow.db-journal").exists()
    assert [found.name for found in mlflow_client(str(tmp_path)).search_experiments()] == ["Default"]


def test_a_registry_that_another_process_writes_is_in_use_and_not_damaged(tmp_path, database, monkeypatch):
    file = tmp_path / "mlflow.db"
    file.write_bytes(database)
    monkeypatch.setattr("churn.bundle.database.PATIENCE", 0.1)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(UserError, match="in use by another process"):
        mlflow_client(str(tmp_path))
    other.close()
    mlflow_client(str(tmp_path))
