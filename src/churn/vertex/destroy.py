"""`churn destroy`: remove everything with the deployment's label, and look again."""

from __future__ import annotations

from churn.config.root import Config
from churn.errors import UserError
from churn.vertex.apply import set_traffic, undeploy
from churn.vertex.cloud import jobs, prices
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.cloud.errors import translate_errors
from churn.vertex.cloud.operations import wait_for, wait_for_pending
from churn.vertex.cloud.session import Session, connect
from churn.vertex.cloud.staging import count_unlabelled, list_staged
from churn.vertex.cloud.state import State, find_dataset, read_state
from churn.vertex.confirm import confirm
from churn.vertex.monitoring import job
from churn.vertex.plan import gcloud

BATCH = 100  # objects that Cloud Storage deletes in one call


def destroy(cfg: Config) -> None:
    """Remove the deployment, first what costs money; raises `UserError` if anything is left.

    >>> destroy(compose_config("deploy.project=PROJECT", "deploy.bucket=BUCKET"))
    """
    deployment = Deployment.from_config(cfg)
    session = connect(deployment)
    with translate_errors(deployment, "churn destroy, again: it goes on where this one stopped"):
        print(describe_remaining(session))
        print(_gcloud_commands(session))
        confirm(deployment, "Destroy")
        wait_for_pending(session)
        jobs.remove_jobs(session)
        remove_all(session)
        if names := _list_remaining(session):
            raise UserError(f"something is left: {', '.join(names)}", deployment.parent, "churn destroy")
        foreign = count_unlabelled(session)
    print("Looked again: nothing is left, nothing bills.")
    if foreign:
        folder = f"gs://{deployment.bucket}/{deployment.name}"
        print(f"{foreign} files below {folder} are not from here and stay: gcloud storage rm -r {folder}")


def _gcloud_commands(session: Session) -> str:
    """The gcloud commands that remove the same."""
    names = [blob.name for blob in list_staged(session)]
    state, has_log = read_state(session), bool(find_dataset(session))
    commands = gcloud.destroy_all(session.deployment, state, has_log, names)
    lines = ["The same with gcloud:", *(f"  {command}" for command in commands)] if commands else []
    if others := [*jobs.find_schedules(session), *jobs.find_jobs(session)]:
        what = f"{len(others)} jobs and schedules"
        lines.append(f"Through the API alone, since gcloud has no command for it: {what}")
    return "\n".join(lines)


def remove_all(session: Session) -> None:
    """Remove monitoring, deployed models, endpoint, model, log, staged files; no other order is allowed."""
    clients, deployment, state = session.clients, session.deployment, read_state(session)
    job.remove_monitor(session, state)
    if state.endpoint:
        _remove_endpoint(session, state)
    if state.versions:
        wait_for(session, clients.models.delete_model({"name": deployment.model}))
    if find_dataset(session):
        clients.bigquery.delete_dataset(deployment.dataset, delete_contents=True, not_found_ok=True)
    _remove_staged(session)


def _remove_endpoint(session: Session, state: State) -> None:
    """Undeploy all versions, the one that serves last, then delete the endpoint."""
    last_id = state.serving_id()
    if last_id and state.share(last_id) < 100:
        set_traffic(session, {last_id: 100})
    for model in sorted(state.deployed, key=lambda model: model.id == last_id):
        undeploy(session, model.id)
    request = {"name": session.deployment.endpoint}
    wait_for(session, session.clients.endpoints.delete_endpoint(request))


def _remove_staged(session: Session) -> None:
    blobs = list_staged(session)
    for start in range(0, len(blobs), BATCH):
        with session.clients.storage.batch():
            for blob in blobs[start : start + BATCH]:
                blob.delete()


def _list_remaining(session: Session) -> list[str]:
    """Names of everything that exists of the deployment."""
    deployment, state, dataset = session.deployment, read_state(session), find_dataset(session)
    names = [item.name for item in (*jobs.find_schedules(session), *jobs.find_jobs(session))]
    names += [state.monitor.name] if state.monitor else []
    names += [f"{deployment.endpoint}, version {model.model_version_id}" for model in state.deployed]
    names += [deployment.endpoint] if state.endpoint else []
    names += [f"{deployment.model}@{version.version_id}" for version in state.versions]
    names += [f"data set {deployment.dataset}"] if dataset else []
    files = list_staged(session)
    names += [f"{len(files)} files in gs://{deployment.bucket}/{deployment.name}/"] if files else []
    return names


def describe_remaining(session: Session) -> str:
    """What exists of the deployment, and what it costs."""
    names, deployed = _list_remaining(session), read_state(session).deployed
    lines = ["What exists:", *(f"  {name}" for name in names or ["nothing"])]
    if not deployed:
        return "\n".join([*lines, "  nothing bills by the hour"])
    table = prices.load_prices()
    return "\n".join([*lines, *(f"  bills: {table.describe_deployed(model)}" for model in deployed)])
