"""The process: load and warm up, answer, reload on SIGHUP, drain on SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from churn.backend import tensorflow
from churn.bundle.bundle import Bundle
from churn.bundle.registry import find_bundle
from churn.config.root import Config
from churn.config.serving import ServeConfig
from churn.errors import UserError
from churn.serve.app import Endpoint
from churn.serve.batching import Batcher
from churn.serve.log.compact import Compactor
from churn.serve.log.write import Spool
from churn.serve.metrics import Metrics
from churn.serve.model import Model
from churn.serve.processes import announce

TICK_SECONDS = 1.0
SHUTDOWN_SECONDS = 30  # for what is being answered


class Server(uvicorn.Server):
    """uvicorn, which answers while the model is loaded, reloaded, and while it drains."""

    def __init__(self, cfg: Config, bundle: Bundle, folder: Path | None) -> None:
        self.cfg, self.folder = cfg, folder
        self.metrics = Metrics()
        self.endpoint = Endpoint(cfg.serve, self.metrics)
        self.compactor = Compactor(folder) if folder else None
        self.loading: asyncio.Task[None] | None = None
        self.failure: Exception | None = None
        self.announcement = ExitStack()
        self.find: Callable[[], Bundle] = lambda: bundle  # later the champion of that time
        super().__init__(
            uvicorn.Config(
                self.endpoint,
                loop="uvloop",
                http="httptools",
                lifespan="off",
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=cfg.serve.max_connections,
                timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            )
        )

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop; raises what kept the first model from loading."""
        super().run(sockets)
        if self.failure:
            raise self.failure

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen at once, load meanwhile."""
        await super().startup(sockets)
        self.loop = asyncio.get_running_loop()
        self.loop.add_signal_handler(signal.SIGHUP, self.reload)
        if "AIP_STORAGE_URI" not in os.environ:  # a container serves what it was given
            self.announcement.enter_context(announce(self.cfg.run.root))
        if self.compactor:
            self.compactor.start()
        self.ticking = self.loop.create_task(self.tick())
        self.loading = self.loop.create_task(self.load())

    async def load(self) -> None:
        """Make a model ready beside the one that serves, then swap; a reload that fails changes nothing."""
        first = self.endpoint.batcher is None
        try:
            self.take(await asyncio.to_thread(_load_model, self.find, self.cfg.serve))
        except Exception as error:
            self.metrics.reloads["failed"] += not first
            if first:
                self.failure, self.should_exit = error, True
            elif isinstance(error, UserError):
                print(f"churn: not reloaded: {error}", flush=True)
            else:
                traceback.print_exception(error)
            return
        self.metrics.reloads["done"] += not first
        self.find = partial(find_bundle, self.cfg)  # lets go of the model before
        _freeze_garbage()

    def take(self, model: Model) -> None:
        """Serve with a model that is warm."""
        before = self.endpoint.batcher
        spool = Spool(self.folder, _log_header(model), self.cfg.serve.log) if self.folder else None
        self.endpoint.swap(Batcher(model, spool, self.metrics, self.cfg.serve))
        if before:
            before.close()
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        name, digest = model.bundle.facts["name"], model.bundle.digest[:12]
        print(f"Serving {name} ({digest}) on http://{host}:{port}{self.cfg.serve.predict_route}", flush=True)

    def reload(self) -> None:
        """Look for the champion again and serve with it."""
        if self.loading and self.loading.done():
            self.loading = self.loop.create_task(self.load())

    async def tick(self) -> None:
        """Let the log's file close when it is old."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            batcher = self.endpoint.batcher
            if batcher and batcher.spool:
                batcher.spool.tick()
                self.metrics.log_backlog = batcher.spool.waiting
                self.metrics.compaction_failures = self.compactor.failures if self.compactor else 0

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Drain: not healthy from now on; a moment later answer what is there, and end."""
        impatient = self.endpoint.draining or sig == signal.SIGINT
        self.endpoint.draining = True
        if impatient or not self.started:
            self.should_exit = True
        else:
            later = self.cfg.serve.drain_seconds, self.stop
            self.loop.call_soon_threadsafe(self.loop.call_later, *later)

    def stop(self) -> None:
        """Leave the main loop, which begins the shutdown."""
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what is there, then close the log."""
        self.announcement.close()
        await super().shutdown(sockets)
        self.ticking.cancel()
        if self.endpoint.batcher:
            self.endpoint.batcher.close()
        if self.compactor:
            await asyncio.to_thread(self.compactor.stop)


def _load_model(find: Callable[[], Bundle], cfg: ServeConfig) -> Model:
    """The bundle's model, warm. TensorFlow gets few threads: handing over costs more than small work."""
    bundle, threading = find(), tensorflow().config.threading
    if threading.get_intra_op_parallelism_threads() != cfg.threads:
        threading.set_intra_op_parallelism_threads(cfg.threads)
        threading.set_inter_op_parallelism_threads(cfg.threads)
    return Model(bundle, cfg.lenient)


def _freeze_garbage() -> None:
    """Take what is loaded out of the garbage collector's view.

    TensorFlow holds some 300,000 objects; looking through them stops the server for a fifth of a second.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _log_header(model: Model) -> dict[str, Any]:
    """What the lines of the log mean: the first line of each of its files."""
    return {
        "bundle": model.bundle.digest,
        "name": model.bundle.facts["name"],
        "threshold": model.bundle.facts.get("threshold"),
        "numbers": model.fields.numbers,
        "texts": model.fields.texts,
        "outputs": model.outputs,
    }
