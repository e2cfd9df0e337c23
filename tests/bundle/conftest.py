"""A new registry, made once."""

import pytest

from churn.bundle.database import mlflow_client


@pytest.fixture(scope="session")
def database(tmp_path_factory) -> bytes:
    """The content of a new database: to make one takes seconds."""
    root = tmp_path_factory.mktemp("registry")
    mlflow_client(str(root))
    assert [path.name for path in root.iterdir()] == ["mlflow.db"]
    return (root / "mlflow.db").read_bytes()
