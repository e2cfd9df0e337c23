"""`churn export to=bigquery`: the bundle as a model of BigQuery ML, for scores in SQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from churn.bundle.bundle import Bundle
from churn.bundle.choice import choose_bundle
from churn.bundle.portable import KINDS, export_file
from churn.config.data import BigQueryConfig
from churn.config.root import Config
from churn.data.contract import CUSTOMER_KEY
from churn.data.sources.bigquery import check_query, query_rows
from churn.errors import UserError
from churn.vertex import sql
from churn.vertex.checks import account
from churn.vertex.checks.parity import TOLERANCE, MismatchError
from churn.vertex.checks.scoring import check_output
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.cloud.errors import translate_errors
from churn.vertex.cloud.session import Session, connect
from churn.vertex.cloud.staging import upload_bundle
from churn.vertex.confirm import confirm, raise_problems
from churn.vertex.score import ROW

LARGEST = 450_000_000  # bytes: BigQuery's CREATE MODEL statement for TensorFlow models, read 2026-11-29
TYPES = ("float32", "float64", "int32", "int64", "bool", "string")  # of inputs and outputs, ibid.
FOREIGN = ("PyFunc", "EagerPyFunc", "PyFuncStateless")  # operations that need Python, which no server has
COMPARED = 20  # rows whose scores are compared with the bundle's


def export(cfg: Config) -> None:
    """Stage the bundle, make the model, compare scores of real rows; prints the statements before it asks.

    Other formats are files (`churn.bundle.portable`).

    >>> export(compose_config("to=bigquery", "input=bq://P.SET.TABLE", "output=bq://P.SET.MODEL"))
    """
    if cfg.to in KINDS:
        export_file(cfg)
        return
    addresses = [str(cfg.input), str(cfg.output)]
    if cfg.to is None or any(a.count(".") != 2 or not a.startswith("bq://") for a in addresses):
        do = "churn export to=bigquery input=bq://P.SET.TABLE output=bq://P.SET.MODEL"
        raise UserError("an export needs a kind, a table of customers and a name for the model", do=do)
    bundle, deployment = choose_bundle(cfg), Deployment.from_config(cfg)
    raise_problems(_limit_problems(bundle))
    session = connect(deployment)
    table, model = (address.removeprefix("bq://") for address in addresses)
    with translate_errors(deployment, "run the same command again"):
        checks = (account.check_project, account.check_job_bucket)
        raise_problems(account.account_problems(session, checks))
        check_output(session, addresses[1].rpartition(".")[0])
        fields = session.clients.bigquery.get_table(table).schema
        types = {field.name: field.field_type for field in fields}
        check_query(session.clients.bigquery, _rows_query(bundle, table, types), cfg.data.bigquery)
        statements = _statements(deployment, bundle, table, model, types)
        print("\n\n".join(statements))
        confirm(deployment, f"Make the model {model} with")
        _make_model(session, bundle, cfg.data.bigquery, *statements)
    remove = f"bq rm --model {model.replace('.', ':', 1)}"
    print(f"{model} scores {table} as the bundle does. It costs nothing while unused. To remove it: {remove}")


def _limit_problems(bundle: Bundle) -> Iterator[UserError]:
    """What BigQuery's documentation rules out: size, types, operations."""
    size = sum(file.stat().st_size for file in bundle.path.rglob("*") if file.is_file())
    if size > LARGEST:
        what = f"the model has {size / 1e6:.0f} MB, and BigQuery takes {LARGEST / 1e6:.0f}"
        yield UserError(what, str(bundle.path), "a smaller network: model.hidden=[64] train.members=1")
    signature = bundle.saved_model.signatures["serving_default"]
    tensors = {**signature.structured_input_signature[1], **signature.structured_outputs}
    for name, tensor in tensors.items():
        if (kind := tensor.dtype.name) not in TYPES:
            yield UserError(f"BigQuery does not take {kind}", f"{bundle.path}, {name}", "train it again")
    if foreign := sorted(_operations(signature.graph) & {*FOREIGN}):
        what = f"BigQuery has no operations {', '.join(foreign)}"
        yield UserError(what, str(bundle.path), "train it again")


def _operations(graph: Any) -> set[str]:
    """Kinds of all operations of a graph and of its functions."""
    definition = graph.as_graph_def()
    functions = [node for function in definition.library.function for node in function.node_def]
    return {node.op for node in (*definition.node, *functions)}


def _statements(
    deployment: Deployment, bundle: Bundle, table: str, model: str, types: Mapping[str, str]
) -> tuple[str, str]:
    """The statement that makes the model, and the query that scores the table."""
    folder = f"gs://{deployment.bucket}/{deployment.staged_path(bundle)}/1"
    key = deployment.config.kms_key
    encrypted = f", KMS_KEY_NAME='{key}'" if key else ""
    options = f"MODEL_TYPE='TENSORFLOW', MODEL_PATH='{folder}/*'{encrypted}"
    create = f"CREATE OR REPLACE MODEL `{model}`\nOPTIONS({options})"
    inner = _rows_query(bundle, table, types)
    outputs = ", ".join(f"`{name}`" for name in _output_names(bundle))
    return create, f"SELECT `{ROW}`, {outputs}\nFROM ML.PREDICT(MODEL `{model}`, (\n  {inner}))"


def _rows_query(bundle: Bundle, table: str, types: Mapping[str, str]) -> str:
    """The query for the model's inputs, with the customer."""
    columns = [*sql.input_columns(bundle, types), f"{sql.customer_key(bundle, types)} AS `{ROW}`"]
    return "SELECT\n    " + ",\n    ".join(columns) + f"\n  FROM `{table}`"


def _output_names(bundle: Bundle) -> list[str]:
    """The model's outputs, without the customer, whose name an input has, too."""
    names = bundle.saved_model.signatures["serving_default"].structured_outputs
    return [name for name in sorted(names) if name != CUSTOMER_KEY]


def _make_model(session: Session, bundle: Bundle, limits: BigQueryConfig, create: str, predict: str) -> None:
    """Stage the bundle, run the statement, and compare some scores with the bundle's."""
    upload_bundle(session, bundle)
    session.clients.bigquery.query(create).result()
    inputs = [field["input"] for field in bundle.facts["inputs"]]
    asked = f"`{ROW}`, `churn_probability`, " + ", ".join(f"`{name}`" for name in inputs)
    query = predict.replace(predict.partition("\n")[0], f"SELECT {asked}") + f"\nLIMIT {COMPARED}"
    _compare(bundle, [dict(row) for row in query_rows(session.clients.bigquery, query, limits)])


def _compare(bundle: Bundle, rows: list[dict[str, Any]]) -> None:
    """Raise `MismatchError` unless the bundle gives the same probabilities for the same inputs."""
    import pandas as pd

    if not rows:
        raise UserError("the table has no rows, so nothing could be compared", do="input=bq://P.SET.TABLE")
    fields = bundle.facts["inputs"]
    frame = pd.DataFrame({field["column"]: [row[field["input"]] for row in rows] for field in fields})
    expected = bundle.predict(frame)["churn_probability"]
    gaps = np.abs(np.array([row["churn_probability"] for row in rows], float) - expected)
    if wrong := int(np.sum(~(gaps <= TOLERANCE))):
        what = f"BigQuery's churn_probability differs from the bundle's in {wrong} of {len(rows)} rows"
        raise MismatchError(what, do="compare the versions: does BigQuery run the bundle's operations alike?")
    print(f"{len(rows)} rows compared: BigQuery's scores are the bundle's.")
