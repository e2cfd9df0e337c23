"""Google's errors as messages that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from churn.errors import UserError
from churn.vertex.cloud.deployment import Deployment

RETRY = "run the same command again: it goes on where this one stopped (churn status, churn destroy)"
SERVICES = (
    "aiplatform", "storage", "bigquery", "cloudresourcemanager", "artifactregistry", "run", "logging",
)  # fmt: skip
ACT_AS = "roles/iam.serviceAccountUser"
ROLES = {  # text in the service's message -> the least role that helps
    "storage.buckets.": "roles/storage.legacyBucketReader",
    "storage.": "roles/storage.objectAdmin",
    "bigquery.tables.": "roles/bigquery.dataViewer",
    "bigquery.": "roles/bigquery.user",
    "actAs": ACT_AS,
    "artifactregistry.": "roles/artifactregistry.reader",
    "run.routes.invoke": "roles/run.invoker",
    "IamPolicy": "roles/run.admin",
    "'run.": "roles/run.developer",
    "logging.": "roles/logging.configWriter",
}


@contextmanager
def translate_errors(deployment: Deployment, remedy: str) -> Iterator[None]:
    """Turn errors of the services into `UserError`; `remedy` is the advice where there is no better one."""
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import GoogleAuthError
    from requests import RequestException

    try:
        yield
    except (GoogleAPICallError, RetryError, GoogleAuthError, RequestException) as error:
        raise to_user_error(error, deployment, remedy) from error


def to_user_error(error: Exception, deployment: Deployment, remedy: str) -> UserError:
    """The meaning of a failed call, and what to type."""
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError

    text = getattr(error, "message", str(error))
    if isinstance(error, GoogleAuthError):
        return UserError("the Google credentials are refused", text, "gcloud auth application-default login")
    if isinstance(error, exceptions.Forbidden):
        return _forbidden(error, deployment, text)
    if isinstance(error, exceptions.TooManyRequests):
        return _no_machines(deployment, text) if "unavailable" in text else _quota_used_up(deployment, text)
    if isinstance(error, exceptions.ClientError):
        return UserError("the service refuses this", text, remedy)
    return UserError("the service could not be reached or did not answer in time", text, remedy)


def _forbidden(error: Exception, deployment: Deployment, text: str) -> UserError:
    """A disabled API, or a missing permission."""
    if "SERVICE_DISABLED" in str(error) or "has not been used" in text:
        return UserError("an API is not enabled", text, enable_command(deployment))
    role = next((role for part, role in ROLES.items() if part in text), "roles/aiplatform.user")
    return UserError("permission denied", text, grant_command(deployment, role))


def _no_machines(deployment: Deployment, text: str) -> UserError:
    """Google's own machines are in use: a larger quota would not help."""
    do = "try again later, or another deploy.machine_type=TYPE or deploy.region=REGION"
    return UserError(f"{deployment.region} has no such machines just now (this is no quota)", text, do)


def _quota_used_up(deployment: Deployment, text: str) -> UserError:
    service = "run" if "run.googleapis.com" in text else "aiplatform"
    listing = f"gcloud beta quotas info list --service={service}.googleapis.com"
    return UserError(
        "a quota is used up (this is no lack of permission)",
        text,
        f"wait a minute and try again, or see what is granted: {listing} --project={deployment.project}",
    )


def grant_command(deployment: Deployment, role: str) -> str:
    """The command that grants a role to the user, on what deploy/iam.md says: bucket, account or project."""
    resource = f"projects add-iam-policy-binding {deployment.project}"
    if role == ACT_AS:
        resource = f"iam service-accounts add-iam-policy-binding {_identity(deployment)}"
    if role.startswith("roles/storage."):
        resource = f"storage buckets add-iam-policy-binding gs://{deployment.bucket}"
    return f"gcloud {resource} --member=user:$(gcloud config get account) --role={role}"


def _identity(deployment: Deployment) -> str:
    """The account that the container runs as; without one of its own, the project's default account."""
    number = f"$(gcloud projects describe {deployment.project} --format='value(projectNumber)')"
    return deployment.config.service_account or f"{number}-compute@developer.gserviceaccount.com"


def enable_command(deployment: Deployment) -> str:
    """The command that enables every API that the project uses."""
    services = " ".join(f"{service}.googleapis.com" for service in SERVICES)
    return f"gcloud services enable {services} --project={deployment.project}"
