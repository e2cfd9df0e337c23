"""Our container as Cloud Run starts it: it answers with the server's own reader and model, and logs."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from churn.config.root import compose_config
from churn.config.serving import LogTo
from churn.data.id_hash import IdHash
from churn.serve.log.entries import EntryLog
from churn.serve.log.lines import log_header, log_lines
from doubles import serving

OWN_ARGUMENTS = ("serve.log.enabled=false",)  # of the image's ENTRYPOINT in deploy/serving/Dockerfile
DID_NOT_START = "The user-provided container failed to start and listen on the port. "


def start(run: Any, template: Any) -> str | None:
    """What keeps a container from starting, or None."""
    (container,) = template.containers
    environment = {variable.name: variable.value for variable in container.env}
    image = container.image.rpartition("/")[2]
    if image not in run.cloud.images or not serving.is_ours(container.image):
        return f"Image '{container.image}' not found."
    secrets = [v.value_source.secret_key_ref.secret for v in container.env if v.value_source]
    if missing := [name for name in secrets if name and name not in run.secrets]:
        return f"Secret {missing[0]} was not found."
    ports = [str(port.container_port) for port in container.ports]
    if ports != [environment.get("AIP_HTTP_PORT")] or container.startup_probe.http_get.path != "/health":
        return DID_NOT_START + "Nobody answers on the port."
    address = environment.get("AIP_STORAGE_URI", "")
    if not address or not run.cloud.storage.list(address) or any(word in address for word in run.broken):
        return DID_NOT_START + f"There is no bundle at {address!r}."
    return None


@cache
def settings(arguments: tuple[str, ...]) -> Any:
    """The server's configuration of the log: Hydra refuses arguments that it does not know."""
    return compose_config(*OWN_ARGUMENTS, *arguments).serve.log


MODELS: dict[str, Any] = {}  # by the name of the folder, which is a hash of its content


def load(folder: Path) -> Any:
    """The server's model of a bundle."""
    from churn.bundle.bundle import Bundle
    from churn.bundle.model import Model
    from churn.serve.model import ServedModel

    if folder.name not in MODELS:
        MODELS[folder.name] = ServedModel(Model(Bundle.load(folder)))
    return MODELS[folder.name]


def respond(run: Any, revision: Any, body: bytes, number: int) -> tuple[int, bytes, list[dict[str, Any]]]:
    """Status and content of the answer to a predict request, and the entries of the log."""
    import msgspec

    from churn.serve.refused import RefusedError

    (container,) = revision.containers
    environment = {variable.name: variable.value for variable in container.env}
    model = load(run.cloud.storage.fetch(environment["AIP_STORAGE_URI"]))
    try:
        rows = model.read(body)
    except RefusedError as refused:
        return refused.code, refused.body(), []
    [predictions], _ = model([rows])
    encoded = msgspec.json.encode(predictions)
    log = settings(tuple(container.args))
    entries = (
        entries_of(model, rows, encoded, f"r-{number}") if log.enabled and log.to is LogTo.stdout else []
    )
    return 200, b'{"predictions":' + encoded + b"," + msgspec.json.encode(model.description)[1:], entries


def entries_of(model: Any, rows: list[Any], encoded: bytes, identity: str) -> list[dict[str, Any]]:
    """What the server prints for Cloud Logging."""
    reader, writer = os.pipe()
    lines = log_lines([identity], [rows], [encoded], len(model.fields.numbers), IdHash(b"0" * 32))
    EntryLog(log_header(model), writer).append(lines)
    os.close(writer)
    with os.fdopen(reader, "rb") as printed:
        return [json.loads(line) for line in printed]
