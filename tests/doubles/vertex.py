"""A stand-in for Vertex AI, Cloud Storage and BigQuery's data sets; Google's own clients call it.

Routes and messages come from the clients' REST bindings (`bindings`), rules from the public documentation
(`service`), answers of deployed models from the bundle itself (`serving`), SQL is run (`sql`). Not compared
with the running service. Names in answers have the project's number, lists come in pages of two, operations
take time. Faults are injected by the number of the call.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from google.protobuf import json_format

from doubles import storage
from doubles.bindings import RefusalError, find
from doubles.permissions import granted
from doubles.server import Answer, Request, Server
from doubles.service import Service, exists, not_found
from doubles.sql import describe, to_cells

OPERATIONS = re.compile(r"/(?:v1|ui)/(projects/.+)/operations(?:/(\d+))?")
DATASETS = re.compile(r"/bigquery/v2/projects/([^/]+)/datasets(?:/([^/]+))?")
TABLES = re.compile(r"/bigquery/v2/projects/([^/]+)/datasets/([^/]+)/tables/([^/]+)")
QUERIES = re.compile(r"/bigquery/v2/projects/([^/]+)/(?:jobs|queries)(?:/([^/]+))?")
TABLE_LIST = re.compile(r"/bigquery/v2/projects/([^/]+)/datasets/([^/]+)/tables")
OBJECTS = re.compile(r"/storage/v1/b/([^/]+)/o")
IMAGES = re.compile(r"/v1/projects/p/locations/us-central1/repositories/churn/dockerImages")
NUMBER = "1234567890"  # of the project p; the service takes either, and answers with the number
WITH_NUMBER = re.compile(r"projects/p(?=/locations/[^/\"]+/(?!keyRings)\w+/)")
IMAGE_BYTES = 400_000_000
PREPARED = re.compile(
    r"/v1/projects/p/(serviceAccounts/[^/]+|locations/us-central1/repositories/churn"
    r"|locations/global/workloadIdentityPools/github/providers/github)"
)
ENABLED = re.compile(r"/v1/projects/p/services/([a-z]+\.googleapis\.com)")
PERMISSIONS = re.compile(r"/storage/v1/b/([^/]+)/iam/testPermissions")
LAYOUT = re.compile(r"/storage/v1/b/([^/]+)/storageLayout")
TAGS = re.compile(
    r"/v1/projects/p/locations/us-central1/repositories/churn/packages/([^/]+)/(tags|versions)/([^/]+)"
)
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
        self.results: dict[str, Any] = {}  # kind and rows of each query
        self.billed: list[dict[str, Any]] = []  # what was asked of each

    def inject(self, fault: Fault | None) -> None:
        self.fault, self.calls = fault, []

    def answer(self, request: Request) -> Answer:
        request = replace(request, url=request.url.replace(f"projects/{NUMBER}", "projects/p"))
        request = replace(
            request, content=request.content.replace(f"projects/{NUMBER}/".encode(), b"projects/p/")
        )
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
            if not service.storage.emulator.get_bucket(match[1]):
                raise not_found(path)
            wanted = [
                value for name, value in parse_qsl(urlsplit(request.url).query) if name == "permissions"
            ]
            return json_answer({"permissions": granted(wanted, service.denied)})
        if match := LAYOUT.fullmatch(path):  # gcloud asks whether the bucket has directories
            return json_answer({"bucket": match[1], "hierarchicalNamespace": {"enabled": False}})
        if match := TAGS.fullmatch(path):
            if match[1] + {"tags": ":", "versions": "@"}[match[2]] + match[3] not in service.images:
                raise not_found(path)
            return json_answer({"name": path})
        if match := ENABLED.fullmatch(path):
            return json_answer(self.enabled(match[1]))
        if path == "/v1/projects/p/services:batchGet":
            names = [value for name, value in parse_qsl(urlsplit(request.url).query) if name == "names"]
            return json_answer({"services": [self.enabled(name.rpartition("/")[2]) for name in names]})
        if PREPARED.fullmatch(path):  # what Terraform makes
            if path.rpartition("/")[2] not in service.prepared:
                raise not_found(path)
            return json_answer({"name": path})
        if IMAGES.fullmatch(path):
            images = [
                {"name": f"{path}/{name}", "imageSizeBytes": str(IMAGE_BYTES)} for name in service.images
            ]
            return json_answer(
                paged(sorted(images, key=str), "dockerImages", request.parameters, service.page)
            )
        if OBJECTS.fullmatch(path) and request.method == "GET":
            return self.objects(request)
        if re.match("/(storage|upload|download|b)/", path) or path == "/batch/storage/v1":
            return service.storage.answer(request)
        if match := DATASETS.fullmatch(path):
            return json_answer(self.dataset(request, *match.groups()))
        if match := TABLE_LIST.fullmatch(path):
            return json_answer(self.tables(*match.groups()))
        if match := TABLES.fullmatch(path):
            if request.method == "DELETE":
                if "bigquery.tables.delete" in service.denied:
                    raise STATUS["denied"]
                self.service.table(".".join(match.groups()))
                del service.warehouse.tables[".".join(match.groups())]
                return json_answer({})
            return json_answer(service.describe_table(*match.groups()))
        if match := QUERIES.fullmatch(path):
            return json_answer(self.query(request, *match.groups()))
        check_region(path)
        if match := OPERATIONS.fullmatch(path):
            parent, number = match.groups()
            if number:
                operation = service.get_operation(f"{parent}/operations/{number}")
                return json_answer(json_format.MessageToDict(operation))
            operations = json_format.MessageToDict(service.list_operations(parent)).get("operations", [])
            return json_answer(paged(operations, "operations", request.parameters, service.page))
        return self.dispatch_to(service, request)

    def dispatch_to(self, service: Any, request: Request) -> Answer:
        """The answer of the method of `service` that the client's bindings name."""
        path = unquote(request.path.replace("/v1beta1/", "/v1/"))
        binding = find(request.method, path)
        if binding is None or not hasattr(service, binding.method):
            raise RefusalError(
                404, "NOT_FOUND", f"{request.method} {request.path} is not part of this double"
            )
        try:
            body = json.loads(request.content or b"{}")
        except ValueError as error:
            raise RefusalError(400, "INVALID_ARGUMENT", f"Invalid JSON payload received. {error}") from None
        if "/v1beta1/" in request.path and binding.method == "DeployModel":
            body = service.read_preview(path, body)
        message = binding.parse(path, parse_qsl(urlsplit(request.url).query), body)
        result = getattr(service, binding.method)(message)
        if result is None:
            return json_answer({})
        content = json_format.MessageToDict(result._pb if hasattr(result, "_pb") else result)
        if "/v1beta1/" in request.path:
            self.service.show_preview(content.get("endpoints", [content]))
        if binding.method.startswith("List"):
            (name,) = content or ["nothing"]
            content = paged(content.get(name, []), name, request.parameters, self.service.page)
        return json_answer(content)

    def enabled(self, api: str) -> dict[str, str]:
        """An API's state."""
        state = "DISABLED" if api in self.service.disabled else "ENABLED"
        return {"name": f"projects/p/services/{api}", "state": state}

    def objects(self, request: Request) -> Answer:
        """A page of a list of Cloud Storage's objects; without soft delete there are no deleted ones."""
        bucket = request.path.split("/")[-2]
        if "softDeleted" in request.parameters and not self.service.storage.keeps_deleted(bucket):
            what = "Soft delete policy is required to list soft-deleted versions of objects."
            raise RefusalError(400, "INVALID_ARGUMENT", what)
        answer = self.service.storage.answer(request)
        if answer.code != 200:
            return answer
        content = json.loads(answer.content)
        items = content.pop("items", [])
        if request.parameters.get("versions", "").lower() == "true":
            items += self.service.storage.old_versions(bucket, request.parameters.get("prefix", ""))
        page = paged_by_name(items, request.parameters, self.service.page)
        return Answer(json.dumps(content | page).encode(), 200, {"Content-Type": "application/json"})

    def dataset(self, request: Request, project: str, name: str | None) -> dict[str, Any]:
        """BigQuery's data sets: create, get, delete."""
        body = json.loads(request.content or b"{}")
        name = name or body["datasetReference"]["datasetId"]
        key, datasets = f"{project}.{name}", self.service.datasets
        if request.method == "POST":
            if key in datasets:
                raise exists(key)
            access = [{"role": "OWNER", "specialGroup": "projectOwners"}]
            datasets[key] = {"access": access, **body}
        if key not in datasets:
            raise not_found(key)
        if request.method == "PATCH":
            datasets[key] |= body
        if request.method == "DELETE":
            warehouse, contents = self.service.warehouse, request.parameters.get("deleteContents")
            if contents != "true" and any(table.startswith(f"{key}.") for table in warehouse.tables):
                raise RefusalError(400, "resourceInUse", f"Dataset {key} is still in use")
            warehouse.remove_dataset(key)
            return {}
        return datasets[key]

    def tables(self, project: str, dataset: str) -> dict[str, Any]:
        """BigQuery's list of the tables of a data set."""
        warehouse, keys = self.service.warehouse, ("projectId", "datasetId", "tableId")
        warehouse.check_dataset(f"{project}.{dataset}.t")
        names = [name.split(".") for name in warehouse.tables if name.startswith(f"{project}.{dataset}.")]
        return {"tables": [{"tableReference": dict(zip(keys, name, strict=True))} for name in names]}

    def query(self, request: Request, project: str, job: str | None) -> dict[str, Any]:
        """BigQuery's queries: a POST runs one, a GET gives its rows."""
        if "bigquery.jobs.create" in self.service.denied:
            message = f"User does not have bigquery.jobs.create permission in project {project}."
            raise RefusalError(403, "PERMISSION_DENIED", message)
        if request.method == "GET":
            kind, rows = self.results[str(job)]
            answer = {"jobReference": {"projectId": project, "jobId": job, "location": "us-central1"}}
            answer |= {"jobComplete": True, "totalRows": str(rows.num_rows if rows else 0)}
            return answer | (
                {"schema": {"fields": describe(rows)}, "rows": to_cells(rows)} if rows else {"schema": {}}
            )
        body, warehouse = json.loads(request.content), self.service.warehouse
        dry, asked = body["configuration"].get("dryRun", False), body["configuration"]["query"]
        if warehouse.size > int(asked.get("maximumBytesBilled", warehouse.size)):
            raise RefusalError(400, "bytesBilledLimitExceeded", "Query exceeded limit for bytes billed")
        kind, rows = warehouse.run(asked["query"], dry)
        if not dry:
            self.billed.append(asked)
            self.results[body["jobReference"]["jobId"]] = kind, rows
        statistics = {"query": {"statementType": kind, "totalBytesProcessed": str(warehouse.size)}}
        return body | {"status": {"state": "DONE"}, "statistics": statistics}


def check_region(path: str) -> None:
    """Refuse a region that does not exist."""
    if (match := re.search("/locations/([^/]+)", path)) and match[1] not in REGIONS:
        raise RefusalError(404, "NOT_FOUND", f"Location {match[1]} is not found.")


def paged_by_name(items: list[Any], parameters: dict[str, str], size: int) -> dict[str, Any]:
    """One page of a list of Cloud Storage; its token names an object: a deletion shifts nothing."""
    begin, named = parameters.get("pageToken", ""), {f"{i['name']}\n{i['generation']}": i for i in items}
    rest = sorted(name for name in named if name > begin)
    page: dict[str, Any] = {"items": [named[name] for name in rest[:size]]}
    return page | ({"nextPageToken": rest[size - 1]} if len(rest) > size else {})


def paged(items: list[Any], name: str, parameters: dict[str, str], size: int) -> dict[str, Any]:
    """One page of a list, and the token of the next one."""
    start = int(parameters.get("pageToken") or parameters.get("page_token") or 0)
    end = start + size
    return {name: items[start:end]} | ({"nextPageToken": str(end)} if end < len(items) else {})


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
    text = WITH_NUMBER.sub(f"projects/{NUMBER}", json.dumps(content))
    return Answer(text.encode(), 200, {"Content-Type": "application/json; charset=UTF-8"})


def name_of(request: Request) -> str:
    """A short name of a call, without the variable parts of the address."""
    path = unquote(request.path).replace("/v1beta1/", "/v1/")
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
