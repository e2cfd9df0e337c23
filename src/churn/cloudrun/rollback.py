"""`churn rollback target=cloudrun`: traffic back to the revision before."""

from __future__ import annotations

from churn.cloudrun import gcloud
from churn.cloudrun.apply import set_traffic
from churn.cloudrun.service import run_deployment, service_name
from churn.cloudrun.session import connect_run
from churn.cloudrun.state import wait_until_settled
from churn.config.root import Config
from churn.errors import UserError
from churn.vertex.cloud.errors import translate_errors


def rollback(cfg: Config) -> None:
    """Give all traffic to the revision with the tag `previous`; run again, it changes nothing.

    >>> rollback(compose_config("target=cloudrun", "deploy.project=PROJECT", "deploy.bucket=BUCKET"))
    churn-dev-run-91b2c0aa17: 100 % of the traffic
    churn-dev-run-0f3a52c1d9: 0 % of the traffic
    """
    deployment = run_deployment(cfg)
    session = connect_run(deployment)
    with translate_errors(deployment, "churn rollback target=cloudrun"):
        state = wait_until_settled(session)
        if not (previous := state.previous):
            where, do = service_name(deployment), "churn status target=cloudrun"
            raise UserError("there is no earlier revision to go back to", where, do)
        print(f"The same with gcloud: {gcloud.set_traffic(deployment, {previous: 100}, state.tags)}")
        set_traffic(session, state, {previous: 100}, state.tags)
    for name in state.names:
        print(f"{name}: {100 if name == previous else 0} % of the traffic")
