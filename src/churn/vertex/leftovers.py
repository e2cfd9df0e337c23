"""What the services keep after `churn destroy`: size, price, and the command that removes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from churn.errors import count
from churn.vertex.cloud.prices import Prices, load_prices
from churn.vertex.cloud.session import Session
from churn.vertex.cloud.staging import list_foreign, list_old_versions, list_soft_deleted
from churn.vertex.monitoring.job import monitoring_dataset


def describe_leftovers(session: Session) -> list[str]:
    """A line for each thing that was not removed; a service that may not be asked is named, too."""
    from google.api_core.exceptions import Forbidden

    lines: list[str] = []
    for name, look in LOOKS.items():
        try:
            lines += look(session, load_prices())
        except Forbidden as error:
            lines.append(f"{name} could not be looked at: {error.message}")
    return lines


def _foreign_files(session: Session, prices: Prices) -> Iterator[str]:
    """Objects below the deployment's name without its label: a pipeline's artifacts, the user's own files."""
    if blobs := list_foreign(session):
        folder = f"gs://{session.deployment.bucket}/{session.deployment.name}"
        cost = prices.describe_storage("bucket", sum(blob.size or 0 for blob in blobs))
        what = f"{count(len(blobs), 'file')} below {folder}, not from here, will stay"
        yield f"{what} ({cost}): gcloud storage rm -r {folder}"


def _soft_deleted(session: Session, prices: Prices) -> Iterator[str]:
    """Objects that Cloud Storage keeps for some days after their deletion."""
    if blobs := list_soft_deleted(session):
        last = max(blob.hard_delete_time for blob in blobs)
        cost = prices.describe_storage("bucket", sum(blob.size or 0 for blob in blobs))
        off = f"gcloud storage buckets update gs://{session.deployment.bucket} --clear-soft-delete"
        what = f"{len(blobs)} deleted files are kept by the bucket's soft delete until {last:%F}"
        yield f"{what} ({cost}); for the future: {off}"


def _old_versions(session: Session, prices: Prices) -> Iterator[str]:
    """Objects that the bucket's object versioning keeps after their deletion, without end."""
    if blobs := list_old_versions(session):
        folder = f"gs://{session.deployment.bucket}/{session.deployment.name}/"
        cost = prices.describe_storage("bucket", sum(blob.size or 0 for blob in blobs))
        what = f"{count(len(blobs), 'deleted file')} below {folder} stay in the bucket's object versioning"
        command = f"gcloud storage rm --all-versions --recursive {folder}"
        yield f"{what} ({cost}): {command} (removes whatever lies there)"


def _monitoring_tables(session: Session, prices: Prices) -> Iterator[str]:
    """The data set that Vertex AI's monitoring made by itself, if it could not be removed."""
    from google.api_core.exceptions import NotFound

    name = monitoring_dataset(session.deployment)
    try:
        tables = [
            session.clients.bigquery.get_table(item) for item in session.clients.bigquery.list_tables(name)
        ]
    except NotFound:
        return
    cost = prices.describe_storage("bigquery", sum(table.num_bytes or 0 for table in tables))
    command = f"bq rm --recursive --force --dataset {session.deployment.project}:{name}"
    yield f"data set {name} with {len(tables)} tables of the monitoring stays ({cost}): {command}"


def _images(session: Session, prices: Prices) -> Iterator[str]:
    """Container images in the repository that all deployments of the project share."""
    sizes, deployment = [int(image["imageSizeBytes"]) for image in _list_images(session)], session.deployment
    if sizes:
        cost = prices.describe_storage("artifact_registry", sum(sizes))
        options = f"--location={deployment.region} --project={deployment.project}"
        what = f"{len(sizes)} images in the repository churn stay for the next deployment"
        yield f"{what} ({cost}): gcloud artifacts repositories delete churn {options}"


def _list_images(session: Session) -> Iterator[dict[str, str]]:
    """All images of the repository; none where there is no repository."""
    from google.api_core.exceptions import from_http_response

    deployment = session.deployment
    api = deployment.config.emulator or "https://artifactregistry.googleapis.com"
    page: dict[str, str] = {}
    while True:
        url = f"{api}/v1/{deployment.parent}/repositories/churn/dockerImages"
        answer = session.clients.http.get(url, params=page)
        if answer.status_code == 404:
            return
        if not answer.ok:
            raise from_http_response(answer)
        yield from answer.json().get("dockerImages", [])
        token = answer.json().get("nextPageToken")
        if not token:
            return
        page = {"pageToken": token}


LOOKS: dict[str, Callable[[Session, Prices], Iterator[str]]] = {
    "files in the bucket": _foreign_files,
    "deleted files": _soft_deleted,
    "old versions of files": _old_versions,
    "tables of the monitoring": _monitoring_tables,
    "images in Artifact Registry": _images,
}
