"""The bundle: a directory that anyone can serve, and all that other stages take from training.

It is a TensorFlow SavedModel; its root is what Vertex AI calls `artifact_uri`. Beside the graph it holds,
in `assets.extra/`: `bundle.json` (roles and names of the columns, threshold, metrics, versions),
`profile.json` (the distribution of the training data), `words.json` (the vocabulary: the codes of texts in
the signature `coded`), `coded.tflite` and `coded_reasons.tflite` (the signatures of these names for LiteRT,
which serves and scores without TensorFlow) and `checksums.json` (sha256 of every other file).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn.backend import silent_stderr, tensorflow
from churn.bundle.contents import EXTRA, read_facts, verify_contents
from churn.bundle.operations import verify_operations
from churn.data.contract import CUSTOMER_KEY
from churn.data.dataset import Schema
from churn.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from churn.data.coded import ArrowFeatures, DictionaryColumn

FORMAT = 5  # 5: with the light model
BATCH_ROWS = 16_384  # rows that go through the graph at a time, so that memory has a bound
REASONS = "reasons"  # the signature whose answers carry reasons
CODED = "coded"  # the signature of numbers [F, n] and codes [C, n], for callers that look texts up themselves
CODED_REASONS = "coded_reasons"  # the same for the reasons of one row, without the probability


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk, whose checksums were right when it was loaded.

    >>> bundle = Bundle.load(Path("runs/latest/bundle"))
    >>> bundle.predict(frame)["churn_probability"]
    """

    path: Path
    facts: dict[str, Any] = field(compare=False)  # bundle.json
    digest: str  # sha256 of the checksums: identifies this bundle

    @classmethod
    def load(cls, path: Path) -> Bundle:
        """The bundle in the directory `path`; raises `UserError` if it was changed.

        A link such as runs/latest is followed once: a training that moves it changes nothing for this bundle.
        TensorFlow is imported by the first prediction, not here.
        """
        path = path.resolve() if path.is_absolute() else Path(os.path.relpath(path.resolve()))
        digest = verify_contents(path)
        facts = read_facts(path / EXTRA / "bundle.json")
        if (found := facts.get("format")) != FORMAT:
            what = f"the bundle has format {found}, this program reads {FORMAT}"
            raise UserError(what, str(path), "train it again")
        return cls(path, facts, digest)

    @cached_property
    def schema(self) -> Schema:
        """The roles of the columns of the training table."""
        roles: dict[str, Any] = self.facts["schema"]
        tuples: dict[str, Any] = {role: tuple(v) if isinstance(v, list) else v for role, v in roles.items()}
        return Schema(**tuples)

    @cached_property
    def profile(self) -> dict[str, Any]:
        """The distribution of the training data (see `churn.monitor.drift.profile`)."""
        return json.loads((self.path / EXTRA / "profile.json").read_text())

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        """The code of each text in the signature `coded`; any other text has code 0."""
        return json.loads((self.path / EXTRA / "words.json").read_text())

    def light_file(self, signature: str) -> Path:
        """The LiteRT file of a signature; it may not be there."""
        return self.path / EXTRA / f"{signature}.tflite"

    @cached_property
    def saved_model(self) -> Any:
        """The loaded SavedModel; keep it as long as you use its signatures.

        Raises `UserError` if its graph can do more than compute.
        """
        verify_operations(self.path)
        with silent_stderr():
            return tensorflow().saved_model.load(str(self.path))

    def predict(
        self, frame: pd.DataFrame, keys: np.ndarray | None = None, signature: str = "serving_default"
    ) -> dict[str, np.ndarray]:
        """Named outputs, each [n], for rows as in `Dataset.frame`; `keys` [n] come back as `customer_key`."""
        import numpy as np

        batches = [
            self.run(frame[i : i + BATCH_ROWS], None if keys is None else keys[i : i + BATCH_ROWS], signature)
            for i in range(0, max(len(frame), 1), BATCH_ROWS)
        ]
        return {name: np.concatenate([batch[name].numpy() for batch in batches]) for name in batches[0]}

    def run(
        self,
        rows: pd.DataFrame | ArrowFeatures,
        keys: np.ndarray | None = None,
        signature: str = "serving_default",
    ) -> dict[str, Any]:
        """The outputs of `predict` as tensors; `rows` may also come from `churn.data.features`."""
        return self.saved_model.signatures[signature](**to_tensors(rows, self.facts["inputs"], keys))


def to_tensors(
    rows: pd.DataFrame | ArrowFeatures, inputs: list[dict[str, str]], keys: np.ndarray | None
) -> dict[str, Any]:
    """The named tensors [n] of a signature; `inputs` as listed in bundle.json, `rows` as in `Bundle.run`."""
    import numpy as np

    tf = tensorflow()
    fields: dict[str, Any] = {}
    for field_info in inputs:
        values, name = rows[field_info["column"]], field_info["input"]
        if isinstance(values, tuple):
            fields[name] = _to_string_tensor(values)
        elif field_info["kind"] == "number":
            fields[name] = tf.constant(np.asarray(values, np.float32))
        else:
            fields[name] = tf.constant(np.asarray(values, object), tf.string)
    count = tf.shape(next(iter(fields.values())))
    fields[CUSTOMER_KEY] = tf.fill(count, "") if keys is None else tf.constant(keys, tf.string)
    return fields


def _to_string_tensor(column: DictionaryColumn) -> Any:
    tf = tensorflow()  # converts each distinct text once
    return tf.gather(tf.constant(column.levels, tf.string), column.codes)


def decode_strings(outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs of `Bundle.predict` with `str` in place of `bytes`."""
    import numpy as np

    return {
        name: np.array([text.decode() for text in values], object) if values.dtype == object else values
        for name, values in outputs.items()
    }
