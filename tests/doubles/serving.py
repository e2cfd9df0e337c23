"""A model server that answers rows with a SavedModel by TensorFlow Serving's rules for the row format."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from churn.backend import silent_stderr, tensorflow
from doubles.bindings import RefusalError

# Prebuilt images and the first day on which they cannot be used (Vertex AI's framework support policy).
AVAILABLE_UNTIL = {"tf2-cpu.2-14": "2027-01-14", "tf2-cpu.2-15": "2027-01-14"}


def container_error(message: str) -> RefusalError:
    """The error that the front end makes of a container's 4xx."""
    return RefusalError(400, "FAILED_PRECONDITION", message)


class Model:
    """A SavedModel as TensorFlow Serving runs it: tag `serve`, signature `serving_default`."""

    def __init__(self, directory: Path) -> None:
        with silent_stderr():
            self.saved = tensorflow().saved_model.load(str(directory), tags=["serve"])
        self.call = self.saved.signatures["serving_default"]
        _, self.inputs = self.call.structured_input_signature

    def __call__(self, instances: list[Any]) -> list[dict[str, Any]]:
        """One answer per row; raises `RefusalError` for a row that TensorFlow Serving refuses."""
        tf = tensorflow()
        for row in instances:
            if not isinstance(row, dict) or row.keys() != self.inputs.keys():
                keys = sorted(row) if isinstance(row, dict) else row
                raise container_error(
                    f"Failed to process element: keys {keys}, expected {sorted(self.inputs)}"
                )
        tensors = {}
        for name, spec in self.inputs.items():
            values = [row[name] for row in instances]
            kind = str if spec.dtype == tf.string else float
            if wrong := [
                v for v in values if not isinstance(v, kind)
            ]:  # a list is wrong too: nothing is reshaped
                raise container_error(
                    f"JSON Value: {wrong[0]!r} is not of expected type {spec.dtype.name} in {name}"
                )
            tensors[name] = tf.constant(values, spec.dtype)
        outputs = {name: value.numpy() for name, value in self.call(**tensors).items()}
        rows = range(len(instances))
        return [{name: to_json(values[i]) for name, values in sorted(outputs.items())} for i in rows]


def to_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return value.tolist() if isinstance(value, np.ndarray) else value.item()


@cache
def load(directory: Path) -> Model:
    """The model in a directory that never changes."""
    return Model(directory)


def is_ours(image: str) -> bool:
    """Whether an image is that of deploy/serving/."""
    return "/churn/serving:" in image


def start_ours(spec: Any, artifacts: Path) -> None:
    """What `churn serve` does at its start: it answers on its routes and port once the bundle is loaded."""
    ports = [port.container_port for port in spec.ports]
    if (spec.predict_route, spec.health_route, ports) != ("/predict", "/health", [8080]):
        raise RefusalError(400, "FAILED_PRECONDITION", "Model server never became ready: no healthy answer.")
    load_ours(artifacts)


@cache
def load_ours(directory: Path) -> Callable[[list[Any]], list[dict[str, Any]]]:
    """The server's own reader and model."""
    from churn.bundle.bundle import Bundle
    from churn.bundle.model import Model as BundleModel
    from churn.serve.model import ServedModel
    from churn.serve.refused import RefusedError

    model = ServedModel(BundleModel(Bundle.load(directory)))

    def answer(instances: list[Any]) -> list[dict[str, Any]]:
        try:
            rows = model.read(msgspec.json.encode({"instances": instances}))
        except RefusedError as refused:
            raise container_error(refused.message) from None
        [predictions], _ = model([rows])
        return [msgspec.to_builtins(prediction) for prediction in predictions]

    return answer


def image_refusal(image: str, today: str) -> str | None:
    """Why an image cannot be deployed on that date; None if it can."""
    if "/vertex-ai/prediction/" not in image:
        return None
    tag = image.rpartition("/")[2].partition(":")
    if tag[0] not in AVAILABLE_UNTIL or tag[2] != "latest":
        return f"Container image not found: {image}"
    if today >= AVAILABLE_UNTIL[tag[0]]:
        return f"Container image {image} is no longer available since {AVAILABLE_UNTIL[tag[0]]}"
    return None
