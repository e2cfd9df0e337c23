"""The parts of a deployment that exist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from churn.bundle.bundle import Bundle
from churn.errors import UserError
from churn.vertex.cloud.deployment import PREVIOUS, Deployment, staged_digest
from churn.vertex.cloud.session import Session


@dataclass(frozen=True)
class State:
    """Endpoint, versions of the model and monitoring job, as the service gives them.

    >>> state = read_state(connect(Deployment.from_config(cfg)))
    >>> {model.model_version_id: state.share(model.id) for model in state.deployed}
    {'1': 90, '2': 10}
    """

    endpoint: Any | None = None
    versions: tuple[Any, ...] = ()
    monitor: Any | None = None

    def version(self, deployment: Deployment, bundle: Bundle) -> Any | None:
        """The registered version that holds a bundle in the deployment's container, or None.

        The address of its artifact holds the digest. Labels of a version may be those of its model.
        """
        return next(iter(self.versions_of(deployment, bundle)), None)

    def versions_of(self, deployment: Deployment, bundle: Bundle) -> list[Any]:
        """All registered versions that hold a bundle in the deployment's container, oldest first."""
        return [
            version
            for version in self.versions
            if version.container_spec.image_uri == deployment.image and holds(version, bundle)
        ]

    @property
    def deployed(self) -> list[Any]:
        """Deployed models, oldest version first."""
        models = self.endpoint.deployed_models if self.endpoint else []
        return sorted(models, key=lambda model: int(model.model_version_id))

    def nodes(self, model_id: str) -> tuple[int, int] | None:
        """Least and greatest number of nodes of a deployed model; None if it is not deployed."""
        for model in self.deployed:
            if model.id == model_id:
                resources = model.dedicated_resources
                return resources.min_replica_count, resources.max_replica_count
        return None

    def share(self, model_id: str) -> int:
        """Per cent of the traffic that a deployed model has."""
        return int(self.endpoint.traffic_split.get(model_id, 0)) if self.endpoint else 0

    def is_deployed(self, model_id: str) -> bool:
        """Whether the endpoint has this model, with traffic or without."""
        return model_id in {model.id for model in self.deployed}

    def to_remove(self, new_id: str) -> list[Any]:
        """Deployed models to remove: all but the new one and the one to roll back to.

        That is the one that serves, else the one that the endpoint names, else the newest.
        """
        others = [model for model in self.deployed if model.id != new_id]
        ids = [model.id for model in others]
        named = self.previous_id if self.previous_id in ids else None
        kept = self.serving_id(except_id=new_id) or named or (ids[-1] if ids else None)
        return [model for model in others if model.id != kept]

    @property
    def previous_id(self) -> str | None:
        """Id of the deployed model that the endpoint's label names as the one to roll back to, or None."""
        named = self.endpoint.labels.get(PREVIOUS) if self.endpoint else None
        return named if named and self.is_deployed(named) else None

    @property
    def rollback_id(self) -> str:
        """Id of the deployed model to roll back to, of two or more.

        Without a label, as an older release left it, that is the one that serves beside the newest version.
        """
        newest, before = self.deployed[-1], self.deployed[-2]
        return self.previous_id or self.serving_id(except_id=newest.id) or before.id

    def serving_id(self, except_id: str = "") -> str | None:
        """Id of the deployed model with the most traffic, the newer of two equals; None without traffic."""
        ids = [model.id for model in self.deployed if model.id != except_id and self.share(model.id)]
        return max(reversed(ids), key=self.share, default=None)


def holds(version: Any, bundle: Bundle) -> bool:
    """Whether a registered version is of that bundle, in whichever container."""
    return staged_digest(version.artifact_uri) == bundle.digest


def read_state(session: Session) -> State:
    """Everything that exists now; raises `UserError` if a resource with our name lacks our label."""
    return State(_find_endpoint(session), list_versions(session), _find_monitor(session))


def _find_endpoint(session: Session) -> Any | None:
    deployment = session.deployment
    request = {"parent": deployment.parent, "filter": f'display_name="{deployment.name}"'}
    client = session.clients.preview or session.clients.endpoints  # v1 does not tell when it scales to zero
    endpoints = list(client.list_endpoints(request))
    foreign = [endpoint for endpoint in endpoints if not deployment.owns(endpoint.labels)]
    if foreign or len(endpoints) > 1:
        raise UserError(
            f"{len(endpoints)} endpoints are called {deployment.name!r}, "
            f"and {len(foreign)} of them are not ours",
            ", ".join(endpoint.name for endpoint in endpoints),
            "choose another name: deploy.name=NAME",
        )
    return endpoints[0] if endpoints else None


def list_versions(session: Session) -> tuple[Any, ...]:
    """Versions of the registered model, oldest first; raises `UserError` if the model is not ours."""
    from google.api_core.exceptions import NotFound

    deployment = session.deployment
    try:
        versions = list(session.clients.models.list_model_versions({"name": deployment.model}))
    except NotFound:
        return ()
    if not all(deployment.owns(version.labels) for version in versions):
        what = "there is a model of this name that is not ours"
        raise UserError(what, deployment.model, "deploy.name=NAME")
    return tuple(sorted(versions, key=lambda version: int(version.version_id)))


def _find_monitor(session: Session) -> Any | None:
    monitors = session.clients.jobs.list_model_deployment_monitoring_jobs(session.deployment.by_label)
    return next(iter(monitors), None)


def find_dataset(session: Session) -> Any | None:
    """The BigQuery data set of the log, or None; raises `UserError` if it is not ours."""
    from google.api_core.exceptions import NotFound

    deployment = session.deployment
    try:
        dataset = session.clients.bigquery.get_dataset(deployment.dataset)
    except NotFound:
        return None
    if not deployment.owns(dataset.labels):
        what = "there is a data set of this name that is not ours"
        raise UserError(what, deployment.dataset, "deploy.name=NAME")
    if dataset.location.lower() != deployment.region:
        what = f"the data set of this name is the log of a deployment in {dataset.location.lower()}"
        raise UserError(what, deployment.dataset, f"another deploy.name=NAME in {deployment.region}")
    return dataset
