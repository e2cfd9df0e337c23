"""`churn forget` removes a person from the log and from future trainings, and names what learnt from them."""

import json
import os
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import compose_config
from serve.test_log import line, spool

from churn.data.dataset import Dataset, Schema
from churn.data.experiment import Experiment
from churn.data.forgotten import Forgotten, without_forgotten
from churn.data.id_hash import IdHash
from churn.data.learnt import FILE, has_learnt, write_customers
from churn.data.load import load_dataset
from churn.errors import UserError
from churn.monitor import source
from churn.retrain.forget import forget
from churn.serve.log import compact, read
from churn.serve.log.compact import compact_all
from churn.serve.stage import serve

HASH = IdHash(os.environ["CHURN_ID_KEY"].encode())


@pytest.fixture
def cfg(tmp_path):
    """A function: the configuration for forgetting a customer."""
    return lambda *keys: compose_config(f"run.root={tmp_path}", *keys)


def keys_in(folder):
    """The customers of a log, as it has them."""
    return [key for table in read.read_log(folder) for key in table["customer_key"].to_pylist()]


@pytest.fixture
def log(tmp_path):
    """A log with a Parquet file and a closed file of lines: customers c0, c1, c2 each, some hashed."""
    folder = tmp_path / "log"
    hashed = line(1, rows=3).replace(b'"c1"', json.dumps(HASH("c1")).encode())
    for content in (line(0, rows=3), hashed):
        written = spool(folder)
        written.append(content)
        written.close()
        if content != hashed:
            compact_all(folder)
    return folder


def test_rows_of_the_customer_go_from_every_file_of_the_log_and_all_others_stay(cfg, log, tmp_path, capsys):
    before = pq.read_schema(next(log.glob("*.parquet"))).metadata
    forget(cfg("id= c1"))
    assert keys_in(log) == ["c0", "c2"] * 2
    assert [file.suffix for file in log.iterdir()] == [".parquet"] * 2
    assert {pq.read_schema(file).metadata[b"churn"] for file in log.iterdir()} == {before[b"churn"]}
    assert {file.stat().st_mode & 0o777 for file in [*log.iterdir(), tmp_path / "forgotten.jsonl"]} == {0o640}
    printed = capsys.readouterr().out
    gone = f"1 row removed from the log {log}, in 1 file"
    assert gone in printed, "the other one was never written as Parquet"
    assert "No model is registered" in printed
    assert "c1" not in printed + (tmp_path / "forgotten.jsonl").read_text()


def test_where_there_is_no_log_that_is_said_and_a_file_is_refused(cfg, tmp_path, capsys):
    forget(cfg("id=c1"))
    printed = capsys.readouterr().out
    assert f"There is no log at {tmp_path / 'log'}: " in printed
    assert "removed from the log" not in printed
    (tmp_path / "day.jsonl").touch()
    with pytest.raises(UserError, match=r"a file is where the folder[\s\S]*day\.jsonl[\s\S]*log\.dir="):
        forget(cfg("id=c2", f"serve.log.dir={tmp_path / 'day.jsonl'}"))
    assert Forgotten.of(cfg()).hashes == {HASH("c1")}, "nothing is done by halves"


def test_copies_of_tables_that_have_the_customer_are_named(cfg, tmp_path, capsys):
    folder = tmp_path / "uploads" / "ab12"
    folder.mkdir(parents=True)
    (folder / "june.csv").write_text("id,plan\nc1,gold\n")
    (folder / "other.csv").write_text("id,plan\nc11,gold\nab-c1,gold\n")
    pd.DataFrame({"id": ["c1"] * 9}).to_parquet(folder / "july.parquet")
    with zipfile.ZipFile(folder / "may.xlsx", "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("sheet.xml", "<t>c1</t>" * 9)
    (folder / "damaged.parquet").write_bytes(b"PAR1 \0 no Parquet")
    table = pd.DataFrame({"id": ["c0", "c1"], "key": [1000.0, 1001.0]})
    table.to_csv(folder / "april.csv.gz", index=False)
    table.to_csv(folder / "march.csv", index=False, encoding="utf-16")
    table.to_feather(folder / "february.feather")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "bad_rows.csv").write_text("file,line,value\nx.csv,7,c1\n")
    forget(cfg("id= c1"))
    printed = capsys.readouterr().out
    named = {Path(line.split(": ")[1]).name for line in printed.splitlines() if "may have rows" in line}
    packed = {"april.csv.gz", "march.csv", "february.feather"}
    assert named == {"june.csv", "july.parquet", "may.xlsx", "bad_rows.csv"} | packed
    assert printed.count("cannot be read") == 1
    assert f"cannot be read: {folder / 'damaged.parquet'}: look there" in printed
    forget(cfg("id=1001"))
    printed = capsys.readouterr().out
    assert all(name in printed for name in packed), "1001.0 is the same id"


def test_rows_set_aside_are_found_in_runs_at_any_depth_and_behind_a_link_each_once(cfg, tmp_path, capsys):
    root, other = tmp_path / "runs", tmp_path / "elsewhere"
    runs = [root / "first", root / "june" / "second", other]
    for run in runs:
        run.mkdir(parents=True)
        (run / "bad_rows.csv").write_text("file,line,value\nx.csv,7,c1\n")
    (root / "latest").symlink_to(root / "first")
    (root / "last").symlink_to(other)
    forget(cfg("id=c1", f"run.root={root}"))
    named = [line.split(": ")[1] for line in capsys.readouterr().out.splitlines() if "may have" in line]
    assert sorted(named) == sorted(str(run / "bad_rows.csv") for run in [*runs[:2], root / "last"])


def test_a_second_time_changes_nothing_and_says_so(cfg, log, tmp_path, capsys):
    forget(cfg("id=c1"))
    listed, files = (tmp_path / "forgotten.jsonl").read_text(), {file.stat().st_ino for file in log.iterdir()}
    forget(cfg("id=c1"))
    assert "was already on the list" in capsys.readouterr().out
    assert (tmp_path / "forgotten.jsonl").read_text() == listed
    assert {file.stat().st_ino for file in log.iterdir()} == files


def test_lines_that_the_server_is_writing_go_when_the_file_is_compacted_and_nobody_reads_them(
    cfg, tmp_path, capsys
):
    live = spool(tmp_path / "log")
    live.append(line(0, rows=3).replace(b"2026-01-01", b"2026-01-02"))
    forget(cfg("id=c2"))
    assert "The server is writing 1 row more: they go within 10 minutes" in capsys.readouterr().out
    assert keys_in(tmp_path / "log") == ["c0", "c1", "c2"]
    since = pd.Timestamp("2026-01-01", tz="UTC").to_pydatetime()
    chunks = source.read_predictions(cfg(), since, since + pd.Timedelta(days=9))
    assert pa.concat_tables(chunks)["customer_key"].to_pylist() == ["c0", "c1"]
    live.close()
    compactor = compact.Compactor(tmp_path / "log", forgotten=lambda: Forgotten.of(cfg()))
    compactor.start()
    compactor.stop()
    assert keys_in(tmp_path / "log") == ["c0", "c1"]


def test_the_monitor_leaves_the_customer_out_of_a_log_in_bigquery_too(cfg, monkeypatch):
    forget(cfg("id=c1"))
    now = datetime.now(UTC)
    rows = [{"age": 3, "customer_key": key} for key in ("c0", "c1")]
    answers = [{"churn_probability": 0.5, "customer_key": row["customer_key"]} for row in rows]
    logged = {
        "deployed_model_id": ["1"],
        "logging_time": pa.array([now], pa.timestamp("us", "UTC")),
        "request_id": ["r"],
        "request_payload": [json.dumps({"instances": rows})],
        "response_payload": [json.dumps({"predictions": answers})],
    }
    monkeypatch.setattr(source, "_query_chunks", lambda *_: iter([pa.table(logged)]))
    (chunk,) = source.read_predictions(cfg("monitor.log=bq://p.d.t"), now - timedelta(1), now + timedelta(1))
    assert chunk["customer_key"].to_pylist() == ["c0"]


def test_rows_go_also_from_a_file_that_is_compacted_at_that_moment(cfg, log):
    lists = iter([Forgotten()])

    def listed():
        """The list; the first time as it was a moment before the customer was put on it."""
        if (before := next(lists, None)) is not None:
            forget(cfg("id=c1"))
            return before
        return Forgotten.of(cfg())

    assert compact_all(log, listed) == 1
    assert [file.suffix for file in log.iterdir()] == [".parquet"] * 2
    assert keys_in(log) == ["c0", "c2"] * 2


def test_a_kill_between_the_list_and_the_log_leaves_work_that_the_same_command_does(cfg, log, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("churn.retrain.forget.erase_rows", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            forget(cfg("id=c1"))
    assert Forgotten.of(cfg()).hashes == {HASH("c1")}
    forget(cfg("id=c1"))
    assert keys_in(log) == ["c0", "c2"] * 2


@pytest.mark.parametrize("key", [(), ("id=",), ("id='  '",), (r"id='\N'",), (f"id={'x' * 1_001}",)])
def test_nonsense_is_refused_and_nothing_is_written(cfg, tmp_path, key):
    with pytest.raises(UserError, match=r"no customer is named[\s\S]*churn forget id=ID"):
        forget(cfg(*key))
    assert not list(tmp_path.iterdir())


def test_trainings_leave_the_customers_on_the_list_out(cfg, tmp_path):
    keys = cfg("data.synthetic.rows=300", "data.protected=[gender]")
    data = load_dataset(keys.data, keys.seed)
    assert without_forgotten(data, Forgotten.of(keys)) is data, "without a list everything stays"
    forget(cfg(f"id={data.ids[7]}"))
    left = without_forgotten(data, Forgotten.of(keys))
    assert len(left) == len(left.protected) == len(left.churned) == 299
    assert data.ids[7] not in left.ids
    assert left.frame.equals(data.frame.drop(7).reset_index(drop=True))
    assert left.fingerprint != data.fingerprint
    assert left.facts["forgotten"] == 1


def test_a_list_by_another_key_is_refused_because_it_would_find_nobody(cfg, tmp_path, monkeypatch):
    forget(cfg("id=c1"))
    before = (tmp_path / "forgotten.jsonl").read_text()
    monkeypatch.setenv("CHURN_ID_KEY", "another key, with which nobody knows")
    for heeds in (Forgotten.of, forget, serve):
        with pytest.raises(UserError, match=r"another key has hashed[\s\S]*privacy\.key_file=FILE"):
            heeds(cfg("id=c2", "serve.port=0"))
    assert (tmp_path / "forgotten.jsonl").read_text() == before


def test_a_run_knows_whom_it_learnt_from_by_hashes_without_the_test_part(tmp_path):
    n = 400
    schema = Schema("left", ("yes",), ("x",), (), id="who")
    frame = pd.DataFrame({"x": np.arange(n, dtype=float)})
    ids = np.array([f"c{i}" for i in range(n)], object)
    data = Dataset("d", schema, frame, np.resize(np.array([0, 1], np.int8), n), ids)
    experiment = Experiment.split(data, compose_config())
    write_customers(experiment, HASH, tmp_path)
    file, test = tmp_path / FILE, set(ids[experiment.splits.test])
    assert 0 < len(test) < n
    assert {who for who in ids if has_learnt(file, HASH(who))} == set(ids) - test
    assert has_learnt(file, IdHash(b"another key, with which nobody knows")("c1")) is None
    assert has_learnt(file, HASH("somebody else")) is False
    assert file.stat().st_mode & 0o777 == 0o640
    already = replace(data, ids=HASH.each(ids))  # as a retraining has them
    write_customers(Experiment.split(already, compose_config()), HASH, tmp_path)
    assert has_learnt(file, HASH(next(iter(set(ids) - test)))) is not None
