"""Who may call the service: whoever has roles/run.invoker, or anybody if the user asks for it."""

from __future__ import annotations

from typing import Any

from churn.cloudrun.service import service_name
from churn.vertex.cloud.session import Session

INVOKER, ANYBODY = "roles/run.invoker", "allUsers"


def anybody_may_call(session: Session) -> bool:
    """Whether the service, which exists, answers anybody."""
    return _is_public(session.clients.services.get_iam_policy({"resource": service_name(session.deployment)}))


def _is_public(policy: Any) -> bool:
    return any(binding.role == INVOKER and ANYBODY in binding.members for binding in policy.bindings)


def ensure_invokers(session: Session) -> None:
    """Let anybody call the service, or nobody without the role, as configured."""
    services, resource = session.clients.services, service_name(session.deployment)
    policy = services.get_iam_policy({"resource": resource})
    public = session.deployment.config.cloud_run.public
    if _is_public(policy) == public:
        return
    if public:
        policy.bindings.add(role=INVOKER, members=[ANYBODY])
    else:
        _refuse_anybody(policy)
    services.set_iam_policy({"resource": resource, "policy": policy})


def _refuse_anybody(policy: Any) -> None:
    """Take the role from anybody; a binding without members goes."""
    for binding in [binding for binding in policy.bindings if binding.role == INVOKER]:
        if ANYBODY in binding.members:
            binding.members.remove(ANYBODY)
        if not binding.members:
            policy.bindings.remove(binding)
