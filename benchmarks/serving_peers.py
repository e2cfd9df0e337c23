"""The servers beside which `serving.py` measures ours: the obvious one, and ours with an empty model."""

import os
import sys
from pathlib import Path
from typing import Any

import orjson
import uvicorn

from churn.backend import tensorflow
from churn.bundle import Bundle
from churn.config import ServeConfig
from churn.serve.app import Endpoint
from churn.serve.metrics import Metrics
from churn.serve.protocol import Fields


class Empty(Endpoint):
    """Our server up to the parsed request: no checks, no batches, no model, no histograms, no log."""

    async def answer(self, identity: str, body: bytes) -> bytes:
        """A constant of the length of a real answer."""
        rows = len(orjson.loads(body)["instances"])
        prediction = {
            "churn_probability": 0.23134300112724304,
            "unseen_inputs": 0,
            "churn": 0,
            "customer_key": "",
        }
        names = {"deployedModelId": "0" * 12, "model": "models/empty", "modelVersionId": "0" * 12}
        return orjson.dumps({"predictions": [prediction] * rows, **names})


def obvious(bundle: Bundle) -> Any:
    """FastAPI as its tutorial shows it: a typed model of a row, the signature called for each request."""
    from fastapi import FastAPI
    from pydantic import create_model

    tf, signature = tensorflow(), bundle.saved_model.signatures["serving_default"]
    kinds = Fields.of(bundle).kinds
    types: dict[str, Any] = {name: (float if kind == "number" else str, ...) for name, kind in kinds.items()}
    row = create_model("Row", **types)
    request = create_model("Request", instances=(list[row], ...))
    app = FastAPI()

    @app.post("/predict")
    def predict(body: request) -> dict[str, Any]:  # type: ignore[valid-type]
        columns = {
            name: tf.constant(
                [getattr(each, name) for each in body.instances],
                tf.float32 if kind == "number" else tf.string,
            )
            for name, kind in kinds.items()
        }
        answer = {name: value.numpy().tolist() for name, value in signature(**columns).items()}
        return {
            "predictions": [
                dict(zip(answer, values, strict=True)) for values in zip(*answer.values(), strict=True)
            ]
        }

    return app


def main() -> None:
    """`serving_peers.py empty|obvious PORT [BUNDLE]`."""
    kind, port = sys.argv[1], int(sys.argv[2])
    if kind == "empty":
        app: Any = Empty(ServeConfig(), Metrics())
    else:
        threading = tensorflow().config.threading
        threading.set_intra_op_parallelism_threads(1)
        threading.set_inter_op_parallelism_threads(1)
        app = obvious(Bundle.load(Path(sys.argv[3])))
    uvicorn.run(
        app, port=port, loop="uvloop", http="httptools", lifespan="off", log_level="warning", access_log=False
    )


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
