"""Questions and refusals before anything is changed."""

from __future__ import annotations

from datetime import UTC, date, datetime

from churn.config.root import Config
from churn.errors import UserError, user_error_of_many
from churn.vertex.cloud.deployment import Deployment

AGAIN = "run the same command again: it goes on where this one stopped (churn status, churn destroy)"


def today() -> date:
    """The date, as Google counts it."""
    return datetime.now(UTC).date()


def refuse_all(problems: object) -> None:
    """Raise all problems at once, if there are any."""
    if found := list(problems):  # type: ignore[call-overload]
        raise user_error_of_many("this cannot be deployed:", found)


def confirm(cfg: Config, target: Deployment, deed: str) -> None:
    """Ask, unless `deploy.yes`; raises `UserError` if the answer is no."""
    if cfg.deploy.yes:
        return
    expected = target.name if target.size.type_the_name else "y"
    try:
        answer = input(f"{deed} {target.name} in {target.project}? Type {expected}: ")
    except EOFError:
        answer = ""
    if answer.strip() != expected:
        raise UserError("nothing was changed: it was not confirmed", do="YES=1, or deploy.yes=true")
