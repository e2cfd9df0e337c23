"""What in the account would make a deployment fail later, each with its remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from churn.config import DeployConfig
from churn.errors import UserError
from churn.vertex.client import Clients, enable, explained, grant
from churn.vertex.preflight import build
from churn.vertex.state import data_set
from churn.vertex.target import Target

PERMISSIONS = {  # on the project: what the commands call, by the role that holds it
    "roles/aiplatform.user": (
        "aiplatform.models.upload",
        "aiplatform.models.delete",
        "aiplatform.endpoints.create",
        "aiplatform.endpoints.deploy",
        "aiplatform.endpoints.undeploy",
        "aiplatform.endpoints.update",
        "aiplatform.endpoints.predict",
        "aiplatform.endpoints.delete",
        "aiplatform.modelDeploymentMonitoringJobs.create",
        "aiplatform.modelDeploymentMonitoringJobs.delete",
    ),
    "roles/bigquery.user": ("bigquery.datasets.create",),
}
Check = Callable[[DeployConfig, Clients, Target], Iterable[UserError]]
OBJECTS = tuple(
    f"storage.objects.{verb}" for verb in ("create", "delete", "get", "list", "update")
)  # on the bucket


def problems(
    cfg: DeployConfig, clients: Clients, target: Target, checks: tuple[Check, ...] = ()
) -> list[UserError]:
    """Problems of the account, each told once; of the chosen checks, or of all."""
    from google.api_core.exceptions import GoogleAPICallError

    found: dict[str, UserError] = {}
    for check in checks or (region, project, bucket, log, container):
        try:
            told = list(check(cfg, clients, target))
        except GoogleAPICallError as error:
            told = [explained(error, target, "try again")]
        found |= {problem.do: problem for problem in told}
    return list(found.values())


def region(cfg: DeployConfig, clients: Clients, target: Target) -> Iterator[UserError]:
    """Whether Vertex AI is there; a region that does not exist has no address either."""
    from google.api_core.exceptions import BadRequest, NotFound
    from requests import ConnectionError as NoConnectionError

    try:
        clients.endpoints.list_endpoints({"parent": target.parent})
    except (NoConnectionError, BadRequest, NotFound) as error:
        do = f"deploy.region=REGION, one of: gcloud compute regions list --project={target.project}"
        yield UserError(f"Vertex AI can't be reached in {target.region}", str(error), do)


def project(cfg: DeployConfig, clients: Clients, target: Target) -> Iterator[UserError]:
    """Whether the project is there, and what it lets the caller do."""
    from google.api_core.exceptions import Forbidden, NotFound

    resource = f"projects/{target.project}"
    wanted = [permission for group in PERMISSIONS.values() for permission in group]
    try:
        granted = clients.projects.test_iam_permissions(resource=resource, permissions=wanted).permissions
    except (Forbidden, NotFound) as error:
        if enable(target) == (told := explained(error, target, "")).do:
            yield told
        else:
            yield UserError("there is no such project, or not for you", resource, "gcloud projects list")
        return
    for role, group in PERMISSIONS.items():
        if missing := [permission for permission in group if permission not in granted]:
            yield UserError(f"permission is missing: {', '.join(missing)}", resource, grant(target, role))


def bucket(cfg: DeployConfig, clients: Clients, target: Target) -> Iterator[UserError]:
    """Whether the bucket is there, in the region, and writable."""
    from google.api_core.exceptions import NotFound

    where = f"--location={target.region} --project={target.project}"
    try:
        found = clients.storage.get_bucket(target.bucket)
    except NotFound as error:
        do = f"gcloud storage buckets create gs://{target.bucket} {where}"
        yield UserError("the bucket does not exist", error.message, do)
        return
    if (location := found.location.lower()) != target.region:
        other = f"{target.bucket}-{target.region}"
        yield UserError(
            f"the bucket is in {location}, the endpoint in {target.region}",
            "deploy.bucket",
            f"gcloud storage buckets create gs://{other} {where}, then deploy.bucket={other}",
        )
    granted = found.test_iam_permissions(list(OBJECTS))
    if missing := [permission for permission in OBJECTS if permission not in granted]:
        what = f"permission is missing: {', '.join(missing)}"
        yield UserError(what, f"gs://{target.bucket}", grant(target, "roles/storage.objectAdmin"))


def log(cfg: DeployConfig, clients: Clients, target: Target) -> Iterator[UserError]:
    """Whether BigQuery answers, and a data set of the log's name is ours."""
    try:
        data_set(clients, target)
    except UserError as foreign:
        yield foreign


def container(cfg: DeployConfig, clients: Clients, target: Target) -> Iterator[UserError]:
    """Whether a container of our own has been built."""
    return unbuilt(cfg, clients, target.image, build(target))


def unbuilt(cfg: DeployConfig, clients: Clients, image: str, do: str) -> Iterator[UserError]:
    """The problem that an image is not in its repository."""
    from google.api_core.exceptions import from_http_response

    place = re.fullmatch(r"([a-z0-9-]+)-docker\.pkg\.dev/([^/]+)/([^/]+)/(.+):([^:]+)", image)
    if "/vertex-ai/" in image or not place:
        return
    location, owner, repository, package, tag = place.groups()
    found = clients.http.get(
        f"{cfg.emulator or 'https://artifactregistry.googleapis.com'}/v1/projects/{owner}/locations/{location}"
        f"/repositories/{repository}/packages/{package.replace('/', '%2F')}/tags/{tag}"
    )
    if found.status_code == 404:
        yield UserError("the container is not built yet", image, do)
    elif not found.ok:
        raise from_http_response(found)
