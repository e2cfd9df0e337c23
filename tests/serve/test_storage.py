"""AIP_STORAGE_URI may name a bundle in Cloud Storage."""

import socket
import tempfile
import urllib.parse
import urllib.request

import pytest

from churn.bundle.bundle import Bundle
from churn.errors import UserError
from churn.serve.stage import local_bundle


@pytest.fixture
def bucket():
    from gcp_storage_emulator.server import create_server

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = create_server("localhost", port, in_memory=True, default_bucket="bucket")
    server.start()
    yield f"localhost:{port}"
    server.stop()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_bundle_in_cloud_storage_is_copied_whole(bucket, exported_bundle):
    for file in exported_bundle.rglob("*"):
        if file.is_file():
            name = urllib.parse.quote(f"model/{file.relative_to(exported_bundle).as_posix()}", safe="")
            address = f"http://{bucket}/upload/storage/v1/b/bucket/o?uploadType=media&name={name}"
            urllib.request.urlopen(urllib.request.Request(address, file.read_bytes(), method="POST")).close()
    with local_bundle(f"gs://anonymous@bucket/model?endpoint_override={bucket}&scheme=http") as copied:
        assert Bundle.load(copied).digest == Bundle.load(exported_bundle).digest
    assert not copied.exists()


def test_a_bundle_that_cannot_be_copied_is_the_user_s_error_and_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    address = "gs://anonymous@bucket/x?endpoint_override=localhost:9&scheme=http&retry_limit_seconds=1"
    with pytest.raises(UserError, match="AIP_STORAGE_URI"), local_bundle(address):
        pass
    assert [entry for entry in tmp_path.iterdir() if entry.is_dir()] == []


def test_a_local_directory_is_not_copied(tmp_path):
    with local_bundle(str(tmp_path)) as folder:
        assert folder == tmp_path
    assert tmp_path.exists()
