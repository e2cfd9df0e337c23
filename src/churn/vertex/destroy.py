"""`churn destroy`: remove all that carries the deployment's label, what bills first, and look again."""

from __future__ import annotations

from churn.config.root import Config
from churn.errors import UserError
from churn.vertex.apply import set_traffic, undeploy
from churn.vertex.cloud import jobs, prices
from churn.vertex.cloud.client import Clients, connect, translate_errors, wait_for, wait_for_pending
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.cloud.staging import count_unlabelled, list_staged
from churn.vertex.cloud.state import find_data_set, read_state
from churn.vertex.monitoring import job
from churn.vertex.plan import gcloud

BATCH = 100  # objects that Cloud Storage deletes in one call


def destroy(cfg: Config) -> None:
    """Remove the deployment; raises `UserError` if anything is left."""
    from churn.vertex.confirm import confirm

    target = Deployment.of(cfg)
    clients = connect(cfg.deploy, target)
    with translate_errors(target, "churn destroy, again: it goes on where this one stopped"):
        print(describe_remaining(clients, target))
        print(_gcloud_commands(clients, target))
        confirm(cfg, target, "Destroy")
        wait_for_pending(clients, target)
        jobs.remove_jobs(clients, target)
        remove_all(clients, target)
        if remains := _remaining(clients, target):
            raise UserError(f"something is left: {', '.join(remains)}", target.parent, "churn destroy")
        foreign = count_unlabelled(clients, target)
    print("Looked again: nothing is left, nothing bills.")
    if foreign:
        where = f"gs://{target.bucket}/{target.name}"
        print(f"{foreign} files below {where} are not from here and stay: gcloud storage rm -r {where}")


def _gcloud_commands(clients: Clients, target: Deployment) -> str:
    """The commands of gcloud that remove the same, for people."""
    names = [blob.name for blob in list_staged(clients, target)]
    lines = gcloud.destroy_all(
        target, read_state(clients, target), bool(find_data_set(clients, target)), names
    )
    lines = ["The same with gcloud:", *(f"  {line}" for line in lines)] if lines else []
    if others := [*jobs.find_schedules(clients, target), *jobs.find_jobs(clients, target)]:
        lines += [
            f"Through the API alone, since gcloud has no command for it: {len(others)} jobs and schedules"
        ]
    return "\n".join(lines)


def remove_all(clients: Clients, target: Deployment) -> None:
    """Monitoring, deployed models, endpoint, model, log, staged files: in the order that is allowed."""
    state = read_state(clients, target)
    job.remove_monitor(clients, target, state)
    if state.endpoint:
        last = state.serving()
        if last and state.share(last) < 100:
            set_traffic(clients, target, {last: 100})
        for model in sorted(state.deployed, key=lambda model: model.id == last):
            undeploy(clients, target, model.id)
        wait_for(clients, target, clients.endpoints.delete_endpoint({"name": target.endpoint}).operation.name)
    if state.versions:
        wait_for(clients, target, clients.models.delete_model({"name": target.model}).operation.name)
    if find_data_set(clients, target):
        clients.bigquery.delete_dataset(target.dataset, delete_contents=True, not_found_ok=True)
    files = list_staged(clients, target)
    for start in range(0, len(files), BATCH):
        with clients.storage.batch():
            for blob in files[start : start + BATCH]:
                blob.delete()


def _remaining(clients: Clients, target: Deployment) -> list[str]:
    """Names of all that exists of the deployment."""
    state, log = read_state(clients, target), find_data_set(clients, target)
    found = [one.name for one in (*jobs.find_schedules(clients, target), *jobs.find_jobs(clients, target))]
    found += [state.monitor.name] if state.monitor else []
    found += [f"{target.endpoint}, version {model.model_version_id}" for model in state.deployed]
    found += [target.endpoint] if state.endpoint else []
    found += [f"{target.model}@{version.version_id}" for version in state.versions]
    found += [f"data set {target.dataset}"] if log else []
    files = list_staged(clients, target)
    return found + ([f"{len(files)} files in gs://{target.bucket}/{target.name}/"] if files else [])


def describe_remaining(clients: Clients, target: Deployment) -> str:
    """What exists and what it costs, for people."""
    remains, deployed = _remaining(clients, target), read_state(clients, target).deployed
    lines = ["What exists:", *(f"  {name}" for name in remains or ["nothing"])]
    for model in deployed:
        resources = model.dedicated_resources
        machine, nodes = resources.machine_spec.machine_type, resources.min_replica_count
        lines.append(f"  bills: {prices.load_prices().running(machine, nodes)}")
    return "\n".join(lines if deployed else [*lines, "  nothing bills by the hour"])
