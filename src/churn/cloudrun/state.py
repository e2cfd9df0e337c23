"""The parts of a deployment on Cloud Run that exist."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from churn.cloudrun.service import PREVIOUS, service_name
from churn.errors import UserError
from churn.vertex.cloud import operations
from churn.vertex.cloud.session import Session


@dataclass(frozen=True)
class RunState:
    """The service and its revisions, as Cloud Run gives them.

    >>> state = read_run_state(connect_run(run_deployment(cfg)))
    >>> state.shares, state.tags
    ({'churn-dev-run-0f3a52c1d9': 100}, {'previous': 'churn-dev-run-91b2c0aa17'})
    """

    service: Any | None = None
    revisions: tuple[Any, ...] = ()  # oldest first
    public: bool = False  # anybody may call it; only the plan looks

    @property
    def names(self) -> list[str]:
        """Names of the revisions, oldest first."""
        return [_short(revision.name) for revision in self.revisions]

    @property
    def shares(self) -> dict[str, int]:
        """Per cent of the traffic by revision; those without traffic are left out."""
        shares: dict[str, int] = {}
        for target in self.service.traffic if self.service else ():
            if target.percent:
                name = self._revision_of(target)
                shares[name] = shares.get(name, 0) + target.percent
        return shares

    @property
    def tags(self) -> dict[str, str]:
        """The revision of each tag."""
        targets = self.service.traffic if self.service else ()
        return {target.tag: self._revision_of(target) for target in targets if target.tag}

    def _revision_of(self, target: Any) -> str:
        """A target without a name is the latest revision that is ready."""
        return target.revision or (_short(self.service.latest_ready_revision) if self.service else "")

    def address(self, tag: str) -> str | None:
        """The address of a tag's revision, or None."""
        statuses = self.service.traffic_statuses if self.service else ()
        return next((status.uri for status in statuses if status.tag == tag), None)

    def running(self, stem: str) -> str | None:
        """The revision of that name, or of a later attempt, that can serve; None if there is none."""
        ready = (_short(revision.name) for revision in self.revisions if _is_ready(revision))
        return next((name for name in ready if _is_attempt(name, stem)), None)

    def attempts(self, stem: str) -> list[str]:
        """The revisions of that name, also those that failed."""
        return [name for name in self.names if _is_attempt(name, stem)]

    def next_name(self, stem: str) -> str:
        """The first free name for a new revision: earlier attempts that failed keep theirs."""
        names = (stem, *(f"{stem}-{number}" for number in range(2, len(self.revisions) + 3)))
        return next(name for name in names if name not in self.names)

    def uses(self, value: str, names: Collection[str]) -> bool:
        """Whether one of those revisions has this value in its environment, such as a bundle's address."""
        return value in self.values(names)

    def values(self, names: Collection[str]) -> list[str]:
        """What those revisions have in their environment."""
        return [
            variable.value
            for revision in self.revisions
            if _short(revision.name) in names
            for container in revision.containers
            for variable in container.env
        ]

    @property
    def size(self) -> tuple[float, float] | None:
        """CPUs and MiB of an instance of the revision with the most traffic, or None."""
        serving = self.serving()
        for revision in self.revisions:
            if _short(revision.name) == serving:
                limits = revision.containers[0].resources.limits
                return _cpus(limits.get("cpu", "1")), _mib(limits.get("memory", "512Mi"))
        return None

    def serving(self, except_name: str = "") -> str | None:
        """The revision with the most traffic, the newer of two equals; None without traffic."""
        order = {name: number for number, name in enumerate(self.names)}
        others = {name: share for name, share in self.shares.items() if name != except_name}
        return max(others, key=lambda name: (others[name], order.get(name, -1)), default=None)

    @property
    def kept_instances(self) -> int:
        """How many instances run although nobody calls."""
        return int(self.service.scaling.min_instance_count) if self.service else 0

    @property
    def previous(self) -> str | None:
        """The revision to roll back to, or None."""
        return self.tags.get(PREVIOUS)


def _cpus(text: str) -> float:
    """CPUs in words of Kubernetes: 2, or 2000m."""
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def _mib(text: str) -> float:
    """MiB in words of Kubernetes: 512Mi or 2Gi."""
    return float(text[:-2]) * {"Mi": 1, "Gi": 1024}[text[-2:]]


def _short(name: str) -> str:
    return name.rpartition("/")[2]


def _is_attempt(name: str, stem: str) -> bool:
    return name == stem or name.startswith(f"{stem}-")


def _is_ready(revision: Any) -> bool:
    from google.cloud.run_v2 import Condition

    good = Condition.State.CONDITION_SUCCEEDED
    return any(condition.type_ == "Ready" and condition.state == good for condition in revision.conditions)


def read_run_state(session: Session) -> RunState:
    """Everything that exists now; raises `UserError` if there is a service of this name that is not ours."""
    service = _find_service(session)
    if service is None:
        return RunState()
    revisions = session.clients.revisions.list_revisions(parent=service_name(session.deployment))
    return RunState(service, tuple(sorted(revisions, key=lambda revision: revision.create_time)))


def _find_service(session: Session) -> Any | None:
    from google.api_core.exceptions import NotFound

    deployment = session.deployment
    try:
        service = session.clients.services.get_service(name=service_name(deployment))
    except NotFound:
        return None
    if not deployment.owns(service.labels):
        what = "there is a service of this name that is not ours"
        raise UserError(what, service_name(deployment), "deploy.name=NAME")
    return service


def wait_until_settled(session: Session) -> RunState:
    """What exists once the changes that an earlier, interrupted command started are over."""
    while (state := read_run_state(session)).service and state.service.reconciling:
        time.sleep(operations.POLL_SECONDS)
    return state
