"""What of a deployment exists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from churn.bundle.bundle import Bundle
from churn.errors import UserError
from churn.vertex.cloud.client import Clients
from churn.vertex.cloud.deployment import DIGEST, LABEL, Deployment, deployed_id


@dataclass(frozen=True)
class State:
    """Endpoint, versions of the model and monitoring job, as the service gives them."""

    endpoint: Any | None = None
    versions: tuple[Any, ...] = ()
    monitor: Any | None = None

    def version(self, bundle: Bundle) -> Any | None:
        """The version that holds a bundle, or none."""
        found = [v for v in self.versions if v.labels.get(DIGEST) == bundle.digest[:40]]
        return found[0] if found else None

    @property
    def deployed(self) -> list[Any]:
        """Deployed models, oldest version first."""
        models = self.endpoint.deployed_models if self.endpoint else []
        return sorted(models, key=lambda model: int(model.model_version_id))

    def nodes(self, bundle: Bundle) -> tuple[int, int] | None:
        """Least and greatest number of nodes of the bundle where it is deployed."""
        found = [m.dedicated_resources for m in self.deployed if m.id == deployed_id(bundle)]
        return (found[0].min_replica_count, found[0].max_replica_count) if found else None

    def share(self, identity: str) -> int:
        """Per cent of the traffic that a deployed model has."""
        return int(self.endpoint.traffic_split.get(identity, 0)) if self.endpoint else 0

    def is_deployed(self, bundle: Bundle) -> bool:
        """Whether the endpoint has the bundle, with traffic or without."""
        return deployed_id(bundle) in {model.id for model in self.deployed}

    def superfluous(self, ours: str) -> list[Any]:
        """What is deployed beside ours and the one to roll back to: what serves, else the newest."""
        others = [model for model in self.deployed if model.id != ours]
        kept = self.serving(besides=ours) or (others[-1].id if others else None)
        return [model for model in others if model.id != kept]

    def serving(self, besides: str = "") -> str | None:
        """Id of the deployed model with the most traffic, the newer of two; None where none has any."""
        others = [model.id for model in self.deployed if model.id != besides and self.share(model.id)]
        return max(reversed(others), key=self.share, default=None)


def read_state(clients: Clients, target: Deployment) -> State:
    """What exists now; raises `UserError` where something has our name and not our label."""
    return State(
        _find_endpoint(clients, target), list_versions(clients, target), _find_monitor(clients, target)
    )


def _find_endpoint(clients: Clients, target: Deployment) -> Any | None:
    """The endpoint of the deployment, or none."""
    request = {"parent": target.parent, "filter": f'display_name="{target.name}"'}
    found = list(clients.endpoints.list_endpoints(request))
    foreign = [e.name for e in found if e.labels.get(LABEL) != target.name]
    if foreign or len(found) > 1:
        raise UserError(
            f"{len(found)} endpoints are called {target.name!r}, and {len(foreign)} of them are not ours",
            ", ".join(e.name for e in found),
            "choose another name: deploy.name=NAME",
        )
    return found[0] if found else None


def list_versions(clients: Clients, target: Deployment) -> tuple[Any, ...]:
    """Versions of the registered model, oldest first; raises `UserError` if the model is not ours."""
    from google.api_core.exceptions import NotFound

    try:
        found = list(clients.models.list_model_versions({"name": target.model}))
    except NotFound:
        return ()
    if any(version.labels.get(LABEL) != target.name for version in found):
        raise UserError("there is a model of this name that is not ours", target.model, "deploy.name=NAME")
    return tuple(sorted(found, key=lambda version: int(version.version_id)))


def _find_monitor(clients: Clients, target: Deployment) -> Any | None:
    """The monitoring job of the deployment, or none."""
    request = {"parent": target.parent, "filter": f"labels.{LABEL}={target.name}"}
    return next(iter(clients.jobs.list_model_deployment_monitoring_jobs(request)), None)


def find_data_set(clients: Clients, target: Deployment) -> Any | None:
    """The BigQuery data set of the log, or none; raises `UserError` if it is not ours."""
    from google.api_core.exceptions import NotFound

    try:
        found = clients.bigquery.get_dataset(target.dataset)
    except NotFound:
        return None
    if found.labels.get(LABEL) != target.name:
        raise UserError(
            "there is a data set of this name that is not ours", target.dataset, "deploy.name=NAME"
        )
    return found
