"""`churn destroy`: remove everything with the deployment's label, and look again."""

from __future__ import annotations

from typing import Any

from churn.config.root import Config
from churn.errors import UserError
from churn.vertex.apply import set_traffic, undeploy
from churn.vertex.cloud import jobs, prices
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.cloud.errors import translate_errors
from churn.vertex.cloud.operations import retry_refused, wait_for, wait_for_pending
from churn.vertex.cloud.session import Session, connect
from churn.vertex.cloud.staging import delete_objects, describe_files, list_elsewhere, list_staged
from churn.vertex.cloud.state import State, find_dataset, read_state
from churn.vertex.confirm import confirm
from churn.vertex.leftovers import describe_leftovers
from churn.vertex.monitoring import job
from churn.vertex.plan import gcloud


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
        _stop_machines(session)
        delete_objects(session, _list_elsewhere(session))  # while versions and jobs name them
        jobs.remove_jobs(session)
        _remove_all(session)
        if names := _list_remaining(session):
            raise UserError(f"something is left: {', '.join(names)}", deployment.parent, "churn destroy")
        leftovers = describe_leftovers(session)
    print("Looked again: nothing is left of the deployment, nothing bills by the hour.")
    for line in leftovers:
        print(f"  {line}")


def _gcloud_commands(session: Session) -> str:
    """The gcloud commands that remove the same."""
    blobs = [*list_staged(session), *_list_elsewhere(session)]
    state, has_log = read_state(session), bool(find_dataset(session))
    commands = gcloud.destroy_all(session.deployment, state, has_log, blobs)
    lines = ["The same with gcloud:", *(f"  {command}" for command in commands)] if commands else []
    if others := [*jobs.find_schedules(session), *jobs.find_jobs(session)]:
        what = f"{len(others)} jobs and schedules"
        lines.append(f"Through the API alone, since gcloud has no command for it: {what}")
    return "\n".join(lines)


def _list_elsewhere(session: Session) -> list[Any]:
    """Staged objects in other buckets, as far as a version or a batch prediction names them."""
    addresses = [version.artifact_uri for version in read_state(session).versions]
    for batch in jobs.find_jobs(session, ("batch_prediction_job",)):
        addresses += batch.input_config.gcs_source.uris
    return list_elsewhere(session, addresses)


def _stop_machines(session: Session) -> None:
    """Undeploy all versions: they bill by the hour."""
    from google.api_core.exceptions import BadRequest

    try:
        _undeploy_all(session, read_state(session))
    except BadRequest:  # should the service want monitoring gone first, `_remove_all` does it in that order
        print("The service keeps the machines until the monitoring job is removed.")


def _remove_all(session: Session) -> None:
    """Remove monitoring, endpoint, model, log, staged files; no other order is allowed."""
    clients, deployment, state = session.clients, session.deployment, read_state(session)
    job.delete_tables(session, state.monitor)  # first: while there is a job, it knows them all
    job.remove_monitor(session, state)
    if state.endpoint:
        _undeploy_all(session, state)
        wait_for(session, clients.endpoints.delete_endpoint({"name": deployment.endpoint}))
    if state.versions:
        retry_refused(lambda: wait_for(session, clients.models.delete_model({"name": deployment.model})))
    if find_dataset(session):
        clients.bigquery.delete_dataset(deployment.dataset, delete_contents=True, not_found_ok=True)
    delete_objects(session, list_staged(session))


def _undeploy_all(session: Session, state: State) -> None:
    """Undeploy all versions, the one that serves last."""
    last_id = state.serving_id()
    if last_id and state.share(last_id) < 100:
        set_traffic(session, {last_id: 100})
    for model in sorted(state.deployed, key=lambda model: model.id == last_id):
        undeploy(session, model.id)


def _list_remaining(session: Session) -> list[str]:
    """Names of everything that exists of the deployment."""
    deployment, state, dataset = session.deployment, read_state(session), find_dataset(session)
    names = [item.name for item in (*jobs.find_schedules(session), *jobs.find_jobs(session))]
    names += [state.monitor.name] if state.monitor else []
    names += [f"{deployment.endpoint}, version {model.model_version_id}" for model in state.deployed]
    names += [deployment.endpoint] if state.endpoint else []
    names += [f"{deployment.model}@{version.version_id}" for version in state.versions]
    names += [f"data set {deployment.dataset}"] if dataset else []
    return names + describe_files(session, [*list_staged(session), *_list_elsewhere(session)])


def describe_remaining(session: Session) -> str:
    """What exists of the deployment, and what it costs."""
    names, deployed = _list_remaining(session), read_state(session).deployed
    lines = ["What exists:", *(f"  {name}" for name in names or ["nothing"])]
    if not deployed:
        return "\n".join([*lines, "  nothing bills by the hour"])
    table = prices.load_prices()
    return "\n".join([*lines, *(f"  bills: {table.describe_deployed(model)}" for model in deployed)])
