"""Problems of a batch prediction, found before anything is registered or read."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from churn.config.root import Config
from churn.config.serving import BeamRunner
from churn.errors import UserError
from churn.vertex.cloud.session import Session


def check_addresses(source: str, output: str) -> None:
    """Raise `UserError` for something that cannot be read, or written to."""
    is_named = _parts(source) == 3 if source.startswith("bq://") else source != "gs://"
    if not source or not is_named or not re.match(r"bq://[^.]|gs://[^/]", output):
        do = "input=bq://P.SET.TABLE, or a file, here or gs://; output=bq://P.SET or gs://BUCKET/DIR"
        raise UserError("Vertex AI needs something to read and a place to write", "input, output", do)
    if output.startswith("bq://") and _parts(output) != 2:
        what = "the answers become a new table of a data set, whose name Vertex AI chooses"
        raise UserError(what, f"output={output}", "name the data set: output=bq://P.SET")


def _parts(address: str) -> int:
    """How many names a bq:// address has, 0 if one is empty; a project may be called example.com:project."""
    names = address.rpartition(":")[2].removeprefix("//").split(".")
    return len(names) if all(names) else 0


def refuse_local_keys(cfg: Config) -> None:
    """Raise `UserError` for keys that only a scoring on this machine obeys."""
    chosen = {"top": cfg.top, "beam.runner": cfg.beam.runner is not BeamRunner.none}
    names = ("sort", "reasons", "keep", "page", "do_not_contact", "cutoff")
    chosen |= {f"score.{name}": getattr(cfg.score, name) for name in names}
    given = [key for key, value in chosen.items() if value]
    if given := given + [key for key in cfg.overridden if key.startswith("decision.")]:
        do = "score on this machine: target=local; or leave them out, and make the list of the answers"
        raise UserError("Vertex AI writes every customer's answer, and nothing else", ", ".join(given), do)


def check_output(session: Session, output: str) -> None:
    """Raise `UserError` if the data set or the bucket for the answers does not exist."""
    from google.api_core.exceptions import NotFound

    clients, region = session.clients, session.deployment.region
    try:
        if output.startswith("bq://"):
            clients.bigquery.get_dataset(output.removeprefix("bq://"))
        else:  # unlike a description of the bucket, this needs no permission
            clients.storage.bucket(urlsplit(output).netloc).test_iam_permissions(["storage.objects.create"])
    except NotFound:
        if output.startswith("bq://"):
            key = session.deployment.config.kms_key
            words = f"--dataset --default_kms_key={key}" if key else "--dataset"
            name = output.removeprefix("bq://").replace(".", ":", 1)
            what, make = "data set", f"bq --location={region} mk {words} {name}"
        else:
            name = urlsplit(output).netloc
            what, make = "bucket", f"gcloud storage buckets create gs://{name} --location={region}"
        raise UserError(f"the {what} for the answers does not exist", output, make) from None
