"""Preflight in the account: problems that would make a deployment fail, each with its remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from churn.errors import UserError
from churn.vertex.checks.preflight import serving_build
from churn.vertex.cloud.errors import enable_command, grant_command, to_user_error
from churn.vertex.cloud.session import Session
from churn.vertex.cloud.state import find_dataset

Permissions = dict[str, tuple[str, ...]]
PERMISSIONS: Permissions = {  # on the project: those that the commands need, by the role that holds them
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
    "roles/bigquery.user": ("bigquery.datasets.create", "bigquery.jobs.create"),
}
BUCKET_PERMISSIONS = tuple(
    f"storage.objects.{verb}" for verb in ("create", "delete", "get", "list", "update")
)
MULTI_REGIONS = {"us": "us", "europe": "eu", "asia": "asia"}  # by the first part of a region's name
_IMAGE = re.compile(  # location, project, repository, package, and a tag or a digest or both
    r"([a-z0-9-]+)-docker\.pkg\.dev/([^/]+)/([^/]+)/([^:@]+)(?::([^:@]+)|(?::[^:@]+)?@(sha256:[0-9a-f]{64}))"
)
Check = Callable[[Session], Iterable[UserError]]


def account_problems(session: Session, checks: tuple[Check, ...] = ()) -> list[UserError]:
    """Problems of the account, one per remedy, found by the given checks or by all."""
    from google.api_core.exceptions import GoogleAPICallError

    problems: dict[str, UserError] = {}
    for check in checks or (check_region, check_project, check_bucket, check_log, check_container):
        try:
            new = list(check(session))
        except GoogleAPICallError as error:
            new = [to_user_error(error, session.deployment, "try again")]
        problems |= {problem.do: problem for problem in new}
    return list(problems.values())


def check_region(session: Session) -> Iterator[UserError]:
    """A problem if Vertex AI is not in the region; a region that does not exist has no address either."""
    from google.api_core.exceptions import BadRequest, NotFound
    from requests import ConnectionError as NoConnectionError

    deployment = session.deployment
    try:
        session.clients.endpoints.list_endpoints({"parent": deployment.parent})
    except (NoConnectionError, BadRequest, NotFound) as error:
        do = f"deploy.region=REGION, one of: gcloud compute regions list --project={deployment.project}"
        yield UserError(f"Vertex AI can't be reached in {deployment.region}", str(error), do)


def check_project(session: Session, permissions: Permissions = PERMISSIONS) -> Iterator[UserError]:
    """Problems if the project does not exist, or if the user lacks permissions in it."""
    from google.api_core.exceptions import Forbidden, NotFound

    deployment = session.deployment
    resource = f"projects/{deployment.project}"
    needed = [permission for group in permissions.values() for permission in group]
    try:
        answer = session.clients.projects.test_iam_permissions(resource=resource, permissions=needed)
    except (Forbidden, NotFound) as error:
        problem = to_user_error(error, deployment, "")
        if problem.do != enable_command(deployment):
            problem = UserError(
                "the project does not exist, or you have no access to it", resource, "gcloud projects list"
            )
        yield problem
        return
    for role, group in permissions.items():
        if missing := [permission for permission in group if permission not in answer.permissions]:
            yield UserError(_list_missing(missing), resource, grant_command(deployment, role))


def _list_missing(permissions: list[str]) -> str:
    return f"permission is missing: {', '.join(permissions)}"


def check_bucket(session: Session) -> Iterator[UserError]:
    """Problems if the bucket does not exist, is in another region, or is not writable."""
    return _bucket_problems(session, {session.deployment.region})


def check_job_bucket(session: Session) -> Iterator[UserError]:
    """The same for jobs, which also take a multi-region bucket around their region."""
    region = session.deployment.region
    return _bucket_problems(session, {region, MULTI_REGIONS.get(region.partition("-")[0], region)})


def _bucket_problems(session: Session, locations: set[str]) -> Iterator[UserError]:
    from google.api_core.exceptions import NotFound

    deployment = session.deployment
    name, key = deployment.bucket, deployment.config.kms_key
    options = f"--location={deployment.region} --project={deployment.project}"
    options += f" --default-encryption-key={key}" if key else ""
    try:
        bucket = session.clients.storage.get_bucket(name)
    except NotFound as error:
        do = f"gcloud storage buckets create gs://{name} {options}"
        yield UserError("the bucket does not exist", error.message, do)
        return
    if (location := bucket.location.lower()) not in locations:
        what = f"the bucket is in {location}, the endpoint in {deployment.region}"
        other = f"{name}-{deployment.region}"
        do = f"gcloud storage buckets create gs://{other} {options}, then deploy.bucket={other}"
        yield UserError(what, "deploy.bucket", do)
    if key and not bucket.default_kms_key_name:
        what = "what jobs write to the bucket would have no key of yours"
        do = f"gcloud storage buckets update gs://{name} --default-encryption-key={key}"
        yield UserError(what, f"gs://{name}", do)
    granted = bucket.test_iam_permissions(list(BUCKET_PERMISSIONS))
    if missing := [permission for permission in BUCKET_PERMISSIONS if permission not in granted]:
        do = grant_command(deployment, "roles/storage.objectAdmin")
        yield UserError(_list_missing(missing), f"gs://{name}", do)


def check_log(session: Session) -> Iterator[UserError]:
    """A problem if the data set of the log belongs to somebody else, or has another key."""
    try:
        dataset = find_dataset(session)
    except UserError as problem:
        yield problem
        return
    key, encryption = session.deployment.config.kms_key, dataset and dataset.default_encryption_configuration
    if dataset and key and (encryption is None or encryption.kms_key_name != key):
        name = f"{dataset.project}:{dataset.dataset_id}"
        do = f"bq update --default_kms_key={key} {name}"
        yield UserError("new tables of the log would not have the key that you name", name, do)


def check_container(session: Session) -> Iterator[UserError]:
    """A problem if our own container has not been built."""
    return missing_image(session, session.deployment.image, serving_build(session.deployment))


def missing_image(session: Session, image: str, do: str) -> Iterator[UserError]:
    """A problem if an image is not in its repository of Artifact Registry; `do` is its remedy."""
    from google.api_core.exceptions import from_http_response

    match = _IMAGE.fullmatch(image)
    if "/vertex-ai/" in image or not match:
        return
    answer = session.clients.http.get(_image_url(session, match))
    if answer.status_code == 404:
        yield UserError("the container is not built yet", image, do)
    elif not answer.ok:
        raise from_http_response(answer)


def _image_url(session: Session, image: re.Match[str]) -> str:
    """Address of an image's tag, or of the version with its digest, in the API of Artifact Registry."""
    location, project, repository, package, tag, digest = image.groups()
    api = session.deployment.config.emulator or "https://artifactregistry.googleapis.com"
    return (
        f"{api}/v1/projects/{project}/locations/{location}/repositories/{repository}"
        f"/packages/{package.replace('/', '%2F')}/{f'versions/{digest}' if digest else f'tags/{tag}'}"
    )
