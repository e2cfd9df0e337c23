"""What a promotion is on Vertex AI: a share of the traffic first, all of it later, or none again."""

from __future__ import annotations

from dataclasses import replace

from churn.bundle.bundle import Bundle
from churn.config.root import Config


def raise_share(cfg: Config, bundle: Bundle, share: int) -> None:
    """Deploy a bundle with at least `share` per cent of the traffic.

    Nothing happens where it has as much, or where somebody took all from it: `churn rollback` by hand holds.
    """
    from churn.vertex.deploy import deploy

    has = _traffic_share(cfg, bundle)
    if has is None or 0 < has < share:
        deploy(replace(cfg, bundle=str(bundle.path), deploy=replace(cfg.deploy, canary=share, yes=True)))


def withdraw(cfg: Config, bundle: Bundle) -> None:
    """Give the traffic of a bundle, if it has any, to the version before."""
    from churn.vertex.rollback import rollback

    if _traffic_share(cfg, bundle):
        rollback(cfg)


def _traffic_share(cfg: Config, bundle: Bundle) -> int | None:
    """Per cent of the traffic that a bundle has; None where the endpoint does not have it."""
    from churn.vertex.cloud.client import connect, translate_errors
    from churn.vertex.cloud.deployment import Deployment, deployed_id
    from churn.vertex.cloud.state import read_state

    target = Deployment.of(cfg)
    clients = connect(cfg.deploy, target)
    with translate_errors(target, "churn status"):
        state = read_state(clients, target)
    return state.share(deployed_id(bundle)) if state.is_deployed(bundle) else None
