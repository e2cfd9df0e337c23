"""Problems and a question to the user before anything is changed."""

from __future__ import annotations

from collections.abc import Iterable

from churn.errors import UserError, user_error_of_many
from churn.vertex.cloud.deployment import Deployment


def raise_problems(problems: Iterable[UserError]) -> None:
    """Raise one `UserError` that lists all problems, if there are any."""
    if listed := list(problems):
        raise user_error_of_many("this cannot be deployed:", listed)


def confirm(deployment: Deployment, action: str) -> None:
    """Ask the user, unless `deploy.yes`; raises `UserError` if the answer is no."""
    if deployment.config.yes:
        return
    expected = deployment.name if deployment.size.type_the_name else "y"
    try:
        answer = input(f"{action} {deployment.name} in {deployment.project}? Type {expected}: ")
    except EOFError:
        answer = ""
    if answer.strip() != expected:
        do = "deploy.yes=true; for make deploy and make destroy YES=1"
        raise UserError("nothing was changed: it was not confirmed", do=do)
