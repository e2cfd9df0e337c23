"""What the deployment keeps in Cloud Storage: bundles by their content, schemas, wheels."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from churn.bundle.bundle import Bundle
from churn.config.serving import DeployConfig
from churn.vertex.cloud.client import Clients
from churn.vertex.cloud.deployment import LABEL, Deployment


def upload_bundle(clients: Clients, target: Deployment, bundle: Bundle) -> None:
    """Copy the bundle to where its content names it; what lies there already is not sent again."""
    place = f"{target.staged(bundle)}/1/"
    there = {blob.name: blob.md5_hash for blob in clients.storage.list_blobs(target.bucket, prefix=place)}
    for file in sorted(path for path in bundle.path.rglob("*") if path.is_file()):
        name = place + file.relative_to(bundle.path).as_posix()
        content = file.read_bytes()
        if there.get(name) != base64.b64encode(hashlib.md5(content).digest()).decode():
            upload_object(clients, target, name, content)


def upload_object(clients: Clients, target: Deployment, name: str, content: bytes | str) -> str:
    """Write an object that carries the deployment's label; gives its address."""
    blob = clients.storage.bucket(target.bucket).blob(name)
    blob.metadata = target.labels
    blob.upload_from_string(content, "application/octet-stream")
    return f"gs://{target.bucket}/{name}"


def count_unlabelled(clients: Clients, target: Deployment) -> int:
    """How many objects below the deployment's name have not its label: whoever put them there keeps them."""
    found = clients.storage.list_blobs(target.bucket, prefix=f"{target.name}/")
    return sum((blob.metadata or {}).get(LABEL) != target.name for blob in found)


def list_staged(clients: Clients, target: Deployment) -> list[Any]:
    """The objects in the bucket that carry the deployment's label."""
    found = clients.storage.list_blobs(target.bucket, prefix=f"{target.name}/")
    return [blob for blob in found if (blob.metadata or {}).get(LABEL) == target.name]


def encryption(cfg: DeployConfig) -> dict[str, Any]:
    """The customer's key, where there is one."""
    return {"encryption_spec": {"kms_key_name": cfg.kms_key}} if cfg.kms_key else {}
