"""What a deployment is called, where it lies and on what it runs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from churn.bundle.bundle import Bundle
from churn.config.root import Config
from churn.config.serving import Environment, ServingConfig

LABEL = "churn-deployment"  # its value is the target's name; nothing without it is ever touched
DIGEST = "digest"


@dataclass(frozen=True)
class Size:
    """What the environments differ in, beside their names."""

    machine_type: str
    min_replicas: int
    max_replicas: int
    type_the_name: bool  # to confirm, instead of a mere y


SIZES = {
    Environment.dev: Size("n1-standard-2", 1, 1, type_the_name=False),
    Environment.prod: Size("n1-standard-4", 2, 4, type_the_name=True),
}


@dataclass(frozen=True)
class Deployment:
    """One deployment; names follow from the configuration, so that no call can make a second one."""

    name: str
    project: str
    region: str
    bucket: str
    size: Size
    serving: ServingConfig

    @classmethod
    def of(cls, cfg: Config) -> Deployment:
        """The deployment that the configuration describes; what is not named yet stands in capitals."""
        deploy, size = cfg.deploy, SIZES[cfg.deploy.env]
        lowest = size.min_replicas if deploy.min_replicas is None else deploy.min_replicas
        highest = size.max_replicas if deploy.max_replicas is None else deploy.max_replicas
        wanted = Size(deploy.machine_type or size.machine_type, lowest, highest, size.type_the_name)
        name = deploy.name or f"churn-{deploy.env.value}"
        project, bucket = deploy.project or "PROJECT", deploy.bucket or "BUCKET"
        return cls(name, project, deploy.region, bucket.removeprefix("gs://"), wanted, cfg.serving)

    @property
    def parent(self) -> str:
        """Project and region as a resource name."""
        return f"projects/{self.project}/locations/{self.region}"

    @property
    def model(self) -> str:
        """The registered model, whose versions are the bundles."""
        return f"{self.parent}/models/{self.name}"

    @property
    def endpoint(self) -> str:
        """The endpoint."""
        return f"{self.parent}/endpoints/{self.name}"

    @property
    def dataset(self) -> str:
        """BigQuery data set of the logged requests."""
        return f"{self.name.replace('-', '_')}_log"

    @property
    def image(self) -> str:
        """The container that serves."""
        return self.filled(self.serving.image)

    def filled(self, image: str) -> str:
        """An image's address with region and project in it."""
        first = self.region.partition("-")[0]
        continent = {"europe": "europe", "asia": "asia", "australia": "asia"}.get(first, "us")
        return image.format(continent=continent, region=self.region, project=self.project)

    @property
    def labels(self) -> dict[str, str]:
        """What marks everything that belongs to this deployment."""
        return {LABEL: self.name}

    def staged(self, bundle: Bundle) -> str:
        """Where the bundle lies in the bucket, by its content."""
        return f"{self.name}/{bundle.digest}"

    def artifacts(self, bundle: Bundle) -> str:
        """What the container is given: TensorFlow Serving finds `1/` by itself, the prebuilt image not."""
        return f"gs://{self.bucket}/{self.staged(bundle)}/{self.serving.directory}".rstrip("/")


def deployed_id(bundle: Bundle) -> str:
    """The id under which an endpoint knows the bundle: 10 digits of its hash."""
    return str(10**9 + int(bundle.digest[:12], 16) % (9 * 10**9))


def version_labels(target: Deployment, bundle: Bundle) -> dict[str, str]:
    """Where a version is from, as far as labels can say it (63 small letters, digits, - and _)."""
    facts = bundle.facts
    auc = facts["metrics"]["roc_auc"]["value"]
    told = {
        DIGEST: bundle.digest[:40],
        "git_commit": facts["git_commit"],
        "data": facts["data"]["fingerprint"],
        "run": facts["created"],
        "test_auc": None if auc is None else f"{auc:.4f}",
    }
    clean = {key: re.sub("[^a-z0-9_-]", "-", str(value or "").lower())[:63] for key, value in told.items()}
    return target.labels | clean
