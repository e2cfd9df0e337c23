"""A folder of configuration files for the tests of this folder."""

import pytest


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write `data/mine.yaml` of a folder of configuration files, and have it read."""
    (tmp_path / "data").mkdir()
    (tmp_path / "config.yaml").write_text("defaults: [schema, data: mine, _self_]")
    for module in ("root", "unfit"):
        monkeypatch.setattr(f"churn.config.{module}.config_directory", lambda: tmp_path)
    return (tmp_path / "data" / "mine.yaml").write_bytes
