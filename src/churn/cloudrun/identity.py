"""The token that says to a service who calls it."""

from __future__ import annotations

from typing import Any

from churn.errors import UserError
from churn.vertex.cloud.session import Session

IAM = "https://iamcredentials.googleapis.com"


def id_token(session: Session, audience: str) -> str:
    """An ID token of the caller: a user, an impersonated account, a workload of elsewhere, an account's key.

    audience: the address of the service, also where a tag's address is called. Raises `UserError` for
    credentials that give none.
    """
    from google.auth.exceptions import DefaultCredentialsError
    from google.auth.external_account import Credentials as Workload
    from google.auth.impersonated_credentials import Credentials as Impersonated
    from google.auth.transport.requests import Request
    from google.oauth2.credentials import Credentials as User
    from google.oauth2.id_token import fetch_id_token

    credentials = session.clients.http.credentials
    if isinstance(credentials, User):
        return _token_of_user(session, credentials)
    if isinstance(credentials, Impersonated):
        return _token_of_impersonated(credentials, audience)
    if isinstance(credentials, Workload):  # such as GitHub's workflow
        return _token_of_workload(session, credentials.service_account_email, audience)
    try:
        return str(fetch_id_token(Request(), audience))
    except DefaultCredentialsError:
        raise _no_token(session) from None


def _token_of_user(session: Session, credentials: Any) -> str:
    """A user's token names Google's own client as its audience, which Cloud Run takes."""
    from google.auth.transport.requests import Request

    if not credentials.id_token:
        credentials.refresh(Request())
    if not credentials.id_token:
        raise _no_token(session)
    return str(credentials.id_token)


def _token_of_impersonated(credentials: Any, audience: str) -> str:
    from google.auth.impersonated_credentials import IDTokenCredentials
    from google.auth.transport.requests import Request

    token = IDTokenCredentials(credentials, audience, include_email=True)
    token.refresh(Request())
    return str(token.token)


def _token_of_workload(session: Session, account: str | None, audience: str) -> str:
    """Asks for a token of the account that the workload acts as."""
    from google.api_core.exceptions import from_http_response

    if not account:
        raise _no_token(session)
    url = (
        f"{session.deployment.config.emulator or IAM}/v1/projects/-/serviceAccounts/{account}:generateIdToken"
    )
    answer = session.clients.http.post(url, json={"audience": audience, "includeEmail": True})
    if not answer.ok:
        raise from_http_response(answer)
    return str(answer.json()["token"])


def _no_token(session: Session) -> UserError:
    account = f"churn-deploy@{session.deployment.project}.iam.gserviceaccount.com"
    do = f"gcloud auth application-default login --impersonate-service-account={account}"
    return UserError("these credentials give no ID token, which the service wants to see", do=do)
