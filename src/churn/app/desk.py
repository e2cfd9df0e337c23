"""What one person has before them: the model, the file, its answers. Nothing of it outlives the page."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from shiny import reactive

from churn.app import models
from churn.app.upload import Report, file_digest, inspect_upload, score_upload
from churn.bundle.bundle import Bundle
from churn.config.root import Config
from churn.data.writers import write_tables
from churn.errors import UserError
from churn.scratch import scratch_folder

REMEMBERED = 4  # files whose answers are kept while the page is open
Finish = Callable[[], None]


class Desk:
    """The state of one page.

    Answers are remembered by the digests of file and bundle: the same file is not scored twice, and another
    file under the same name is.
    """

    def __init__(self, cfg: Config) -> None:
        self.cfg = cfg
        self.bundle = reactive.value[Any](None)
        self.upload = reactive.value[Any](None)
        self.scored = reactive.value[Any](None)
        self._answers: OrderedDict[tuple[str, str], pd.DataFrame] = OrderedDict()
        self._training: dict[str, models.Training] = {}
        self.closing = ExitStack()  # removes what was written for this page
        self.folder = self.closing.enter_context(scratch_folder())

    def choose(self, path: str) -> None:
        """Take another model; the file has to be looked at again."""
        self.bundle.set(Bundle.load(Path(path)) if path else None)
        self.upload.set(None)
        self.scored.set(None)

    def inspect(self, path: Path, name: str, report: Report) -> Finish:
        """Look at a file; the result is shown when the caller calls what comes back."""
        upload = inspect_upload(path, name, self._model(), self.cfg, report)

        def finish() -> None:
            self.scored.set(None)
            self.upload.set(upload)

        return finish

    def take_example(self, report: Report) -> Finish:
        """Take the test rows of the model's own run."""
        report("from the model's own data")
        file = self.folder / "example.csv"
        table = pa.Table.from_pandas(self.training().test, preserve_index=False)
        write_tables(iter([table]), file)
        return self.inspect(file, "example.csv", report)

    def training(self) -> models.Training:
        """The rows that the model was made with; raises `UserError` if they are gone."""
        bundle = self._model()
        if bundle.digest not in self._training:
            self._training[bundle.digest] = models.training_of(bundle, self.cfg.run.root)
        return self._training[bundle.digest]

    def _model(self) -> Bundle:
        """The model, whoever asks; raises `UserError` if there is none."""
        with reactive.isolate():
            bundle: Bundle | None = self.bundle()
        if bundle is None:
            if models.list_models(self.cfg):
                raise UserError("no model is chosen", do="choose the one that these customers belong to")
            raise UserError("there is no model yet", do="train one: section 5")
        return bundle

    def score(self, report: Report) -> Finish:
        """Score the file that was looked at, unless that was done before."""
        with reactive.isolate():
            upload, bundle = self.upload(), self.bundle()
        key = file_digest(upload.path), bundle.digest
        if key not in self._answers:
            self._answers[key] = score_upload(upload, bundle, self.cfg, report)
        while len(self._answers) > REMEMBERED:
            self._answers.popitem(last=False)

        def finish() -> None:
            self.scored.set(self._answers[key])

        return finish
