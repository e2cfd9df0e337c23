"""BigQuery's tables, and its SQL: parsed as GoogleSQL, then run by DuckDB with BigQuery's meaning.

What DuckDB means otherwise is replaced: a number as text has no trailing zeros, NaN is `NaN`, TRIM removes
every kind of blank, and a table that lies in no data set is not found. `SELECT`, `CREATE OR REPLACE TABLE`
from one, `CREATE OR REPLACE MODEL` and `ML.PREDICT` are known; another statement is an error.
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from doubles.bindings import RefusalError

TYPES = {  # of DuckDB -> of BigQuery's REST API
    "BOOLEAN": "BOOLEAN",
    "BIGINT": "INTEGER",
    "INTEGER": "INTEGER",
    "DOUBLE": "FLOAT",
    "VARCHAR": "STRING",
    "DATE": "DATE",
    "TIMESTAMP": "DATETIME",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
    "DECIMAL(38,9)": "NUMERIC",
}
MACROS = (
    r"CREATE MACRO number_text(x) AS CASE WHEN x IS NULL THEN NULL WHEN isnan(CAST(x AS DOUBLE)) THEN 'NaN' "
    r"ELSE regexp_replace(regexp_replace(CAST(x AS VARCHAR), '(\.[0-9]*?)0+($|e)', '\1\2'), "
    r"'\.($|e)', '\1') END",
    r"CREATE MACRO trim_blanks(x) AS regexp_replace(CAST(x AS VARCHAR), '^[\s\p{Z}]+|[\s\p{Z}]+$', '', 'g')",
)
NUMBERS = ("FLOAT", "NUMERIC")


def missing(message: str) -> RefusalError:
    return RefusalError(404, "NOT_FOUND", f"Not found: {message}")


def bad_query(message: str) -> RefusalError:
    return RefusalError(400, "invalidQuery", message)


class Warehouse:
    """Data sets and their tables; `predict` answers the rows of `ML.PREDICT` with the files at an address."""

    def __init__(self) -> None:
        self.datasets: dict[str, dict[str, Any]] = {}  # project.dataset
        self.tables: dict[str, pa.Table] = {}  # project.dataset.table
        self.labels: dict[str, dict[str, str]] = {}  # of the tables
        self.models: dict[str, str] = {}  # project.dataset.model -> gs:// address
        self.size = 1000  # bytes that each statement reads
        self.predict: Callable[[str, list[Any]], list[dict[str, Any]]] | None = None

    def write(self, name: str, frame: pd.DataFrame | pa.Table) -> None:
        """Make a table, and its data set if there is none."""
        table = frame if isinstance(frame, pa.Table) else pa.Table.from_pandas(frame, preserve_index=False)
        dataset = name.rpartition(".")[0]
        project, _, name_only = dataset.partition(".")
        reference = {"projectId": project, "datasetId": name_only}
        self.datasets.setdefault(dataset, {"datasetReference": reference})
        self.tables[name] = table

    def read(self, name: str) -> pa.Table:
        self.check_dataset(name)
        if name not in self.tables:
            raise missing(f"Table {name.replace('.', ':', 1)}")
        return self.tables[name]

    def check_dataset(self, name: str) -> None:
        dataset = name.rpartition(".")[0]
        if dataset not in self.datasets:
            raise missing(f"Dataset {dataset.replace('.', ':', 1)} was not found in location us-central1")

    def remove_dataset(self, name: str) -> None:
        del self.datasets[name]
        for table in [table for table in self.tables if table.startswith(f"{name}.")]:
            del self.tables[table]

    def schema(self, name: str) -> list[dict[str, str]]:
        """The fields of a table in the form of the REST API."""
        return describe(self.read(name))

    def run(self, text: str, dry: bool = False) -> tuple[str, pa.Table | None]:
        """Run a statement, or only look at it; its kind, and the rows of a SELECT."""
        try:
            statement = sqlglot.parse_one(text, read="bigquery")
        except SqlglotError as error:
            raise bad_query(f"Syntax error: {error}") from None
        if isinstance(statement, exp.Select):
            return "SELECT", self.select(statement)
        if isinstance(statement, exp.Create) and statement.args.get("replace"):
            name, options = table_name(statement.this), read_options(statement)
            self.check_dataset(name)
            if statement.kind == "TABLE" and isinstance(statement.expression, exp.Select):
                rows = self.select(statement.expression)
                if not dry:
                    self.tables[name], self.labels[name] = rows, options.get("labels", {})
                return "CREATE_TABLE_AS_SELECT", None
            if statement.kind == "MODEL":
                self.create_model(name, options)
                return "CREATE_MODEL", None
        raise bad_query(f"Syntax error: {statement.key} is not of the kinds that this double knows")

    def create_model(self, name: str, options: dict[str, Any]) -> None:
        known = {"MODEL_TYPE", "MODEL_PATH", "KMS_KEY_NAME"}
        if options.get("MODEL_TYPE") != "TENSORFLOW" or "MODEL_PATH" not in options or set(options) - known:
            raise bad_query(f"Invalid options of CREATE MODEL: {options}")
        if not options["MODEL_PATH"].endswith("/*"):
            raise bad_query("MODEL_PATH must end in a wildcard for the files of a SavedModel.")
        self.models[name] = options["MODEL_PATH"].removesuffix("/*")

    def select(self, query: exp.Select) -> pa.Table:
        if predict := query.find(exp.Predict):
            return self.predict_rows(query, predict)
        with duckdb.connect() as connection:
            for macro in MACROS:
                connection.execute(macro)
            query = query.copy()
            types: dict[str, str] = {}
            for number, table in enumerate(query.find_all(exp.Table)):
                content = self.read(table_name(table))
                types |= {field["name"].lower(): field["type"] for field in describe(content)}
                connection.register(f"t{number}", content)
                alias = table.alias
                table.replace(exp.to_table(f"t{number}", alias=alias or None))
            translated = query.transform(translate_cast, types).transform(translate_trim).sql("duckdb")
            try:
                return connection.execute(translated).arrow().read_all()
            except duckdb.Error as error:
                raise bad_query(str(error)) from None

    def predict_rows(self, query: exp.Select, predict: exp.Predict) -> pa.Table:
        """The columns of the model's answer, then those of the inner query, as BigQuery gives them."""
        name = table_name(predict.this)
        if name not in self.models:
            raise missing(f"Model {name.replace('.', ':', 1)}")
        rows = self.select(predict.expression.unnest()).to_pylist()
        if limit := query.args.get("limit"):
            rows = rows[: int(limit.expression.name)]
        assert self.predict
        answers = self.predict(self.models[name], rows)
        joined = [answer | row for answer, row in zip(answers, rows, strict=True)]
        names = [column.alias_or_name for column in query.expressions]
        if names == ["*"]:
            return pa.Table.from_pylist(joined)
        if unknown := [column for column in names if joined and column not in joined[0]]:
            raise bad_query(f"Unrecognized name: {unknown[0]}")
        return pa.Table.from_pylist([{column: row[column] for column in names} for row in joined])


def table_name(node: exp.Expression) -> str:
    """`project.dataset.table`; raises `RefusalError` unless all three are there."""
    parts = [part.name for part in node.parts]
    parts = [piece for part in parts for piece in part.split(".")]
    if len(parts) != 3:
        raise bad_query(f"Table {'.'.join(parts)!r} must be qualified with a dataset.")
    return ".".join(parts)


def read_options(statement: exp.Create) -> dict[str, Any]:
    """The values of OPTIONS: texts as they are, pairs as a dictionary, expressions as SQL."""
    properties = statement.args.get("properties")
    values: dict[str, Any] = {}
    for item in properties.expressions if properties else ():
        name, value = item.this.name, item.args["value"]
        if isinstance(value, exp.Array):
            values[name] = {pair.expressions[0].name: pair.expressions[1].name for pair in value.expressions}
        else:
            values[name] = value.name if isinstance(value, exp.Literal) else value.sql("bigquery")
    return values


def translate_cast(node: exp.Expression, types: dict[str, str]) -> exp.Expression:
    """What BigQuery means by a cast of a number or a truth value, where DuckDB means something else."""
    if not isinstance(node, exp.Cast):
        return node
    kind = types.get(node.this.name.lower()) if isinstance(node.this, exp.Column) else None
    is_inner_float = isinstance(node.this, exp.Cast) and node.this.to.this in exp.DataType.FLOAT_TYPES
    if node.to.this is exp.DataType.Type.TEXT and (kind in NUMBERS or is_inner_float):
        return exp.func("number_text", node.this)
    if node.to.this in exp.DataType.FLOAT_TYPES and kind == "BOOLEAN":
        raise bad_query("Invalid cast from BOOL to FLOAT64")
    return node


def translate_trim(node: exp.Expression) -> exp.Expression:
    """TRIM removes all that Unicode calls blank."""
    is_plain = isinstance(node, exp.Trim) and not node.expression
    return exp.func("trim_blanks", node.this) if is_plain else node


def describe(table: pa.Table) -> list[dict[str, str]]:
    """Names and types of the columns in the form of the REST API."""
    with duckdb.connect() as connection:
        connection.register("t", table)
        rows = connection.execute("DESCRIBE t").fetchall()
    return [{"name": row[0], "type": TYPES.get(row[1], "STRING"), "mode": "NULLABLE"} for row in rows]


def to_cells(table: pa.Table) -> list[dict[str, Any]]:
    """The rows in the form of the REST API."""
    return [
        {"f": [{"v": None if value is None else cell_text(value)} for value in row.values()]}
        for row in table.to_pylist()
    ]


def cell_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime) and value.tzinfo:  # as clients ask for it: microseconds
        return str(round(value.timestamp() * 1e6))
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)
