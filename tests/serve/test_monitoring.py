"""A real Prometheus reads the metrics, and `deploy/monitoring` has rules and a dashboard for them."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import httpx
import pyarrow as pa
import pytest
import yaml

from churn.bundle.unseen import UnseenCells
from churn.config.root import compose_config
from churn.data.contract import SHOWN_FROM
from churn.data.id_hash import IdHash
from churn.errors import UserError
from churn.serve import stage
from churn.serve.log.lines import log_lines
from churn.serve.log.read import read_log
from churn.serve.metrics import Metrics
from churn.serve.shared_metrics import SharedMetrics, make_files
from serve.conftest import ROW, wait_until

MONITORING = Path(__file__).parents[2] / "deploy" / "monitoring"


KEYS = ["planted-id-1", 'planted-id-2"}\\', 'planted-id-3","customer_key":"planted-id-4"}', ""]


def tool(name):
    return shutil.which(name) or pytest.skip(f"no {name} on this machine: apt-get install prometheus")


@pytest.fixture(scope="module")
def prometheus(endpoint, tmp_path_factory):
    """The URL of a Prometheus with the alert rules, which has scraped the server under some traffic."""
    program, folder = tool("prometheus"), tmp_path_factory.mktemp("prometheus")
    config = yaml.safe_load((MONITORING / "prometheus.yaml").read_text())
    config["global"] |= {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [endpoint.root.removeprefix("http://")]
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    shutil.copy(MONITORING / "alerts.yaml", folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [program, f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data"]
    output = (folder / "output").open("w")
    process = subprocess.Popen([*command, f"--web.listen-address={address}"], stdout=output, stderr=output)
    try:
        wait_until(lambda: value(f"http://{address}", 'up{job="churn"}') == 1)
        for _ in range(30):
            endpoint.predict(ROW, ROW | {"contract": "lifetime", "tenure": -1e30})
            endpoint.predict(ROW | {"tenure": "x"})
            time.sleep(0.1)
        yield f"http://{address}"
    finally:
        process.kill()
        process.wait()
        output.close()


def ask(url, query):
    """The result of a PromQL query; fails on an error in it."""
    try:
        answer = httpx.get(f"{url}/api/v1/query", params={"query": query}, timeout=30)
    except httpx.ConnectError:  # not started yet
        return []
    if answer.status_code == 503:  # started, but not ready
        return []
    assert answer.status_code == 200, f"{query}: {answer.text}"
    return answer.json()["data"]["result"]


def value(url, query):
    return next((float(each["value"][1]) for each in ask(url, query)), None)


def panels():
    return [
        (panel["title"], target["expr"].replace("$__rate_interval", "30s"))
        for panel in json.loads((MONITORING / "dashboard.json").read_text())["panels"]
        for target in panel["targets"]
    ]


@pytest.mark.parametrize(("title", "query"), panels())
def test_every_panel_of_the_dashboard_shows_something(prometheus, title, query):
    result = ask(prometheus, query)
    assert result, f"{title}: no data"
    assert all(each["value"][1] != "NaN" for each in result if each["metric"].get("le") != "+Inf")


def test_prometheus_reads_what_the_server_counted(prometheus, endpoint):
    answered = endpoint.metric('churn_requests_total{code="200"}')
    wait_until(lambda: value(prometheus, 'churn_requests_total{code="200"}') == answered)
    refused = value(prometheus, 'churn_request_errors_total{reason="rows"}')
    assert refused >= 30
    assert value(prometheus, "churn_missing_inputs_total") >= 30
    assert value(prometheus, "churn_unseen_inputs_total") >= 30
    assert value(prometheus, "churn_predictions_total") == value(prometheus, "churn_batch_rows_sum")
    assert value(prometheus, "churn_predictions_total") == value(
        prometheus, "churn_predicted_probability_count"
    )
    assert value(prometheus, "churn_request_duration_seconds_count") == answered


def test_every_alert_rule_is_evaluated_without_error(prometheus):
    rules = []

    def evaluated():
        groups = httpx.get(f"{prometheus}/api/v1/rules", timeout=30).json()["data"]["groups"]
        rules[:] = [rule for group in groups for rule in group["rules"]]
        return all(rule["health"] != "unknown" for rule in rules)

    wait_until(evaluated)
    expected = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"][0]["rules"]
    assert {rule["name"]: rule["health"] for rule in rules} == {rule["alert"]: "ok" for rule in expected}
    states = {rule["name"]: rule["state"] for rule in rules}
    assert states["ChurnRowsRefused"] == "pending"  # half of the requests are wrong; it fires after a while
    assert states["ChurnEndpointDown"] == states["ChurnLogIncomplete"] == "inactive"


def test_promtool_accepts_the_metrics_and_the_rules(endpoint):
    promtool = tool("promtool")
    metrics = httpx.get(f"{endpoint.root}/metrics", timeout=30).text
    done = subprocess.run(
        [promtool, "check", "metrics"], input=metrics, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    subprocess.run([promtool, "check", "rules", MONITORING / "alerts.yaml"], check=True, capture_output=True)


def test_no_label_of_a_metric_names_a_customer_or_a_request(endpoint):
    endpoint.predict(ROW | {"customer_key": "secret-key"})
    assert "secret-key" not in httpx.get(f"{endpoint.root}/metrics", timeout=30).text


def test_the_log_holds_hashes_of_ids_and_no_id(endpoint):
    sent = [ROW | {"customer_key": key} for key in KEYS]
    answer = endpoint.predict(*sent).json()["predictions"]
    assert [row["customer_key"] for row in answer] == KEYS
    log = endpoint.folder / "log"
    lines = b"".join(file.read_bytes() for file in log.rglob("*.jsonl"))
    assert b"planted-id" not in lines
    hashed = [IdHash(os.environ["CHURN_ID_KEY"].encode())(row["customer_key"]) for row in sent]
    logged = pa.concat_tables(read_log(log), promote_options="permissive")["customer_key"].to_pylist()
    assert logged[-4:] == hashed


def test_a_log_with_plain_ids_is_a_choice_that_is_said_aloud(capsys):
    assert stage._hash_of_log(compose_config("serve.log.ids=plain")) is None
    assert "plain text (serve.log.ids=plain)" in capsys.readouterr().err
    rows = [[(1.0, "card", "planted-id")]]
    sent = b'[{"customer_key":"planted-id"}]'
    assert b"planted-id" in log_lines(["1"], rows, [sent], 1, None)


def test_the_histogram_counts_like_the_one_of_prometheus_client():
    import numpy as np
    import prometheus_client

    from churn.serve.metrics import SECONDS, Histogram

    registry, histogram = prometheus_client.CollectorRegistry(), Histogram(SECONDS)
    reference = prometheus_client.Histogram("x", "x", buckets=SECONDS, registry=registry)
    values = [*np.random.default_rng(0).exponential(0.1, 500), *SECONDS]
    histogram.observe(values[:100])
    histogram.observe(values[100:])
    for each in values:
        reference.observe(each)
    samples = {(s.name, s.labels.get("le")): s.value for s in histogram.family("x", "x").samples}
    expected = {
        (s.name, s.labels.get("le")): s.value
        for metric in registry.collect()
        for s in metric.samples
        if s.name != "x_created"
    }
    assert samples == pytest.approx(expected)


def test_what_a_killed_process_counted_goes_on_in_the_next_one(customers):
    bundle = SimpleNamespace(schema=customers.schema, profile={"categorical": {"contract": ["monthly"]}})
    files = make_files(2)
    first, second = processes = [SharedMetrics(files, number, Metrics()) for number in range(2)]
    for number, process in enumerate(processes):
        process.metrics.requests["200"] += 5 + number
        process.metrics.reloads["done"] += 1  # the same one
        process.metrics.in_flight += 2
        process.metrics.seconds.observe([0.1])
        process.metrics.unseen_cells = UnseenCells(bundle)
        process.metrics.unseen_cells.add_texts("contract", {"weekly": SHOWN_FROM - 1})
        process.metrics.unseen_cells.add_rows(20)
    first.write()
    total = second.total()
    assert (total.requests["200"], total.reloads["done"], total.in_flight) == (11, 1, 4)
    assert (total.seconds.counts.sum(), total.seconds.sum) == (2, pytest.approx(0.2))
    (column,) = total.unseen_cells.columns()
    # They may be the same customers, too few to be shown.
    assert (column.share, column.commonest) == ((SHOWN_FROM - 1) / 20, None)
    assert second.metrics.requests["200"] == 6
    next_one = SharedMetrics(files, 0, Metrics()).metrics
    assert (next_one.requests["200"], next_one.in_flight, next_one.seconds.sum) == (5, 0, 0.1)
    for file in files:
        os.close(file)


@pytest.mark.parametrize("writes", [0, 1])
def test_a_kill_while_counts_are_written_leaves_those_before(monkeypatch, writes):
    files, write = make_files(1), os.pwrite
    process = SharedMetrics(files, 0, Metrics())

    def killed(file, content, place):
        if not next(left):
            if writes == 0:  # the counts are cut; the head is too short for that
                write(file, content[: len(content) // 2], place)
            raise KeyboardInterrupt
        return write(file, content, place)

    for codes in (7, 3_000, 5, 80):  # of several lengths
        process.metrics.requests = Counter(map(str, range(codes)))
        process.write()
        process.metrics.requests["more"] += 1
        left = iter(range(writes, -1, -1))  # writes until the kill
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", killed)
            with pytest.raises(KeyboardInterrupt):
                process.write()
        assert len(SharedMetrics(files, 0, Metrics()).metrics.requests) == codes
    os.close(files[0])


def test_several_processes_do_not_log_to_one_output(exported_bundle):
    settings = ("serve.processes=2", "serve.log.to=stdout", f"bundle={exported_bundle}")
    with pytest.raises(UserError, match=r"one output(.|\n)*serve.processes=1"):
        stage.serve(compose_config(*settings))
