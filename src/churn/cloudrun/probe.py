"""Real rows, sent to a revision before customers' are: its answers must be the bundle's own."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd

from churn.bundle.bundle import Bundle
from churn.cloudrun.identity import id_token
from churn.cloudrun.service import PROBE, revision_stem
from churn.cloudrun.state import RunState, wait_until_settled
from churn.errors import UserError
from churn.vertex.checks.parity import MismatchError, compare_answers, to_instances
from churn.vertex.cloud import operations
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.cloud.errors import RETRY
from churn.vertex.cloud.session import Session

SECONDS = 120  # for one answer: a container may have to start
OK, UNAUTHENTICATED, FORBIDDEN, BUSY = 200, 401, 403, (429, 500, 502, 503, 504)
ATTEMPTS = 5  # of a request that finds no instance


def check_revision(session: Session, state: RunState, bundle: Bundle, rows: pd.DataFrame) -> None:
    """Compare `deploy.answers` answers of the revision that is tagged for it; raises `MismatchError`.

    Raises `UserError` if another deployment has taken the tag: those were not the revision's answers.
    """
    name = state.running(revision_stem(session.deployment, bundle))
    try:
        _refuse_moved_tag(state, name)
        _compare_answers(session, state, bundle, rows)
    except MismatchError:
        _refuse_moved_tag(wait_until_settled(session), name)
        raise


def _refuse_moved_tag(state: RunState, name: str | None) -> None:
    if state.tags.get(PROBE) != name:
        what = f"another deployment has taken the tag {PROBE!r} of {name} before its answers were compared"
        raise UserError(what, state.service.name if state.service else "", RETRY)


def _compare_answers(session: Session, state: RunState, bundle: Bundle, rows: pd.DataFrame) -> None:
    assert state.service
    address, needed = state.address(PROBE), session.deployment.config.answers
    if not address:
        raise MismatchError("the revision has no address of its own", state.service.name, "churn status")
    expected = bundle.predict(rows, np.array([f"row-{i}" for i in range(len(rows))], dtype=object))
    url, body = (
        f"{address}{session.deployment.serving.predict_route}",
        {"instances": to_instances(rows, bundle)},
    )
    headers = {"Authorization": f"Bearer {id_token(session, state.service.uri)}"}
    for _ in range(needed):
        answer = _ask(url, body, headers)
        _refuse_errors(answer, session.deployment, url)
        compare_answers(_predictions(answer, url), expected)


def _predictions(answer: Any, url: str) -> Any:
    """The predictions of an answer; raises `MismatchError` for one that the container does not give."""
    try:
        return answer.json()["predictions"]
    except (ValueError, KeyError, TypeError):
        what = f"the revision answers with something else than predictions: {answer.text[:300]}"
        raise MismatchError(what, url) from None


def _ask(url: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
    """The answer; a busy service is asked again."""
    import requests

    for _ in range(ATTEMPTS):
        answer = requests.post(url, json=body, headers=headers, timeout=SECONDS)
        if answer.status_code not in BUSY:
            break
        time.sleep(operations.POLL_SECONDS)
    return answer


def _refuse_errors(answer: Any, deployment: Deployment, url: str) -> None:
    """Raise `UserError` if the caller may not ask, and `MismatchError` for any other error."""
    if answer.status_code == OK:
        return
    if answer.status_code in (UNAUTHENTICATED, FORBIDDEN):
        grant = f"gcloud run services add-iam-policy-binding {deployment.name} --role=roles/run.invoker"
        options = f"--region={deployment.region} --project={deployment.project}"
        do = f"{grant} --member=user:$(gcloud config get account) {options}; then run the same command again"
        raise UserError(f"you may not call the service: status {answer.status_code}", url, do)
    raise MismatchError(f"the revision answers with status {answer.status_code}: {answer.text[:300]}", url)
