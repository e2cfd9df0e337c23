"""A predict request and its answer over bare sockets: order, framing, clients that wait, go or read late."""

import json
import re
import signal
import socket
import time
import traceback
from contextlib import suppress
from types import SimpleNamespace

from churn.config.serving import ServeConfig
from churn.serve.cycle import CONTINUE, PredictCycle
from churn.serve.log import read
from churn.serve.log.compact import compact_all
from churn.serve.metrics import Metrics
from serve.conftest import ROW, running, wait_until
from serve.test_strangers import BODY, HEALTH, address, exchange

TYPE = b"Content-Type: application/json\r\n"


def request(target="/predict", body=BODY, headers=b"", version="1.1"):
    start = f"POST {target} HTTP/{version}\r\nContent-Length: {len(body)}\r\n".encode()
    return start + TYPE + headers + b"\r\n" + body


def ids_of(answers):
    return re.findall(rb"x-request-id: (\S+)\r\n", answers)


def test_requests_that_come_together_are_answered_in_their_order(endpoint):
    """Whatever is between them, and however the route is written."""
    targets = ["/predict", "/predict?source=crm", "/%70redict", "http://localhost/predict", "/predict"]
    asked = [request(target, headers=b"X-Request-Id: %d\r\n" % i) for i, target in enumerate(targets)]
    health = HEALTH.replace(b"Connection: close\r\n", b"")
    answers = exchange(endpoint, health + b"".join(asked[:3]) + health + b"".join(asked[3:]) + HEALTH)
    assert ids_of(answers) == [b"0", b"1", b"2", b"3", b"4"]
    kinds = ["health" if b'"status"' in answer else "row" for answer in answers.split(b"HTTP/1.1 200 OK")[1:]]
    assert kinds == ["health", "row", "row", "row", "health", "row", "row", "health"]


def test_an_error_in_between_does_not_end_the_connection(endpoint):
    answers = exchange(endpoint, request(body=b"[]") + request() + HEALTH)
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"400", b"200", b"200"]


def test_a_refusal_that_ends_the_connection_leaves_the_next_request_unanswered(endpoint):
    answers = exchange(endpoint, request().replace(TYPE, b"") + request())
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"415"]
    assert b"connection: close\r\n" in answers


def test_a_client_may_wait_until_its_body_is_wanted(endpoint):
    expect = request(headers=b"Expect: 100-continue\r\nConnection: close\r\n")
    with socket.create_connection(address(endpoint), timeout=20) as client:
        client.sendall(expect.removesuffix(BODY))
        assert client.recv(1_000) == CONTINUE
        client.sendall(BODY)
        assert client.makefile("rb").read().startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_body_that_would_be_refused_is_not_asked_for(endpoint):
    head = request(headers=b"Expect: 100-continue\r\n").replace(TYPE, b"").removesuffix(BODY)
    assert exchange(endpoint, head).startswith(b"HTTP/1.1 415 ")


def test_the_connection_ends_where_the_client_wants_it(endpoint):
    for asked in (request(version="1.0"), request(headers=b"Connection: close\r\n")):
        answer = exchange(endpoint, asked)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"connection: close\r\n" in answer


def test_a_client_that_goes_before_its_body_has_come_is_counted_and_forgotten(endpoint):
    before = gone(endpoint)
    with socket.create_connection(address(endpoint), timeout=20) as client:
        client.sendall(request()[:-5])
        wait_until(lambda: endpoint.metric("churn_requests_in_flight") == 1)
    wait_until(lambda: gone(endpoint) == before + 1)
    assert endpoint.metric("churn_requests_in_flight") == 0


def gone(endpoint):
    """Clients that went before their request was whole."""
    try:
        return endpoint.metric('churn_request_errors_total{reason="gone"}')
    except TypeError:  # none yet
        return 0


def test_a_client_that_reads_late_gets_every_answer(endpoint):
    """The server stops to compute for it while its answers lie unread."""
    body = json.dumps({"instances": [ROW] * 100}).encode()
    asked = [request(body=body, headers=b"X-Request-Id: %d\r\n" % i) for i in range(2_000)]
    content, sent = b"".join([*asked, HEALTH]), 0
    with socket.create_connection(address(endpoint), timeout=2) as client:
        try:
            while sent < len(content):
                sent += client.send(content[sent : sent + 65_536])
        except TimeoutError:
            pass
        assert sent < len(content), "what is not read must not fill the server's memory"
        client.setblocking(False)
        answers = bytearray()
        while not answers.endswith(b'{"status":"ready"}'):
            sent += send_some(client, content[sent : sent + 65_536])
            answers += receive_some(client)
    assert ids_of(answers) == [b"%d" % i for i in range(2_000)]


def send_some(client, content):
    try:
        return client.send(content)
    except BlockingIOError:
        return 0


def receive_some(client):
    try:
        return client.recv(65_536)
    except BlockingIOError:
        return b""


def test_what_follows_a_refusal_that_ends_the_connection_is_not_computed(endpoint):
    before = endpoint.metric("churn_predictions_total")
    for name in ("/predict", "/health"):
        head = f"GET {name} HTTP/1.1\r\nHost: localhost\r\n\r\n" if name == "/health" else request().decode()
        answers = exchange(endpoint, request().replace(TYPE, b"") + 3 * head.encode())
        assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"415"]
    assert endpoint.metric("churn_predictions_total") == before
    assert endpoint.metric("churn_requests_in_flight") == 0


def test_garbage_after_a_request_is_answered_after_it(endpoint):
    for garbage in (b"garbage\r\n\r\n", request().replace(b"Content-Length: ", b"Content-Length: x")):
        answers = exchange(endpoint, request(headers=b"X-Request-Id: first\r\n") + garbage + request())
        assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200", b"400"]
        assert ids_of(answers) == [b"first"]


def test_a_body_that_breaks_off_behind_a_request_does_not_take_its_answer(endpoint):
    broken = b"POST /predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + TYPE + b'\r\n5\r\n{"ins\r\nzz\r\n'
    assert re.findall(rb"HTTP/1.1 (\d+)", exchange(endpoint, request() + broken)) == [b"200", b"400"]
    assert re.findall(rb"HTTP/1.1 (\d+)", exchange(endpoint, broken)) == [b"400"]
    assert endpoint.metric("churn_requests_in_flight") == 0


def test_the_time_for_another_request_does_not_cut_off_one_that_has_begun(endpoint):
    """uvicorn closes connections that were idle for five seconds since an answer."""
    with socket.create_connection(address(endpoint), timeout=20) as client:
        client.sendall(request(body=b"[]") + request(headers=b"Connection: close\r\n")[:-5])
        time.sleep(5.5)
        client.sendall(BODY[-5:])
        answers = client.makefile("rb").read()
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"400", b"200"]


def test_a_client_of_http_1_0_reads_to_the_end(endpoint):
    answer = exchange(endpoint, request(version="1.0", headers=b"Connection: keep-alive\r\n"))
    assert b"connection: close\r\n" in answer


class Parts:
    """An endpoint and a connection with as much as a cycle needs of them."""

    def __init__(self, submit):
        self.submit, self.sent, self.finished, self.headers = submit, b"", 0, []
        self.cfg = ServeConfig()
        self.metrics, self.draining, self.closed, self.write_paused = Metrics(), False, False, False
        self.endpoint = self.transport = self.flow = self.parser = self.server_state = self
        self.gate = SimpleNamespace(check_post=lambda headers: None)
        self.expect_100_continue, self.default_headers = False, []
        self.next_identity = lambda: "1"
        self.get_http_version, self.should_keep_alive = lambda: "1.1", lambda: True
        self.resume_reading = lambda: None

    def write(self, content):
        self.sent += content

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed

    def on_response_complete(self):
        self.finished += 1


def fails(identity, body):
    raise ValueError("not ours")


def test_a_model_that_fails_is_answered_before_it_is_said(monkeypatch):
    """A server whose output nobody reads cannot print: the client has its answer by then."""
    parts = Parts(fails)
    monkeypatch.setattr(traceback, "print_exception", lambda error: parts.sent.index(b"HTTP/1.1 500"))
    cycle = PredictCycle(parts, parts)
    cycle.more_body = False
    cycle.begin()
    assert (parts.finished, parts.metrics.in_flight, cycle.response_complete) == (1, 0, True)


def test_a_connection_that_waits_for_its_next_request_keeps_no_body():
    answer = SimpleNamespace(add_done_callback=lambda done: None)
    cycle = PredictCycle(parts := Parts(lambda identity, body: answer), parts)
    cycle.body += b" " * 1_000
    cycle.more_body = False
    cycle.begin()
    assert not cycle.body


def test_a_lost_connection_and_its_request_are_gone_without_a_garbage_collection(endpoint):
    """The collector runs after 100,000 objects: with a body each they would be gigabytes."""
    before = memory_of(endpoint)
    body = BODY + b" " * 1_000_000
    for _ in range(100):
        exchange(endpoint, request(body=body, headers=b"Connection: close\r\n"))
    assert memory_of(endpoint) < before + 50


def memory_of(endpoint):
    """Megabytes of the server."""
    return endpoint.metric("process_resident_memory_bytes") / 1e6


def test_requests_that_are_late_at_the_end_are_refused_and_leave_the_log_alone(exported_bundle, tmp_path):
    """Thirty seconds after SIGTERM the log is closed, and its file's number may be another file's."""
    short = "import churn.serve.server as s; s.SHUTDOWN_SECONDS = 1; from churn.__main__ import main; main()"
    log = tmp_path / "log"
    settings = (f"serve.log.dir={log}", "serve.drain_seconds=0")
    with running(exported_bundle, tmp_path, *settings, program=("-c", short)) as server:
        assert exchange(server, request(headers=b"Connection: close\r\n")).startswith(b"HTTP/1.1 200 ")
        late = [socket.create_connection(address(server), timeout=20) for _ in range(20)]
        for client in late:
            client.sendall(request()[:-5])
        server.process.send_signal(signal.SIGTERM)
        answers = b""
        for client in late:
            time.sleep(0.1)
            with client, suppress(ConnectionError):
                client.sendall(BODY[-5:])
                answers += client.recv(10_000)
        assert server.process.wait(60) == 0
    answered = answers.count(b"HTTP/1.1 200 ")
    assert answered < 20
    compact_all(log)
    assert sum(table.num_rows for table in read.read_log(log)) == 1 + answered
