"""What one person has before them: the model, the file, the list. Nothing of it outlives the page."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from shiny import reactive

from churn.app import models, one, whom
from churn.app.upload import Report, file_digest, inspect_upload, score_upload
from churn.bundle.bundle import Bundle
from churn.bundle.choice import describe_model
from churn.bundle.money import format_amount
from churn.config.root import Config
from churn.data.infer.cells import to_numbers
from churn.data.sources.side_files import read_ids
from churn.data.writers import write_tables
from churn.errors import UserError
from churn.score.call_list import CallList, explain_customers, list_of
from churn.score.common_reasons import claim_of, set_apart
from churn.score.page import reasons_of
from churn.scratch import scratch_folder

MOST_LEVELS = 50  # of a column that can be filtered by
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
        self.settings: Callable[[], Mapping[str, Any]] = dict
        self.barred_ids: Callable[[], set[str]] = set
        self._answers: OrderedDict[tuple[str, str], pd.DataFrame] = OrderedDict()
        self._reasons: dict[tuple[str, str, int], Any] = {}
        self._training: dict[str, models.Training] = {}
        self.ranked = reactive.calc(self._ranked)
        self.calls = reactive.calc(self._calls)
        self.closing = ExitStack()  # removes what was written for this page
        self.folder = self.closing.enter_context(scratch_folder())

    # The file

    def choose(self, path: str) -> None:
        """Take another model; the file has to be looked at again."""
        self.bundle.set(Bundle.load(Path(path)) if path else None)
        self.upload.set(None)
        self.scored.set(None)

    def inspect(self, path: Path, name: str, report: Report) -> Finish:
        """Look at a file; the result is shown when the caller calls what comes back."""
        with reactive.isolate():
            bundle = self.bundle()
        if bundle is None:
            raise UserError("there is no model yet", do="train one: section 5")
        upload = inspect_upload(path, name, bundle, self.cfg, report)

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
        with reactive.isolate():
            bundle = self.bundle()
        if bundle is None:
            raise UserError("there is no model yet", do="train one: section 5")
        if bundle.digest not in self._training:
            self._training[bundle.digest] = models.training_of(bundle, self.cfg.run.root)
        return self._training[bundle.digest]

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

    # The list

    def changed(self, sliders: Mapping[str, Any]) -> dict[str, Any]:
        """The keys of the decision that the sliders set to something else than the bundle's."""
        own = whom.assumptions(self.bundle(), {})
        values = {name: float(value) for name, value in sliders.items() if name != "capacity"}
        values["success"] /= 100
        changed = {name: value for name, value in values.items() if abs(value - getattr(own, name)) > 1e-9}
        return changed | {"capacity": int(sliders["capacity"])}

    def excluded(self, files: Sequence[Mapping[str, Any]] | None) -> set[str]:
        """The ids not to be contacted."""
        path = files[0]["datapath"] if files else None
        return read_ids(path, self.bundle().schema.id, files[0]["name"]) if files and path else set()

    def _ranked(self) -> whom.Ranked:
        assumed = whom.assumptions(self.bundle(), self.settings())
        return whom.rank(self.scored(), self.bundle(), assumed, self.barred_ids())

    def _calls(self) -> CallList:
        ranked = self.ranked()
        return list_of(ranked.best, ranked.assumed, self.cfg.seed)

    def full_list(self) -> CallList:
        """The list with the reasons of all customers, for files."""
        return whom.monday_list(self.ranked(), self.bundle(), self.cfg.seed)

    def explained(self, index: pd.Index) -> tuple[pd.DataFrame, list[str]]:
        """The reasons of some rows of the list, and those that most of them share."""
        best, digests = self.ranked().best.loc[index], (self.upload().digest, self.bundle().digest)
        names = [(*digests, hash(tuple(row))) for row in best["features"].itertuples(index=False)]
        new = [i for i, name in enumerate(names) if name not in self._reasons]
        if new:
            found = explain_customers(self.bundle(), best.iloc[new])
            self._reasons |= {names[i]: row for i, row in zip(new, found.to_dict("records"), strict=True)}
        return set_apart(pd.DataFrame([self._reasons[name] for name in names], index))

    def with_features(self, table: pd.DataFrame) -> pd.DataFrame:
        """A list with the fields of its customers, to search and filter by."""
        features = pd.DataFrame(self.ranked().best["features"]).loc[table.index]
        return table.join(features[[name for name in features if name not in table]])

    def rows(self, shown: pd.DataFrame) -> list[dict[Any, Any]]:
        """Rows of the list with their texts; a reason that most of them share is said above them."""
        reasons, common = self.explained(shown.index)
        claims = {line.partition(": ")[2] for line in common}
        rows = []
        for index, row in zip(shown.index, shown.to_dict("records"), strict=True):
            own = [one for one in reasons_of(reasons.loc[index].to_dict()) if claim_of(one) not in claims]
            texts: dict[Any, Any] = {
                "key": self.ranked().best.loc[index, ("key", "key")],
                "low": row.get("churn_probability_low"),
                "high": row.get("churn_probability_high"),
                "certainty": row.get("certainty", ""),
                "worth": self.money(row["expected_profit"]),
                "reasons": own or ["as most of them"],
            }
            rows.append(row | texts)
        return rows

    def who(self) -> list[str]:
        """The columns that say who a customer is."""
        table = self.calls().table
        return list(table.columns[: table.columns.get_loc("action")])

    def money(self, amount: float) -> str:
        """An amount in the currency of the decision."""
        return format_amount(amount, self.ranked().assumed.currency)

    def columns(self) -> list[str]:
        """The columns with few values, to filter by."""
        parts = [
            self.scored()[part] for part in ("features", "kept") if part in self.scored().columns.levels[0]
        ]
        table = pd.concat(parts, axis=1)
        return [name for name in table if table[name].nunique() <= MOST_LEVELS]

    def levels_of(self, column: str) -> list[str]:
        """The values of a column in the file."""
        if not column or self.scored() is None:
            return []
        part = "features" if ("features", column) in self.scored() else "kept"
        return sorted(map(str, self.scored()[part, column].dropna().unique()))

    def command(self) -> str:
        """The command that writes the same list."""
        upload, bundle = self.upload(), self.bundle()
        return whom.command(upload.name, bundle.path, upload.kept, self.settings(), upload.rows)

    # One customer

    def find(self, key: str) -> pd.DataFrame | None:
        """The row [1] of a customer by id, or by the number of the row; None if there is none."""
        if self.scored() is None or not key.strip():
            return None
        found = (self.scored()["key", "key"] == key.strip()).to_numpy().nonzero()[0]
        return pd.DataFrame(self.scored()["features"].iloc[found[:1]]) if len(found) else None

    def changed_row(self, row: pd.DataFrame, field: str, value: str) -> pd.DataFrame:
        """The row with another value in one field; a number that is none counts as missing."""
        schema = self.bundle().schema
        number = to_numbers(pd.Series([value]), schema)[0] if field in schema.numeric else value
        changed = row.copy()
        changed[field] = number
        return changed

    def fields(self, row: pd.DataFrame) -> list[dict[str, Any]]:
        """The fields of a customer: name, value, levels of a category, and where it lies."""
        bundle, fields = self.bundle(), []
        levels = bundle.profile.get("categorical", {})
        for name in bundle.schema.features:
            value = row[name].iloc[0]
            known = sorted({value, *levels.get(name, {})}) if name in bundle.schema.categorical else None
            shown = value if known else "" if pd.isna(value) else f"{value:.6g}"
            fields.append(
                {"name": name, "value": shown, "levels": known, "place": one.place_of(bundle, name, value)}
            )
        return fields

    def show_alike(self, row: pd.DataFrame, html: Callable[..., Any]) -> Any:
        """Customers like this one, and what became of them."""
        try:
            training = self.training()
        except UserError as error:
            return str(error)
        total, left, nearest = one.alike(row, training.frame, training.churned)
        return html("alike", total, left, nearest.to_dict("records"), list(row.columns))

    # The model

    def standing(self) -> tuple[Any, ...]:
        """What section 4 shows."""
        bundle, root = self.bundle(), self.cfg.run.root
        metrics, run = models.metrics_of(bundle, root), models.run_of(bundle, root)
        report = f"files/{run.relative_to(root)}/report.html" if run and run.is_relative_to(root) else ""
        return (
            describe_model(bundle.facts),
            models.statements(bundle.facts, metrics),
            models.in_money(bundle.facts, metrics),
            models.weakest(metrics),
            models.list_versions(self.cfg, bundle.facts["name"]),
            report,
            models.newest_alarms(self.cfg, bundle.facts["name"]),
        )
