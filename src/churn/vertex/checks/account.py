"""What in the account would make a deployment fail later, each with its remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from churn.config.serving import DeployConfig
from churn.errors import UserError
from churn.vertex.checks.preflight import build_command
from churn.vertex.cloud.client import Clients, enable_command, grant_command, to_user_error
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.cloud.state import find_data_set

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
Check = Callable[[DeployConfig, Clients, Deployment], Iterable[UserError]]
OBJECTS = tuple(
    f"storage.objects.{verb}" for verb in ("create", "delete", "get", "list", "update")
)  # on the bucket


def account_problems(
    cfg: DeployConfig, clients: Clients, target: Deployment, checks: tuple[Check, ...] = ()
) -> list[UserError]:
    """Problems of the account, each told once; of the chosen checks, or of all."""
    from google.api_core.exceptions import GoogleAPICallError

    found: dict[str, UserError] = {}
    for check in checks or (check_region, check_project, check_bucket, _check_log, _check_container):
        try:
            told = list(check(cfg, clients, target))
        except GoogleAPICallError as error:
            told = [to_user_error(error, target, "try again")]
        found |= {problem.do: problem for problem in told}
    return list(found.values())


def check_region(cfg: DeployConfig, clients: Clients, target: Deployment) -> Iterator[UserError]:
    """Whether Vertex AI is there; a region that does not exist has no address either."""
    from google.api_core.exceptions import BadRequest, NotFound
    from requests import ConnectionError as NoConnectionError

    try:
        clients.endpoints.list_endpoints({"parent": target.parent})
    except (NoConnectionError, BadRequest, NotFound) as error:
        do = f"deploy.region=REGION, one of: gcloud compute regions list --project={target.project}"
        yield UserError(f"Vertex AI can't be reached in {target.region}", str(error), do)


def check_project(cfg: DeployConfig, clients: Clients, target: Deployment) -> Iterator[UserError]:
    """Whether the project is there, and what it lets the caller do."""
    from google.api_core.exceptions import Forbidden, NotFound

    resource = f"projects/{target.project}"
    wanted = [permission for group in PERMISSIONS.values() for permission in group]
    try:
        granted = clients.projects.test_iam_permissions(resource=resource, permissions=wanted).permissions
    except (Forbidden, NotFound) as error:
        if enable_command(target) == (told := to_user_error(error, target, "")).do:
            yield told
        else:
            yield UserError("there is no such project, or not for you", resource, "gcloud projects list")
        return
    for role, group in PERMISSIONS.items():
        if missing := [permission for permission in group if permission not in granted]:
            yield UserError(
                f"permission is missing: {', '.join(missing)}", resource, grant_command(target, role)
            )


def check_bucket(cfg: DeployConfig, clients: Clients, target: Deployment) -> Iterator[UserError]:
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
        yield UserError(what, f"gs://{target.bucket}", grant_command(target, "roles/storage.objectAdmin"))


def _check_log(cfg: DeployConfig, clients: Clients, target: Deployment) -> Iterator[UserError]:
    """Whether BigQuery answers, and a data set of the log's name is ours."""
    try:
        find_data_set(clients, target)
    except UserError as foreign:
        yield foreign


def _check_container(cfg: DeployConfig, clients: Clients, target: Deployment) -> Iterator[UserError]:
    """Whether a container of our own has been built."""
    return missing_image(cfg, clients, target.image, build_command(target))


def missing_image(cfg: DeployConfig, clients: Clients, image: str, do: str) -> Iterator[UserError]:
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
