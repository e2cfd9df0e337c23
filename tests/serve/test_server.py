"""The server process: ready when warm, reload, drain, and a kill that loses no answered request."""

import asyncio
import collections
import json
import os
import random
import shutil
import signal
import threading
import time
from pathlib import Path

import httpx
import pytest

from churn.bundle import export
from churn.bundle.bundle import Bundle
from churn.bundle.database import mlflow_client
from churn.bundle.model import Model
from churn.bundle.registry import CHAMPION, register_run
from churn.config.root import compose_config
from churn.config.serving import LogConfig, ServeConfig
from churn.errors import UserError
from churn.retrain.promote import make_champion
from churn.serve.app import Endpoint
from churn.serve.batching import Batcher
from churn.serve.log import read
from churn.serve.log.compact import compact_all
from churn.serve.log.lines import log_header
from churn.serve.log.write import Spool
from churn.serve.metrics import Metrics
from churn.serve.model import ServedModel
from churn.serve.processes import reload_servers
from churn.serve.refused import RefusedError
from churn.serve.stage import listen
from churn.serve.supervisor import Supervisor
from serve.conftest import ROW, make_certificate, running, wait_until


class Clients:
    """Threads that send one request after the other, each on its own connection, until stopped or refused."""

    def __init__(self, url, numbers=range(8)):
        self.url, self.answers, self.errors = url, [], []
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self.ask, args=(number,)) for number in numbers]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def ask(self, client):
        with httpx.Client(timeout=30, verify=False) as session:
            for number in range(10**9):
                if self.stopped.is_set():
                    return
                identity = f"{client}-{number}"
                try:
                    answer = session.post(
                        self.url, json={"instances": [ROW]}, headers={"X-Request-Id": identity}
                    )
                except httpx.TransportError as error:
                    self.errors.append((identity, error))
                    return
                self.answers.append((identity, answer.status_code, answer.json()))
                if answer.headers.get("connection") == "close":
                    return


def request_ids(log):
    return [request for table in read.read_log(log) for request in table["request_id"].to_pylist()]


def logged(folder):
    return request_ids(folder / "log")


def test_kills_of_two_servers_that_share_a_log_lose_no_answered_request(exported_bundle, tmp_path):
    small = "serve.log.segment_bytes=20000"
    with (
        running(exported_bundle, tmp_path, small) as first,
        running(exported_bundle, tmp_path, small) as second,
        Clients(first.url) as clients,
        Clients(second.url, range(8, 16)) as others,
    ):
        for server, asking in ((first, clients), (second, others)):
            wait_until(lambda asking=asking: len(asking.answers) > 100)
            time.sleep(random.random() / 50)
            os.kill(server.process.pid, signal.SIGKILL)
    answers = clients.answers + others.answers
    answered_ids = [identity for identity, code, _ in answers if code == 200]
    assert len(answered_ids) > 200
    with running(exported_bundle, tmp_path):
        wait_until(lambda: len(list((tmp_path / "log").glob("*.jsonl"))) == 1)  # the new server's own
    counts = collections.Counter(logged(tmp_path))
    answered = collections.Counter(answered_ids)
    assert not answered - counts
    # Logged but not answered: at most what was in progress at the kills, of 8 clients each.
    assert (counts - answered).total() <= 16


def test_a_sigterm_drains(exported_bundle, tmp_path):
    with (
        running(exported_bundle, tmp_path, "serve.drain_seconds=1.5") as server,
        Clients(server.url) as clients,
    ):
        wait_until(lambda: len(clients.answers) > 50)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: httpx.get(f"{server.root}/health", timeout=30).status_code == 503)
        for thread in clients.threads:
            thread.join(30)
        assert server.process.wait(30) == 0
    assert not clients.errors
    assert {code for _, code, _ in clients.answers} == {200}
    assert sorted(logged(tmp_path)) == sorted(identity for identity, _, _ in clients.answers)
    assert not list((tmp_path / "log").glob("*.jsonl"))


def test_a_reload_drops_no_request_and_a_bad_bundle_changes_nothing(graph, exported_bundle, tmp_path):
    path = tmp_path / "served"
    shutil.copytree(exported_bundle, path)
    with running(path, tmp_path) as server, Clients(server.url) as clients:
        wait_until(lambda: len(clients.answers) > 20)
        before = Bundle.load(path)
        shutil.rmtree(path)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: server.metric('churn_reloads_total{result="failed"}') == 1)
        shutil.copytree(exported_bundle, path)
        export.seal(path, {key: value for key, value in before.facts.items() if key != "format"}, {"rows": 4})
        assert len(reload_servers(str(tmp_path))) == 1
        wait_until(lambda: server.metric('churn_reloads_total{result="done"}') == 1)
        count = len(clients.answers)
        wait_until(lambda: len(clients.answers) > count + 20)
    assert not clients.errors
    assert {code for _, code, _ in clients.answers} == {200}
    versions = {answer["modelVersionId"] for _, _, answer in clients.answers}
    assert versions == {before.digest[:12], Bundle.load(path).digest[:12]}
    bundles = {b for table in read.read_log(tmp_path / "log") for b in table["bundle"].to_pylist()}
    assert bundles == {before.digest, Bundle.load(path).digest}
    assert sorted(logged(tmp_path)) == sorted(identity for identity, _, _ in clients.answers)


def processes_of(server):
    """The ids of the processes that answer for a server."""
    number = server.process.pid
    return {int(one) for one in Path(f"/proc/{number}/task/{number}/children").read_text().split()}


def test_two_processes_behind_one_port_are_one_server(exported_bundle, tmp_path):
    """They share connections, metrics and log, are replaced when killed, and reload and drain together."""
    settings = [f"serve.{name}={file}" for name, file in make_certificate(tmp_path).items()]
    settings += ["serve.processes=2", "serve.drain_seconds=0.3"]
    with running(exported_bundle, tmp_path, *settings) as server:
        answers, lost = [], []

        def answering():
            """The process that answers next, by the ids that it gives."""
            answers.append(server.predict(ROW))
            return answers[-1].headers["x-request-id"].partition("-")[0]

        def a_new_one_answers():
            try:
                return answering() not in began
            except httpx.TransportError as error:  # the connection was given to the killed one
                lost.append(error)
                return False

        began = {answering() for _ in range(10)}
        assert len(began) == 2  # both answer, in turn
        wait_until(lambda: all(server.metric("churn_predictions_total") == 10 for _ in range(2)))
        first, second = processes_of(server)
        with Clients(server.url) as clients:
            wait_until(lambda: len(clients.answers) > 40)
            os.kill(first, signal.SIGKILL)
            wait_until(a_new_one_answers)
        assert len(clients.errors) < 8  # those of the killed one; the others asked on
        with Clients(server.url, range(8, 16)) as others:
            wait_until(lambda: len(others.answers) > 40)
            assert len(reload_servers(str(tmp_path))) == 1
            wait_until(lambda: server.metric('churn_reloads_total{result="done"}') == 1)
            wait_until(lambda: server.process.stdout.readline().startswith("Serving "))
            third = processes_of(server) - {second}
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(30) == 0
            assert "Serving " not in server.process.stdout.read()  # it is said once for both
        assert not others.errors
    answered = [identity for identity, code, _ in clients.answers + others.answers if code == 200]
    answered += [answer.headers["x-request-id"] for answer in answers]
    assert len(answered) == len(clients.answers + others.answers + answers)
    counts = collections.Counter(logged(tmp_path))
    assert not collections.Counter(answered) - counts
    assert counts.total() <= len(answered) + len(clients.errors) + len(lost)  # logged, but not answered
    files = {int(file.stem.rpartition("-")[2]) for file in (tmp_path / "log").glob("*.parquet")}
    assert files == {first, second, *third}


def test_a_server_whose_processes_cannot_start_says_why_once(exported_bundle, tmp_path):
    bundle = shutil.copytree(exported_bundle, tmp_path / "bundle")
    facts = Bundle.load(bundle).facts
    Bundle.load(bundle).light_file("coded").unlink()
    export.seal(bundle, {key: value for key, value in facts.items() if key != "format"}, {"rows": 4})
    settings = compose_config("serve.processes=2", f"run.root={tmp_path}", "serve.log.enabled=false")
    with listen("127.0.0.1", 0) as listener, pytest.raises(UserError, match="no light model"):
        Supervisor(settings, Bundle.load(bundle), None).run(listener)
    assert listener.fileno() == -1


@pytest.mark.parametrize(("policy", "seconds"), [("drop", 0.5), ("wait", 0.1)])
def test_while_the_log_is_full_answers_wait_or_go_unlogged(exported_bundle, tmp_path, policy, seconds):
    settings = (
        "serve.log.max_backlog_bytes=2000",
        f"serve.log.overload={policy}",
        f"serve.log.segment_seconds={seconds}",
    )
    with running(exported_bundle, tmp_path, *settings) as server:
        with httpx.Client(timeout=30) as session:
            codes = {session.post(server.url, json={"instances": [ROW]}).status_code for _ in range(12)}
        assert codes == {200}
        dropped = server.metric("churn_log_dropped_total")
        assert server.metric("churn_log_failures_total") > 0
    assert (dropped > 0) == (policy == "drop")
    assert len(logged(tmp_path)) == 12 - dropped


def test_answers_that_wait_for_the_log_while_a_model_is_swapped_get_through(exported_bundle, tmp_path):
    cfg = ServeConfig(log=LogConfig(max_backlog_bytes=2_000, segment_seconds=0.0))
    model = ServedModel(Model(Bundle.load(exported_bundle)))

    async def swap():
        old = Batcher(model, Spool(tmp_path, log_header(model), cfg.log), Metrics(), cfg)
        await old.submit("first", model.read.rows([ROW] * 40))
        assert old.spool.waiting > cfg.log.max_backlog_bytes
        second = old.submit("second", model.read.rows([ROW]))
        await asyncio.sleep(0)
        old.close()
        while not second.done():
            compact_all(tmp_path)
            await asyncio.sleep(0.01)
        return await second

    answer = asyncio.run(asyncio.wait_for(swap(), 10))
    assert answer.startswith(b'{"predictions":[')
    compact_all(tmp_path)
    assert list(dict.fromkeys(request_ids(tmp_path))) == ["first", "second"]


def test_a_server_is_healthy_only_when_its_model_has_answered_a_row(exported_bundle, tmp_path):
    import socket
    import subprocess
    import sys

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "churn", "serve", f"serve.port={port}", f"run.root={tmp_path}"]
    process = subprocess.Popen([*command, f"bundle={exported_bundle}"], stdout=subprocess.PIPE)
    codes = []

    def healthy():
        try:
            codes.append(httpx.get(f"http://127.0.0.1:{port}/health", timeout=10).status_code)
        except httpx.ConnectError:
            return False
        return codes[-1] == 200

    try:
        wait_until(healthy, 60)
        assert set(codes[:-1]) <= {503}  # none at all where the model is loaded as soon as the port is open
        answer = httpx.post(f"http://127.0.0.1:{port}/predict", json={"instances": [ROW]}, timeout=5)
        assert answer.status_code == 200
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_server_without_a_model_yet_says_so():
    endpoint = Endpoint(ServeConfig(), Metrics())

    async def ask():
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(endpoint), base_url="http://127.0.0.1:8080"
        ) as client:
            return await client.get("/health")

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.json()["status"]) == (503, "loading")
    with pytest.raises(RefusedError, match="the model is being loaded"):
        endpoint.submit("1", b"{}")


def test_a_promotion_while_another_one_is_loaded_is_not_forgotten(exported_bundle, tmp_path):
    """Two promotions within a second: the server ends with the second, and the promotion waits for that."""
    facts, digests = Bundle.load(exported_bundle).facts, []
    for number in range(3):
        run = tmp_path / f"run-{number}"
        shutil.copytree(exported_bundle, run / "bundle")
        own = {key: value for key, value in facts.items() if key != "format"}
        export.seal(run / "bundle", own, {"rows": number})
        estimate = {"value": 0.8, "low": 0.7, "high": 0.9}
        base_rate = {"log_loss": {"difference": {"value": -0.1, "low": -0.2, "high": -0.05}}}
        metrics = {"test": {"roc_auc": estimate}, "baselines": {"base_rate": base_rate}}
        (run / "metrics.json").write_text(json.dumps(metrics))
        (run / "config.yaml").write_text("seed: 42\n")
        (run / "report.html").write_text("report")
        assert register_run(run, str(tmp_path)) == str(number + 1)
        digests.append(Bundle.load(run / "bundle").digest)
    with running("null", tmp_path, "data.name=customers") as server:
        mlflow_client(str(tmp_path)).set_registered_model_alias("customers", CHAMPION, "2")
        server.process.send_signal(signal.SIGHUP)
        assert make_champion(str(tmp_path), "customers", "3") == " 1 server on this machine answers with it."
        assert httpx.get(f"{server.root}/model", timeout=30).json()["digest"] == digests[2]
