"""What a promotion is on Vertex AI: a share of the traffic first, all of it later, or none again."""

from __future__ import annotations

from dataclasses import replace

from churn.bundle import Bundle
from churn.config import Config


def give(cfg: Config, bundle: Bundle, share: int) -> None:
    """Deploy a bundle with at least `share` per cent of the traffic.

    Nothing happens where it has as much, or where somebody took all from it: `churn rollback` by hand holds.
    """
    from churn.vertex.deploy import deploy

    has = traffic(cfg, bundle)
    if has is None or 0 < has < share:
        deploy(replace(cfg, bundle=str(bundle.path), deploy=replace(cfg.deploy, canary=share, yes=True)))


def take_back(cfg: Config, bundle: Bundle) -> None:
    """Give the traffic of a bundle, if it has any, to the version before."""
    from churn.vertex.rollback import rollback

    if traffic(cfg, bundle):
        rollback(cfg)


def traffic(cfg: Config, bundle: Bundle) -> int | None:
    """Per cent of the traffic that a bundle has; None where the endpoint does not have it."""
    from churn.vertex.client import connect, in_plain_words
    from churn.vertex.state import look
    from churn.vertex.target import Target, deployed_id

    target = Target.of(cfg)
    clients = connect(cfg.deploy, target)
    with in_plain_words(target, "churn status"):
        state = look(clients, target)
    return state.share(deployed_id(bundle)) if state.is_deployed(bundle) else None
