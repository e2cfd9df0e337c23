"""A stand-in for the part of BigQuery's REST API (v2) that churn needs; Google's own client calls it.

Written from the API's public reference, not compared with the running service. It runs no SQL: the test sets
the answer of each query. A load job takes one Parquet file, sent by a resumable upload. It is strict: fields
and parameters that reading and loading do not need, a missing or wrong token, legacy SQL and unknown pages
give errors in the form of the service's errors.
"""

import io
import json
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote

import pyarrow.parquet as pq
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from doubles.server import Answer, Request, Server

TOKEN = "the-only-token"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
PROJECT = "paying-project"
MEGABYTE = 1 << 20  # billed bytes are rounded up to it

JOB = {  # fields that a query job may set; None: any value
    "jobReference": {"projectId": None, "jobId": None, "location": None},
    "configuration": {
        "dryRun": None,
        "query": {"query": None, "useLegacySql": None, "maximumBytesBilled": None, "useQueryCache": None},
    },
}
LOAD = {  # fields that a load job may set
    "jobReference": JOB["jobReference"],
    "configuration": {
        "load": {
            "sourceFormat": None,
            "writeDisposition": None,
            "destinationTable": {"projectId": None, "datasetId": None, "tableId": None},
        }
    },
}
ANY = {"prettyPrint", "fields"}
PAGES = {"maxResults", "pageToken", "startIndex", "formatOptions.useInt64Timestamp"}
P = "/bigquery/v2/projects/([^/]+)"
TABLE = f"{P}/datasets/([^/]+)/tables/([^/]+)"
METHODS = {  # method and path -> name of a method below, and its parameters
    "POST /token": ("token", set()),
    f"POST {P}/jobs": ("insert_job", ANY),
    f"GET {P}/jobs/([^/]+)": ("get_job", ANY | {"projection", "location"}),
    f"GET {P}/queries/([^/]+)": ("get_query_results", ANY | PAGES | {"location", "timeoutMs"}),
    f"POST /upload{P}/jobs": ("begin_upload", {"uploadType"}),
    f"PUT /upload{P}/jobs": ("upload", {"uploadType", "upload_id"}),
    f"GET {P}/datasets/([^/]+)": ("get_dataset", ANY),
    f"GET {P}/datasets/([^/]+)/tables": ("list_tables", ANY),
    f"GET {TABLE}": ("get_table", ANY),
    f"GET {TABLE}/data": ("list_rows", ANY | PAGES | {"selectedFields"}),
}


class ServiceError(Exception):
    """An error in the form of the service's errors."""

    def __init__(self, code: int, reason: str, message: str, **more: str):
        self.code = code
        error = {"message": message, "domain": "global", "reason": reason, **more}
        self.body = {"error": {"code": code, "message": message, "errors": [error]}}


@dataclass
class Table:
    """Rows of Python values, and the service's facts about them."""

    schema: dict[str, str]  # column -> type, e.g. "INT64" or "STRING REPEATED"
    rows: list[tuple]
    size: int = 1000  # bytes that reading processes
    kind: str = "TABLE"
    statement: str = "SELECT"  # kind of the query with this answer

    def resource(self) -> dict:
        fields = []
        for name, kind in self.schema.items():
            word, _, mode = kind.partition(" ")
            fields.append({"name": name, "type": word, "mode": mode or "NULLABLE"})
        return {"fields": fields}


@dataclass
class Job:
    """A query or a load job that was started."""

    resource: dict
    result: Table
    state: str = "RUNNING"
    error: dict | None = None


class BigQuery(Server):
    """The service: tables and answers that tests set, and the methods that were called."""

    url = ""  # until it serves

    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[str, Table] = {}  # by project.dataset.table
        self.datasets: set[str] = set()  # project.dataset, writable
        self.uploads: list[tuple[dict, bytes]] = []  # jobs, and the bytes received so far
        self.queries: dict[str, Table | ServiceError] = {}  # answers by the query's text
        self.page = 1000  # rows per page
        self.jobs: dict[str, Job] = {}
        self.called: list[str] = []

    def account(self) -> dict[str, str]:
        """The key file of a service account that this service knows."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            "client_email": f"tester@{PROJECT}.iam.gserviceaccount.com",
            "token_uri": f"{self.url}/token",
        }

    def answer(self, request: Request) -> Answer:
        try:
            code, body = 200, self.body(request)
            if isinstance(body, Answer):
                return body
        except ServiceError as error:
            code, body = error.code, error.body
        return Answer(json.dumps(body).encode(), code, {"Content-Type": "application/json; charset=UTF-8"})

    def body(self, request: Request) -> dict | Answer:
        call = f"{request.method} {request.path}"
        matches = ((match, route) for route in METHODS if (match := re.fullmatch(route, call)))
        match, route = next(matches, (None, None))
        if match is None:
            raise ServiceError(404, "notFound", f"there is no {call}")
        name, allowed = METHODS[route]
        self.called.append(name)
        if name == "token":
            return token(dict(parse_qsl(request.content.decode())))
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            raise ServiceError(401, "authError", "Request had invalid authentication credentials.")
        if unknown := set(request.parameters) - allowed:
            raise ServiceError(400, "badRequest", f"Unknown parameters {sorted(unknown)}")
        arguments = [*map(unquote, match.groups())]
        if name == "insert_job":
            return self.insert_job(json.loads(request.content), *arguments)
        if "/upload/" in route:
            return getattr(self, name)(request, *arguments)
        return getattr(self, name)(request.parameters, *arguments)

    def begin_upload(self, request: Request, project: str) -> Answer:
        """The first step of a resumable upload: takes the job, gives the address for its file."""
        job = json.loads(request.content)
        refuse_unknown(job, LOAD, "job")
        load = job["configuration"]["load"]
        if request.parameters != {"uploadType": "resumable"} or project != PROJECT:
            raise ServiceError(400, "badRequest", "no resumable upload to the client's project")
        if load["sourceFormat"] != "PARQUET" or load["writeDisposition"] != "WRITE_EMPTY":
            raise ServiceError(400, "invalid", "neither PARQUET nor WRITE_EMPTY")
        self.uploads.append((job, b""))
        address = f"{self.url}{request.path}?uploadType=resumable&upload_id={len(self.uploads) - 1}"
        return Answer(headers={"Location": address})

    def upload(self, request: Request, project: str) -> dict | Answer:
        """A further step: takes the next bytes of the file; the last one starts the job."""
        number = int(request.parameters["upload_id"])
        job, before = self.uploads[number]
        first, last, size = re.fullmatch(
            r"bytes (\d+)-(\d+)/(\d+|\*)", request.headers["content-range"]
        ).groups()
        content = before + request.content
        if int(first) != len(before) or int(last) + 1 != len(content):
            raise ServiceError(400, "badRequest", "Invalid Content-Range")
        self.uploads[number] = job, content
        if size != str(len(content)):
            return Answer(code=308, headers={"Range": f"bytes=0-{last}"})
        return self.load(job, content, project)

    def load(self, job: dict, content: bytes, project: str) -> dict:
        """Run a load job."""
        table = job["configuration"]["load"]["destinationTable"]
        name = ".".join(table[part] for part in ("projectId", "datasetId", "tableId"))
        self.get_dataset({}, table["projectId"], table["datasetId"])
        resource = {
            "jobReference": {"location": "US", **job["jobReference"]},
            "configuration": job["configuration"] | {"jobType": "LOAD"},
            "statistics": {},
        }
        load_job = Job(resource, self.tables.get(name, Table({}, [])), "DONE")
        self.jobs[job["jobReference"]["jobId"]] = load_job
        if load_job.result.rows:
            load_job.error = {"reason": "duplicate", "message": f"Already Exists: Table {name}"}
        else:
            self.tables[name] = parse_parquet(content)
        return self.get_job({}, project, job["jobReference"]["jobId"])

    def get_dataset(self, parameters: dict, project: str, dataset: str) -> dict:
        if f"{project}.{dataset}" not in self.datasets:
            raise ServiceError(404, "notFound", f"Not found: Dataset {project}:{dataset}")
        return {"datasetReference": {"projectId": project, "datasetId": dataset}, "location": "US"}

    def list_tables(self, parameters: dict, project: str, dataset: str) -> dict:
        self.get_dataset({}, project, dataset)
        names = [name.split(".") for name in self.tables if name.startswith(f"{project}.{dataset}.")]
        keys = ("projectId", "datasetId", "tableId")
        return {"tables": [{"tableReference": dict(zip(keys, name, strict=True))} for name in names]}

    def insert_job(self, job: dict, project: str) -> dict:
        refuse_unknown(job, JOB, "job")
        if project != PROJECT:
            reason = f"User does not have bigquery.jobs.create permission in project {project}."
            raise ServiceError(403, "accessDenied", f"Access Denied: Project {project}: {reason}")
        query = job["configuration"]["query"]
        result = self.queries.get(query["query"])
        if isinstance(result, ServiceError):
            raise result
        if query.get("useLegacySql") is not False or result is None:
            message = "Syntax error: Unexpected identifier at [1:1]"
            raise ServiceError(400, "invalidQuery", message, location="q", locationType="parameter")
        resource = job_resource(job, result)
        if job["configuration"].get("dryRun"):
            del resource["jobReference"]["jobId"]  # no job was started
            return resource | {"status": {"state": "DONE"}}
        job_id = resource["jobReference"]["jobId"]
        self.jobs[job_id] = Job(resource, result)
        billed = max(-(-result.size // MEGABYTE), 10) * MEGABYTE
        limit = query.get("maximumBytesBilled")
        if limit is not None and billed > int(limit):
            message = f"Query exceeded limit for bytes billed: {limit}. {billed} or higher required."
            error = {"reason": "bytesBilledLimitExceeded", "message": message}
            self.jobs[job_id] = Job(resource, result, "DONE", error)
        return self.get_job({}, project, job_id)

    def get_job(self, parameters: dict, project: str, job_id: str) -> dict:
        job = self.job(project, job_id)
        errors = {"errorResult": job.error, "errors": [job.error]} if job.error else {}
        return job.resource | {"status": {"state": job.state, **errors}}

    def get_query_results(self, parameters: dict, project: str, job_id: str) -> dict:
        job = self.job(project, job_id)
        if job.error:
            raise ServiceError(400, job.error["reason"], job.error["message"])
        job.state = "DONE"
        status = {"jobReference": job.resource["jobReference"], "jobComplete": True}
        return status | {"schema": job.result.resource(), **self.rows(job.result, parameters)}

    def get_table(self, parameters: dict, *name: str) -> dict:
        table = self.table(*name)
        return {
            "tableReference": dict(zip(("projectId", "datasetId", "tableId"), name, strict=True)),
            "type": table.kind,
            "schema": table.resource(),
            "numBytes": str(table.size),
            "numRows": str(len(table.rows)),
            "location": "US",
        }

    def list_rows(self, parameters: dict, *name: str) -> dict:
        table = self.table(*name)
        if table.kind != "TABLE":
            raise ServiceError(400, "invalid", f"Cannot list a table of type {table.kind}.")
        return self.rows(table, parameters)

    def rows(self, table: Table, parameters: dict[str, str]) -> dict:
        token = parameters.get("pageToken", "page-0")
        if not re.fullmatch("page-[0-9]+", token):
            raise ServiceError(400, "invalid", "Invalid page token")
        start = int(token.removeprefix("page-"))
        end = start + min(int(parameters.get("maxResults", self.page)), self.page)
        micros = parameters.get("formatOptions.useInt64Timestamp", "").lower() == "true"
        page: dict[str, Any] = {"totalRows": str(len(table.rows))}
        if rows := table.rows[start:end]:
            page["rows"] = [{"f": [{"v": encoded(value, micros)} for value in row]} for row in rows]
            if end < len(table.rows):
                page["pageToken"] = f"page-{end}"
        return page

    def table(self, project: str, dataset: str, table: str) -> Table:
        if f"{project}.{dataset}.{table}" not in self.tables:
            raise ServiceError(404, "notFound", f"Not found: Table {project}:{dataset}.{table}")
        return self.tables[f"{project}.{dataset}.{table}"]

    def job(self, project: str, job_id: str) -> Job:
        if job_id not in self.jobs:
            raise ServiceError(404, "notFound", f"Not found: Job {project}:US.{job_id}")
        return self.jobs[job_id]


def token(form: dict[str, str]) -> dict:
    """The token for a service account with a signed assertion."""
    if form.get("grant_type") != GRANT or form.get("assertion", "").count(".") != 2:
        raise ServiceError(400, "invalid_grant", "no signed assertion")
    return {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}


def job_resource(job: dict, result: Table) -> dict:
    """The resource of a job, without its state."""
    size = str(result.size)
    query = {"totalBytesProcessed": size, "statementType": result.statement, "schema": result.resource()}
    return {
        "jobReference": {"location": "US", **job["jobReference"]},
        "configuration": job["configuration"] | {"jobType": "QUERY"},
        "statistics": {"totalBytesProcessed": size, "query": query},
    }


def parse_parquet(content: bytes) -> Table:
    """The table of a Parquet file, with the column types that the service documents."""
    types = {"INT32": "INT64", "INT64": "INT64", "FLOAT": "FLOAT64", "DOUBLE": "FLOAT64", "STRING": "STRING"}
    table = pq.read_table(file := io.BytesIO(content))
    schema = {}
    for column in pq.read_metadata(file).schema:
        logical = column.logical_type.type
        schema[column.name] = types[column.physical_type if logical == "NONE" else logical]
    return Table(schema, list(zip(*(column.to_pylist() for column in table.columns), strict=True)))


def refuse_unknown(body: dict, known: dict, path: str) -> None:
    """Raise `ServiceError` for fields that are not in `known`."""
    for name, value in body.items():
        if name not in known:
            message = f"Invalid JSON payload received. Unknown name '{name}' at '{path}': Cannot find field."
            raise ServiceError(400, "badRequest", message)
        if known[name] is not None:
            refuse_unknown(value, known[name], f"{path}.{name}")


def encoded(value: Any, micros: bool) -> Any:
    """A cell as the API writes it: text for every type, null, or a list of cells."""
    if value is None:
        return None
    if isinstance(value, list):
        return [{"v": encoded(item, micros)} for item in value]
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        seconds = (value - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
        return str(round(seconds * 1_000_000)) if micros else repr(seconds)
    return value.isoformat() if isinstance(value, date) else str(value)
