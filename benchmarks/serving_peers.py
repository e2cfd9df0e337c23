"""The peers of `serving.py`: the obvious server, and ours with less and less in it."""

import asyncio
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
import uvloop

from churn.__main__ import main
from churn.backend import tensorflow
from churn.bundle.bundle import Bundle
from churn.bundle.model import Model
from churn.config.serving import ServeConfig
from churn.serve import server
from churn.serve.app import Endpoint
from churn.serve.batching import Batcher
from churn.serve.connection import Connection
from churn.serve.metrics import Metrics
from churn.serve.model import ServedModel
from churn.serve.protocol import Fields, RequestRows


class EmptyModel(ServedModel):
    """Gives every row the prediction of the example row."""

    def __init__(self, model: Model, lenient: bool = False) -> None:
        self.constant: Any = None
        super().__init__(model, lenient)
        [[self.constant]], _ = super().__call__([self.read.rows([self.example])])

    def __call__(self, requests: list[RequestRows]) -> tuple[list[list[Any]], int]:
        """The constant predictions, once the first is known."""
        if self.constant is None:
            return super().__call__(requests)
        return [[self.constant] * len(rows) for rows in requests], 0


class NoMetrics(Metrics):
    """Counts no rows."""

    def answered(self, predictions: Any, missing: int) -> None:
        """Nothing."""


class Bare(Endpoint):
    """HTTP and JSON alone: no checks, no batches, no model."""

    def submit(self, identity: str, body: bytes | bytearray) -> asyncio.Future[bytes]:
        """A constant of the length of a real answer."""
        rows = len(msgspec.json.decode(body)["instances"])
        names = {"deployedModelId": "0" * 12, "model": "models/bare", "modelVersionId": "0" * 12}
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        answer.set_result(msgspec.json.encode({"predictions": [self.batcher.model.constant] * rows, **names}))
        return answer


def obvious(bundle: Bundle) -> Any:
    """FastAPI as its tutorial shows it: a typed model of a row, the signature called for each request."""
    from fastapi import FastAPI
    from pydantic import create_model

    tf = tensorflow()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    signature = bundle.saved_model.signatures["serving_default"]
    kinds = Fields.of(bundle).kinds
    types: dict[str, Any] = {name: (float if kind == "number" else str, ...) for name, kind in kinds.items()}
    row = create_model("Row", **types)
    request = create_model("Request", instances=(list[row], ...))
    app = FastAPI()

    @app.get("/health")
    def health() -> None:
        return None

    @app.post("/predict")
    def predict(body: request) -> dict[str, Any]:  # type: ignore[valid-type]
        columns = {}
        for name, kind in kinds.items():
            values = [getattr(each, name) for each in body.instances]
            columns[name] = tf.constant(values, tf.float32 if kind == "number" else tf.string)
        answer = {name: value.numpy().tolist() for name, value in signature(**columns).items()}
        rows = zip(*answer.values(), strict=True)
        return {"predictions": [dict(zip(answer, values, strict=True)) for values in rows]}

    return app


def empty(*overrides: str) -> None:
    """`churn serve` itself, log and metrics on, with an empty model in it."""
    server.ServedModel = EmptyModel  # type: ignore[misc]
    sys.argv = ["churn", "serve", *overrides]
    main()


async def serve(kind: str, port: int, bundle: Bundle) -> None:
    """Answer until SIGTERM."""
    cfg, metrics = ServeConfig(), NoMetrics()
    if kind == "obvious":
        app = obvious(bundle)
    else:
        app = Bare(cfg, metrics) if kind == "bare" else Endpoint(cfg, metrics)
        app.swap(Batcher(EmptyModel(Model(bundle)), None, metrics, cfg))
    http = "httptools" if kind == "obvious" else partial(Connection, app)
    options: dict[str, Any] = {"http": http, "lifespan": "off", "log_level": "warning"}
    await uvicorn.Server(uvicorn.Config(app, port=port, access_log=False, **options)).serve()


if __name__ == "__main__":  # serving_peers.py empty OVERRIDES, or obvious|stripped|bare PORT BUNDLE
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if sys.argv[1] == "empty":
        empty(*sys.argv[2:])
    else:
        uvloop.run(serve(sys.argv[1], int(sys.argv[2]), Bundle.load(Path(sys.argv[3]))))
