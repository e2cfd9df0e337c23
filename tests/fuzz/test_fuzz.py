"""Whatever comes in, there is a result or one clear error: `make fuzz` tries many inputs, `make test` few.

FUZZ=N in the environment is the number of inputs of all these tests together.
"""

import asyncio
import io
import json
import os
import resource
from collections import Counter
from contextlib import redirect_stderr
from datetime import timedelta

import pytest
from hydra.errors import HydraException
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from omegaconf.errors import OmegaConfBaseException

from churn.config.data import DataConfig, Source
from churn.config.root import compose_config
from churn.config.serving import ServeConfig
from churn.data.load import load_dataset
from churn.errors import UserError
from churn.serve.app import Endpoint
from churn.serve.connection import Connection
from churn.serve.log import read
from churn.serve.metrics import Metrics
from churn.serve.protocol import Fields, Reader
from churn.serve.refused import RefusedError

INPUTS = int(os.environ.get("FUZZ", "1000"))
SHARES = {"body": 0.55, "bytes": 0.2, "log": 0.1, "config": 0.05, "loader": 0.1}
LARGEST_ERROR = 20_000  # characters
MORE_MEMORY = 600_000  # KiB that all inputs of a test together may add
SLOWEST = timedelta(minutes=2)  # of one input: a hang on a busy machine
COUNTS = {name: Counter() for name in SHARES}


def fuzzed(name, strategy):
    """A test of many inputs; counts them."""

    def decorate(test):
        checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
        runs = settings(
            max_examples=max(10, round(INPUTS * SHARES[name])),
            deadline=SLOWEST,
            derandomize="FUZZ" not in os.environ,
            phases=[Phase.generate, Phase.shrink],
            database=None,
            suppress_health_check=checks,
        )
        return runs(given(strategy)(test))

    return decorate


@pytest.fixture(scope="module", autouse=True)
def report():
    """Say how many inputs there were, and what they led to."""
    yield
    for name, counts in COUNTS.items():
        print(f"\n{name:7} {counts.total():8,} inputs: {dict(counts)}", end="")


@pytest.fixture(autouse=True)
def bounded_memory():
    """Fail if the process grows."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MORE_MEMORY


FIELDS = Fields(("tenure", "charge"), ("plan", "customer_key"))
READERS = [Reader(FIELDS), Reader(FIELDS, lenient=True)]
names = st.sampled_from(["tenure", "charge", "plan", "customer_key", "Tenure", "instances", "parameters"])
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.integers(-(10**40), 10**40)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(names | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
right_rows = st.fixed_dictionaries(
    {
        "tenure": st.floats(-1e30, 1e30),
        "charge": st.integers(-(2**40), 2**40),
        "plan": st.text(max_size=9),
        "customer_key": st.text(max_size=9),
    }
)
rows = right_rows | st.dictionaries(names, scalars, max_size=6) | values
requests = st.fixed_dictionaries({"instances": st.lists(rows, max_size=5)}) | values


@st.composite
def spoiled(draw, content):
    """Bytes with a few places changed, removed or repeated."""
    data = bytearray(draw(content))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        until = draw(st.integers(at, min(len(data), at + 40)))
        data[at:until] = draw(st.binary(max_size=12) | st.just(bytes(data[at:until]) * 3))
    return bytes(data)


texts = requests.map(lambda value: json.dumps(value).encode())
nested = st.builds(
    lambda a, n: (a * n).encode(), st.sampled_from(["[", '{"instances":', '{"a":[']), st.integers(1, 9999)
)


@fuzzed("body", texts | spoiled(texts) | st.binary(max_size=200) | nested)
def test_a_request_body_gives_rows_or_a_small_error(body):
    for reader in READERS:
        try:
            outcome, size = "rows", len(reader(body))
        except RefusedError as refused:
            outcome, size = str(refused.code), len(refused.body())
        assert size < LARGEST_ERROR
        COUNTS["body"][outcome] += 1


class Transport:
    """Keeps what a connection sends."""

    def __init__(self):
        self.sent, self.closed = b"", False

    def write(self, data):
        assert not self.closed
        self.sent += data

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed

    def get_extra_info(self, name):
        return {"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)}.get(name)

    def pause_reading(self):
        pass

    resume_reading = pause_reading


lines = st.sampled_from(
    [
        b"POST /predict HTTP/1.1\r\n", b"GET /predict HTTP/1.1\r\n", b"GET /health HTTP/1.0\r\n", b"\r\n",
        b"Host: localhost\r\n", b"Host: evil\r\n", b"Content-Type: application/json\r\n",
        b"Content-Length: 16\r\n", b"Content-Length: 99999999999999999999\r\n", b"Origin: null\r\n",
        b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n", b"Expect: 100-continue\r\n",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\n", b"X: " + b"y" * 9000 + b"\r\n",
        b"Connection: close\r\n", b'{"instances":[]}', b"PRI * HTTP/2.0\r\n",
    ]
)  # fmt: skip
heads = st.lists(lines.filter(lambda line: b":" in line and b"{" not in line), max_size=4).map(b"".join)
right_messages = st.builds(
    lambda first, head, body: first + head + b"\r\n" + body,
    st.sampled_from(
        [b"POST /predict HTTP/1.1\r\n", b"GET /predict HTTP/1.1\r\n", b"GET /health HTTP/1.1\r\n"]
    ),
    heads,
    st.sampled_from([b"", b'{"instances":[]}', b"5\r\nhello\r\n0\r\n\r\n"]),
)
wild_messages = st.lists(lines | st.binary(max_size=30), max_size=8).map(b"".join)
conversations = st.lists(right_messages | spoiled(right_messages) | wild_messages, max_size=4)


@pytest.fixture(scope="module")
def connect():
    """A loop, and a function that connects to an endpoint whose model is being loaded."""
    import uvicorn
    from uvicorn.server import ServerState

    endpoint = Endpoint(ServeConfig(), Metrics())
    config = uvicorn.Config(endpoint, lifespan="off", ws="none", log_level="critical", access_log=False)
    config.load()
    with asyncio.Runner() as runner:
        loop, state = runner.get_loop(), ServerState()

        def connection():
            return Connection(endpoint, config=config, server_state=state, app_state={}, _loop=loop)

        yield runner, connection


async def converse(connection, parts):
    """What a connection sends when the parts arrive one after the other."""
    transport = Transport()
    connection.connection_made(transport)
    for part in parts:
        if part and not transport.closed:
            connection.data_received(part)
            await asyncio.sleep(0)
    connection.connection_lost(None)
    for _ in range(20):
        await asyncio.sleep(0)
    for task in list(connection.tasks):
        task.cancel()
    return transport.sent


@fuzzed("bytes", conversations)
def test_bytes_on_a_connection_give_answers_or_refusals(connect, parts):
    runner, connection = connect[0], connect[1]()
    sent = runner.run(converse(connection, parts))
    assert len(sent) < LARGEST_ERROR
    assert sent == b"" or sent.startswith(b"HTTP/1.1 ")
    assert connection.endpoint.metrics.requests["500"] == 0
    assert not connection.connections
    assert not connection.tasks
    COUNTS["bytes"][sent[9:12].decode() or "nothing"] += 1


HEADER = {
    "bundle": "b", "numbers": ["tenure"], "texts": ["plan", "customer_key"],
    "outputs": {"churn_probability": "number", "reasons": "list of text"},
}  # fmt: skip
LINE = {
    "request_id": "1", "time": "2026-01-01T00:00:00.000000Z", "numbers": [[1.0]], "texts": [["a", "k"]],
    "predictions": [{"churn_probability": 0.5, "reasons": ["x"], "customer_key": "k"}],
}  # fmt: skip
LOG = b"".join(json.dumps(part).encode() + b"\n" for part in [HEADER, LINE, LINE, LINE])


@fuzzed("log", spoiled(st.just(LOG)) | st.binary(max_size=200))
def test_a_file_of_the_log_gives_rows_of_its_columns(tmp_path, content):
    file = tmp_path / "a.jsonl"
    file.write_bytes(content)
    with redirect_stderr(io.StringIO()):
        tables = list(read.read_log(tmp_path))
    assert all(
        table.column_names[:5] == ["request_id", "row", "time", "bundle", "customer_key"] for table in tables
    )
    assert sum(len(table) for table in tables) <= 12
    COUNTS["log"][f"{sum(len(table) for table in tables)} rows"] += 1


keys = st.sampled_from(
    ["train.epochs", "seed", "data", "data.path", "model", "model.hidden", "serve.port", "run.dir", "x.y",
     "score.sort", "decision", "monitor.days", "retrain.now", "deploy.env", "hydra.run.dir", "+new", "~seed",
     "++seed", "data.drop"]
)  # fmt: skip
config_values = st.sampled_from(
    ["1", "-1", "0", "nan", "inf", "1e400", "null", "true", "[1,2]", "{a: 1}", "telco", "dense", "${seed}",
     "${x}", "''", "${oc.env:HOME}", "???", "[", "'a", "a=b", "1,2"]
)  # fmt: skip
overrides = st.builds("{}={}".format, keys, config_values | st.text(max_size=6)) | st.text(max_size=10)


@fuzzed("config", st.lists(overrides, max_size=3))
def test_a_configuration_is_whole_or_refused(words):
    try:
        compose_config(*words)
        outcome, message = "whole", ""
    except (UserError, HydraException, OmegaConfBaseException) as error:
        outcome, message = "refused", str(error)
    assert len(message) < LARGEST_ERROR
    COUNTS["config"][outcome] += 1


cells = st.sampled_from(
    ["1", "2.5", "", "yes", "no", "NA", "1,5", '"', "a;b", "2026-01-01", "-", "\x00", "1e999", "ä", "∞"]
)
tables = st.lists(st.lists(cells | st.text(max_size=5), min_size=1, max_size=5), max_size=25).map(
    lambda rows: "\n".join(",".join(row) for row in rows)
)
right_tables = st.integers(2, 60).map(
    lambda n: (
        "id,tenure,plan,Churn\n"
        + "".join(f"c{i},{i % 7},p{i % 3},{'yes' if i % 3 else 'no'}\n" for i in range(n))
    )
)
encoded = st.builds(
    lambda text, coding: text.encode(coding, errors="ignore"),
    right_tables | tables,
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
)
suffixes = st.sampled_from(
    [".csv", ".csv", ".tsv", ".csv.gz", ".zip", ".csv.xz", ".csv.zst", ".csv.bz2", ".parquet"]
)


@fuzzed("loader", st.tuples(encoded | spoiled(encoded) | st.binary(max_size=300), suffixes))
def test_a_table_is_loaded_or_refused(tmp_path, given):
    content, suffix = given
    path = tmp_path / f"table{suffix}"
    path.write_bytes(content)
    try:
        rows = len(load_dataset(DataConfig(source=Source.file, path=str(path), target="Churn"), 0))
        outcome, message = "loaded", ""
    except UserError as error:
        rows, outcome, message = 0, "refused", str(error)
    assert len(message) < LARGEST_ERROR
    assert rows <= content.count(b"\n") + content.count(b"\r")
    COUNTS["loader"][outcome] += 1
