"""What strangers send costs no more than its size, takes nobody's place, and gets one clear answer."""

import asyncio
import json
import pickle
import socket
import ssl
import time
from collections import deque
from contextlib import ExitStack
from dataclasses import replace
from types import SimpleNamespace

import httpx
import pytest
import uvloop

from churn.bundle.bundle import Bundle
from churn.bundle.model import Model
from churn.bundle.unseen import UnseenCells
from churn.config.root import compose_config
from churn.config.serving import ServeConfig
from churn.errors import UserError
from churn.serve.connection import HEADER_BYTES, HEADER_SECONDS, HEADERS, REQUEST_SECONDS, Connection
from churn.serve.gate import Gate, check_address, check_certificate
from churn.serve.joining import Joining
from churn.serve.log.overload import Complaint
from churn.serve.model import ServedModel
from churn.serve.problems import EXAMINED, LISTED
from churn.serve.protocol import MOST_ROWS, Fields, Reader
from churn.serve.refused import RefusedError
from churn.serve.server import Server
from churn.serve.stage import listen
from serve.conftest import ROW, make_certificate, running, wait_until

BODY = json.dumps({"instances": [ROW]}).encode()


def address(endpoint):
    host, _, port = endpoint.root.removeprefix("http://").partition(":")
    return host, int(port)


def exchange(endpoint, content):
    """What the server sends for some bytes until it closes."""
    with socket.create_connection(address(endpoint), timeout=30) as client:
        answer = b""
        try:
            client.sendall(content)
            while part := client.recv(65_536):
                answer += part
        except ConnectionError:  # closed while more was being sent
            pass
        return answer


def post(endpoint, body=BODY, **headers):
    names = {"Content-Type": "application/json"} | {name.replace("_", "-"): v for name, v in headers.items()}
    return httpx.post(endpoint.url, content=body, headers=names, timeout=30)


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"], ids=["unfinished", "whole"])
def test_headers_beyond_their_limit_are_refused_at_once(endpoint, end):
    head = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Long: "
    began = time.monotonic()
    assert exchange(endpoint, head + b"a" * (HEADER_BYTES + 70_000) + end).startswith(b"HTTP/1.1 431 ")
    assert time.monotonic() - began < 5
    assert b" 200 " in exchange(
        endpoint, head + b"a" * (HEADER_BYTES // 2) + b"\r\nConnection: close\r\n\r\n"
    )


def test_a_long_header_is_counted_and_does_not_keep_the_server_busy(endpoint):
    before = endpoint.metric('churn_request_errors_total{reason="headers"}')
    exchange(endpoint, b"GET /health HTTP/1.1\r\nX: " + b"a" * 20_000_000)
    assert endpoint.metric('churn_request_errors_total{reason="headers"}') == before + 1


@pytest.mark.parametrize(
    "shape", ["[" * 100_000, '{"instances":' * 50_000, '{"instances":[' + '[{"a":' * 90_000]
)
def test_deep_nesting_is_no_json_to_us(endpoint, shape):
    answer = post(endpoint, shape.encode())
    assert answer.status_code == 400
    assert "not JSON" in answer.json()["error"]["message"]


def test_a_deep_value_in_a_row_is_refused(endpoint):
    deep = json.dumps({"instances": [ROW | {"tenure": 0}]}).replace(
        ": 0,", ": " + "[" * 300 + "]" * 300 + ","
    )
    assert post(endpoint, deep.encode()).status_code == 400


def test_names_and_levels_of_strangers_are_not_kept_in_their_length(exported_bundle):
    model = ServedModel(Model(Bundle.load(exported_bundle)))
    profile = {"categorical": {"contract": ["monthly"]}}
    model.unseen = UnseenCells(SimpleNamespace(schema=model.bundle.schema, profile=profile))
    for number in range(3):
        long = f"{number}" + "x" * 100_000
        for key in (long, long, ""):
            model([model.read.rows([ROW | {"contract": long, "customer_key": key}])])
    assert len(pickle.dumps([model.known, model.unseen.counts()])) < 5_000
    assert len(model.known) == 3, "each customer counts once"
    rows, cells, again = model.unseen.counts()
    assert (rows, cells["contract"].total(), again["contract"].total()) == (9, 9, 3)


@pytest.mark.parametrize("row", ["7", "{}", '{"x":1}', "[]"])
def test_an_error_is_no_larger_than_its_request(endpoint, row):
    body = b'{"instances":[' + b",".join([row.encode()] * (450_000 // (len(row) + 1))) + b"]}"
    began = time.monotonic()
    answer = post(endpoint, body)
    assert time.monotonic() - began < 5
    assert answer.status_code == 400
    assert len(answer.content) < 20_000
    error = answer.json()["error"]
    assert len(error["details"][0]["fieldViolations"]) == LISTED
    assert f"of the first {EXAMINED} of " in error["message"]
    assert " more. A row that works: {" in error["message"]


def test_long_names_and_values_are_shortened_in_errors(endpoint):
    long = "n" * 400_000
    for body in ({"instances": [ROW | {long: long}]}, {"instances": [ROW], long: 1}):
        assert len(post(endpoint, json.dumps(body).encode()).content) < 2_000


def test_integers_of_many_digits_and_lone_surrogates_are_refused(endpoint):
    for value in ("1" * 4_000, "-" + "9" * 60, '"\\ud800"', "1e999"):
        body = json.dumps({"instances": [ROW | {"tenure": 0}]}).replace('"tenure": 0', f'"tenure": {value}')
        assert post(endpoint, body.encode()).status_code == 400


@pytest.mark.parametrize("plan", ["gold", "new", 'new"\\', ""])
def test_categories_that_training_knew_and_others_are_read_alike(plan):
    body = json.dumps({"instances": [{"tenure": 1, "plan": plan, "customer_key": "gold"}] * 2}).encode()
    reader = Reader(Fields(("tenure",), ("plan", "customer_key")), words=["gold", ""])
    assert reader(body) == [(1.0, plan, "gold")] * 2


def test_where_fields_may_be_left_out_the_rows_have_a_limit():
    reader = Reader(Fields(("tenure",), ("plan", "customer_key")), lenient=True)
    assert len(reader(b'{"instances":[' + b",".join([b"{}"] * MOST_ROWS) + b"]}")) == MOST_ROWS
    with pytest.raises(RefusedError, match="more than 10,000 rows"):
        reader(b'{"instances":[' + b",".join([b"{}"] * (MOST_ROWS + 1)) + b"]}")


def test_a_body_that_is_too_long_is_read_before_it_is_refused(endpoint):
    """Else the client, which still sends, sees its connection reset."""
    too_long = ServeConfig().max_request_bytes + 100_000
    with socket.create_connection(address(endpoint), timeout=20) as client:
        head = (
            f"POST /predict HTTP/1.1\r\nContent-Length: {too_long}\r\nContent-Type: application/json\r\n\r\n"
        )
        client.sendall(head.encode() + b" " * (too_long - 1))
        client.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.recv(100)
        client.settimeout(20)
        client.sendall(b" ")
        answer = client.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"the body has more than 1,500,000 bytes" in answer


def test_a_wrong_method_is_refused_with_the_right_one(endpoint):
    for method in ("GET", "PUT", "OPTIONS"):
        answer = httpx.request(method, endpoint.url, timeout=30)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert answer.json()["error"]["code"] == 405


FRAMINGS = (
    "Content-Length: 5\r\nTransfer-Encoding: chunked",
    "Content-Length: 5\r\nContent-Length: 6",
    "Content-Length: 5, 6",
    "Content-Length: +5",
    "Content-Length: -5",
    "Content-Length: 0x5",
    "Content-Length : 5",
    "Transfer-Encoding: gzip",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunked\r\n folded: x",
    "Host: localhost\r\nHost: evil.example\r\nContent-Length: 5",
)


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_request_whose_end_is_ambiguous_is_refused(endpoint, framing):
    head = f"POST /predict HTTP/1.1\r\n{framing}\r\nContent-Type: application/json\r\n\r\n"
    answer = exchange(endpoint, head.encode() + b"0\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 4")
    assert answer.count(b"HTTP/1.1 ") == 1, "what follows is no request of its own"


HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


@pytest.mark.parametrize(
    ("framing", "body"),
    [(f"Content-Length: {len(BODY)}", BODY), ("Transfer-Encoding: chunked", CHUNKS)],
    ids=["length", "chunks"],
)
def test_an_offer_of_another_protocol_is_ignored(endpoint, framing, body):
    """Java's client and `curl --http2` offer HTTP/2 in this way."""
    offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk"
    head = f"POST /predict HTTP/1.1\r\n{framing}\r\n{offer}\r\nContent-Type: application/json\r\n\r\n"
    answer = exchange(endpoint, (head.encode() + body) * 2 + HEALTH)
    assert [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]] == [200] * 3
    assert answer.count(b'"churn_probability"') == 2
    assert answer.endswith(b'{"status":"ready"}')


@pytest.mark.parametrize("first", ["GET /health", "CONNECT localhost:80", "CONNECT /predict"])
def test_a_body_that_follows_an_offer_is_no_request_of_its_own(endpoint, first):
    inner = f"POST /predict HTTP/1.1\r\nContent-Length: {len(BODY)}\r\nContent-Type: application/json\r\n\r\n"
    body = inner.encode() + BODY
    head = f"{first} HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: {len(body)}\r\n\r\n"
    answer = exchange(endpoint, head.encode() + body + HEALTH)
    assert b"churn_probability" not in answer
    assert answer.count(b"HTTP/1.1 ") == (2 if first == "GET /health" else 1)


def test_many_offers_at_once_are_many_requests(endpoint):
    offer = b"GET /health HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    assert exchange(endpoint, offer * 1_500 + HEALTH).count(b"HTTP/1.1 200 ") == 1_501


def test_slow_clients_keep_nobody_waiting(endpoint):
    beginnings = (b"POST /predict HT", b"POST /predict HTTP/1.1\r\nContent-Length: 900\r\n\r\n{")
    slow = [socket.create_connection(address(endpoint)) for _ in range(100)]
    for number, client in enumerate(slow):
        client.sendall(beginnings[number % 2])
    for _ in range(20):
        assert endpoint.predict(ROW).status_code == 200
        assert httpx.get(f"{endpoint.root}/health", timeout=5).status_code == 200
    for client in slow:
        client.close()


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": ""}, 415),
        ({"Host": "localhost:9"}, 200),
        ({"Host": "[::1]"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:8080"}, 403),
        ({"Origin": "http://127.0.0.1:8080"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_pages_of_other_sites_cannot_ask(endpoint, headers, code):
    assert post(endpoint, **headers).status_code == code


def test_pages_of_other_sites_see_nothing_of_the_model(endpoint):
    for path in ("/model", "/metrics", "/openapi.json", "/docs"):
        answer = httpx.get(endpoint.root + path, headers={"Host": "evil.example"}, timeout=30)
        assert answer.status_code == 403
    assert httpx.get(f"{endpoint.root}/health", headers={"Host": "10.0.0.1"}, timeout=30).status_code == 200


def test_idle_connections_keep_nobody_out(exported_bundle, tmp_path):
    head = b"POST /predict HTTP/1.1\r\nContent-Length: 9\r\nContent-Type: application/json\r\n\r\n"
    with running(exported_bundle, tmp_path, "serve.max_connections=20") as server, ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(address(server), timeout=30)) for _ in range(80)
        ]
        idle, busy = clients[:60], clients[60:]
        for client in busy:
            client.sendall(b"GET /health HTTP/1.1\r\n\r\n" + head)
            assert client.recv(100).startswith(b"HTTP/1.1 200 "), "the server has read what followed too"
        assert httpx.get(f"{server.root}/health", timeout=30).status_code == 200
        assert server.predict(ROW).status_code == 503
        for client in busy:
            client.close()
        wait_until(lambda: server.predict(ROW).status_code == 200)
        assert [client.recv(1) for client in idle] == [b""] * 60


@pytest.fixture
def secured(tmp_path):
    """Settings of a certificate, and the context of a client that trusts any."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    return make_certificate(tmp_path), trusting


def test_behind_a_certificate_clients_that_never_say_hello_keep_nobody_out(
    exported_bundle, tmp_path, secured
):
    settings = [f"serve.{name}={file}" for name, file in secured[0].items()]
    with running(
        exported_bundle, tmp_path, "serve.max_connections=20", "serve.drain_seconds=0", *settings
    ) as server:
        host, _, port = server.root.removeprefix("https://").partition(":")
        silent = [socket.create_connection((host, int(port)), timeout=5) for _ in range(60)]
        assert httpx.get(f"{server.root}/health", timeout=30, verify=False).status_code == 200
        assert {client.recv(1) for client in silent[:40]} == {b""}, "the oldest are closed"
        assert server.predict(ROW).status_code == 200
        assert server.stop() == 0
        for client in silent:
            client.close()


@pytest.mark.parametrize(("most", "seconds", "gone"), [(3, 10.0, 3), (9, 0.05, 5)])
def test_a_handshake_ends_when_it_is_too_slow_or_the_oldest_of_too_many(
    secured, monkeypatch, most, seconds, gone
):
    monkeypatch.setattr("churn.serve.joining.HEADER_SECONDS", seconds)
    files, trusting = secured
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files.values())

    async def join(listener):
        joining = Joining(asyncio.Protocol, context, most)
        joining.listen(listener)
        silent = [socket.create_connection(listener.getsockname(), timeout=5) for _ in range(5)]
        _, writer = await asyncio.open_connection(*listener.getsockname(), ssl=trusting)
        assert [await asyncio.to_thread(one.recv, 1) for one in silent[:gone]] == [b""] * gone
        assert len(joining.tasks) == len(silent[gone:])
        joining.stop()
        writer.close()
        for one in silent:
            one.close()

    with listen("127.0.0.1", 0) as listener, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(join(listener))


class Transport:
    """A connection to nobody."""

    def __init__(self):
        self.sent, self.closed, self.waiting = b"", False, 0

    def write(self, data):
        self.sent += data

    def close(self):
        self.closed = True

    abort = close

    def is_closing(self):
        return self.closed

    def get_write_buffer_size(self):
        return self.waiting


@pytest.fixture
def connection():
    """A connection at rest, without uvicorn's parts."""
    made = object.__new__(Connection)
    counted = []
    metrics = SimpleNamespace(refused=lambda code, reason: counted.append(code))
    made.endpoint, made.transport, made.cycle = SimpleNamespace(metrics=metrics), Transport(), None
    made.receiving, made.begun, made.counted = 0, 100.0, counted
    made.last_answer, made.pipeline = None, deque()
    return made


def test_a_connection_that_says_nothing_is_closed(connection):
    connection.check(100 + HEADER_SECONDS - 1)
    assert not connection.transport.closed
    connection.check(100 + HEADER_SECONDS + 1)
    assert connection.transport.closed
    assert connection.transport.sent == b""


@pytest.mark.parametrize(("part", "seconds"), [(HEADERS, HEADER_SECONDS), (HEADERS + 1, REQUEST_SECONDS)])
def test_a_request_that_does_not_arrive_in_time_is_refused(connection, part, seconds):
    connection.receiving = part
    connection.check(100 + seconds - 1)
    assert not connection.transport.closed
    connection.check(100 + seconds + 1)
    assert connection.transport.sent.startswith(b"HTTP/1.1 408 ")
    assert connection.transport.closed
    assert connection.counted == [408]


def test_a_client_that_does_not_take_its_answer_is_cut_off(connection):
    connection.cycle, connection.transport.waiting = SimpleNamespace(response_complete=True), 1_000_000
    connection.check(100 + REQUEST_SECONDS - 1)
    assert not connection.transport.closed
    connection.check(100 + REQUEST_SECONDS + 1)
    assert connection.transport.closed


def test_beyond_this_machine_a_token_and_a_certificate_are_demanded(monkeypatch):
    beyond = {"host": "0.0.0.0"}
    check_address(ServeConfig())
    check_address(ServeConfig(host="::1"))
    check_address(ServeConfig(**beyond, behind_proxy=True))
    for cfg in (ServeConfig(**beyond), ServeConfig(host="churn.example"), ServeConfig(host="::")):
        with pytest.raises(UserError, match=r"CHURN_TOKEN=.* and a certificate .* serve.behind_proxy=true"):
            check_address(cfg)
    with pytest.raises(UserError, match="do: give it a token"):
        check_address(ServeConfig(**beyond, certificate="c.pem"))
    monkeypatch.setenv("CHURN_TOKEN", "secret")
    with pytest.raises(UserError, match="do: give it a certificate"):
        check_address(ServeConfig(**beyond))
    check_address(ServeConfig(**beyond, certificate="c.pem"))


def test_who_does_not_send_the_token_is_refused(monkeypatch):
    monkeypatch.setenv("CHURN_TOKEN", "secret")
    gate = Gate(ServeConfig(host="0.0.0.0"))
    json_type, right = {b"content-type": b"application/json"}, {b"authorization": b"Bearer secret"}
    gate.check_post(json_type | right | {b"host": b"any.example"})
    for wrong in ({}, {b"authorization": b"Bearer guess"}, {b"authorization": b"secret"}):
        for check in (gate.check_post, gate.check_caller):
            with pytest.raises(RefusedError, match="Authorization") as refused:
                check(json_type | wrong)
            assert (refused.value.code, refused.value.headers) == (401, [(b"www-authenticate", b"Bearer")])


def test_vertex_ai_s_service_is_trusted(monkeypatch):
    monkeypatch.setenv("AIP_HTTP_PORT", "")  # as some tools set it: nobody is on Vertex AI
    with pytest.raises(UserError, match="do: give it a token"):
        check_address(ServeConfig(host="0.0.0.0", certificate="c.pem"))
    with pytest.raises(RefusedError):
        Gate(ServeConfig()).check_post({})
    monkeypatch.setenv("AIP_HTTP_PORT", "8080")
    check_address(ServeConfig(host="0.0.0.0"))
    Gate(ServeConfig(host="0.0.0.0")).check_post({})


def test_with_a_certificate_the_server_speaks_tls(tmp_path):
    certificate, key = make_certificate(tmp_path).values()
    cfg = compose_config(f"serve.certificate={certificate}", f"serve.certificate_key={key}")
    check_certificate(cfg.serve)
    uvicorns = Server(cfg, None, None, None).config
    uvicorns.load()
    assert isinstance(uvicorns.ssl, ssl.SSLContext)
    for wrong in ({"certificate": key}, {"certificate": "absent.pem"}, {"certificate_key": certificate}):
        with pytest.raises(UserError, match="the certificate cannot be used"):
            check_certificate(replace(cfg.serve, **wrong))


def test_trouble_with_the_log_is_said_once_a_minute_until_it_is_over(capsys):
    now = [0.0]
    complaint = Complaint(lambda: now[0])
    for second in range(130):
        now[0] = float(second)
        complaint.say("no space")
    complaint.say("")
    complaint.say("")
    said = capsys.readouterr().err.splitlines()
    assert said == ["churn: the log: no space"] * 3 + ["churn: the log is written again"]


def test_a_log_that_cannot_be_written_shows_in_the_health(exported_bundle, tmp_path):
    settings = ("serve.log.max_backlog_bytes=0", "serve.log.overload=drop")
    with running(exported_bundle, tmp_path, *settings) as server:
        for _ in range(2):  # the first line may find the log empty
            assert server.predict(ROW).status_code == 200
        health = httpx.get(f"{server.root}/health", timeout=30)
        assert (health.status_code, health.json()["status"]) == (200, "ready")
        assert "max_backlog_bytes" in health.json()["log"]
        assert server.metric("churn_log_dropped_total") in (1, 2)
