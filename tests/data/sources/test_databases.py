"""SQLite and DuckDB files, any address of SQLAlchemy, and a real PostgreSQL server where one is installed."""

import os
import shutil
import sqlite3
import subprocess
import tempfile
from decimal import Decimal
from pathlib import Path

import duckdb
import pandas as pd
import pytest
import sqlalchemy
from conftest import churn

from churn.config.data import DataConfig
from churn.config.root import compose_config
from churn.config.secrets import hide_passwords, reveal_password
from churn.data.infer.cells import to_ids, to_text
from churn.data.sources import files
from churn.errors import UserError

ROWS = [
    ("007", 2**60 + 1, 29.85, 1, "2024-01-31"),
    ("x", None, None, 0, None),
    ("y", 3, 1.0, "n/a", "2024-02-01"),
]


def read(path, **keys):
    return files.read_files(DataConfig(path=str(path), **keys))


@pytest.fixture
def sqlite(tmp_path):
    """A SQLite file with one table of customers."""
    path = tmp_path / "churn.db"
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE customers (id TEXT, number INTEGER, fee REAL, flag, day DATE)")
        base.executemany("INSERT INTO customers VALUES (?, ?, ?, ?, ?)", ROWS)
    base.close()
    return path


def check(frame):
    assert to_ids(frame["id"]).tolist() == ["007", "x", "y"]
    assert to_ids(frame["number"]).tolist() == [str(2**60 + 1), "", "3"]
    assert to_text(frame["fee"]).tolist() == ["29.85", "", "1"]
    assert to_text(frame["flag"]).tolist() == ["1", "0", "n/a"]


@pytest.mark.parametrize("address", ["{}", "sqlite:///{}"])
def test_the_only_table_of_sqlite_is_read_from_a_file_or_an_address(sqlite, address):
    raw = read(address.format(sqlite))
    check(raw.frame)
    assert raw.unit == "row"
    assert "sqlite, table 'customers'" in raw.notes[0]
    pieces = list(files.raw_tables(address.format(sqlite), DataConfig(), rows=2))
    assert [len(piece.frame) for piece in pieces] == [2, 1]
    assert pieces[1].lines.tolist() == [3]


@pytest.mark.parametrize("address", ["{}", "sqlite:///{}"])
def test_a_join_that_gives_two_columns_of_one_name_is_refused(sqlite, address):
    query = "SELECT * FROM customers a JOIN customers b ON a.id = b.id"
    with pytest.raises(UserError, match="several columns have the same name: day, fee"):
        read(address.format(sqlite), query=query)


def test_of_several_tables_one_is_named_or_queried(sqlite):
    with sqlite3.connect(sqlite) as base:
        base.execute('CREATE TABLE "odd ""name" (x)')
        base.execute("CREATE VIEW leavers AS SELECT id FROM customers WHERE flag = 1")
    base.close()
    with pytest.raises(
        UserError, match=r"which table[\s\S]*'customers', 'odd \"name', 'leavers'[\s\S]*data\.table=TABLE"
    ):
        read(sqlite)
    assert len(read(sqlite, table="leavers").frame) == 1
    with pytest.raises(UserError, match="has 1 column but no rows"):
        read(sqlite, table='odd "name')
    with pytest.raises(UserError, match="did you mean 'customers'"):
        read(sqlite, table="customer")
    query = "SELECT id, number FROM customers WHERE id LIKE '%7' -- with a percent sign and :colons"
    assert read(sqlite, query=query).frame["id"].tolist() == ["007"]


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM customers",
        "SELECT 1; DROP TABLE customers",
        "WITH x AS (SELECT 1) DELETE FROM customers",
        "PRAGMA x",
    ],
)
def test_a_query_that_could_change_data_is_refused(sqlite, query):
    with pytest.raises(UserError, match="could change data"):
        read(sqlite, query=query)
    assert len(read(sqlite).frame) == 3


def test_a_sqlite_file_is_opened_for_reading_only(sqlite):
    from churn.data.sources import databases

    url = f"sqlite:///file:{sqlite}?mode=ro&uri=true"
    with (
        databases._connected(url, "x") as connection,
        pytest.raises(sqlalchemy.exc.OperationalError, match="readonly"),
    ):
        connection.exec_driver_sql("DELETE FROM customers")


def test_the_file_of_an_address_must_exist(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read(f"sqlite:///{tmp_path}/none.db")
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("nosuch://host/x", "does not know this kind of database"),
        ("postgresql://u:secret@localhost:1/x", "the database refuses"),
        ("://", "neither a path nor the address"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused_without_its_password(address, what):
    with pytest.raises(UserError, match=what) as error:
        read(hide_passwords(address))
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("address", ["{}", "duckdb:///{}"])
def test_a_table_or_query_of_duckdb_keeps_types_and_digits(tmp_path, address):
    path = tmp_path / "churn.duckdb"
    with duckdb.connect(str(path)) as base:
        base.execute(
            "CREATE TABLE customers (id HUGEINT, amount DECIMAL(38, 0), fee DECIMAL(10, 2), flag BOOLEAN)"
        )
        base.execute(
            "INSERT INTO customers VALUES (89441111111111111111, 8944111111111111111, 9.90, true), "
            "(2, NULL, 1, NULL)"
        )
    frame = read(address.format(path)).frame
    assert to_ids(frame["id"]).tolist() == ["89441111111111111111", "2"]
    assert to_ids(frame["amount"]).tolist() == ["8944111111111111111", ""]
    assert frame["fee"].tolist() == [9.9, 1]
    assert frame["flag"].tolist() == [True, pd.NA]
    assert read(address.format(path), query="SELECT fee FROM customers WHERE flag").frame["fee"].tolist() == [
        9.9
    ]
    with pytest.raises(UserError, match="could change data"):
        read(address.format(path), query="DROP TABLE customers")


def test_a_table_of_duckdb_may_be_in_a_schema(tmp_path):
    path = tmp_path / "churn.duckdb"
    with duckdb.connect(str(path)) as base:
        base.execute("CREATE SCHEMA marts; CREATE TABLE marts.customers AS SELECT 1 AS id, 2 AS fee")
    assert read(path).frame["fee"].tolist() == [2]
    with duckdb.connect(str(path)) as base:
        base.execute("CREATE VIEW customers AS SELECT 1 AS id, 3 AS fee")
    with pytest.raises(UserError, match=r"'customers', 'marts\.customers'"):
        read(path)
    for table, fee in {"customers": 3, "marts.customers": 2}.items():
        assert read(path, table=table).frame["fee"].tolist() == [fee]


def test_intervals_and_bytes_of_duckdb_are_refused_or_read(tmp_path):
    path = tmp_path / "churn.duckdb"
    with duckdb.connect(str(path)) as base:
        base.execute("CREATE TABLE customers AS SELECT 1 AS id, '\\xFF'::BLOB AS hash, to_days(3) AS waited")
    with pytest.raises(UserError, match="'waited' is month_day_nano_interval"):
        read(path)
    assert read(path, drop=["waited", "hash"]).frame["hash"].tolist() == ["ff"]


def test_passwords_are_hidden_in_messages_and_kept_for_the_process():
    address = "postgresql://ann:pass@word@host:5432/crm?x=1"
    assert hide_passwords(f"data.path={address}") == "data.path=postgresql://ann:***@host:5432/crm?x=1"
    assert reveal_password("postgresql://ann:***@host:5432/crm?x=1") == address
    assert reveal_password("postgresql://bob:***@elsewhere/crm") == "postgresql://bob@elsewhere/crm"
    for shown, secret in (
        ("postgresql://host/crm?user=ann&password=***&x=1", "pass%26word"),
        ("https://host/table.csv?X-Amz-Date=***&X-Amz-Signature=***", "0a"),
        ("https://ann:***@host/table.csv?se=2027&sig=***", "x%3D"),
        ("mssql+pyodbc:///?odbc_connect=DRIVER%3D%7BODBC%7D%3BUID%3Dann%3BPWD%3D***%3BAPP%3Dx", "tell"),
        ("mssql+pyodbc:///?odbc_connect=PWD=***;UID=ann", "{a;b}"),
    ):
        whole = shown.replace("***", secret)
        assert hide_passwords(f"data.path='{whole}' of 7") == f"data.path='{shown}' of 7"
        assert hide_passwords(f"no such page: {whole.partition('//')[2]}").count(secret) == ("@" in whole)
        assert reveal_password(shown) == whole
    cfg = compose_config("data.path='postgresql://eve:hush@host/db'", "input='mysql://u:tell@h/d'")
    assert (cfg.data.path, cfg.input) == ("postgresql://eve:***@host/db", "mysql://u:***@h/d")


@pytest.fixture(scope="module")
def postgres():
    """A PostgreSQL server of its own on a socket and a port; gives its address with a password."""
    initdb, server = shutil.which("initdb"), shutil.which("postgres")
    if not (initdb and server):
        pytest.skip("no PostgreSQL server is installed")
    folder = Path(tempfile.mkdtemp(prefix="churn-pg-"))  # outside pytest's folders, which are root's alone
    as_user = []
    if os.geteuid() == 0:  # PostgreSQL does not run as root
        shutil.chown(folder, "nobody")
        as_user = ["setpriv", "--reuid=nobody", "--clear-groups"]
    (folder / "password").write_text("hush hush")
    (folder / "password").chmod(0o644)
    data, port = folder / "data", free_port()
    subprocess.run(
        [*as_user, initdb, "-D", data, "-U", "ann", "-A", "scram-sha-256", "-N",
         f"--pwfile={folder}/password"],
        check=True, capture_output=True,
    )  # fmt: skip
    options = [f"-cport={port}", "-clisten_addresses=127.0.0.1", "-cunix_socket_directories=", "-cfsync=off"]
    running = subprocess.Popen([*as_user, server, "-D", data, *options], stdout=-3, stderr=-3)
    address = f"postgresql://ann:hush hush@127.0.0.1:{port}/postgres"
    wait_for(address.replace("postgresql", "postgresql+pg8000"))
    yield address
    running.terminate()
    running.wait(20)
    shutil.rmtree(folder)


def free_port():
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for(address):
    import time

    engine = sqlalchemy.create_engine(address)
    for _ in range(200):
        try:
            with engine.begin() as connection:
                connection.exec_driver_sql(
                    "CREATE TABLE customers (id numeric(38), plan text, flag boolean, fee numeric(10,2))"
                )
                connection.exec_driver_sql(
                    "INSERT INTO customers SELECT 89441111111111111000 + i, "
                    "CASE WHEN i % 2 = 0 THEN '007' END, i % 3 = 0, i / 4.0 FROM generate_series(0, 299) AS i"
                )
                connection.exec_driver_sql(
                    "CREATE FUNCTION touch() RETURNS int LANGUAGE sql AS "
                    "'INSERT INTO customers VALUES (1); SELECT 1'"
                )
            engine.dispose()
            return
        except sqlalchemy.exc.SQLAlchemyError:
            time.sleep(0.05)  # until the server is up
    raise AssertionError("the server does not start")


def test_a_table_of_postgresql_is_streamed_with_every_digit(postgres):
    address = hide_passwords(postgres)
    pieces = list(files.raw_tables(address, DataConfig(), rows=100))
    assert [len(piece.frame) for piece in pieces] == [100] * 3
    frame = pieces[0].frame
    assert to_ids(frame["id"]).tolist()[:2] == ["89441111111111111000", "89441111111111111001"]
    assert to_text(frame["plan"]).tolist()[:2] == ["007", ""]
    assert to_text(frame["flag"]).tolist()[:4] == ["1", "0", "0", "1"]
    assert isinstance(frame["fee"][1], str)
    assert Decimal(frame["fee"][1]) == Decimal("0.25")


def test_postgresql_is_asked_for_reading_only_and_wrong_passwords_are_not_shown(postgres):
    with pytest.raises(UserError, match=r"read-only transaction"):
        read(hide_passwords(postgres), query="SELECT touch()")
    wrong = postgres.replace("hush hush", "sesame")
    with pytest.raises(UserError, match="the database refuses") as error:
        read(hide_passwords(wrong))
    assert "sesame" not in str(error.value)
    assert "hush" not in str(error.value)


def test_a_training_from_postgresql_writes_the_password_nowhere(postgres, tmp_path):
    query = "SELECT id, plan, fee, (random() < 0.3)::int AS churn FROM customers"
    done = churn(
        "train", f"data.path='{postgres}'", f'data.query="{query}"', "data=csv", "data.name=pg",
        f"run.root={tmp_path}", f"run.dir={tmp_path}/run", "train.epochs=1",
        "evaluate.bootstrap=20", "evaluate.importance_repeats=1", "export.refits=0",
    )  # fmt: skip
    assert "hush" not in done.stdout + done.stderr
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(written) > 5
    assert not [file for file in written if b"hush" in file.read_bytes()]
    assert "postgresql://ann:***@127.0.0.1" in (tmp_path / "run" / "config.yaml").read_text()
