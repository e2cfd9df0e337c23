"""Which parts of deploy/terraform/ a project lacks; none of them keeps a deployment from its work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from churn.vertex.cloud.session import Session
from churn.vertex.cloud.state import find_dataset

SERVICES = (
    "aiplatform", "artifactregistry", "bigquery", "cloudbuild", "cloudresourcemanager", "iam",
    "iamcredentials", "logging", "run", "storage", "sts",
)  # fmt: skip
REGISTRY = "google_artifact_registry_repository.churn"
ACCOUNTS = {"google_service_account.deploy": "churn-deploy", "google_service_account.run": "churn-run"}
IDENTITY = "google_iam_workload_identity_pool_provider.github"
BUCKET, DATASET = "google_storage_bucket.bundles", "google_bigquery_dataset.log"
ALL = ("google_project_service.services", BUCKET, DATASET, REGISTRY, *ACCOUNTS, IDENTITY)
NOT_FOUND = 404


def describe_terraform(session: Session | None) -> str:
    """One line: what deploy/terraform/ would still make; without an account, what it makes."""
    if session is None:
        return f"deploy/terraform/ prepares a project with {', '.join(ALL)}"
    missing: list[str] = []
    unknown: list[str] = []
    for name, look in LOOKS.items():
        try:
            missing += look(session)
        except LookupError:
            unknown.append(name)
    made = f"would still make {', '.join(missing)}" if missing else "has nothing left to make"
    return f"deploy/terraform/ {made}" + (f" (may not look at: {', '.join(unknown)})" if unknown else "")


def _missing_services(session: Session) -> Iterator[str]:
    names = [f"projects/{session.deployment.project}/services/{name}.googleapis.com" for name in SERVICES]
    query = "&".join(f"names={name}" for name in names)
    path = f"/v1/projects/{session.deployment.project}/services:batchGet?{query}"
    found = _ask(session, "serviceusage", path) or {}
    states = {item["name"].rpartition("/")[2]: item.get("state") for item in found.get("services", [])}
    for name in SERVICES:
        if states.get(f"{name}.googleapis.com") != "ENABLED":
            yield f'google_project_service.services["{name}"]'


def _missing_dataset(session: Session) -> Iterator[str]:
    if find_dataset(session) is None:
        yield DATASET


def _missing_registry(session: Session) -> Iterator[str]:
    if _ask(session, "artifactregistry", f"/v1/{session.deployment.parent}/repositories/churn") is None:
        yield REGISTRY


def _missing_accounts(session: Session) -> Iterator[str]:
    project = session.deployment.project
    for name, account in ACCOUNTS.items():
        address = f"{account}@{project}.iam.gserviceaccount.com"
        if _ask(session, "iam", f"/v1/projects/{project}/serviceAccounts/{address}") is None:
            yield name


def _missing_identity(session: Session) -> Iterator[str]:
    pools = f"/v1/projects/{session.deployment.project}/locations/global/workloadIdentityPools"
    if _ask(session, "iam", f"{pools}/github/providers/github") is None:
        yield IDENTITY


def _ask(session: Session, service: str, path: str) -> dict[str, Any] | None:
    """The resource, or None if there is none; raises LookupError if it cannot be looked at."""
    from requests import RequestException

    api = session.deployment.config.emulator or f"https://{service}.googleapis.com"
    try:
        answer = session.clients.http.get(f"{api}{path}")
    except RequestException as error:
        raise LookupError(path) from error
    if answer.status_code == NOT_FOUND:
        return None
    if not answer.ok:
        raise LookupError(path)
    content: dict[str, Any] = answer.json()
    return content


LOOKS: dict[str, Callable[[Session], Iterator[str]]] = {
    "services": _missing_services,
    "data set": _missing_dataset,
    "registry": _missing_registry,
    "service accounts": _missing_accounts,
    "workload identity": _missing_identity,
}
