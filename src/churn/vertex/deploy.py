"""`churn deploy`: preflight, plan, question, apply."""

from __future__ import annotations

import sys

import pandas as pd

from churn.bundle.bundle import Bundle
from churn.bundle.registry import find_bundle
from churn.config.root import Config
from churn.data.load import read_source
from churn.data.validate import to_features
from churn.errors import UserError
from churn.vertex.apply import apply_deployment
from churn.vertex.checks import account, preflight
from churn.vertex.checks.parity import MismatchError
from churn.vertex.cloud.client import Clients, OperationError, connect, translate_errors, wait_for_pending
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.cloud.state import State, read_state
from churn.vertex.confirm import AGAIN, confirm, refuse_all, today
from churn.vertex.destroy import describe_remaining, remove_all
from churn.vertex.plan import plan

ROWS = 20  # real rows that a request of the check carries


def deploy(cfg: Config) -> None:
    """Bring the bundle to its endpoint; again, it changes nothing. Raises `UserError` with a remedy."""
    bundle, target = find_bundle(cfg), Deployment.of(cfg)
    refuse_all(preflight.offline_problems(cfg.deploy, target, bundle, today()))
    if text := preflight.end_of_support(target, today()):
        print(f"Warning: {text}", file=sys.stderr)
    if cfg.deploy.plan_only:
        nothing = State()
        print(
            plan.describe_plan(
                plan.make_plan(cfg.deploy, target, bundle, nothing), cfg.deploy, target, nothing, bundle
            )
        )
        print("No account was asked: this is the plan for a project in which nothing exists yet.")
        return
    rows = _sample_rows(cfg, bundle)
    clients = connect(cfg.deploy, target)
    with translate_errors(target, AGAIN):
        refuse_all(account.account_problems(cfg.deploy, clients, target))
        wait_for_pending(clients, target)
        state = read_state(clients, target)
        refuse_all(preflight.unchangeable_problems(cfg.deploy, target, bundle, state))
        print(
            plan.describe_plan(
                plan.make_plan(cfg.deploy, target, bundle, state), cfg.deploy, target, state, bundle
            )
        )
        confirm(cfg, target, "Deploy")
    _apply_or_clean_up(cfg, clients, target, bundle, rows, is_first=state.serving() is None)


def _apply_or_clean_up(
    cfg: Config, clients: Clients, target: Deployment, bundle: Bundle, rows: pd.DataFrame, is_first: bool
) -> None:
    """Apply; a first deployment that can't work is removed, and what any failure leaves is said."""
    try:
        with translate_errors(target, AGAIN):
            apply_deployment(cfg.deploy, clients, target, bundle, rows)
    except (MismatchError, OperationError) as error:
        with translate_errors(target, AGAIN):
            if is_first:
                remove_all(clients, target)
            raise UserError(f"{error}\n{describe_remaining(clients, target)}") from error
    except UserError as error:
        try:
            with translate_errors(target, AGAIN):
                wait_for_pending(clients, target)  # a call whose answer was lost may have been accepted
                remains = describe_remaining(clients, target)
        except UserError as unknown:
            remains = f"What is left could not be looked up: {unknown.what}"
        raise UserError(f"{error}\n{remains}") from error
    print(f"Version of {bundle.path} answers on {target.endpoint}. To remove everything: churn destroy")


def _sample_rows(cfg: Config, bundle: Bundle) -> pd.DataFrame:
    """Some rows of the data that the configuration names, as the bundle reads them."""
    return to_features(read_source(cfg.data, cfg.seed), bundle.schema).head(ROWS)
