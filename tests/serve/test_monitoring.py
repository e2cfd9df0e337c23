"""A real Prometheus reads the metrics, and `deploy/monitoring` has rules and a dashboard for them."""

import json
import shutil
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest
import yaml

from serve.conftest import ROW, wait_until

MONITORING = Path(__file__).parents[2] / "deploy" / "monitoring"


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
