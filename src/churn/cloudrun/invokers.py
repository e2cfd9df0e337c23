"""Who may call the service: whoever has roles/run.invoker, or anybody if the user asks for it."""

from __future__ import annotations

from typing import Any

from churn.cloudrun.service import service_name
from churn.vertex.cloud.session import Session

INVOKER, ANYBODY = "roles/run.invoker", "allUsers"
VERSION = 3  # of a policy: the one that has conditions


def anybody_may_call(session: Session) -> bool:
    """Whether the service, which exists, answers anybody."""
    return _is_public(_read_policy(session))


def _read_policy(session: Session) -> Any:
    """Who may do what with the service, with the bindings that hold under a condition: version 3."""
    options = {"requested_policy_version": VERSION}
    request = {"resource": service_name(session.deployment), "options": options}
    return session.clients.services.get_iam_policy(request)


def _is_public(policy: Any) -> bool:
    return any(ANYBODY in binding.members for binding in _invokers(policy))


def _invokers(policy: Any) -> list[Any]:
    """The bindings of those who may always call."""
    bindings = [binding for binding in policy.bindings if binding.role == INVOKER]
    return [binding for binding in bindings if not binding.HasField("condition")]


def ensure_invokers(session: Session) -> None:
    """Let anybody call the service, or nobody without the role, as configured."""
    policy = _read_policy(session)
    public = session.deployment.config.cloud_run.public
    if _is_public(policy) == public:
        return
    if public:
        policy.bindings.add(role=INVOKER, members=[ANYBODY])
    else:
        _refuse_anybody(policy)
    policy.version = VERSION
    request = {"resource": service_name(session.deployment), "policy": policy}
    session.clients.services.set_iam_policy(request)


def _refuse_anybody(policy: Any) -> None:
    """Take the role from anybody; a binding without members goes."""
    for binding in _invokers(policy):
        if ANYBODY in binding.members:
            binding.members.remove(ANYBODY)
        if not binding.members:
            policy.bindings.remove(binding)
