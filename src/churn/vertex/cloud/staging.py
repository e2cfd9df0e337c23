"""Objects of the deployment in Cloud Storage: bundles by their content, schemas, wheels."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from churn.bundle.bundle import Bundle
from churn.vertex.cloud.session import Session


def upload_bundle(session: Session, bundle: Bundle) -> None:
    """Copy the bundle into the bucket, below the hash of its content; equal files are not sent again."""
    deployment = session.deployment
    prefix = f"{deployment.staged_path(bundle)}/1/"
    blobs = session.clients.storage.list_blobs(deployment.bucket, prefix=prefix)
    hashes = {blob.name: blob.md5_hash for blob in blobs}
    for file in sorted(path for path in bundle.path.rglob("*") if path.is_file()):
        name = prefix + file.relative_to(bundle.path).as_posix()
        content = file.read_bytes()
        if hashes.get(name) != base64.b64encode(hashlib.md5(content).digest()).decode():
            upload_object(session, name, content)


def upload_object(session: Session, name: str, content: bytes | str) -> str:
    """Write an object with the deployment's label; gives its gs:// address."""
    deployment = session.deployment
    blob = session.clients.storage.bucket(deployment.bucket).blob(name)
    blob.metadata = deployment.labels
    blob.upload_from_string(content, "application/octet-stream")
    return f"gs://{deployment.bucket}/{name}"


def count_unlabelled(session: Session) -> int:
    """Number of objects below the deployment's name without its label; somebody else put them there."""
    return sum(not session.deployment.owns(blob.metadata) for blob in _list_objects(session))


def list_staged(session: Session) -> list[Any]:
    """The objects below the deployment's name with its label."""
    return [blob for blob in _list_objects(session) if session.deployment.owns(blob.metadata)]


def _list_objects(session: Session) -> Any:
    deployment = session.deployment
    return session.clients.storage.list_blobs(deployment.bucket, prefix=f"{deployment.name}/")
