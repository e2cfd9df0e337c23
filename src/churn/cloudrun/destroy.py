"""`churn destroy target=cloudrun`: remove everything with the deployment's label, and look again."""

from __future__ import annotations

from typing import Any

from churn.cloudrun import gcloud
from churn.cloudrun.log import delete_sink, find_sink
from churn.cloudrun.service import run_deployment, service_name
from churn.cloudrun.session import connect_run
from churn.cloudrun.state import read_run_state, wait_until_settled
from churn.cloudrun.undo import delete_service
from churn.config.root import Config
from churn.errors import UserError
from churn.vertex.cloud.errors import translate_errors
from churn.vertex.cloud.session import Session
from churn.vertex.cloud.staging import delete_objects, describe_files, list_elsewhere, list_staged
from churn.vertex.cloud.state import find_dataset
from churn.vertex.confirm import confirm
from churn.vertex.leftovers import describe_leftovers

AGAIN = "churn destroy target=cloudrun, again: it goes on where this one stopped"


def destroy(cfg: Config) -> None:
    """Remove the deployment, first the service; raises `UserError` if anything is left.

    >>> destroy(compose_config("target=cloudrun", "deploy.project=PROJECT", "deploy.bucket=BUCKET"))
    """
    deployment = run_deployment(cfg)
    session = connect_run(deployment)
    with translate_errors(deployment, AGAIN):
        print(describe_remaining(session))
        print(gcloud.describe_commands(_commands(session)))
        confirm(deployment, "Destroy")
        _remove_all(session)
        if names := _list_remaining(session):
            raise UserError(f"something is left: {', '.join(names)}", deployment.parent, AGAIN)
        leftovers = describe_leftovers(session)
    print("Looked again: nothing is left of the deployment.")
    for line in leftovers:
        print(f"  {line}")
    print("  entries of the log stay in Cloud Logging's bucket _Default for 30 days, unless you changed that")


def _commands(session: Session) -> list[str]:
    """The gcloud commands that remove the same."""
    state, files = read_run_state(session), [*list_staged(session), *_list_elsewhere(session)]
    has_sink, has_log = find_sink(session) is not None, find_dataset(session) is not None
    return gcloud.destroy_all(session.deployment, state, has_sink, has_log, files)


def _list_elsewhere(session: Session) -> list[Any]:
    """Staged objects in other buckets, as far as a revision names them."""
    state = read_run_state(session)
    return list_elsewhere(session, state.values(state.names))


def _remove_all(session: Session) -> None:
    """Remove service, sink, data set and staged files."""
    delete_objects(session, _list_elsewhere(session))  # while revisions name them
    if wait_until_settled(session).service:
        delete_service(session)
    if find_sink(session):
        delete_sink(session)
    if find_dataset(session):
        dataset = session.deployment.dataset
        session.clients.bigquery.delete_dataset(dataset, delete_contents=True, not_found_ok=True)
    delete_objects(session, list_staged(session))


def _list_remaining(session: Session) -> list[str]:
    """Names of everything that exists of the deployment."""
    deployment, state = session.deployment, read_run_state(session)
    names = [f"{service_name(deployment)} with {len(state.names)} revisions"] if state.service else []
    names += [f"log sink {deployment.name}"] if find_sink(session) else []
    names += [f"data set {deployment.dataset}"] if find_dataset(session) else []
    return names + describe_files(session, [*list_staged(session), *_list_elsewhere(session)])


def describe_remaining(session: Session) -> str:
    """What exists, for the user."""
    lines = [f"  {name}" for name in _list_remaining(session)]
    kept = read_run_state(session).kept_instances if lines else 0
    bills = f"{kept} instances bill although nobody calls" if kept else "nothing bills while nobody calls"
    return "\n".join(["What exists:", *(lines or ["  nothing"]), f"  {bills}"])
