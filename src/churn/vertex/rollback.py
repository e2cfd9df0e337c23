"""`churn rollback`: traffic back to the version before."""

from __future__ import annotations

from churn.config.root import Config
from churn.errors import UserError
from churn.vertex.apply import set_traffic
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.cloud.errors import translate_errors
from churn.vertex.cloud.operations import wait_for_pending
from churn.vertex.cloud.session import connect
from churn.vertex.cloud.state import read_state
from churn.vertex.plan import gcloud


def rollback(cfg: Config) -> None:
    """Give all traffic to the version before, in one call; run again, it changes nothing.

    >>> rollback(compose_config("deploy.project=PROJECT", "deploy.bucket=BUCKET"))
    version 1: 100 % of the traffic
    version 2: 0 % of the traffic
    """
    deployment = Deployment.from_config(cfg)
    session = connect(deployment)
    with translate_errors(deployment, "churn rollback"):
        wait_for_pending(session)
        state = read_state(session)
        if len(state.deployed) < 2:
            raise UserError("there is no earlier version to go back to", deployment.endpoint, "churn status")
        previous = state.rollback_id
        if state.share(previous) < 100:
            print(f"The same with gcloud: {gcloud.set_traffic(deployment, {previous: 100})}")
            set_traffic(session, {previous: 100})
            state = read_state(session)
    for model in state.deployed:
        print(f"version {model.model_version_id}: {state.share(model.id)} % of the traffic")
