"""`churn rollback`: traffic back to the version before the newest."""

from __future__ import annotations

from churn.config import Config
from churn.errors import UserError
from churn.vertex import gcloud
from churn.vertex.apply import set_traffic
from churn.vertex.client import connect, in_plain_words, settle
from churn.vertex.state import look
from churn.vertex.target import Target


def rollback(cfg: Config) -> None:
    """Take all traffic from the newest deployed version, in one call; run again, it changes nothing."""
    target = Target.of(cfg)
    clients = connect(cfg.deploy, target)
    with in_plain_words(target, "churn rollback"):
        settle(clients, target)
        state = look(clients, target)
        if len(state.deployed) < 2:
            raise UserError("there is no earlier version to go back to", target.endpoint, "churn status")
        newest, before = state.deployed[-1], state.deployed[-2]
        if state.share(newest.id):
            before = next((m for m in state.deployed[-2::-1] if state.share(m.id)), before)
            print(f"The same with gcloud: {gcloud.shift(target, {before.id: 100})}")
            set_traffic(clients, target, {before.id: 100})
            state = look(clients, target)
    for model in state.deployed:
        print(f"version {model.model_version_id}: {state.share(model.id)} % of the traffic")
