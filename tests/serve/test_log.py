"""The prediction log holds every answered request, once."""

import fcntl
import json
import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.config.serving import LogConfig
from churn.errors import UserError
from churn.files import clear_partials
from churn.serve.log import compact, lines_file, read
from churn.serve.log.compact import compact_all
from churn.serve.log.entries import EntryLog
from churn.serve.log.retention import remove_old
from churn.serve.log.write import Spool, SpoolFullError

from .conftest import wait_until

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
    monkeypatch.setattr(lines_file, "BLOCK_BYTES", 1000)
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


def test_a_file_that_another_process_removes_before_it_is_locked_is_begun_again(tmp_path, monkeypatch):
    calls, lock = iter([clear_partials]), fcntl.flock

    def late(*locking):
        for call in calls:
            call(tmp_path)
        lock(*locking)

    monkeypatch.setattr(fcntl, "flock", late)
    log = spool(tmp_path)
    log.append(line(1))
    assert ids(tmp_path) == ["1"]
    assert len(list(tmp_path.iterdir())) == 1
    log.close()


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


ASKED, ANSWERED = '{"age": 1, "customer_key": "a"}', '{"churn_probability": 0.5}'


@pytest.mark.parametrize(
    ("request_payload", "response_payload"),
    [
        ([ASKED], []),
        ([ASKED, ASKED], [ANSWERED]),
        (["abc"], [ANSWERED]),
        (["7"], [ANSWERED]),
        ([ASKED, "7"], [ANSWERED, ANSWERED]),
        ([ASKED], ['{"error": "out of memory"}']),
        (None, None),
        ([], []),
    ],
)
def test_a_request_of_vertex_ai_s_table_that_cannot_be_read_costs_no_other(
    tmp_path, capsys, request_payload, response_payload
):
    table = {
        "deployed_model_id": ["77"] * 3,
        "logging_time": pa.array([datetime(2026, 1, 1)] * 3, pa.timestamp("us", "UTC")),
        "request_id": ["1", "2", "3"],
        "request_payload": [[ASKED], request_payload, [ASKED]],
        "response_payload": [[ANSWERED], response_payload, [ANSWERED]],
    }
    pq.write_table(pa.table(table), tmp_path / "export.parquet")
    assert pa.concat_tables(read.read_log(tmp_path))["request_id"].to_pylist() == ["1", "3"]
    said = "export.parquet: 1 request without an answer that can be read: left out"
    assert (said in capsys.readouterr().err) == (request_payload != [])
    pq.write_table(pa.table(table).slice(1, 1), tmp_path / "export.parquet")
    assert list(read.read_log(tmp_path)) == []


def written_log(folder, count=4):
    """A log of one file of lines; gives the file."""
    log = spool(folder)
    for number in range(count):
        log.append(line(number))
    log.close()
    return next(folder.glob("*.jsonl"))


def spoil(content):
    """Five ways in which a line is broken or foreign."""
    yield content[:-20] + b"\n"
    yield b"\xff\xfe\x00\n"
    yield b"\n"
    yield content.replace(b'"numbers": [[', b'"numbers": [[1, ')
    yield content.replace(b'"request_id"', b'"request"')
    yield content.replace(b'"predictions": [', b'"predictions": [], "more": [')


@pytest.mark.parametrize("way", range(6))
def test_a_broken_line_is_named_counted_and_left_out(tmp_path, capsys, way):
    file = written_log(tmp_path)
    header, first, second, *rest = file.read_bytes().splitlines(keepends=True)
    broken = list(spoil(second))[way]
    file.write_bytes(b"".join([header, first, broken, *rest]))
    assert ids(tmp_path) == ["0", "2", "3"]
    assert f"{file}: 1 lines cannot be read and are left out; the first is line 3" in capsys.readouterr().err
    compact_all(tmp_path)
    assert ids(tmp_path) == ["0", "2", "3"]
    assert (tmp_path / "broken" / file.name).read_bytes().splitlines(keepends=True)[1] == broken


@pytest.mark.parametrize("header", [b"", b"{", b"[]", b'{"bundle": "x"}', b"\xff"])
def test_a_file_without_a_header_is_set_aside(tmp_path, capsys, header):
    written_log(tmp_path)
    foreign = tmp_path / "2027-foreign.jsonl"
    foreign.write_bytes(header + b"\n" + line(9))
    assert ids(tmp_path) == ["0", "1", "2", "3"]
    assert "2027-foreign.jsonl cannot be read" in capsys.readouterr().err
    compact_all(tmp_path)
    assert ids(tmp_path) == ["0", "1", "2", "3"]
    assert (tmp_path / "broken" / foreign.name).exists()


def cut_in_half(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def emptied(file):
    file.write_bytes(b"")


def another_table(file):
    pq.write_table(pa.table({"price": [1.0]}), file)


def wrong_type(file):
    table = pq.read_table(file)
    at = table.column_names.index("time")
    pq.write_table(table.set_column(at, "time", pa.array(["yesterday"] * len(table))), file)


def a_folder(file):
    file.unlink()
    file.mkdir()


def a_pipe(file):
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize("damage", [cut_in_half, emptied, another_table, wrong_type, a_folder, a_pipe])
def test_a_broken_parquet_part_is_named_and_the_rest_is_used(tmp_path, capsys, damage):
    file = written_log(tmp_path)
    compact_all(tmp_path)
    written_log(tmp_path)
    damage(file.with_suffix(".parquet"))
    assert ids(tmp_path) == ["0", "1", "2", "3"]
    assert f"{file.with_suffix('.parquet')} cannot be read" in capsys.readouterr().err


def test_a_broken_file_that_the_user_named_is_an_error(tmp_path):
    file = written_log(tmp_path)
    file.write_bytes(b"no header\n")
    with pytest.raises(UserError, match="no part of a log"):
        ids(file)


def test_a_log_that_was_removed_goes_on_in_a_new_file(tmp_path):
    log = spool(tmp_path / "log")
    log.append(line(1))
    for file in (tmp_path / "log").iterdir():
        file.unlink()
    (tmp_path / "log").rmdir()
    log.tick()
    log.append(line(2))
    assert ids(tmp_path / "log") == ["2"]


def test_every_file_of_the_log_has_the_same_mode(tmp_path):
    old = os.umask(0)
    try:
        file = written_log(tmp_path)
        live = file.stat().st_mode & 0o777
        file.write_bytes(file.read_bytes() + b"broken\n")
        compact_all(tmp_path)
    finally:
        os.umask(old)
    files = [*tmp_path.glob("*.parquet"), *(tmp_path / "broken").iterdir()]
    assert {live, *(one.stat().st_mode & 0o777 for one in files)} == {0o640}
    assert len(files) == 2


def test_files_older_than_keep_days_are_removed_and_newer_ones_stay(tmp_path, capsys):
    log = spool(tmp_path)  # files are named by when they began, lines have the time of 2026-01-01
    log.append(line(0))
    log.rotate()
    log.append(line(0).replace(b"2026-01-01", b"2999-01-01"))
    log.close()
    compact_all(tmp_path)
    (tmp_path / "2020-01-01T00-00-00.000000Z-1.parquet").write_bytes(b"no Parquet")
    old, new = sorted(tmp_path.glob("2*Z-*.parquet"))[1:]
    for number, file in enumerate((old, new)):
        file.rename(tmp_path / f"2025-12-31T00-00-0{number}.000000Z-1.parquet")
    assert remove_old(tmp_path, None) == 0
    assert remove_old(tmp_path, 36_500.0) == 0
    assert remove_old(tmp_path, 1.0) == 1
    assert "1 file of more than 1 days ago removed from the log" in capsys.readouterr().err
    kept = read.file_chunks(tmp_path / "2025-12-31T00-00-01.000000Z-1.parquet")
    assert [table["time"][0].as_py().year for table in kept] == [2999]
    assert len(list(tmp_path.iterdir())) == 2, "what is no part of the log is not touched"


def test_the_compactor_removes_what_is_too_old(tmp_path):
    written_log(tmp_path)
    compact_all(tmp_path)
    file = next(tmp_path.glob("*.parquet"))
    file = file.rename(tmp_path / "2025-12-31T00-00-00.000000Z-1.parquet")
    compactor = compact.Compactor(tmp_path, keep_days=1.0, seconds=0.01)
    compactor.start()
    wait_until(lambda: not file.exists())
    compactor.stop()


def test_entries_that_the_output_takes_in_part_come_once_and_whole():
    reading, writing = os.pipe()
    for end in (reading, writing):
        os.set_blocking(end, False)
    log, printed = EntryLog(HEADER, writing), b""
    waiting = [line(number, rows=600) for number in range(3)]  # one is more than a pipe holds
    for _ in range(20):
        with suppress(SpoolFullError):
            if waiting:
                log.append(waiting[0])
                del waiting[0]
        with suppress(BlockingIOError):
            printed += os.read(reading, 50_000)
        log.tick()
    log.close()
    os.close(writing)
    os.close(reading)
    numbers = [json.loads(entry)["request_id"].partition("/")[0] for entry in printed.splitlines()]
    assert list(dict.fromkeys(numbers)) == ["0", "1", "2"]
    assert printed.count(b"c599") == 6, "each customer is once in an input and once in an answer"
