"""The server process: it loads and warms up the model, answers, reloads on SIGHUP and drains on SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import uvicorn

from churn.backend import arrow_alone, limit_threads
from churn.bundle.bundle import Bundle
from churn.bundle.choice import find_bundle
from churn.bundle.model import Model
from churn.config.root import Config
from churn.config.serving import LogTo, Runtime, ServeConfig
from churn.data.forgotten import Forgotten
from churn.data.id_hash import IdHash
from churn.errors import UserError
from churn.serve.app import Endpoint
from churn.serve.batching import Batcher
from churn.serve.connection import Connection
from churn.serve.joining import Joining
from churn.serve.log.entries import EntryLog
from churn.serve.log.lines import log_header
from churn.serve.log.overload import Complaint
from churn.serve.log.write import Spool
from churn.serve.metrics import Metrics
from churn.serve.model import ServedModel
from churn.serve.processes import Announcer, Status

if TYPE_CHECKING:
    from churn.serve.log.compact import Compactor

TICK_SECONDS = 1.0
SHUTDOWN_SECONDS = 30  # at most, for the requests that are being answered


class Server(uvicorn.Server):
    """uvicorn, which also answers while the model is loaded or reloaded, and while the server drains."""

    def __init__(
        self, cfg: Config, bundle: Bundle, log_folder: Path | None, hash_id: IdHash | None = None
    ) -> None:
        self.cfg, self.log_folder, self.hash_id = cfg, log_folder, hash_id
        self.metrics = Metrics()
        self.endpoint = Endpoint(cfg.serve, self.metrics)
        self.endpoint.trouble = self._trouble
        self.complaint = Complaint()
        self.compactor: Compactor | None = None
        self.loading: asyncio.Task[None] | None = None
        self.asked_again = False  # for a reload, while a model is being loaded
        self.status = Status(named=cfg.bundle)
        self.say: Callable[[Status], None] = lambda status: None
        self.failure: Exception | None = None
        self.announcer: Announcer | None = None
        self.find: Callable[[], Bundle] = lambda: bundle  # once this one serves: the current champion
        super().__init__(
            uvicorn.Config(
                self.endpoint,
                loop="uvloop",
                http=partial(Connection, self.endpoint),  # type: ignore[arg-type]
                ws="none",
                lifespan="off",
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=SHUTDOWN_SECONDS,
                ssl_certfile=cfg.serve.certificate,
                ssl_keyfile=cfg.serve.certificate_key,
            )
        )

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal ends it; raises the error of the first model if that cannot be loaded."""
        super().run(sockets)
        if self.failure:
            raise self.failure

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen at once; the model is loaded in the background."""
        await super().startup([] if self.config.ssl else sockets)
        self.loop = asyncio.get_running_loop()
        self.joining = self._joining()
        if sockets and self.config.ssl:
            self.joining.listen(sockets[0])
        self.take_orders(sockets or [])
        self.ticking = self.loop.create_task(self._tick())
        self.loading = self.loop.create_task(self._load())

    def _joining(self) -> Joining:
        """What makes connections of sockets that uvicorn does not take itself."""
        uvicorns = {"config": self.config, "server_state": self.server_state, "app_state": {}}
        make = partial(Connection, self.endpoint, **uvicorns)
        return Joining(make, self.config.ssl, self.cfg.serve.max_connections)

    def take_orders(self, sockets: list[socket.socket]) -> None:
        """Be found by those who promote a model, and reload on SIGHUP."""
        self.loop.add_signal_handler(signal.SIGHUP, self.reload)
        self.say = self.announcer = Announcer(self.cfg, sockets[0])

    async def _load(self) -> None:
        """Load the current model, and once more if that was asked for meanwhile."""
        self.asked_again = True
        while self.asked_again and not self.failure:
            self.asked_again = False
            self._note(loading=True)
            failure = await self._load_once()
            self._note(loading=self.asked_again, loads=self.status.loads + 1, failure=failure)
            if not failure:
                await self._clean_up()

    async def _load_once(self) -> str:
        """Load a model in a thread, then serve with it; a reload that fails changes nothing but gives why."""
        first = self.endpoint.batcher is None
        try:
            self._serve_with(await asyncio.to_thread(_load_model, self.find, self.cfg.serve))
        except Exception as error:
            self.metrics.reloads["failed"] += not first
            if first:
                self.failure, self.should_exit = error, True
            elif not isinstance(error, UserError):
                traceback.print_exception(error)
            return str(error) or type(error).__name__
        self.metrics.reloads["done"] += not first
        self.find = partial(find_bundle, self.cfg)  # this also releases the bundle before
        return ""

    async def _clean_up(self) -> None:
        """What can wait until the model answers."""
        if self.log_folder and not self.compactor:
            self.compactor = await asyncio.to_thread(_start_compactor, self.log_folder, self.cfg)
        _freeze_garbage()

    def _note(self, **changed: Any) -> None:
        """Say how a loading goes."""
        self.status = replace(self.status, **changed)
        if not self.failure:  # of the first model: it is raised
            self.say(self.status)

    def _serve_with(self, model: ServedModel) -> None:
        """Answer new requests with a model that is warm."""
        previous = self.endpoint.batcher
        self.endpoint.swap(Batcher(model, self._open_log(model), self.metrics, self.cfg.serve, self.hash_id))
        if previous:
            previous.close()
        bundle = model.bundle
        self.status = replace(
            self.status, digest=bundle.digest, name=bundle.facts["name"], path=str(bundle.path)
        )

    def _open_log(self, model: ServedModel) -> Spool | EntryLog | None:
        """The log of a model; None if there is none."""
        if self.log_folder:
            return Spool(self.log_folder, log_header(model), self.cfg.serve.log)
        log = self.cfg.serve.log
        return EntryLog(log_header(model)) if log.enabled and log.to is LogTo.stdout else None

    def reload(self) -> None:
        """Look for the champion again and serve with it, at once or after the loading that is in progress."""
        self.asked_again = True
        if self.loading and self.loading.done():
            self.loading = self.loop.create_task(self._load())

    async def _tick(self) -> None:
        """Once a second: close slow connections, give the log the chance to close a file, update metrics."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            for connection in list(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.check(monotonic())
            batcher = self.endpoint.batcher
            if batcher and batcher.spool:
                batcher.spool.tick()
                self.metrics.log_backlog = batcher.spool.waiting
                self.metrics.compaction_failures = self.compactor.failures if self.compactor else 0
            self.complaint.say(self._trouble())

    def _trouble(self) -> str:
        """What is wrong with the log; "" for nothing."""
        batcher = self.endpoint.batcher
        spool = batcher.spool if batcher else None
        parts = [spool.trouble if spool else "", self.compactor.trouble if self.compactor else ""]
        return "; ".join(filter(None, parts))

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Drain: report unhealthy at once, but go on answering for `serve.drain_seconds`; then end.

        Ctrl-C, or a second SIGTERM, ends at once.
        """
        at_once = self.endpoint.draining or sig == signal.SIGINT
        self.endpoint.draining = True
        if at_once or not self.started:
            self.should_exit = True
        else:
            self.loop.call_soon_threadsafe(self.loop.call_later, self.cfg.serve.drain_seconds, self._stop)

    def _stop(self) -> None:
        self.should_exit = True  # uvicorn's main loop ends, and calls `shutdown`

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer the requests that are there, then close the log."""
        if self.announcer:
            self.announcer.close()
        self.joining.stop()
        await super().shutdown(sockets)
        self.ticking.cancel()
        batcher, self.endpoint.batcher = self.endpoint.batcher, None  # requests that are late are refused
        if batcher:
            batcher.close()
        if self.compactor:
            await asyncio.to_thread(self.compactor.stop)


def _load_model(find: Callable[[], Bundle], cfg: ServeConfig) -> ServedModel:
    """The bundle's model, warm.

    TensorFlow gets few threads, because to hand over small work costs more than to do it.
    """
    bundle = find()
    if cfg.runtime is Runtime.tensorflow:
        limit_threads(cfg.threads)
    return ServedModel(Model(bundle, cfg.runtime, cfg.threads), cfg.lenient)


def _start_compactor(folder: Path, cfg: Config) -> Compactor:
    """The thread that compacts the log, started. Arrow is imported here, when the server answers already.

    What Arrow has done with goes back to the system; mimalloc keeps it for the next piece of the log.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    arrow_alone()
    from churn.serve.log.compact import Compactor

    compactor = Compactor(folder, cfg.serve.log.keep_days, partial(Forgotten.of, cfg))
    compactor.start()
    return compactor


def _freeze_garbage() -> None:
    """Exclude all objects that exist now from garbage collection: to look through them stops the server."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
