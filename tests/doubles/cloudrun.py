"""A stand-in for Cloud Run and Cloud Logging's sinks, beside the services of `doubles.vertex`.

Routes and messages come from the REST bindings of `google-cloud-run`, rules from the public documentation
(`run_service`). Containers answer with the server's own code (`containers`). Callers need a token; its issuer
is here, too. What is logged goes through a sink into the warehouse. Not compared with the running service.
"""

import base64
import itertools
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pyarrow as pa
from google.iam.v1 import policy_pb2  # noqa: F401  registers the message of policies

from doubles import knative, storage
from doubles.bindings import RefusalError
from doubles.containers import respond
from doubles.run_service import RunService, short
from doubles.server import Answer, Request
from doubles.service import exists, not_found
from doubles.vertex import Vertex, check_region, json_answer

SINKS = re.compile(r"/v2/projects/([^/]+)/sinks(?:/([^/]+))?")
CALLS = re.compile(r"/run/(?:([a-z0-9-]+)---)?([a-z0-9-]+)(/.*)")
POLICIES = re.compile(r"/v1/projects/[^/]+/locations/[^/]+/services/[^:]+:[gs]etIamPolicy")
IMAGE = "serving:0.1.0"
WRITER = "serviceAccount:service-1234567890@gcp-sa-logging.iam.gserviceaccount.com"
TABLE = "run_googleapis_com_stdout"  # of a sink with partitioned tables
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class CloudRun(Vertex):
    """The services on one port; `run` holds what Cloud Run has."""

    def __init__(self, store: storage.Storage) -> None:
        super().__init__(store)
        self.run = RunService(self.service)
        self.service.images.add(IMAGE)
        self.sinks: dict[str, dict[str, Any]] = {}
        self.wrong: set[str] = set()  # revisions with wrong answers
        self.unavailable = 0  # requests that find no instance
        self.numbers, self.turns = itertools.count(), itertools.count()
        self.answered: list[str] = []  # the revision of each answer

    def dispatch(self, request: Request) -> Answer:
        if request.path == "/token":
            return json_answer(token(request.content.decode()))
        if match := SINKS.fullmatch(request.path):
            return json_answer(self.sink(request, *match.groups()))
        if request.path.startswith(knative.PREFIX):  # the host's name begins with the region
            region = "-".join(urlsplit(request.url).netloc.split("-")[:2])
            body = json.loads(request.content or b"{}")
            return json_answer(knative.answer(self.run, request.method, request.path, body, region))
        if match := CALLS.fullmatch(request.path):
            return self.call(request, *match.groups())
        if POLICIES.fullmatch(request.path):  # gcloud asks by the older API
            return self.dispatch_to(self.run, replace(request, url=f"/v2/{request.path.split('/', 2)[2]}"))
        if request.path.startswith("/v2/") and "/operations/" not in request.path:
            check_region(request.path)
            return self.dispatch_to(self.run, request)
        return super().dispatch(replace(request, url=re.sub("^/v2/", "/v1/", request.url)))

    # -- Cloud Logging

    def sink(self, request: Request, project: str, name: str | None) -> dict[str, Any]:
        """Sinks: create, get, delete."""
        body = json.loads(request.content or b"{}")
        if request.method == "POST":
            if body["name"] in self.sinks:
                raise exists(f"projects/{project}/sinks/{body['name']}")
            if request.parameters.get("uniqueWriterIdentity", "").lower() != "true":
                raise RefusalError(400, "INVALID_ARGUMENT", "The destination needs a unique writer identity.")
            self.sinks[body["name"]] = body | {"writerIdentity": WRITER}
            name = body["name"]
        if name not in self.sinks:
            raise not_found(f"projects/{project}/sinks/{name}")
        if request.method == "DELETE":
            del self.sinks[name]
            return {}
        return self.sinks[name]

    def pass_on(self, service: str, entries: list[dict[str, Any]]) -> None:
        """Write the entries that a sink takes into its table, if it may."""
        for sink in self.sinks.values():
            project, _, dataset = sink["destination"].partition("/projects/")[2].partition("/datasets/")
            body = self.service.datasets.get(f"{project}.{dataset}", {})
            allowed = [e.get("userByEmail") for e in body.get("access", []) if e.get("role") == "WRITER"]
            if f'service_name="{service}"' not in sink["filter"] or WRITER.partition(":")[2] not in allowed:
                continue
            self.add_rows(f"{project}.{dataset}.{TABLE}", entries)

    def add_rows(self, name: str, entries: list[dict[str, Any]]) -> None:
        rows = [
            {
                "timestamp": pd.Timestamp(entry["time"]),
                "jsonPayload": {k.lower(): v for k, v in entry.items() if k not in ("severity", "time")},
            }
            for entry in entries
        ]
        tables = self.service.warehouse.tables
        new = pa.Table.from_pylist(rows)
        tables[name] = pa.concat_tables([tables[name], new]) if name in tables else new

    # -- callers

    def call(self, request: Request, tag: str | None, name: str, path: str) -> Answer:
        """What a caller of a service gets."""
        service = next((s for n, s in self.run.services.items() if short(n) == name), None)
        if service is None:
            return Answer(b"<html>404</html>", 404)
        if refusal := self.refuse_caller(request, service):
            return refusal
        if self.unavailable:
            self.unavailable -= 1
            return Answer(b"The request was aborted because there was no available instance.", 429)
        revision = self.route(service, tag)
        if revision is None:
            return Answer(b"<html>404</html>", 404)
        if (request.method, path) != ("POST", "/predict"):
            return Answer(b"{}", 404)
        code, content, entries = respond(self.run, revision, request.content, next(self.numbers))
        self.answered.append(short(revision.name))
        if entries:
            self.pass_on(name, entries)
        if short(revision.name) in self.wrong:
            content = content.replace(b'"churn_probability":0.', b'"churn_probability":0.9')
        return Answer(content, code, {"Content-Type": "application/json"})

    def refuse_caller(self, request: Request, service: Any) -> Answer | None:
        """The answer to callers without the right token; None if they may ask."""
        policy = self.run.policies.get(service.name)
        if policy and any("allUsers" in b.members for b in policy.bindings if b.role == "roles/run.invoker"):
            return None
        if "run.routes.invoke" in self.service.denied:
            return Answer(b"<html>Your client does not have permission</html>", 403)
        kind, _, text = request.headers.get("authorization", "").partition(" ")
        if kind != "Bearer" or audience_of(text) != service.uri:
            return Answer(b"<html>The request was not authenticated.</html>", 401 if text else 403)
        return None

    def route(self, service: Any, tag: str | None) -> Any:
        """The revision that answers: that of the tag, else by the shares, in turn."""
        targets = list(service.traffic_statuses)
        if tag:
            targets = [target for target in targets if target.tag == tag]
        else:
            targets = [target for target in targets for _ in range(target.percent)]
        if not targets:
            return None
        target = targets[next(self.turns) * 37 % len(targets)]
        return self.run.find_revision(service.name, target.revision)


def token(form: str) -> dict[str, Any]:
    """The token for a service account's signed request: an ID token, or one for the APIs."""
    parameters = {name: values[0] for name, values in parse_qs(form).items()}
    if parameters.get("grant_type") != GRANT:
        raise RefusalError(400, "INVALID_ARGUMENT", f"grant_type: {parameters.get('grant_type')}")
    claims = decode(parameters["assertion"])
    if audience := claims.get("target_audience"):
        return {"id_token": encode({"alg": "none"}, {"aud": audience, "exp": claims["exp"], "iss": "double"})}
    return {"access_token": "a", "expires_in": 3600, "token_type": "Bearer"}


def encode(*parts: dict[str, Any]) -> str:
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*texts, "c2ln"])


def decode(text: str) -> dict[str, Any]:
    part = text.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def audience_of(text: str) -> str | None:
    """The audience of a token that this double issued."""
    try:
        claims = decode(text)
    except (IndexError, ValueError):
        return None
    return claims.get("aud") if claims.get("iss") == "double" else None


@contextmanager
def running() -> Iterator[CloudRun]:
    """The double, with an empty project and one bucket in its region."""
    store = storage.Storage()
    with CloudRun(store) as double:
        store.address = double.url
        store.make_bucket("bucket", "US-CENTRAL1")
        yield double
