"""A stand-in for Vertex AI, Cloud Storage and BigQuery's data sets, spoken to by Google's own clients.

Routes and messages come from the clients' REST bindings (`bindings`), rules from the public documentation
(`service`), answers of deployed models from the bundle itself (`serving`). Not compared with the running
service. Faults are injected by the number of the call.
"""

import json
import re
import sqlite3
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
TABLES = re.compile(r"/bigquery/v2/projects/([^/]+)/datasets/([^/]+)/tables/([^/]+)")
QUERIES = re.compile(r"/bigquery/v2/projects/([^/]+)/(?:jobs|queries)(?:/([^/]+))?")
TABLE = re.compile(r"CREATE OR REPLACE TABLE (`[^`]+`)\s+OPTIONS\(.+?\]\s*\)\s+AS\s+(SELECT.+)", re.S)
PERMISSIONS = re.compile(r"/storage/v1/b/([^/]+)/iam/testPermissions")
LAYOUT = re.compile(r"/storage/v1/b/([^/]+)/storageLayout")
TAGS = re.compile(r"/v1/projects/p/locations/us-central1/repositories/churn/packages/([^/]+)/tags/([^/]+)")
REGIONS = ("us-central1", "europe-west1")
STATUS = {
    "unavailable": RefusalError(503, "UNAVAILABLE", "The service is currently unavailable."),
    "quota": RefusalError(
        429, "RESOURCE_EXHAUSTED", "Quota exceeded for aiplatform.googleapis.com/requests."
    ),
    "denied": RefusalError(403, "PERMISSION_DENIED", "Permission 'aiplatform.x' denied on resource."),
    "deadline": RefusalError(504, "DEADLINE_EXCEEDED", "Deadline exceeded."),
}
AFTERWARDS = ("deadline", "killed")  # the work is done; who asked doesn't learn of it


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
            first, *others = refused.status.lower().split("_")
            reason = first + "".join(map(str.title, others))  # BigQuery says it like this, too
            error["errors"] = [{"reason": reason, "message": str(refused)}]
            return Answer(
                json.dumps({"error": error}).encode(), refused.code, {"Content-Type": "application/json"}
            )
        return answer

    def answered(self, request: Request) -> Answer:
        """The answer of the service that the path belongs to."""
        path, service = request.path.replace("/v1beta1/", "/v1/"), self.service
        if (api := api_of(path)) in service.disabled:
            message = f"{api} has not been used in project p before or it is disabled. (SERVICE_DISABLED)"
            raise RefusalError(403, "PERMISSION_DENIED", message)
        if match := PERMISSIONS.fullmatch(path):
            wanted = [
                value for name, value in parse_qsl(urlsplit(request.url).query) if name == "permissions"
            ]
            return in_json({"permissions": [name for name in wanted if name not in service.denied]})
        if match := LAYOUT.fullmatch(path):  # gcloud asks whether the bucket has directories: it has not
            return in_json({"bucket": match[1], "hierarchicalNamespace": {"enabled": False}})
        if match := TAGS.fullmatch(path):
            if ":".join(match.groups()) not in service.images:
                raise not_found(path)
            return in_json({"name": path})
        if re.match("/(storage|upload|download|b)/", path) or path == "/batch/storage/v1":
            return service.storage.answer(request)
        if match := DATASETS.fullmatch(path):
            return in_json(self.dataset(request, *match.groups()))
        if match := TABLES.fullmatch(path):
            return in_json(service.about_table(*match.groups()))
        if match := QUERIES.fullmatch(path):
            return in_json(self.query(request, *match.groups()))
        if (match := re.search("/locations/([^/]+)", path)) and match[1] not in REGIONS:
            raise RefusalError(404, "NOT_FOUND", f"Location {match[1]} is not found.")
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

    def query(self, request: Request, project: str, job: str | None) -> dict[str, Any]:
        """BigQuery's queries, of which it knows one: a table made by a SELECT, which SQLite runs."""
        reference = {"projectId": project, "jobId": job, "location": "us-central1"}
        if request.method == "GET":
            return {"jobReference": reference, "jobComplete": True, "totalRows": "0", "schema": {}}
        body = json.loads(request.content)
        match = TABLE.fullmatch(body["configuration"]["query"]["query"].strip())
        if match is None:
            raise RefusalError(400, "invalidQuery", "Syntax error: not of the kind that this double knows")
        table, select = match.groups()
        select = select.replace(" AS STRING)", " AS TEXT)").replace(" AS FLOAT64)", " AS REAL)")
        try:
            self.service.sql.execute(f"DROP TABLE IF EXISTS {table}")
            self.service.sql.execute(f"CREATE TABLE {table} AS {select}")
        except sqlite3.Error as error:
            raise RefusalError(400, "invalidQuery", str(error)) from None
        kind = {"query": {"statementType": "CREATE_TABLE_AS_SELECT"}}
        return body | {"status": {"state": "DONE"}, "statistics": kind}


def api_of(path: str) -> str:
    """The API that a path belongs to."""
    first = path.split("/")[1]
    if first in ("storage", "upload", "download", "b", "batch", "bigquery"):
        return "bigquery.googleapis.com" if first == "bigquery" else "storage.googleapis.com"
    if "/repositories/" in path:
        return "artifactregistry.googleapis.com"
    resources = path.startswith("/v3/")
    return "cloudresourcemanager.googleapis.com" if resources else "aiplatform.googleapis.com"


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
    store = storage.Storage()
    with Vertex(store) as double:
        store.address = double.url
        store.make_bucket("bucket", "US-CENTRAL1")
        yield double
