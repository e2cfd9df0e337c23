"""Cloud Storage: the emulator of PyPI, with what a test or another double needs to ask it directly."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from gcp_storage_emulator.server import create_server


class Storage:
    """A running emulator; `address` is where everything is reached, behind the double of Vertex AI."""

    def __init__(self, backend: str) -> None:
        self.backend, self.address = backend, ""
        self.session = requests.Session()
        self.cache = Path(tempfile.mkdtemp())

    def list(self, uri: str) -> dict[str, str]:
        """MD5 of each object whose name is that of `gs://bucket/prefix` or lies below it."""
        bucket, _, prefix = uri.removeprefix("gs://").partition("/")
        prefix = prefix.rstrip("/")
        answer = self.session.get(f"{self.backend}/storage/v1/b/{bucket}/o", params={"prefix": prefix})
        objects = {item["name"]: item["md5Hash"] for item in answer.json().get("items", [])}
        return {
            n: md5 for n, md5 in objects.items() if n == prefix or not prefix or n.startswith(f"{prefix}/")
        }

    def read(self, uri: str) -> bytes:
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        url = f"{self.backend}/download/storage/v1/b/{bucket}/o/{requests.utils.quote(name, safe='')}"
        answer = self.session.get(url, params={"alt": "media"})
        answer.raise_for_status()
        return answer.content

    def write(self, uri: str, content: bytes) -> None:
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        url = f"{self.backend}/upload/storage/v1/b/{bucket}/o"
        self.session.post(url, params={"uploadType": "media", "name": name}, data=content).raise_for_status()

    def delete(self, uri: str) -> None:
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        url = f"{self.backend}/storage/v1/b/{bucket}/o/{requests.utils.quote(name, safe='')}"
        self.session.delete(url).raise_for_status()

    def make_bucket(self, name: str, location: str) -> None:
        self.session.post(f"{self.backend}/storage/v1/b", json={"name": name}).raise_for_status()
        url = f"{self.backend}/storage/v1/b/{name}"
        self.session.patch(url, json={"location": location}).raise_for_status()

    def fetch(self, uri: str) -> Path:
        """A copy of what lies below `uri`, in a directory named by its content."""
        objects = self.list(uri)
        target = self.cache / hashlib.sha256(repr(sorted(objects.items())).encode()).hexdigest()
        if not target.is_dir():
            bucket, _, prefix = uri.removeprefix("gs://").partition("/")
            for name in objects:
                file = target / name.removeprefix(prefix).strip("/")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(self.read(f"gs://{bucket}/{name}"))
        return target


@contextmanager
def running() -> Iterator[Storage]:
    """The emulator on a free port, in memory."""
    server = create_server("127.0.0.1", 0, in_memory=True)
    server.start()
    try:
        yield Storage(f"http://127.0.0.1:{server._api._httpd.server_address[1]}")
    finally:
        server.stop()
