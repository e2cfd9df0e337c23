"""A double of Cloud Run, two bundles, a service account, and configurations for the commands."""

import copy
import json
import shutil
from functools import cache

import numpy as np
import pytest
from conftest import compose_config
from doubles import cloudrun
from doubles.bigquery import BigQuery
from requests.adapters import HTTPAdapter
from vertex.conftest import table, without_sockets, without_waiting  # noqa: F401

from churn.bundle import export
from churn.bundle.bundle import Bundle
from churn.cloudrun import deploy as deploy_module
from churn.vertex.deploy import sample_rows


@pytest.fixture(scope="session")
def bundles(graph, exported_bundle, tmp_path_factory):
    """Two bundles of one network, which differ in their facts."""
    paths = []
    for number in (1, 2):
        path = tmp_path_factory.mktemp("bundles") / str(number)
        shutil.copytree(exported_bundle, path)
        facts = {"name": f"customers-{number}", "schema": vars(graph.schema)}
        export.seal(path, facts | {"inputs": export.describe_inputs(graph)}, {"rows": 3})
        paths.append(path)
    return paths


@pytest.fixture(scope="session")
def account(tmp_path_factory):
    """The key file of a service account."""
    file = tmp_path_factory.mktemp("account") / "key.json"
    file.write_text(json.dumps(BigQuery().account()))
    return file


@pytest.fixture
def cloud(monkeypatch, account, tmp_path):
    """An empty project, for the service account; waiting takes no time."""
    without_waiting(monkeypatch)
    with cloudrun.running() as double:
        double.service.lag = 1
        file = tmp_path / "account.json"
        file.write_text(json.dumps(json.loads(account.read_text()) | {"token_uri": f"{double.url}/token"}))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
        monkeypatch.setattr(HTTPAdapter, "send", without_sockets(double))
        yield double


@pytest.fixture(scope="session")
def loaded(bundles, table):  # noqa: F811
    """The bundles by their paths, the rows that are sent, and their answers, which both bundles give."""
    cfg = compose_config("data=csv", f"data.path={table}", "data.target=left")
    by_path = {str(path): Bundle.load(path) for path in bundles}
    first = by_path[str(bundles[0])]
    rows = sample_rows(cfg, first)
    keys = np.array([f"row-{i}" for i in range(len(rows))], dtype=object)
    return by_path, rows, first.predict(rows, keys)


@cache
def composed(*overrides):
    """A configuration, which is copied before it is changed: to compose one takes a while."""
    return compose_config(*overrides)


@pytest.fixture
def settings(cloud, bundles, loaded, table, monkeypatch):  # noqa: F811
    """A function from a bundle's number (from 1) and overrides to a configuration; no file is read twice."""
    by_path, rows, answers = loaded
    monkeypatch.setattr(Bundle, "predict", lambda *_: answers)
    monkeypatch.setattr(deploy_module, "choose_bundle", lambda cfg: by_path[cfg.bundle])
    monkeypatch.setattr(deploy_module, "sample_rows", lambda *_: rows)

    def compose(number=1, *overrides):
        cfg = copy.deepcopy(
            composed(
                "target=cloudrun", "deploy.project=p", "deploy.yes=true", "deploy.bucket=bucket",
                "deploy.answers=2", "data=csv", f"data.path={table}", "data.target=left", *overrides,
            )
        )  # fmt: skip
        cfg.bundle, cfg.deploy.emulator = str(bundles[number - 1]), cloud.url
        return cfg

    return compose
