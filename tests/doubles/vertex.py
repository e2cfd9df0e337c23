"""A stand-in for Vertex AI, Cloud Storage and BigQuery's data sets, spoken to by Google's own clients.

Routes and messages come from the clients' REST bindings (`bindings`), rules from the public documentation
(`service`), answers of deployed models from the bundle itself (`serving`). Not compared with the running
service. Faults are injected by the number of the call.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from google.protobuf import json_format

from doubles import storage
from doubles.bindings import RefusalError, find
from doubles.server import Answer, Request, Server
from doubles.service import Service, exists, not_found

OPERATIONS = re.compile(r"/(?:v1|ui)/(projects/.+)/operations(?:/(\d+))?")
DATASETS = re.compile(r"/bigquery/v2/projects/([^/]+)/datasets(?:/([^/]+))?")
STATUS = {
    "unavailable": RefusalError(503, "UNAVAILABLE", "The service is currently unavailable."),
    "quota": RefusalError(
        429, "RESOURCE_EXHAUSTED", "Quota exceeded for aiplatform.googleapis.com/requests."
    ),
    "denied": RefusalError(403, "PERMISSION_DENIED", "Permission 'aiplatform.x' denied on resource."),
    "deadline": RefusalError(504, "DEADLINE_EXCEEDED", "Deadline exceeded."),
}
AFTERWARDS = ("deadline", "killed")  # the work is done; who asked doesn't learn of it
HEADERS = ("content-type", "content-length", "etag", "range", "location", "x-goog-hash", "x-goog-generation")


@dataclass
class Fault:
    """What happens at the call with this number, counted from the moment it was set."""

    call: int
    kind: str  # a key of STATUS, or "killed": whoever asked is no more


class Vertex(Server):
    """The service on a port of its own; `service` is what lies in it."""

    def __init__(self, store: storage.Storage) -> None:
        super().__init__()
        self.service = Service(store)
        self.fault: Fault | None = None
        self.calls: list[str] = []  # what was called, by name

    def inject(self, fault: Fault | None) -> None:
        self.fault, self.calls = fault, []

    def answer(self, request: Request) -> Answer:
        self.calls.append(name_of(request))
        fault = self.fault if self.fault and self.fault.call == len(self.calls) - 1 else None
        try:
            if fault and fault.kind not in AFTERWARDS:
                raise STATUS[fault.kind]
            answer = self.answered(request)
            if fault and fault.kind in STATUS:
                raise STATUS[fault.kind]
        except RefusalError as refused:
            error = {"code": refused.code, "status": refused.status, "message": str(refused)}
            return Answer(
                json.dumps({"error": error}).encode(), refused.code, {"Content-Type": "application/json"}
            )
        return answer

    def answered(self, request: Request) -> Answer:
        """The answer of the service that the path belongs to."""
        path, service = request.path.replace("/v1beta1/", "/v1/"), self.service
        if re.match("/(storage|upload|download|b)/", path) or path == "/batch/storage/v1":
            return self.forward(request)
        if match := DATASETS.fullmatch(path):
            return in_json(self.dataset(request, *match.groups()))
        if match := OPERATIONS.fullmatch(path):
            parent, number = match.groups()
            found = (
                service.get_operation(f"{parent}/operations/{number}")
                if number
                else service.list_operations(parent)
            )
            return in_json(json_format.MessageToDict(found))
        binding = find(request.method, path)
        if binding is None or not hasattr(service, binding.method):
            raise RefusalError(
                404, "NOT_FOUND", f"{request.method} {request.path} is not part of this double"
            )
        try:
            body = json.loads(request.content or b"{}")
        except ValueError as error:
            raise RefusalError(400, "INVALID_ARGUMENT", f"Invalid JSON payload received. {error}") from None
        message = binding.parse(path, parse_qsl(urlsplit(request.url).query), body)
        found = getattr(service, binding.method)(message)
        if found is None:
            return in_json({})
        return in_json(json_format.MessageToDict(found._pb if hasattr(found, "_pb") else found))

    def forward(self, request: Request) -> Answer:
        """What the storage emulator says; addresses in it lead back here."""
        store = self.service.storage
        headers = {
            name: value for name, value in request.headers.items() if name not in ("host", "connection")
        }
        url = f"{store.backend}{request.url}"
        found = store.session.request(request.method, url, data=request.content, headers=headers)
        content = found.content.replace(store.backend.encode(), self.url.encode())
        kept = {
            n.title(): v.replace(store.backend, self.url)
            for n, v in found.headers.items()
            if n.lower() in HEADERS
        }
        return Answer(content, found.status_code, kept | {"Content-Length": str(len(content))})

    def dataset(self, request: Request, project: str, name: str | None) -> dict[str, Any]:
        """BigQuery's data sets: create, get, delete."""
        body = json.loads(request.content or b"{}")
        name = name or body["datasetReference"]["datasetId"]
        key, datasets = f"{project}.{name}", self.service.datasets
        if request.method == "POST":
            if key in datasets:
                raise exists(key)
            datasets[key] = body
        if key not in datasets:
            raise not_found(key)
        return datasets.pop(key) if request.method == "DELETE" else datasets[key]


def in_json(content: dict[str, Any]) -> Answer:
    return Answer(json.dumps(content).encode(), 200, {"Content-Type": "application/json; charset=UTF-8"})


def name_of(request: Request) -> str:
    """A short name of a call, without the parts of the address that vary."""
    path = re.sub("/v1beta1/", "/v1/", request.path)
    binding = find(request.method, path)
    return binding.method if binding else f"{request.method} {re.sub('[0-9a-f]{10,}|/[0-9]+$', '*', path)}"


@contextmanager
def running() -> Iterator[Vertex]:
    """The double with an empty project and one bucket in its region."""
    with storage.running() as store, Vertex(store) as double:
        store.address = double.url
        store.make_bucket("bucket", "US-CENTRAL1")
        yield double
