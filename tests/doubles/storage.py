"""Cloud Storage: the emulator from PyPI, called in this process, and helpers for the other doubles."""

import hashlib
import io
import json
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from gcp_storage_emulator import storage
from gcp_storage_emulator.server import Router

from doubles.server import Answer, Request


class Call:
    """One request in the form of the emulator's own server, and the answer that the emulator writes."""

    def __init__(self, request: Request, emulator: storage.Storage, host: str) -> None:
        self.path, self.rfile, self.wfile = request.url, io.BytesIO(request.content), io.BytesIO()
        self.storage, self.server = emulator, SimpleNamespace(server_address=("127.0.0.1", 0))
        self.headers, self.answer_headers, self.code = Message(), {}, 0
        for name, value in {**request.headers, "host": host, "content-length": len(request.content)}.items():
            self.headers[name] = str(value).replace("'", '"')  # gcloud puts a boundary in single quotes

    def send_response(self, code: int, _: str) -> None:
        self.code = code

    def send_header(self, name: str, value: str) -> None:
        self.answer_headers[name] = str(value)

    def end_headers(self) -> None:
        """Do nothing: only the content follows."""


class Memory(storage.Storage):
    """The emulator's state, in memory only, with old versions of objects where a bucket keeps them."""

    def __init__(self) -> None:
        super().__init__(use_memory_fs=True)
        self.old_versions: list[dict[str, str]] = []

    def create_file(self, bucket_name: str, file_name: str, *rest: object) -> None:
        """Write an object; the one that it replaces may stay as an old version."""
        if file_name in self.objects.get(bucket_name, {}):
            self.keep_version(bucket_name, file_name)
        super().create_file(bucket_name, file_name, *rest)

    def delete_file(self, bucket_name: str, file_name: str) -> None:
        """Delete an object: to an old version where the bucket keeps them, else by soft delete."""
        if self.keep_version(bucket_name, file_name):
            self._hard_delete_file(bucket_name, file_name)
        else:
            super().delete_file(bucket_name, file_name)

    def keep_version(self, bucket_name: str, file_name: str) -> bool:
        """Keep the object as an old version; whether the bucket does so."""
        keeps = self.buckets.get(bucket_name, {}).get("versioning", {}).get("enabled", False)
        if keeps:
            now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
            self.old_versions.append(self.get_file_obj(bucket_name, file_name) | {"timeDeleted": now})
        return keeps

    def _write_config_to_file(self) -> None:
        """Do nothing: the state need not survive."""


class Storage:
    """Buckets in memory; `address` is that of Vertex AI's double, which passes requests on."""

    def __init__(self) -> None:
        self.emulator = Memory()
        self.address, self.lock = "http://storage", threading.Lock()
        self.cache = Path(tempfile.mkdtemp())

    def answer(self, request: Request) -> Answer:
        if request.method == "GET" and request.url.partition("?")[0].endswith("/managedFolders"):
            return Answer(b'{"kind": "storage#managedFolders"}', 200, {"content-type": "application/json"})
        call = Call(request, self.emulator, self.address.removeprefix("http://"))
        with self.lock:
            Router(call).handle(request.method)
        answer = Answer(call.wfile.getvalue(), call.code, call.answer_headers)
        if key := parse_qs(urlsplit(request.url).query).get("kmsKeyName"):
            self.keep_key(json.loads(answer.content), key[0])
        return answer

    def keep_key(self, written: dict[str, str], key: str) -> None:
        """Note with an object the key's newest version, as the service does; the emulator forgets it."""
        kept = self.emulator.get_file_obj(written["bucket"], written["name"])
        kept["kmsKeyName"] = f"{key}/cryptoKeyVersions/1"
        self.emulator.patch_object(written["bucket"], written["name"], kept)

    def keys(self, uri: str) -> set[str | None]:
        """The keys of the object `gs://bucket/prefix` and of the objects below it; None for Google's own."""
        bucket, prefix = split(uri)
        items = json.loads(self.call("GET", f"/storage/v1/b/{bucket}/o", prefix=prefix)).get("items", [])
        return {item.get("kmsKeyName", "").partition("/cryptoKeyVersions/")[0] or None for item in items}

    def call(self, method: str, url: str, content: bytes = b"", **parameters: str) -> bytes:
        kind = {"content-type": "application/json" if method == "PATCH" or not parameters else "text/plain"}
        answer = self.answer(Request(method, f"{url}?{urlencode(parameters)}", kind, content))
        assert answer.code < 300, answer
        return answer.content

    def list(self, uri: str) -> dict[str, str]:
        """MD5 of the object `gs://bucket/prefix` and of each object below it, by name."""
        bucket, prefix = split(uri.rstrip("/"))
        items = json.loads(self.call("GET", f"/storage/v1/b/{bucket}/o", prefix=prefix)).get("items", [])
        objects = {item["name"]: item["md5Hash"] for item in items}
        below = f"{prefix}/" if prefix else ""
        return {n: md5 for n, md5 in objects.items() if n == prefix or n.startswith(below)}

    def metadata(self, uri: str) -> dict[str, dict[str, str]]:
        """Users' metadata of each object below `uri`."""
        bucket = split(uri)[0]
        objects = {n: f"/storage/v1/b/{bucket}/o/{quote(n, safe='')}" for n in self.list(uri)}
        return {n: json.loads(self.call("GET", url)).get("metadata", {}) for n, url in objects.items()}

    def read(self, uri: str) -> bytes:
        bucket, name = split(uri)
        return self.call("GET", f"/download/storage/v1/b/{bucket}/o/{quote(name, safe='')}", alt="media")

    def write(self, uri: str, content: bytes) -> None:
        bucket, name = split(uri)
        self.call("POST", f"/upload/storage/v1/b/{bucket}/o", content, uploadType="media", name=name)

    def delete(self, uri: str) -> None:
        bucket, name = split(uri)
        self.call("DELETE", f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}")

    def make_bucket(self, name: str, location: str) -> None:
        self.call("POST", "/storage/v1/b", json.dumps({"name": name}).encode())
        self.call("PATCH", f"/storage/v1/b/{name}", json.dumps({"location": location}).encode())

    def keep_no_deleted(self, name: str) -> None:
        """Switch the bucket's soft delete off, as `gcloud storage buckets update --clear-soft-delete`."""
        body = {"softDeletePolicy": {"retentionDurationSeconds": "0"}}
        self.call("PATCH", f"/storage/v1/b/{name}", json.dumps(body).encode())

    def keeps_deleted(self, name: str) -> bool:
        """Whether the bucket has soft delete, as a new one has."""
        policy = json.loads(self.call("GET", f"/storage/v1/b/{name}")).get("softDeletePolicy", {})
        return policy.get("retentionDurationSeconds") != "0"

    def keep_versions(self, name: str) -> None:
        """Switch the bucket's object versioning on, as `gcloud storage buckets update --versioning`."""
        self.call("PATCH", f"/storage/v1/b/{name}", json.dumps({"versioning": {"enabled": True}}).encode())

    def old_versions(self, bucket: str, prefix: str) -> Iterator[dict[str, str]]:
        """Objects below the prefix that were replaced or deleted, where the bucket keeps such."""
        for item in self.emulator.old_versions:
            if item["bucket"] == bucket and item["name"].startswith(prefix):
                yield item

    def encrypt_bucket(self, name: str, key: str) -> None:
        """Give the bucket a default key."""
        body = {"encryption": {"defaultKmsKeyName": key}}
        self.call("PATCH", f"/storage/v1/b/{name}", json.dumps(body).encode())

    def fetch(self, uri: str) -> Path:
        """A copy of all objects below `uri`, in a directory named by its content."""
        objects = self.list(uri)
        folder = (
            self.cache / hashlib.sha256(repr((split(uri)[1], sorted(objects.items()))).encode()).hexdigest()
        )
        if not folder.is_dir():
            bucket, prefix = split(uri)
            for name in objects:
                file = folder / name.removeprefix(prefix).strip("/")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(self.read(f"gs://{bucket}/{name}"))
        return folder


def split(uri: str) -> tuple[str, str]:
    """Bucket and name of an object's address."""
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    return bucket, name
