"""`churn deploy target=cloudrun`: preflight, plan, question, apply."""

from __future__ import annotations

from dataclasses import replace

from churn.bundle.approval import require_approval
from churn.bundle.choice import choose_bundle
from churn.cloudrun import checks, plan
from churn.cloudrun.apply import apply_revision
from churn.cloudrun.destroy import describe_remaining
from churn.cloudrun.invokers import anybody_may_call
from churn.cloudrun.service import run_deployment
from churn.cloudrun.session import connect_run
from churn.cloudrun.state import RunState, wait_until_settled
from churn.cloudrun.undo import remember, undo
from churn.config.root import Config
from churn.vertex.checks.account import account_problems
from churn.vertex.cloud.errors import RETRY, translate_errors
from churn.vertex.cloud.session import Session
from churn.vertex.confirm import confirm, raise_problems
from churn.vertex.deploy import apply_or_undo, sample_rows
from churn.vertex.plan.terraform import describe_terraform


def deploy(cfg: Config) -> None:
    """Bring the bundle to its service; run again, it changes nothing. Raises `UserError` with a remedy.

    >>> deploy(compose_config("target=cloudrun", "bundle=runs/latest/bundle", "deploy.plan_only=true"))
    """
    bundle, deployment = choose_bundle(cfg), run_deployment(cfg)
    raise_problems(checks.offline_problems(deployment, bundle))
    if cfg.deploy.plan_only:
        print(plan.describe_plan(deployment, bundle, RunState()), describe_terraform(None), sep="\n")
        print("No account was asked: this is the plan for a project in which nothing exists yet.")
        return
    require_approval(cfg, bundle)
    rows = sample_rows(cfg, bundle)
    session = connect_run(deployment)
    with translate_errors(deployment, RETRY):
        raise_problems(account_problems(session, checks.ACCOUNT_CHECKS))
        print(plan.describe_plan(deployment, bundle, _read_whole_state(session)))
        print(describe_terraform(session))
        confirm(deployment, "Deploy")
        before = remember(session)  # the user may have thought for long
    apply_or_undo(
        deployment,
        apply=lambda: apply_revision(session, bundle, rows),
        undo=lambda: undo(session, bundle, before),
        remaining=lambda: _describe_remaining(session),
    )
    print(f"Revision of {bundle.path} answers. To remove everything: churn destroy target=cloudrun")


def _read_whole_state(session: Session) -> RunState:
    """What exists, and who may call it."""
    state = wait_until_settled(session)
    return replace(state, public=anybody_may_call(session)) if state.service else state


def _describe_remaining(session: Session) -> str:
    wait_until_settled(session)  # a call whose answer was lost may have been accepted
    return describe_remaining(session)
