"""The double of the cloud for the real SDK, and the scripts of deploy/ as modules."""

import importlib
import sys
from pathlib import Path

import pytest
from doubles import vertex

DEPLOY = Path(__file__).parents[2] / "deploy"
IMAGE = "us-central1-docker.pkg.dev/p/churn/pipeline:latest"


def load_module(folder, name):
    """A module of deploy/, which is not a package."""
    sys.path.insert(0, str(DEPLOY / folder))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)


@pytest.fixture(scope="session")
def pipeline():
    return load_module("pipeline", "pipeline")


@pytest.fixture(scope="session")
def template(pipeline, tmp_path_factory):
    """The compiled pipeline."""
    file = tmp_path_factory.mktemp("pipeline") / "pipeline.yaml"
    pipeline.write(str(file), IMAGE)
    return file


@pytest.fixture
def cloud(monkeypatch):
    """An empty project, for the real SDK."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform
    from google.cloud.resourcemanager_v3 import ProjectsClient
    from google.cloud.resourcemanager_v3.services.projects.transports import ProjectsRestTransport

    with vertex.running() as double:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", double.url)
        host, credentials = double.url.removeprefix("http://"), AnonymousCredentials()
        projects = ProjectsClient(
            transport=ProjectsRestTransport(host=host, url_scheme="http", credentials=credentials)
        )
        # The SDK asks for the owner of the bucket at an address that cannot be configured.
        monkeypatch.setattr(
            "google.cloud.aiplatform.utils.resource_manager_utils.resourcemanager.ProjectsClient",
            lambda **_: projects,
        )
        aiplatform.init(
            project="p", location="us-central1", api_endpoint=double.url, api_transport="rest",
            credentials=credentials,
        )  # fmt: skip
        yield double
