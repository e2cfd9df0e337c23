"""`churn deploy`: preflight, plan, question, apply."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime

import pandas as pd

from churn.bundle import Bundle
from churn.config import Config
from churn.data import read
from churn.errors import UserError, user_error_of_many
from churn.registry import find_bundle
from churn.validate import features
from churn.vertex import account, plan, preflight
from churn.vertex.apply import apply
from churn.vertex.client import Clients, OperationError, connect, in_plain_words, settle
from churn.vertex.destroy import left, remove
from churn.vertex.parity import MismatchError
from churn.vertex.state import State, look
from churn.vertex.target import Target

ROWS = 20  # real rows that a request of the check carries
AGAIN = "run the same command again: it goes on where this one stopped (churn status, churn destroy)"


def deploy(cfg: Config) -> None:
    """Bring the bundle to its endpoint; again, it changes nothing. Raises `UserError` with a remedy."""
    bundle, target = find_bundle(cfg), Target.of(cfg)
    refuse(preflight.offline(cfg.deploy, target, bundle, today()))
    if text := preflight.warning(target, today()):
        print(f"Warning: {text}", file=sys.stderr)
    if cfg.deploy.plan_only:
        nothing = State()
        print(plan.text(plan.make(cfg.deploy, target, bundle, nothing), cfg.deploy, target, nothing, bundle))
        print("No account was asked: this is the plan for a project in which nothing exists yet.")
        return
    rows = real_rows(cfg, bundle)
    clients = connect(cfg.deploy, target)
    with in_plain_words(target, AGAIN):
        refuse(account.problems(cfg.deploy, clients, target))
        settle(clients, target)
        state = look(clients, target)
        refuse(preflight.fixed(cfg.deploy, target, bundle, state))
        print(plan.text(plan.make(cfg.deploy, target, bundle, state), cfg.deploy, target, state, bundle))
        confirm(cfg, target, "Deploy")
    carry_out(cfg, clients, target, bundle, rows, is_first=state.serving() is None)


def carry_out(
    cfg: Config, clients: Clients, target: Target, bundle: Bundle, rows: pd.DataFrame, is_first: bool
) -> None:
    """Apply; a first deployment that can't work is removed, and what any failure leaves is said."""
    try:
        with in_plain_words(target, AGAIN):
            apply(cfg.deploy, clients, target, bundle, rows)
    except (MismatchError, OperationError) as error:
        with in_plain_words(target, AGAIN):
            if is_first:
                remove(clients, target)
            raise UserError(f"{error}\n{left(clients, target)}") from error
    except UserError as error:
        try:
            with in_plain_words(target, AGAIN):
                settle(clients, target)  # a call whose answer was lost may have been accepted
                remains = left(clients, target)
        except UserError as unknown:
            remains = f"What is left could not be looked up: {unknown.what}"
        raise UserError(f"{error}\n{remains}") from error
    print(f"Version of {bundle.path} answers on {target.endpoint}. To remove everything: churn destroy")


def today() -> date:
    """The date, as Google counts it."""
    return datetime.now(UTC).date()


def refuse(problems: object) -> None:
    """Raise all problems at once, if there are any."""
    if found := list(problems):  # type: ignore[call-overload]
        raise user_error_of_many("this cannot be deployed:", found)


def real_rows(cfg: Config, bundle: Bundle) -> pd.DataFrame:
    """Some rows of the data that the configuration names, as the bundle reads them."""
    return features(read(cfg.data, cfg.seed), bundle.schema).head(ROWS)


def confirm(cfg: Config, target: Target, deed: str) -> None:
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
