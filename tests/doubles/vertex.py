"""A stand-in for Vertex AI, Cloud Storage and BigQuery's data sets; Google's own clients call it.

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
AFTERWARDS = ("deadline", "killed")  # the work is done, but the caller does not learn so


@dataclass
class Fault:
    """A fault at the call with this number, counted from `Vertex.inject`."""

    call: int
    kind: str  # a key of STATUS, or "killed": the caller dies


class Vertex(Server):
    """The services on one port; `service` holds the state."""

    def __init__(self, store: storage.Storage) -> None:
        super().__init__()
        self.service = Service(store)
        self.fault: Fault | None = None
        self.calls: list[str] = []  # names of the calls

    def inject(self, fault: Fault | None) -> None:
        self.fault, self.calls = fault, []

    def answer(self, request: Request) -> Answer:
        self.calls.append(name_of(request))
        fault = self.fault if self.fault and self.fault.call == len(self.calls) - 1 else None
        try:
            if fault and fault.kind not in AFTERWARDS:
                raise STATUS[fault.kind]
            answer = self.dispatch(request)
            if fault and fault.kind in STATUS:
                raise STATUS[fault.kind]
        except RefusalError as refused:
            error = {"code": refused.code, "status": refused.status, "message": str(refused)}
            first, *others = refused.status.lower().split("_")
            reason = first + "".join(map(str.title, others))  # BigQuery's name for it
            error["errors"] = [{"reason": reason, "message": str(refused)}]
            return Answer(
                json.dumps({"error": error}).encode(), refused.code, {"Content-Type": "application/json"}
            )
        return answer

    def dispatch(self, request: Request) -> Answer:
        """The answer of the service to which the path belongs."""
        path, service = request.path.replace("/v1beta1/", "/v1/"), self.service
        if (api := api_of(path)) in service.disabled:
            message = f"{api} has not been used in project p before or it is disabled. (SERVICE_DISABLED)"
            raise RefusalError(403, "PERMISSION_DENIED", message)
        if match := PERMISSIONS.fullmatch(path):
            wanted = [
                value for name, value in parse_qsl(urlsplit(request.url).query) if name == "permissions"
            ]
            return json_answer({"permissions": [name for name in wanted if name not in service.denied]})
        if match := LAYOUT.fullmatch(path):  # gcloud asks whether the bucket has directories
            return json_answer({"bucket": match[1], "hierarchicalNamespace": {"enabled": False}})
        if match := TAGS.fullmatch(path):
            if ":".join(match.groups()) not in service.images:
                raise not_found(path)
            return json_answer({"name": path})
        if re.match("/(storage|upload|download|b)/", path) or path == "/batch/storage/v1":
            return service.storage.answer(request)
        if match := DATASETS.fullmatch(path):
            return json_answer(self.dataset(request, *match.groups()))
        if match := TABLES.fullmatch(path):
            return json_answer(service.describe_table(*match.groups()))
        if match := QUERIES.fullmatch(path):
            return json_answer(self.query(request, *match.groups()))
        if (match := re.search("/locations/([^/]+)", path)) and match[1] not in REGIONS:
            raise RefusalError(404, "NOT_FOUND", f"Location {match[1]} is not found.")
        if match := OPERATIONS.fullmatch(path):
            parent, number = match.groups()
            if number:
                operation = service.get_operation(f"{parent}/operations/{number}")
                return json_answer(json_format.MessageToDict(operation))
            return json_answer(json_format.MessageToDict(service.list_operations(parent)))
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
        result = getattr(service, binding.method)(message)
        if result is None:
            return json_answer({})
        return json_answer(json_format.MessageToDict(result._pb if hasattr(result, "_pb") else result))

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
        """BigQuery's queries; it knows one, a table made by a SELECT, and SQLite runs it."""
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


def json_answer(content: dict[str, Any]) -> Answer:
    return Answer(json.dumps(content).encode(), 200, {"Content-Type": "application/json; charset=UTF-8"})


def name_of(request: Request) -> str:
    """A short name of a call, without the variable parts of the address."""
    path = re.sub("/v1beta1/", "/v1/", request.path)
    binding = find(request.method, path)
    return binding.method if binding else f"{request.method} {re.sub('[0-9a-f]{10,}|/[0-9]+$', '*', path)}"


@contextmanager
def running() -> Iterator[Vertex]:
    """The double, with an empty project and one bucket in its region."""
    store = storage.Storage()
    with Vertex(store) as double:
        store.address = double.url
        store.make_bucket("bucket", "US-CENTRAL1")
        yield double
