"""`churn deploy`: preflight, plan, question, apply."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pandas as pd

from churn.bundle.approval import require_approval
from churn.bundle.bundle import Bundle
from churn.bundle.choice import choose_bundle
from churn.config.root import Config
from churn.data.load import read_source
from churn.data.validate import to_features
from churn.errors import UserError
from churn.vertex.apply import apply_deployment
from churn.vertex.checks import account, preflight
from churn.vertex.checks.parity import MismatchError
from churn.vertex.cloud.deployment import Deployment, today
from churn.vertex.cloud.errors import RETRY, translate_errors
from churn.vertex.cloud.operations import OperationError, wait_for_pending
from churn.vertex.cloud.session import Session, connect
from churn.vertex.cloud.state import State, read_state
from churn.vertex.confirm import confirm, raise_problems
from churn.vertex.destroy import describe_remaining
from churn.vertex.plan import plan
from churn.vertex.plan.terraform import describe_terraform
from churn.vertex.undo import remember, undo

ROWS = 20  # real rows in each request that compares answers


def deploy(cfg: Config) -> None:
    """Bring the bundle to its endpoint; run again, it changes nothing. Raises `UserError` with a remedy.

    >>> deploy(compose_config("bundle=runs/latest/bundle", "deploy.plan_only=true"))
    """
    bundle, deployment = choose_bundle(cfg), Deployment.from_config(cfg)
    raise_problems(preflight.offline_problems(deployment, bundle, today()))
    if text := preflight.end_of_support(deployment, today()):
        print(f"Warning: {text}", file=sys.stderr)
    if cfg.deploy.plan_only:
        print(plan.describe_plan(deployment, bundle, State()), describe_terraform(None), sep="\n")
        print("No account was asked: this is the plan for a project in which nothing exists yet.")
        return
    require_approval(cfg, bundle)
    rows = sample_rows(cfg, bundle)
    session = connect(deployment)
    with translate_errors(deployment, RETRY):
        state = _check_account(session, bundle)
        print(plan.describe_plan(deployment, bundle, state), describe_terraform(session), sep="\n")
        confirm(deployment, "Deploy")
        before = remember(session)  # the user may have thought for long
    apply_or_undo(
        deployment,
        apply=lambda: apply_deployment(session, bundle, rows),
        undo=lambda: undo(session, bundle, before),
        remaining=lambda: _describe_remaining(session),
    )
    print(f"Version of {bundle.path} answers on {deployment.endpoint}. To remove everything: churn destroy")


def sample_rows(cfg: Config, bundle: Bundle) -> pd.DataFrame:
    """The first rows of the configured data, as features of the bundle."""
    return to_features(read_source(cfg.data, cfg.seed), bundle.schema).head(ROWS)


def _check_account(session: Session, bundle: Bundle) -> State:
    """What exists; raises `UserError` if the account or what exists prevents the deployment."""
    raise_problems(account.account_problems(session))
    wait_for_pending(session)
    state = read_state(session)
    raise_problems(preflight.unchangeable_problems(session.deployment, bundle, state))
    return state


def apply_or_undo(
    deployment: Deployment, apply: Callable[[], None], undo: Callable[[], None], remaining: Callable[[], str]
) -> None:
    """Apply; where the new version cannot work, undo what this call created; the error says what remains."""
    try:
        with translate_errors(deployment, RETRY):
            apply()
    except (MismatchError, OperationError) as error:
        with translate_errors(deployment, RETRY):
            undo()
            raise UserError(f"{error}\n{remaining()}") from error
    except UserError as error:
        raise UserError(f"{error}\n{_remaining_if_known(deployment, remaining)}") from error


def _remaining_if_known(deployment: Deployment, remaining: Callable[[], str]) -> str:
    try:
        with translate_errors(deployment, RETRY):
            return remaining()
    except UserError as error:
        return f"What is left could not be looked up: {error.what}"


def _describe_remaining(session: Session) -> str:
    wait_for_pending(session)  # a call whose answer was lost may have been accepted
    return describe_remaining(session)
