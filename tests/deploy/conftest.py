"""The double of the cloud, seen through the real SDK, and what lies in deploy/ as modules."""

import importlib
import sys
from pathlib import Path

import pytest
from doubles import vertex

DEPLOY = Path(__file__).parents[2] / "deploy"
IMAGE = "us-central1-docker.pkg.dev/p/churn/pipeline:latest"


def module(folder, name):
    """A module of deploy/, which is no package."""
    sys.path.insert(0, str(DEPLOY / folder))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)


@pytest.fixture(scope="session")
def pipeline():
    return module("pipeline", "pipeline")


@pytest.fixture(scope="session")
def template(pipeline, tmp_path_factory):
    """The compiled pipeline."""
    file = tmp_path_factory.mktemp("pipeline") / "pipeline.yaml"
    pipeline.write(str(file), IMAGE)
    return file


@pytest.fixture
def cloud(monkeypatch):
    """An empty project that the real SDK speaks to."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform
    from google.cloud.resourcemanager_v3 import ProjectsClient
    from google.cloud.resourcemanager_v3.services.projects.transports import ProjectsRestTransport

    with vertex.running() as double:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", double.url)
        host, free = double.url.removeprefix("http://"), AnonymousCredentials()
        projects = ProjectsClient(
            transport=ProjectsRestTransport(host=host, url_scheme="http", credentials=free)
        )
        # The SDK asks whose the bucket is, and lets nobody say where.
        monkeypatch.setattr(
            "google.cloud.aiplatform.utils.resource_manager_utils.resourcemanager.ProjectsClient",
            lambda **_: projects,
        )
        aiplatform.init(
            project="p", location="us-central1", api_endpoint=double.url, api_transport="rest",
            credentials=free,
        )  # fmt: skip
        yield double
