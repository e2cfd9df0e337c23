"""From a pandas frame to a model, in one line: the pipeline's own functions for notebooks and programs.

>>> model = churn.fit(customers, target="Churn")
>>> model.report()
>>> model.predict(new_customers)
>>> model.save("models/june")
"""

from __future__ import annotations

import html
import os
import shutil
import weakref
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from pandas.api import types

from churn.bundle.bundle import Bundle
from churn.bundle.choice import describe_model
from churn.bundle.model import Model as Answers
from churn.bundle.reasons import reason_columns, reason_outputs
from churn.config.root import compose_config
from churn.data.coded import frame_features
from churn.data.infer.cells import to_ids
from churn.data.sources.columns import simplify_types, to_pandas
from churn.data.table import RawTable
from churn.data.validate import to_features
from churn.errors import UserError, quoted
from churn.files import PARTIAL
from churn.refusals import refusal_of
from churn.score.output import sort_outputs
from churn.scratch import scratch_folder


@dataclass(frozen=True)
class Report:
    """The page of a model; a notebook shows it."""

    path: Path
    model: Model | None = field(default=None, repr=False)  # whose folder has to stay

    def _repr_html_(self) -> str:
        page = html.escape(self.path.read_text(encoding="utf-8"))
        return f'<iframe srcdoc="{page}" title="Churn report" style="width: 100%; height: 40rem"></iframe>'


class Model:
    """A trained model: a run directory with its bundle and its report."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def bundle(self) -> Bundle:
        """The bundle, for everything else that one can do with it."""
        return Bundle.load(self.path / "bundle")

    @cached_property
    def _answers(self) -> Answers:
        return Answers(self.bundle, threads=os.cpu_count() or 1)

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics of the test part, by name."""
        return {name: estimate["value"] for name, estimate in self.bundle.facts["metrics"].items()}

    def report(self) -> Report:
        """The report; in a notebook, the page itself."""
        return Report(self.path / "report.html", self)

    def predict(self, customers: pd.DataFrame, reasons: bool = False) -> pd.DataFrame:
        """A row for each customer, as `churn score` writes it: id, probability, interval, decision, reasons.

        The index is that of `customers`. Raises `UserError` if a column is missing or a cell is no number,
        and for what is no frame.
        """
        _check_frame(customers)
        schema = self.bundle.schema
        raw = _to_raw(customers, {*customers} - {*schema.features, schema.id})
        rows = frame_features(to_features(raw, schema), schema)
        answers = self._answers.answer(rows, reasons)
        unused = reason_outputs(schema)
        table = pd.DataFrame({name: answers[name] for name in sort_outputs(answers) if name not in unused})
        if reasons:
            table = table.join(pd.DataFrame(reason_columns(answers, rows)))
        if schema.id in customers:
            table.insert(0, schema.id, to_ids(raw.frame[schema.id]).to_numpy(object))
        return table.set_index(customers.index)

    def save(self, folder: str | Path) -> Path:
        """Copy the model into a new folder, whole: `churn score bundle=FOLDER/bundle` takes it from there.

        Raises `UserError` if there is something already, and for what the operating system refuses.
        """
        target = Path(folder).expanduser().resolve()
        try:
            _copy_whole(self.path, target)
        except OSError as error:
            raise refusal_of(error) or error from None
        return target

    def __repr__(self) -> str:
        return f"<churn model {describe_model(self.bundle.facts)}>"


def _copy_whole(source: Path, target: Path) -> None:
    """Copy a folder to a new one, which appears whole; raises `UserError` if there is something already."""
    if target.is_file() or (target.exists() and any(target.iterdir())):
        raise UserError("there is something already", str(target), "name another folder")
    aside = target.with_name(f".{target.name}{PARTIAL}")
    shutil.rmtree(aside, ignore_errors=True)  # of a killed process
    try:
        shutil.copytree(source, aside)
        aside.rename(target)
    except OSError:  # also what copytree makes of several
        shutil.rmtree(aside, ignore_errors=True)
        raise


def fit(
    customers: pd.DataFrame,
    target: str,
    *,
    id: str | None = None,
    name: str = "frame",
    settings: Sequence[str] = (),
) -> Model:
    """A model of who leaves, trained, calibrated, compared with baselines and measured on a test part.

    target: the column that says who left; id: that of the customer's id, if its name does not say so;
    settings: keys as on the command line. The model lies in a temporary folder, which is removed with it, at
    the end of the process at the latest. Nothing is registered. Raises `UserError` as `churn train` does.

    >>> model = fit(customers, target="Churn", settings=["train.epochs=5", "data.drop=[name]"])
    """
    from churn import pipeline

    _check_frame(customers)
    cfg = compose_config("data=csv", *settings)
    cfg.data.target, cfg.data.id, cfg.data.name = target, id or cfg.data.id, name
    with ExitStack() as temporary:
        folder = temporary.enter_context(scratch_folder())
        run_dir = folder / "model"
        cfg.run.root, cfg.run.dir = str(folder), str(run_dir)  # not typed: a path may have signs of Hydra's
        pipeline.run_frame(_to_raw(customers, cfg.data.drop), cfg, run_dir)
        model = Model(run_dir)
        weakref.finalize(model.bundle, _remove, temporary.pop_all())  # it may outlive the model
    return model


def _remove(temporary: ExitStack) -> None:
    """Remove a temporary folder, which may be gone already."""
    with suppress(FileNotFoundError):
        temporary.close()


def load(folder: str | Path) -> Model:
    """A model that was saved, or a run directory; raises `UserError` if it is neither, or was changed.

    >>> load("runs/latest").predict(customers)
    """
    model = Model(Path(folder).expanduser().resolve())
    _ = model.bundle
    return model


def _to_raw(customers: pd.DataFrame, unused: Collection[str]) -> RawTable:
    """A frame as a table whose cells are not checked yet; those of `unused` columns may be anything."""
    frame = customers.reset_index(drop=True)
    several = [name for name in map(str, frame) if not _has_single_values(frame[name])]
    if refused := [name for name in several if name not in unused]:
        fault = f"cells are lists or the like, or complex numbers: column {_listed(refused)}"
        do = "give each a single value; for a column that is no input: df.drop(columns=[...])"
        raise UserError(fault, do=do)
    for name in several:
        frame[name] = ""
    for name in filter(lambda name: _is_python_text(frame[name].dtype), map(str, frame)):
        frame[name] = _whole_texts(frame[name])
    if arrow := [name for name in map(str, frame) if _is_simplified(frame[name])]:
        table = pa.Table.from_pandas(frame[arrow], preserve_index=False)
        frame[arrow] = to_pandas(simplify_types(table))
    return RawTable(frame, origin="a frame")


def _is_python_text(kind: Any) -> bool:
    """Whether cells may be texts as Python has them; pandas' own kind of text takes whole characters only."""
    return types.is_object_dtype(kind) or getattr(kind, "storage", "") == "python"


def _whole_texts(column: pd.Series) -> pd.Series:
    """The cells of a column, with ? for a half of a character, as the readers of files have them."""
    cells = [cell.encode(errors="replace").decode() if isinstance(cell, str) else cell for cell in column]
    return pd.Series(cells, column.index, column.dtype)


def _is_simplified(column: pd.Series) -> bool:
    """Whether cells become those that a Parquet file would give: Arrow's types, and durations."""
    return isinstance(column.dtype, pd.ArrowDtype) or types.is_timedelta64_dtype(column.dtype)


def _check_frame(customers: pd.DataFrame) -> None:
    """Raise `UserError` for no frame, for names of columns that are no texts, and for the same name twice."""
    if not isinstance(customers, pd.DataFrame):
        what = f"customers have to be a frame of pandas, not {type(customers).__name__}"
        raise UserError(what, do="pd.DataFrame(rows); for one row of a frame: df.iloc[[0]]")
    if names := [name for name in customers if not isinstance(name, str)]:
        raise UserError(
            f"names of columns have to be text: {_listed(names)}", do="df.columns = df.columns.map(str)"
        )
    if names := list(customers.columns[customers.columns.duplicated()].unique()):
        raise UserError(
            f"several columns have the same name: {_listed(names)}",
            do="df = df.loc[:, ~df.columns.duplicated()]",
        )


def _has_single_values(column: pd.Series) -> bool:
    """Whether no cell is a list or the like, or a complex number."""
    kind = column.dtype
    if isinstance(kind, pd.ArrowDtype):
        return not pa.types.is_nested(kind.pyarrow_dtype)
    return (
        all(map(types.is_hashable, column))
        if types.is_object_dtype(kind)
        else not types.is_complex_dtype(kind)
    )


def _listed(names: Iterable[object]) -> str:
    return ", ".join(quoted(str(name)) for name in names)
