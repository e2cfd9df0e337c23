"""A predict request and its answer over bare sockets: order, framing, clients that wait, go or read late."""

import json
import re
import socket

from churn.serve.cycle import CONTINUE
from serve.conftest import ROW, wait_until
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
