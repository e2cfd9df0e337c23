"""Cloud Storage: the emulator of PyPI, called in this process, with what another double needs to ask it."""

import hashlib
import io
import json
import tempfile
import threading
from email.message import Message
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote, urlencode

from gcp_storage_emulator import storage
from gcp_storage_emulator.server import Router

from doubles.server import Answer, Request


class Call:
    """One request as the emulator's own server would hand it over, and the answer that it writes."""

    def __init__(self, request: Request, emulator: storage.Storage, host: str) -> None:
        self.path, self.rfile, self.wfile = request.url, io.BytesIO(request.content), io.BytesIO()
        self.storage, self.server = emulator, SimpleNamespace(server_address=("127.0.0.1", 0))
        self.headers, self.answered, self.code = Message(), {}, 0
        for name, value in {**request.headers, "host": host, "content-length": len(request.content)}.items():
            self.headers[name] = str(value).replace("'", '"')  # gcloud quotes a boundary like that

    def send_response(self, code: int, _: str) -> None:
        self.code = code

    def send_header(self, name: str, value: str) -> None:
        self.answered[name] = str(value)

    def end_headers(self) -> None:
        """Nothing follows that is not content."""


class Memory(storage.Storage):
    """The emulator's state, which it need not write down after every change."""

    def _write_config_to_file(self) -> None:
        """Nothing is to survive."""


class Storage:
    """Buckets in memory; `address` is where they are reached, behind the double of Vertex AI."""

    def __init__(self) -> None:
        self.emulator = Memory(use_memory_fs=True)
        self.address, self.one_by_one = "http://storage", threading.Lock()
        self.cache = Path(tempfile.mkdtemp())

    def answer(self, request: Request) -> Answer:
        call = Call(request, self.emulator, self.address.removeprefix("http://"))
        with self.one_by_one:
            Router(call).handle(request.method)
        return Answer(call.wfile.getvalue(), call.code, call.answered)

    def ask(self, method: str, url: str, content: bytes = b"", **parameters: str) -> bytes:
        kind = {"content-type": "application/json" if method == "PATCH" or not parameters else "text/plain"}
        answer = self.answer(Request(method, f"{url}?{urlencode(parameters)}", kind, content))
        assert answer.code < 300, answer
        return answer.content

    def list(self, uri: str) -> dict[str, str]:
        """MD5 of each object whose name is that of `gs://bucket/prefix` or lies below it."""
        bucket, prefix = split(uri.rstrip("/"))
        found = json.loads(self.ask("GET", f"/storage/v1/b/{bucket}/o", prefix=prefix)).get("items", [])
        objects = {item["name"]: item["md5Hash"] for item in found}
        below = f"{prefix}/" if prefix else ""
        return {n: md5 for n, md5 in objects.items() if n == prefix or n.startswith(below)}

    def metadata(self, uri: str) -> dict[str, dict[str, str]]:
        """What users noted about each object below `uri`."""
        bucket = split(uri)[0]
        objects = {n: f"/storage/v1/b/{bucket}/o/{quote(n, safe='')}" for n in self.list(uri)}
        return {n: json.loads(self.ask("GET", url)).get("metadata", {}) for n, url in objects.items()}

    def read(self, uri: str) -> bytes:
        bucket, name = split(uri)
        return self.ask("GET", f"/download/storage/v1/b/{bucket}/o/{quote(name, safe='')}", alt="media")

    def write(self, uri: str, content: bytes) -> None:
        bucket, name = split(uri)
        self.ask("POST", f"/upload/storage/v1/b/{bucket}/o", content, uploadType="media", name=name)

    def delete(self, uri: str) -> None:
        bucket, name = split(uri)
        self.ask("DELETE", f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}")

    def make_bucket(self, name: str, location: str) -> None:
        self.ask("POST", "/storage/v1/b", json.dumps({"name": name}).encode())
        self.ask("PATCH", f"/storage/v1/b/{name}", json.dumps({"location": location}).encode())

    def fetch(self, uri: str) -> Path:
        """A copy of what lies below `uri`, in a directory named by its content."""
        objects = self.list(uri)
        target = self.cache / hashlib.sha256(repr(sorted(objects.items())).encode()).hexdigest()
        if not target.is_dir():
            bucket, prefix = split(uri)
            for name in objects:
                file = target / name.removeprefix(prefix).strip("/")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(self.read(f"gs://{bucket}/{name}"))
        return target


def split(uri: str) -> tuple[str, str]:
    """Bucket and name of an object."""
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    return bucket, name
