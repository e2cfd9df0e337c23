"""Traffic on Vertex AI after a promotion: canary, full, or withdrawn.

The calls to the service are those of `churn deploy` and `churn rollback` (`churn.vertex.apply.set_traffic`).
"""

from __future__ import annotations

from dataclasses import replace

from churn.bundle.bundle import Bundle
from churn.config.root import Config


def raise_share(cfg: Config, bundle: Bundle, share: int) -> None:
    """Deploy a bundle with at least `share` per cent of the traffic.

    Does nothing if it has as much already, or if it is deployed without traffic: a manual rollback holds.
    """
    from churn.vertex.deploy import deploy

    current = _traffic_share(cfg, bundle)
    if current is None or 0 < current < share:
        deploy(replace(cfg, bundle=str(bundle.path), deploy=replace(cfg.deploy, canary=share, yes=True)))


def withdraw(cfg: Config, bundle: Bundle) -> None:
    """Give the bundle's traffic, if it has any, to the previous version."""
    from churn.vertex.rollback import rollback

    if _traffic_share(cfg, bundle):
        rollback(cfg)


def _traffic_share(cfg: Config, bundle: Bundle) -> int | None:
    """Per cent of the traffic that a bundle has; None if it is not deployed."""
    from churn.vertex.cloud.deployment import Deployment
    from churn.vertex.cloud.errors import translate_errors
    from churn.vertex.cloud.session import connect
    from churn.vertex.cloud.state import read_state

    deployment = Deployment.from_config(cfg)
    session = connect(deployment)
    with translate_errors(deployment, "churn status"):
        state = read_state(session)
    model_id = deployment.deployed_id(bundle)
    return state.share(model_id) if state.is_deployed(model_id) else None
