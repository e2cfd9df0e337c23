"""Names, location and size of a deployment."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from churn.bundle.bundle import Bundle
from churn.config.root import Config
from churn.config.serving import DeployConfig, Environment, ServingConfig

LABEL = "churn-deployment"  # its value is the deployment's name; what lacks it is never touched
PREVIOUS = "churn-previous"  # an endpoint's label: id of the deployed model to roll back to


@dataclass(frozen=True)
class Size:
    """What differs between the environments, beside their names."""

    machine_type: str
    min_replicas: int
    max_replicas: int
    type_the_name: bool  # the user confirms with the deployment's name instead of a mere y

    @property
    def nodes(self) -> tuple[int, int]:
        """Least and greatest number of nodes."""
        return self.min_replicas, self.max_replicas


SIZES = {
    Environment.dev: Size("n1-standard-2", 1, 1, type_the_name=False),
    Environment.prod: Size("n1-standard-4", 2, 4, type_the_name=True),
}


@dataclass(frozen=True)
class Deployment:
    """One deployment. All names follow from the configuration, so no call can create a second one.

    >>> Deployment.from_config(compose_config("deploy.project=p")).endpoint
    'projects/p/locations/us-central1/endpoints/churn-dev'
    """

    name: str
    project: str
    region: str
    bucket: str
    size: Size
    serving: ServingConfig
    config: DeployConfig

    @classmethod
    def from_config(cls, cfg: Config) -> Deployment:
        """The deployment that the configuration describes; PROJECT and BUCKET stand for missing names."""
        deploy, size = cfg.deploy, SIZES[cfg.deploy.env]
        least = 0 if deploy.idle_minutes else size.min_replicas
        chosen = Size(
            deploy.machine_type or size.machine_type,
            least if deploy.min_replicas is None else deploy.min_replicas,
            size.max_replicas if deploy.max_replicas is None else deploy.max_replicas,
            size.type_the_name,
        )
        name = deploy.name or f"churn-{deploy.env.value}"
        project, bucket = deploy.project or "PROJECT", deploy.bucket or "BUCKET"
        return cls(
            name, project, deploy.region, bucket.removeprefix("gs://"), chosen, cfg.serving, cfg.deploy
        )

    @property
    def parent(self) -> str:
        """Project and region as a resource name."""
        return f"projects/{self.project}/locations/{self.region}"

    @property
    def model(self) -> str:
        """Resource name of the registered model, whose versions are the bundles."""
        return f"{self.parent}/models/{self.name}"

    @property
    def endpoint(self) -> str:
        """Resource name of the endpoint."""
        return f"{self.parent}/endpoints/{self.name}"

    @property
    def dataset(self) -> str:
        """BigQuery data set of the logged requests."""
        return f"{self.name.replace('-', '_')}_log"

    @property
    def image(self) -> str:
        """Address of the container that serves."""
        return self.fill_in(self.serving.image)

    def fill_in(self, image: str) -> str:
        """An image's address with continent, region and project filled in."""
        first = self.region.partition("-")[0]
        continent = {"europe": "europe", "asia": "asia", "australia": "asia"}.get(first, "us")
        return image.format(continent=continent, region=self.region, project=self.project)

    @property
    def labels(self) -> dict[str, str]:
        """The label of everything that belongs to this deployment."""
        return {LABEL: self.name}

    @property
    def by_label(self) -> dict[str, str]:
        """The request that lists what has the label."""
        return {"parent": self.parent, "filter": f"labels.{LABEL}={self.name}"}

    def owns(self, labels: Any) -> bool:
        """Whether labels (None: there are none) are those of this deployment."""
        return bool(labels) and labels.get(LABEL) == self.name

    @property
    def encryption(self) -> dict[str, Any]:
        """The field that names the customer's key, if there is one."""
        key = self.config.kms_key
        return {"encryption_spec": {"kms_key_name": key}} if key else {}

    @property
    def probe_share(self) -> int:
        """Per cent of the traffic until the answers are checked: never more than afterwards."""
        return min(self.config.probe, self.config.canary)

    def staged_path(self, bundle: Bundle) -> str:
        """Path of the bundle in the bucket, by its content."""
        return f"{self.name}/{bundle.digest}"

    def artifact_uri(self, bundle: Bundle) -> str:
        """The folder for the container: TensorFlow Serving finds `1/` in it, the prebuilt image does not."""
        return f"gs://{self.bucket}/{self.staged_path(bundle)}/{self.serving.directory}".rstrip("/")

    def deployed_id(self, bundle: Bundle) -> str:
        """The id on an endpoint of the bundle in this container: 10 digits of a hash, in any project."""
        digest = hashlib.sha256(f"{bundle.digest} {self.serving.image}".encode()).hexdigest()
        return str(10**9 + int(digest[:12], 16) % (9 * 10**9))


def staged_digest(uri: str) -> str | None:
    """The digest of the bundle that was staged at this address; None for an address of another kind.

    >>> staged_digest("gs://bucket/churn-dev/" + 64 * "a" + "/1")
    'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'
    """
    found = re.fullmatch(r"gs://.+/([0-9a-f]{64})(?:/1)?/?", uri)
    return found[1] if found else None


def version_labels(deployment: Deployment, bundle: Bundle) -> dict[str, str]:
    """Origin of a version, as far as labels allow (63 small letters, digits, - and _)."""
    facts = bundle.facts
    auc = facts["metrics"]["roc_auc"]["value"]
    origin = {
        "git_commit": facts["git_commit"],
        "data": facts["data"]["fingerprint"],
        "run": facts["created"],
        "test_auc": None if auc is None else f"{auc:.4f}",
    }
    clean = {key: re.sub("[^a-z0-9_-]", "-", str(value or "").lower())[:63] for key, value in origin.items()}
    return deployment.labels | clean


def today() -> date:
    """The date in UTC, by which Google counts."""
    return datetime.now(UTC).date()
