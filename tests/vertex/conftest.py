"""A double of the cloud, bundles with different answers, and configurations for the commands."""

import io
import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
from conftest import compose_config
from doubles import vertex
from doubles.server import Request
from google.cloud.aiplatform_v1 import types as t  # noqa: F401  takes seconds: once, here
from requests.adapters import HTTPAdapter
from requests.utils import to_native_string
from urllib3 import HTTPResponse

from churn.bundle import export
from churn.monitor.drift.profile import build_profile
from churn.vertex.cloud import operations


@pytest.fixture(scope="session")
def bundles(graph, customers, tmp_path_factory):
    """Three complete bundles of one network, at different temperatures."""
    root, paths = tmp_path_factory.mktemp("bundles"), []
    for number, temperature in enumerate((1.0, 2.0, 3.0), 1):
        path = root / str(number)
        export.write_saved_model(replace(graph, temperature=temperature), path)
        facts = {
            "name": "customers",
            "created": f"2026-11-2{number}T12:00:00Z",
            "git_commit": "8d1f+",
            "schema": vars(graph.schema),
            "inputs": export.describe_inputs(graph),
            "data": {"fingerprint": "sha256:Abc"},
            "metrics": {"roc_auc": {"value": 0.8456}},
            "threshold": 0.3,
        }
        frame, labels = customers.frame, customers.churned.astype(float)
        export.seal(path, facts, build_profile(frame, customers.schema, frame, labels))
        paths.append(path)
    yield paths
    shutil.rmtree(root)


@pytest.fixture(scope="session")
def table(customers, tmp_path_factory):
    """The customers as a CSV file, for `data.path`."""
    file = tmp_path_factory.mktemp("table") / "customers.csv"
    frame = customers.frame.assign(left=customers.churned, customer=range(len(customers)))
    frame.head(100).to_csv(file, index=False)
    return file


@pytest.fixture
def cloud(monkeypatch):
    """An empty project; waiting takes no time."""
    without_waiting(monkeypatch)
    with vertex.running() as double:
        double.service.lag = double.service.pending = double.service.reluctance = 1
        monkeypatch.setattr(HTTPAdapter, "send", without_sockets(double))
        yield double


def without_waiting(monkeypatch):
    """Let commands and Google's clients not wait between two tries."""
    monkeypatch.setattr(operations, "POLL_SECONDS", 0.0)
    time = SimpleNamespace(sleep=lambda _: None, monotonic=__import__("time").monotonic)
    monkeypatch.setattr("google.api_core.retry.retry_unary.time", time)


def without_sockets(double):
    """A replacement for `HTTPAdapter.send` that calls the double directly, in this thread.

    Real sockets are used in tests/doubles and by gcloud.
    """
    send = HTTPAdapter.send

    def send_to_double(self, request, **options):
        if not request.url.startswith(double.url):
            return send(self, request, **options)
        content = request.body or b""
        content = content.encode() if isinstance(content, str) else content
        headers = {name.lower(): to_native_string(value) for name, value in request.headers.items()}
        url = request.url.removeprefix(double.url)
        answer = double.answer(Request(request.method, url, headers, content))
        body = io.BytesIO(answer.content)
        raw = HTTPResponse(body, answer.headers, answer.code, preload_content=False, decode_content=False)
        return self.build_response(request, raw)

    return send_to_double


@pytest.fixture
def settings(cloud, bundles, table):
    """A function from a bundle's number (from 1) and overrides to a configuration."""

    def compose(number=1, *overrides):
        return compose_config(
            f"bundle={bundles[number - 1]}", f"deploy.emulator={cloud.url}", "deploy.project=p",
            "deploy.yes=true", "deploy.bucket=bucket", "deploy.answers=2", "deploy.probe=50",
            "data=csv", f"data.path={table}", "data.target=left", *overrides,
        )  # fmt: skip

    return compose


def make_run(path, bundle):
    """A run with as much as `register_run` needs."""
    shutil.copytree(bundle, path / "bundle")
    test = {"roc_auc": {"value": 0.8, "low": 0.7}}
    baselines = {"base_rate": {"log_loss": {"difference": {"high": -0.1}}}}
    (path / "metrics.json").write_text(json.dumps({"test": test, "baselines": baselines}))
    for name in ("config.yaml", "report.html"):
        (path / name).write_text("seed: 1")
    return path
