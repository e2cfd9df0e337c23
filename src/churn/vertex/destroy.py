"""`churn destroy`: remove all that carries the deployment's label, what bills first, and look again."""

from __future__ import annotations

from churn.config import Config
from churn.errors import UserError
from churn.vertex import gcloud, jobs, monitoring, prices
from churn.vertex.apply import set_traffic, undeploy
from churn.vertex.client import Clients, connect, finish, in_plain_words, settle
from churn.vertex.staging import staged, unlabelled
from churn.vertex.state import data_set, look
from churn.vertex.target import Target

BATCH = 100  # objects that Cloud Storage deletes in one call


def destroy(cfg: Config) -> None:
    """Remove the deployment; raises `UserError` if anything is left."""
    from churn.vertex.deploy import confirm

    target = Target.of(cfg)
    clients = connect(cfg.deploy, target)
    with in_plain_words(target, "churn destroy, again: it goes on where this one stopped"):
        print(left(clients, target))
        print(with_gcloud(clients, target))
        confirm(cfg, target, "Destroy")
        settle(clients, target)
        jobs.remove(clients, target)
        remove(clients, target)
        if remains := remainder(clients, target):
            raise UserError(f"something is left: {', '.join(remains)}", target.parent, "churn destroy")
        foreign = unlabelled(clients, target)
    print("Looked again: nothing is left, nothing bills.")
    if foreign:
        where = f"gs://{target.bucket}/{target.name}"
        print(f"{foreign} files below {where} are not from here and stay: gcloud storage rm -r {where}")


def with_gcloud(clients: Clients, target: Target) -> str:
    """The commands of gcloud that remove the same, for people."""
    names = [blob.name for blob in staged(clients, target)]
    lines = gcloud.destroy(target, look(clients, target), bool(data_set(clients, target)), names)
    lines = ["The same with gcloud:", *(f"  {line}" for line in lines)] if lines else []
    if others := [*jobs.schedules(clients, target), *jobs.find(clients, target)]:
        lines += [
            f"Through the API alone, since gcloud has no command for it: {len(others)} jobs and schedules"
        ]
    return "\n".join(lines)


def remove(clients: Clients, target: Target) -> None:
    """Monitoring, deployed models, endpoint, model, log, staged files: in the order that is allowed."""
    state = look(clients, target)
    monitoring.remove(clients, target, state)
    if state.endpoint:
        last = state.serving()
        if last and state.share(last) < 100:
            set_traffic(clients, target, {last: 100})
        for model in sorted(state.deployed, key=lambda model: model.id == last):
            undeploy(clients, target, model.id)
        finish(clients, target, clients.endpoints.delete_endpoint({"name": target.endpoint}).operation.name)
    if state.versions:
        finish(clients, target, clients.models.delete_model({"name": target.model}).operation.name)
    if data_set(clients, target):
        clients.bigquery.delete_dataset(target.dataset, delete_contents=True, not_found_ok=True)
    files = staged(clients, target)
    for start in range(0, len(files), BATCH):
        with clients.storage.batch():
            for blob in files[start : start + BATCH]:
                blob.delete()


def remainder(clients: Clients, target: Target) -> list[str]:
    """Names of all that exists of the deployment."""
    state, log = look(clients, target), data_set(clients, target)
    found = [one.name for one in (*jobs.schedules(clients, target), *jobs.find(clients, target))]
    found += [state.monitor.name] if state.monitor else []
    found += [f"{target.endpoint}, version {model.model_version_id}" for model in state.deployed]
    found += [target.endpoint] if state.endpoint else []
    found += [f"{target.model}@{version.version_id}" for version in state.versions]
    found += [f"data set {target.dataset}"] if log else []
    files = staged(clients, target)
    return found + ([f"{len(files)} files in gs://{target.bucket}/{target.name}/"] if files else [])


def left(clients: Clients, target: Target) -> str:
    """What exists and what it costs, for people."""
    remains, deployed = remainder(clients, target), look(clients, target).deployed
    lines = ["What exists:", *(f"  {name}" for name in remains or ["nothing"])]
    for model in deployed:
        resources = model.dedicated_resources
        machine, nodes = resources.machine_spec.machine_type, resources.min_replica_count
        lines.append(f"  bills: {prices.load().running(machine, nodes)}")
    return "\n".join(lines if deployed else [*lines, "  nothing bills by the hour"])
