"""The prediction log holds every answered request, once."""

import fcntl
import json
import os
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.config.serving import LogConfig
from churn.serve.log import compact, read
from churn.serve.log.compact import compact_all
from churn.serve.log.write import Spool, SpoolFullError

HEADER = {
    "bundle": "abc",
    "name": "customers",
    "threshold": 0.3,
    "numbers": ["tenure"],
    "texts": ["contract", "customer_key"],
    "outputs": {"churn_probability": "number", "churn": "integer", "reasons": "list of text"},
}


def line(number, rows=1):
    keys = [f"c{i}" for i in range(rows)]
    predictions = [
        {"churn_probability": 0.25, "churn": 1, "reasons": ["x", "y"], "customer_key": key} for key in keys
    ]
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    parts = {
        "request_id": str(number),
        "time": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "numbers": [[number + i] for i in range(rows)],
        "texts": [['a "b"\n', key] for key in keys],
        "predictions": predictions,
    }
    return json.dumps(parts).encode() + b"\n"


def spool(folder, **settings):
    return Spool(folder, HEADER, LogConfig(**settings))


def ids(folder):
    return [request for table in read.read_log(folder) for request in table["request_id"].to_pylist()]


def test_lines_give_the_same_rows_before_and_after_compaction(tmp_path):
    log = spool(tmp_path)
    for number in range(5):
        log.append(line(number, rows=3))
    log.close()
    before = pa.concat_tables(read.read_log(tmp_path))
    assert compact_all(tmp_path) == 1
    assert [file.suffix for file in tmp_path.iterdir()] == [".parquet"]
    after = pa.concat_tables(read.read_log(tmp_path))
    assert after.equals(before)
    assert after.num_rows == 15
    assert after.slice(4, 1).to_pylist()[0] == {
        "request_id": "1",
        "row": 1,
        "time": datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC),
        "bundle": "abc",
        "customer_key": "c1",
        "inputs.tenure": 2.0,
        "inputs.contract": 'a "b"\n',
        "outputs.churn_probability": 0.25,
        "outputs.churn": 1,
        "outputs.reasons": ["x", "y"],
    }
    metadata = pq.read_schema(next(tmp_path.iterdir())).metadata
    assert json.loads(metadata[b"churn"])["threshold"] == 0.3


def test_many_blocks_of_lines_are_many_chunks_of_the_same_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(read, "BLOCK_BYTES", 1000)
    log = spool(tmp_path)
    log.append(b"".join(line(number, rows=1 + number % 7) for number in range(100)))
    log.close()
    chunks = list(read.read_log(tmp_path))
    assert len(chunks) > 5
    table = pa.concat_tables(chunks)
    rows = list(zip(table["request_id"].to_pylist(), table["row"].to_pylist(), strict=True))
    assert rows == [(str(number), row) for number in range(100) for row in range(1 + number % 7)]


def test_a_period_has_its_first_moment_and_not_its_last(tmp_path):
    log = spool(tmp_path)
    log.append(b"".join(map(line, range(10))))
    start = datetime(2026, 1, 1)
    period = read.read_log(tmp_path, start + timedelta(seconds=3), start + timedelta(seconds=6))
    assert pa.concat_tables(period)["request_id"].to_pylist() == ["3", "4", "5"]


def test_a_number_sent_as_missing_is_null(tmp_path):
    log = spool(tmp_path)
    log.append(line(7).replace(b"[[7]]", b"[[-1e30]]"))
    assert pa.concat_tables(read.read_log(tmp_path))["inputs.tenure"].to_pylist() == [None]


def test_a_file_that_is_being_written_is_not_compacted(tmp_path):
    log = spool(tmp_path)
    log.append(line(1))
    assert compact_all(tmp_path) == 0
    log.rotate()
    log.append(line(2))
    assert compact_all(tmp_path) == 1
    assert ids(tmp_path) == ["1", "2"]


def test_files_are_closed_when_they_are_big_and_when_they_are_old(tmp_path):
    log = spool(tmp_path, segment_bytes=1000, segment_seconds=0.0)
    for number in range(20):
        log.append(line(number))
    assert len(list(tmp_path.glob("*.jsonl"))) > 3
    before = len(list(tmp_path.glob("*.jsonl")))
    log.append(line(20))
    log.tick()
    assert len(list(tmp_path.glob("*.jsonl"))) == before + 1
    log.tick()  # an empty file stays
    assert len(list(tmp_path.glob("*.jsonl"))) == before + 1
    compact_all(tmp_path)
    assert ids(tmp_path) == [str(number) for number in range(21)]


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_line_that_a_kill_cut_off_is_left_out(tmp_path, cut):
    log = spool(tmp_path)
    log.append(line(1) + line(2)[:-cut])
    log.close()
    assert ids(tmp_path) == ["1"]
    compact_all(tmp_path)
    assert ids(tmp_path) == ["1"]


def test_a_kill_between_parquet_and_removal_of_the_lines_repeats_nothing(tmp_path, monkeypatch):
    log = spool(tmp_path)
    log.append(line(1))
    log.close()
    file = next(tmp_path.glob("*.jsonl"))
    compact.write_parquet(file, file.with_suffix(".parquet"))
    (tmp_path / f".{file.stem}.parquet.123.partial").write_bytes(b"left by an earlier kill")
    assert ids(tmp_path) == ["1"]
    compact_all(tmp_path)
    assert [each.suffix for each in tmp_path.iterdir()] == [".parquet"]
    assert ids(tmp_path) == ["1"]


def test_a_file_compacted_while_the_log_is_read_is_read_once(tmp_path):
    log = spool(tmp_path)
    for number in range(3):
        log.append(line(number))
        log.rotate()
    log.close()
    chunks = read.read_log(tmp_path)
    seen = next(chunks)["request_id"].to_pylist()
    compact_all(tmp_path)
    seen += [request for table in chunks for request in table["request_id"].to_pylist()]
    assert seen == ["0", "1", "2"]


def test_a_server_without_requests_leaves_no_file(tmp_path):
    spool(tmp_path).close()
    compact_all(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_lock_of_a_file_is_there_before_its_name(tmp_path):
    log = spool(tmp_path)
    with next(tmp_path.glob("*.jsonl")).open("rb") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    log.close()


def test_a_backlog_beyond_its_limit_refuses_lines_until_it_shrinks(tmp_path):
    log = spool(tmp_path, max_backlog_bytes=2000)
    written = 0
    while log.waiting <= 2000:
        log.append(line(written))
        written += 1
    with pytest.raises(SpoolFullError, match="wait"):
        log.append(line(written))
    assert len(ids(tmp_path)) == written
    log.rotate()
    compact_all(tmp_path)
    log.tick()
    log.append(line(100))
    assert ids(tmp_path) == [*map(str, range(written)), "100"]


def test_a_write_that_fails_half_way_leaves_whole_lines_only(tmp_path, monkeypatch):
    log, real, calls = spool(tmp_path), os.write, iter(range(9))
    log.append(line(1))

    def full_disk(file, data):
        if next(calls) == 0:
            return real(file, data[:50])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full_disk)
        with pytest.raises(SpoolFullError, match="No space"):
            log.append(line(2))
    log.append(line(3))
    assert ids(tmp_path) == ["1", "3"]


def test_on_a_full_disk_the_log_goes_on_in_the_file_it_has(tmp_path, monkeypatch):
    log, real = spool(tmp_path, segment_bytes=1), os.write

    def full_disk(file, data):
        if file != log.file:
            raise OSError(28, "No space left on device")
        return real(file, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full_disk)
        log.append(line(1))
        log.append(line(2))
    assert len(list(tmp_path.iterdir())) == 1, "no half-written file is left"
    log.append(line(3))
    log.append(line(4))
    assert compact_all(tmp_path) == 2
    assert ids(tmp_path) == ["1", "2", "3", "4"]


@pytest.mark.parametrize("whole", [True, False])
def test_vertex_ai_s_table_is_read_like_the_server_s_log(tmp_path, whole):
    instances = [{"tenure": 3, "contract": "monthly", "customer_key": "k"}, {"tenure": -1e30, "contract": ""}]
    instances[1]["customer_key"] = ""
    predictions = [{"churn_probability": 0.5, "churn": 1, "customer_key": "k"}] * 2
    request = [json.dumps({"instances": instances})] if whole else list(map(json.dumps, instances))
    response = [json.dumps({"predictions": predictions})] if whole else list(map(json.dumps, predictions))
    table = pa.table(
        {
            "endpoint": ["e"],
            "deployed_model_id": ["77"],
            "logging_time": pa.array([datetime(2026, 1, 1)], pa.timestamp("us", "UTC")),
            "request_id": pa.array([12345678901234567890], pa.decimal128(38, 0)),
            "request_payload": [request],
            "response_payload": [response],
        }
    )
    pq.write_table(table, tmp_path / "export.parquet")
    assert pa.concat_tables(read.read_log(tmp_path)).to_pylist() == [
        {
            "request_id": "12345678901234567890",
            "row": row,
            "time": datetime(2026, 1, 1, tzinfo=UTC),
            "bundle": "77",
            "customer_key": key,
            "inputs.tenure": tenure,
            "inputs.contract": contract,
            "outputs.churn_probability": 0.5,
            "outputs.churn": 1,
        }
        for row, key, tenure, contract in ((0, "k", 3.0, "monthly"), (1, "", None, ""))
    ]
