"""`churn serve`: an endpoint on this machine."""

from __future__ import annotations

import os
import re
import resource
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from churn.bundle.choice import choose_bundle
from churn.config.limits import PORT
from churn.config.root import Config
from churn.config.serving import LogIds, LogTo, ServeConfig
from churn.data.forgotten import Forgotten
from churn.data.id_hash import IdHash, id_hash
from churn.errors import UserError
from churn.scratch import scratch_folder

BACKLOG = 1_000  # connections that wait to be accepted
OTHER_FILES = 200  # that the process has open beside its connections


def serve(cfg: Config) -> None:
    """Answer predict requests with the bundle that `choose_bundle` gives, until SIGTERM or Ctrl-C.

    Vertex AI's variables AIP_* come before the configuration. Raises `UserError` for a bundle that cannot be
    loaded, and for an address or a route that cannot be used.

    >>> serve(compose_config("bundle=runs/latest/bundle", "serve.port=8081"))
    """
    import uvicorn  # noqa: F401  # where it is missing, that is said before anything is done

    from churn.serve.gate import check_address, check_certificate
    from churn.serve.routes import check_routes

    cfg = replace(cfg, serve=_apply_environment(cfg.serve, os.environ))
    check_routes(cfg.serve)
    check_address(cfg.serve)
    check_certificate(cfg.serve)
    _check_output(cfg.serve)
    if uri := os.environ.get("AIP_STORAGE_URI"):
        with local_bundle(uri) as folder:
            _serve_bundle(replace(cfg, bundle=str(folder)))
    else:
        _serve_bundle(cfg)


def _serve_bundle(cfg: Config) -> None:
    """Answer with the bundle that `choose_bundle` gives."""
    if log_folder := _log_folder(cfg):
        Forgotten.of(cfg)  # refuses another key's list now, not later in the background
    bundle, listener = choose_bundle(cfg), listen(cfg.serve.host, cfg.serve.port)
    _allow_open_files(2 * cfg.serve.max_connections + OTHER_FILES)  # as many whose handshake is not done
    if cfg.serve.processes == 1:
        from churn.serve.server import Server

        Server(cfg, bundle, log_folder, _hash_of_log(cfg)).run([listener])
    else:
        from churn.serve.supervisor import Supervisor

        Supervisor(cfg, bundle, log_folder, _hash_of_log(cfg)).run(listener)


def _check_output(cfg: ServeConfig) -> None:
    """Raise `UserError` if the lines of several processes would mix on one output."""
    if cfg.processes > 1 and cfg.log.enabled and cfg.log.to is LogTo.stdout:
        where = f"serve.log.to=stdout serve.processes={cfg.processes}"
        raise UserError("several processes cannot log to one output", where, "serve.processes=1")


def _log_folder(cfg: Config) -> Path | None:
    """The folder of the log; None if there is no log, or none in files."""
    if not cfg.serve.log.enabled or cfg.serve.log.to is not LogTo.files:
        return None
    return Path(cfg.serve.log.dir or Path(cfg.run.root) / "log")


def _hash_of_log(cfg: Config) -> IdHash | None:
    """What the log writes in place of ids; None for the ids themselves, which is said aloud."""
    if not cfg.serve.log.enabled or cfg.serve.log.ids is LogIds.hashed:
        return id_hash(cfg) if cfg.serve.log.enabled else None
    print("churn: the log holds the customers' ids in plain text (serve.log.ids=plain)", file=sys.stderr)
    return None


def _apply_environment(cfg: ServeConfig, environment: Mapping[str, str]) -> ServeConfig:
    """The configuration with the port and the routes that Vertex AI gives a container.

    Raises `UserError` for a port that is none.
    """
    cfg = replace(
        cfg,
        predict_route=environment.get("AIP_PREDICT_ROUTE") or cfg.predict_route,
        health_route=environment.get("AIP_HEALTH_ROUTE") or cfg.health_route,
    )
    if not (port := environment.get("AIP_HTTP_PORT")):
        return cfg
    if not (re.fullmatch("[0-9]{1,5}", port) and PORT.holds(int(port))):
        do = f"choose a number that is {PORT.text}, or do not set the variable"
        raise UserError("this is no port", f"AIP_HTTP_PORT={port}", do)
    return replace(cfg, host="0.0.0.0", port=int(port))


@contextmanager
def local_bundle(uri: str) -> Iterator[Path]:
    """The directory of a bundle; one in Cloud Storage is copied, and the copy removed with the block."""
    if "://" not in uri:
        yield Path(uri)
        return
    with scratch_folder() as folder:
        _copy_bundle(uri, folder)
        yield folder


def _copy_bundle(uri: str, folder: Path) -> None:
    """Copy a bundle from Cloud Storage; raises `UserError` where that is impossible."""
    from pyarrow import fs

    try:
        source, base = fs.FileSystem.from_uri(uri)
        for info in source.get_file_info(fs.FileSelector(base, recursive=True)):
            if info.is_file:  # one by one, because copying all at once makes no folders
                target = folder / info.path.removeprefix(base).lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                fs.copy_files(info.path, str(target), source_filesystem=source)
    except (OSError, ValueError) as error:
        where = f"AIP_STORAGE_URI={uri}"
        raise UserError(f"cannot copy the bundle: {error}", where, "check name and permissions") from None


def _allow_open_files(count: int) -> None:
    """Raise the limit of open files as far as the connections need and the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY != soft < count:
        wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def listen(host: str, port: int, key: str = "serve.port") -> socket.socket:
    """A socket that listens; raises `UserError` with the key of the port where that is impossible."""
    try:
        return socket.create_server((host, port), backlog=BACKLOG)
    except OSError as error:
        where = f"serve.host={host} {key}={port}"
        do = f"name another port: {key}={8081 if port < 1024 else port + 1}"
        raise UserError(f"cannot listen: {error.strerror}", where, do) from None
