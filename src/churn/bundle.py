"""The bundle: a directory that anyone can serve, and the only thing that training leaves behind.

A TensorFlow SavedModel whose root is what Vertex AI calls `artifact_uri`. Beside the graph it carries, in
`assets.extra/`: `bundle.json` (roles and names of the columns, threshold, metrics, versions),
`profile.json` (what training data looked like), `words.json` (the codes of texts in the signature `coded`)
and `checksums.json` (sha256 of every other file).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn.backend import silent_stderr, tensorflow
from churn.errors import UserError
from churn.schema import Schema

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from churn.columns import Coded, Columns
    from churn.graph import ServingGraph

FORMAT = 3
AT_ONCE = 16_384  # rows that go through the graph together, so that memory has a bound
EXTRA = "assets.extra"
CHECKSUMS = f"{EXTRA}/checksums.json"
REASONS = "reasons"  # the signature whose answers carry reasons
CODED = "coded"  # the one of numbers [F, n] and codes [C, n], for callers that look texts up themselves


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk whose files are as they were written."""

    path: Path
    facts: dict[str, Any] = field(compare=False)  # bundle.json
    digest: str  # sha256 of the checksums: names this bundle among all

    @classmethod
    def load(cls, path: Path) -> Bundle:
        """The bundle in the directory `path`; raises `UserError` if a file is missing or was changed.

        Does not import TensorFlow; the first prediction does.
        """
        listing = path / CHECKSUMS
        if not listing.is_file():
            raise UserError(
                "this is not a bundle",
                str(path),
                "name a directory that `churn train` wrote: bundle=RUN/bundle",
            )
        expected = json.loads(listing.read_text())
        found = checksums(path)
        wrong = sorted(
            name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)
        )
        if wrong:
            raise UserError(
                f"the bundle was changed or is incomplete: {', '.join(wrong)}",
                str(path),
                "train it again or copy it whole",
            )
        facts = json.loads((path / EXTRA / "bundle.json").read_text())
        if facts["format"] != FORMAT:
            raise UserError(
                f"the bundle has format {facts['format']}, this program reads {FORMAT}",
                str(path),
                "train it again",
            )
        return cls(path, facts, hashlib.sha256(listing.read_bytes()).hexdigest())

    @cached_property
    def schema(self) -> Schema:
        """Roles of the columns of the training table."""
        roles: dict[str, Any] = self.facts["schema"]
        tuples: dict[str, Any] = {role: tuple(v) if isinstance(v, list) else v for role, v in roles.items()}
        return Schema(**tuples)

    @cached_property
    def profile(self) -> dict[str, Any]:
        """What the training data looked like (see `churn.profile`)."""
        return json.loads((self.path / EXTRA / "profile.json").read_text())

    @cached_property
    def words(self) -> dict[str, int]:
        """The code of each text in the signature `coded`; any other text has 0."""
        return json.loads((self.path / EXTRA / "words.json").read_text())

    @cached_property
    def saved_model(self) -> Any:
        """The SavedModel, loaded; its signatures live as long as it does."""
        with silent_stderr():
            return tensorflow().saved_model.load(str(self.path))

    def predict(
        self, frame: pd.DataFrame, keys: np.ndarray | None = None, signature: str = "serving_default"
    ) -> dict[str, np.ndarray]:
        """Named outputs, each [n], of rows as in `Dataset.frame` ([n] opaque customer keys, or none)."""
        import numpy as np

        parts = [
            self.run(frame[i : i + AT_ONCE], None if keys is None else keys[i : i + AT_ONCE], signature)
            for i in range(0, max(len(frame), 1), AT_ONCE)
        ]
        return {name: np.concatenate([part[name].numpy() for part in parts]) for name in parts[0]}

    def run(
        self, rows: pd.DataFrame | Columns, keys: np.ndarray | None = None, signature: str = "serving_default"
    ) -> dict[str, Any]:
        """The outputs of `predict` as tensors; also of rows as `churn.columns` gives them."""
        return self.saved_model.signatures[signature](**tensors(rows, self.facts["inputs"], keys))

    def run_coded(self, rows: Columns) -> dict[str, Any]:
        """The same without the key's echo, several times faster: each different text is looked up once."""
        from churn.certainty import in_words
        from churn.columns import matrices

        tf = tensorflow()
        numbers, codes = map(tf.constant, matrices(rows, self.schema, self.words))
        found: dict[str, Any] = self.saved_model.signatures[CODED](numbers=numbers, codes=codes)
        if "certainty" in found:
            found["certainty"] = in_words(found["certainty"])
        return found


def tensors(
    rows: pd.DataFrame | Columns, inputs: list[dict[str, str]], keys: np.ndarray | None
) -> dict[str, Any]:
    """Named tensors [n] for the signature of rows as in `Dataset.frame`, or as `churn.columns` gives them."""
    import numpy as np

    tf = tensorflow()
    fields: dict[str, Any] = {}
    for told in inputs:
        values = rows[told["column"]]
        if isinstance(values, tuple):
            fields[told["input"]] = texts_of(values)
        elif told["kind"] == "number":
            fields[told["input"]] = tf.constant(np.asarray(values, np.float32))
        else:
            fields[told["input"]] = tf.constant(np.asarray(values, object), tf.string)
    count = tf.shape(next(iter(fields.values())))
    fields["customer_key"] = tf.fill(count, "") if keys is None else tf.constant(keys, tf.string)
    return fields


def texts_of(column: Coded) -> Any:
    """[n] string tensor of a coded column; no text becomes a Python object more than once."""
    tf = tensorflow()
    return tf.gather(tf.constant(column.levels, tf.string), column.codes)


def decoded(outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs of `Bundle.predict` with str in place of bytes."""
    import numpy as np

    return {
        name: np.array([text.decode() for text in values], object) if values.dtype == object else values
        for name, values in outputs.items()
    }


def export(graph: ServingGraph, path: Path, reasons: bool = False) -> None:
    """Write the SavedModel; `seal` completes it to a bundle. `reasons`: in every signature.

    `ExportArchive` and not `tf.saved_model.save`: what the latter writes of a Keras 3 model does not load
    in TensorFlow Serving. Raises `UserError` if reasons are asked for and have no background.
    """
    if reasons and not graph.background:
        raise UserError("reasons need customers to compare with", "export.background", "export.background=64")
    keras = tensorflow().keras
    archive = keras.export.ExportArchive()
    archive.track(graph.network)
    archive.track(graph.encoder.lookup)
    signatures = {"serving_default": graph.with_reasons if reasons else graph}
    if graph.background:
        signatures[REASONS] = graph.with_reasons
    for name, function in signatures.items():
        archive.add_endpoint(name, function, input_signature=[graph.signature()])
    of_codes = graph.explained if reasons else graph.of_codes
    archive.add_endpoint(CODED, of_codes, input_signature=graph.coded_signature())
    archive.write_out(str(path), verbose=False)
    (path / EXTRA).mkdir()
    (path / EXTRA / "words.json").write_text(json.dumps(graph.encoder.words))


def describe(graph: ServingGraph) -> list[dict[str, str]]:
    """The inputs as `bundle.json` lists them: column of the table, tensor of the signature, kind."""
    from churn.graph import input_names

    names = input_names(graph.schema)
    kind = dict.fromkeys(graph.schema.numeric, "number") | dict.fromkeys(graph.schema.categorical, "category")
    return [
        {"column": column, "input": names[column], "kind": kind[column]} for column in graph.schema.features
    ]


def seal(path: Path, facts: dict[str, Any], profile: dict[str, Any]) -> None:
    """Add what travels with the SavedModel, checksums last."""
    extra = path / EXTRA
    extra.mkdir(exist_ok=True)
    (extra / "bundle.json").write_text(json.dumps({"format": FORMAT, **facts}, indent=1))
    (extra / "profile.json").write_text(json.dumps(profile))
    (path / CHECKSUMS).write_text(json.dumps(checksums(path), indent=1))


def checksums(path: Path) -> dict[str, str]:
    """sha256 of every file below `path` but the list of checksums itself."""
    files = sorted(file for file in path.rglob("*") if file.is_file() and file != path / CHECKSUMS)
    return {
        file.relative_to(path).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files
    }
