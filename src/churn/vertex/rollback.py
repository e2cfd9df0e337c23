"""`churn rollback`: traffic back to the version before the newest."""

from __future__ import annotations

from churn.config.root import Config
from churn.errors import UserError
from churn.vertex.apply import set_traffic
from churn.vertex.cloud.client import connect, translate_errors, wait_for_pending
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.cloud.state import read_state
from churn.vertex.plan import gcloud


def rollback(cfg: Config) -> None:
    """Take all traffic from the newest deployed version, in one call; run again, it changes nothing."""
    target = Deployment.of(cfg)
    clients = connect(cfg.deploy, target)
    with translate_errors(target, "churn rollback"):
        wait_for_pending(clients, target)
        state = read_state(clients, target)
        if len(state.deployed) < 2:
            raise UserError("there is no earlier version to go back to", target.endpoint, "churn status")
        newest, before = state.deployed[-1], state.deployed[-2]
        if state.share(newest.id):
            before = next((m for m in state.deployed[-2::-1] if state.share(m.id)), before)
            print(f"The same with gcloud: {gcloud.set_traffic(target, {before.id: 100})}")
            set_traffic(clients, target, {before.id: 100})
            state = read_state(clients, target)
    for model in state.deployed:
        print(f"version {model.model_version_id}: {state.share(model.id)} % of the traffic")
