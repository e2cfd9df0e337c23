"""Approvals: who let a version go to production, when, and on which evidence.

They are kept with the version in the registry, all of them, oldest first. The name is what was typed: who
may run `churn promote` is a matter of the machine's accounts, and of who has the key that signs
(`churn.bundle.signature`).
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime

from churn.bundle.bundle import Bundle
from churn.bundle.database import database_file, mlflow_client, on_server, one_writer
from churn.bundle.registry import registered_version
from churn.bundle.signature import is_signed, sign
from churn.config.root import Config
from churn.config.serving import Environment, Platform
from churn.config.trust import ApprovalConfig
from churn.errors import UserError

TAG = "approvals"  # of a version: a list of by, at and evidence, as JSON
LONGEST = 1_000  # characters of each text
_TYPE = 'approval.by=NAME approval.evidence="WHAT IT RESTS ON"'


def check_approval(cfg: Config) -> None:
    """Raise `UserError` if an approval is needed and missing, or is given in part.

    It is needed for `deploy.env=prod`.
    """
    approval = cfg.approval
    if not _given(approval) and cfg.deploy.env is Environment.prod:
        raise UserError("nobody has approved this version", "deploy.env=prod", f"add {_TYPE}")
    if bool(approval.by) != bool(approval.evidence):
        raise UserError("an approval has a name and its evidence", "approval", _TYPE)
    if _given(approval) and approval.trusted and not approval.key:
        do = "sign it: approval.key=FILE.pem"
        raise UserError("an approval needs a signature here", "approval.trusted", do)
    for key, text in (("by", approval.by), ("evidence", approval.evidence)):
        if text and len(text) > LONGEST:
            do = "name the document that holds it"
            raise UserError(f"more than {LONGEST:,} characters", f"approval.{key}", do)


def check_standing_approval(cfg: Config) -> None:
    """Raise `UserError` if a retraining could bring a version to production that nobody has approved."""
    if cfg.target.name is Platform.vertex:
        check_approval(cfg)


def record_approval(cfg: Config, name: str, version: str) -> str:
    """Keep the approval of the configuration with a version; gives a sentence, empty without an approval."""
    approval, client = cfg.approval, mlflow_client(cfg.run.root)
    if not _given(approval):
        return ""
    with one_writer(cfg.run.root):
        tags = client.get_model_version(name, version).tags
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        entry = {"by": str(approval.by), "at": now, "evidence": str(approval.evidence)}
        if approval.key:
            entry |= sign(entry, tags["digest"], approval.key)
        approvals = [*json.loads(tags.get(TAG, "[]")), entry]
        client.set_model_version_tag(name, version, TAG, json.dumps(approvals))
    return f" Approved by {approval.by}{', signed' if approval.key else ''}."


def approvals_of(bundle: Bundle, root: str) -> list[dict[str, str]]:
    """The approvals of a bundle, oldest first; none if it is not registered."""
    if not on_server() and not os.path.lexists(database_file(root)):
        return []
    client = mlflow_client(root)
    version = registered_version(client, bundle)
    tags = client.get_model_version(bundle.facts["name"], version).tags if version else {}
    found: list[dict[str, str]] = json.loads(tags.get(TAG, "[]"))
    return found


def require_approval(cfg: Config, bundle: Bundle) -> None:
    """Raise `UserError` if a bundle is to be deployed to production and nobody has approved it.

    With `approval.trusted` one of these keys must have signed an approval.
    """
    if cfg.deploy.env is not Environment.prod:
        return
    where, trusted = f"deploy.env=prod, bundle={bundle.path}", cfg.approval.trusted
    if not (approvals := approvals_of(bundle, cfg.run.root)):
        raise UserError("nobody has approved this bundle", where, f"churn promote run=RUN {_TYPE}")
    if trusted and not any(is_signed(entry, bundle.digest, trusted) for entry in approvals):
        what = "no approval of this bundle has a signature by a trusted key"
        raise UserError(
            what, f"{where}, approval.trusted", f"churn promote run=RUN {_TYPE} approval.key=FILE.pem"
        )


def _given(approval: ApprovalConfig) -> bool:
    return bool(approval.by or approval.evidence)
