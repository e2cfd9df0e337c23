"""Objects of the deployment in Cloud Storage: bundles by their content, schemas, wheels."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from churn.bundle.bundle import Bundle
from churn.errors import count
from churn.vertex.cloud.session import Session

BATCH = 100  # objects that Cloud Storage deletes in one call
STATISTICS = "monitoring/statistics"  # folder of the monitoring job, which writes without a label


def upload_bundle(session: Session, bundle: Bundle) -> None:
    """Copy the bundle into the bucket, below the hash of its content.

    Files that are equal and have the key of the configuration are not sent again.
    """
    deployment = session.deployment
    prefix = f"{deployment.staged_path(bundle)}/1/"
    blobs = session.clients.storage.list_blobs(deployment.bucket, prefix=prefix)
    hashes = {blob.name: blob.md5_hash for blob in blobs if _has_key(blob, deployment.config.kms_key)}
    for file in sorted(path for path in bundle.path.rglob("*") if path.is_file()):
        name = prefix + file.relative_to(bundle.path).as_posix()
        content = file.read_bytes()
        if hashes.get(name) != base64.b64encode(hashlib.md5(content).digest()).decode():
            upload_object(session, name, content)


def _has_key(blob: Any, key: str | None) -> bool:
    """Whether an object is encrypted with the key, in whichever version; without a key any will do."""
    return key is None or str(blob.kms_key_name).partition("/cryptoKeyVersions/")[0] == key


def upload_object(session: Session, name: str, content: bytes | str) -> str:
    """Write an object with the deployment's label; gives its gs:// address."""
    deployment = session.deployment
    bucket = session.clients.storage.bucket(deployment.bucket)
    blob = bucket.blob(name, kms_key_name=deployment.config.kms_key)
    blob.metadata = deployment.labels
    blob.upload_from_string(content, "application/octet-stream")
    return f"gs://{deployment.bucket}/{name}"


def list_foreign(session: Session) -> list[Any]:
    """Objects below the deployment's name that are not its own; somebody else put them there."""
    return [blob for blob in _list_objects(session) if not _is_own(session, blob)]


def list_staged(session: Session) -> list[Any]:
    """The deployment's own objects: with its label, or written by its monitoring job."""
    return [blob for blob in _list_objects(session) if _is_own(session, blob)]


def list_elsewhere(session: Session, addresses: Iterable[str]) -> list[Any]:
    """The deployment's own objects in other buckets that addresses name: `deploy.bucket` may have changed."""
    from google.api_core.exceptions import NotFound

    deployment, found = session.deployment, list[Any]()
    parts = [address.split("/") for address in addresses if address.startswith("gs://")]
    buckets = {bucket for _, _, bucket, *path in parts if path[:1] == [deployment.name]}
    for bucket in sorted(buckets - {deployment.bucket}):
        with suppress(NotFound):  # the bucket is gone
            found += list_staged(replace(session, deployment=replace(deployment, bucket=bucket)))
    return found


def describe_files(session: Session, blobs: Iterable[Any]) -> list[str]:
    """A line for the objects of each bucket."""
    counts = Counter(blob.bucket.name for blob in blobs)
    return [f"{count(n, 'file')} in gs://{name}/{session.deployment.name}/" for name, n in counts.items()]


def delete_bundle(session: Session, bundle: Bundle, kept: Collection[str]) -> None:
    """Delete the bundle's staged objects, but those of these names."""
    folder = f"{session.deployment.staged_path(bundle)}/"
    own = [blob for blob in list_staged(session) if blob.name.startswith(folder)]
    delete_objects(session, [blob for blob in own if blob.name not in kept])


def list_soft_deleted(session: Session) -> list[Any]:
    """Objects below the deployment's name that the bucket keeps for some days after their deletion."""
    from google.api_core.exceptions import BadRequest

    deployment = session.deployment
    storage, prefix = session.clients.storage, f"{deployment.name}/"
    try:
        return list(storage.list_blobs(deployment.bucket, prefix=prefix, soft_deleted=True))
    except BadRequest:  # the bucket has no soft delete: the rest of the request is that of `_list_objects`
        return []


def list_old_versions(session: Session) -> list[Any]:
    """The deployment's own objects, replaced or deleted, that a bucket with object versioning keeps."""
    return [blob for blob in _list_objects(session, True) if blob.time_deleted and _is_own(session, blob)]


def delete_objects(session: Session, blobs: list[Any]) -> None:
    """Delete objects, `BATCH` in one call."""
    for start in range(0, len(blobs), BATCH):
        with session.clients.storage.batch():
            for blob in blobs[start : start + BATCH]:
                blob.delete()


def _is_own(session: Session, blob: Any) -> bool:
    deployment = session.deployment
    return deployment.owns(blob.metadata) or blob.name.startswith(f"{deployment.name}/{STATISTICS}/")


def _list_objects(session: Session, versions: bool = False) -> Any:
    deployment, storage = session.deployment, session.clients.storage
    return storage.list_blobs(deployment.bucket, prefix=f"{deployment.name}/", versions=versions or None)
