"""`churn score target=vertex`: batch prediction by Vertex AI, from and to BigQuery or a bucket."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from churn.bundle.bundle import Bundle
from churn.bundle.choice import check_reading, choose_bundle
from churn.bundle.unseen import REMEMBERED, UnseenCells
from churn.config.root import Config
from churn.data.contract import CUSTOMER_KEY
from churn.data.infer.cells import to_ids
from churn.data.repeats import RepeatedCustomers
from churn.data.sources import files
from churn.data.sources.bigquery import check_query, query_rows
from churn.data.table import RawTable
from churn.data.validate import to_features
from churn.errors import UserError, count, did_you_mean
from churn.vertex import sql
from churn.vertex.apply import ensure_dataset, ensure_version
from churn.vertex.checks import account, parity, preflight, scoring
from churn.vertex.cloud import jobs
from churn.vertex.cloud.deployment import Deployment, today
from churn.vertex.cloud.errors import translate_errors
from churn.vertex.cloud.operations import wait_for_pending
from churn.vertex.cloud.prices import load_prices
from churn.vertex.cloud.session import Session, connect
from churn.vertex.cloud.staging import delete_objects, list_staged, upload_object
from churn.vertex.cloud.state import State, list_versions
from churn.vertex.confirm import confirm, raise_problems

CHECKS = (
    account.check_region,
    account.check_project,
    account.check_job_bucket,
    account.check_log,
    account.check_container,
)
ROW = "row_key"  # names the customer in input and answer; the model does not see it


def score(cfg: Config) -> None:
    """Register the bundle if needed, prepare the rows, run the job; prints where the answers are.

    >>> score(compose_config("input=bq://P.SET.TABLE", "output=bq://P.SET", "deploy.project=P"))
    """
    scoring.check_addresses(str(cfg.input or ""), str(cfg.output))
    scoring.refuse_local_keys(cfg)
    bundle, deployment = choose_bundle(cfg), Deployment.from_config(cfg)
    check_reading(bundle.schema, cfg)
    raise_problems(preflight.offline_problems(deployment, bundle, today()))
    session = connect(deployment)
    cost = load_prices().describe_cost(cfg.target.machine_type, cfg.target.replicas)
    print(f"Batch prediction, while it runs: {cost}")
    with translate_errors(deployment, jobs.RETRY):
        raise_problems(account.account_problems(session, CHECKS))
        scoring.check_output(session, str(cfg.output))
        wait_for_pending(session)
        registered = State(versions=list_versions(session))
        raise_problems(preflight.unchangeable_problems(deployment, bundle, registered))
        job = _find_or_start_job(session, cfg, bundle)
        print(f"Job {job.name}: waiting for it ...", flush=True)
        done = jobs.wait_for_job(session, job.name)
    output = done.output_info
    table = f"{output.bigquery_output_dataset}.{output.bigquery_output_table}"
    by = ", by `key`" if _has_key(str(cfg.input), bundle) else ""
    print(f"The answers{by}: {output.gcs_output_directory or table}")
    if failed := done.completion_stats.failed_count:
        rows = failed + done.completion_stats.successful_count
        print(f"! {failed:,} of {rows:,} rows have no answer; why is beside the answers, under errors")


def _find_or_start_job(session: Session, cfg: Config, bundle: Bundle) -> Any:
    """The job for these rows; an earlier one if there is one."""
    content = jobs.content_fingerprint(session, str(cfg.input))
    identity = f"{bundle.digest} {cfg.input} {cfg.output} {files.reading_keys(cfg.data)} {content}"
    name = f"{session.deployment.name}-score-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    job = jobs.find_started_job(session, name)
    if job is None:
        _check_rows(session, cfg, bundle)
        confirm(session.deployment, "Score with")
        return _start_job(session, cfg, bundle, name)
    if not jobs.is_running(job):
        print("The same rows were scored before; another output= scores them again.")
    return job


def _start_job(session: Session, cfg: Config, bundle: Bundle, name: str) -> Any:
    """Stage the bundle and the rows, and start the job."""
    deployment = session.deployment
    rows = _input_config(session, cfg, bundle, name)  # before the model: a bad row may be the last one
    job = {
        "display_name": name,
        "labels": deployment.labels,
        "model": f"{deployment.model}@{ensure_version(session, bundle).version_id}",
        "input_config": rows,
        "instance_config": _instance_config(str(cfg.input), bundle),
        "output_config": _output_config(str(cfg.output)),
        "dedicated_resources": {
            "machine_spec": {"machine_type": cfg.target.machine_type},
            "starting_replica_count": cfg.target.replicas,
            "max_replica_count": cfg.target.replicas,
        },
        "service_account": deployment.config.service_account or "",
        **deployment.encryption,
    }
    request = {"parent": deployment.parent, "batch_prediction_job": job}
    return session.clients.jobs.create_batch_prediction_job(request)


def _instance_config(source: str, bundle: Bundle) -> dict[str, str]:
    """Each row is sent as an object; its customer is hidden from the model and returned with the answer."""
    return {"instance_type": "object", **({"key_field": ROW} if _has_key(source, bundle) else {})}


def _has_key(source: str, bundle: Bundle) -> bool:
    """Whether the answers name the customer."""
    return bool(bundle.schema.id) and not _is_ready(source)


def _is_ready(source: str) -> bool:
    """Whether Vertex AI reads the rows as they are."""
    return source.startswith("gs://") and source.endswith(".jsonl")


def _output_config(output: str) -> dict[str, Any]:
    if output.startswith("bq://"):
        return {"predictions_format": "bigquery", "bigquery_destination": {"output_uri": output}}
    return {"predictions_format": "jsonl", "gcs_destination": {"output_uri_prefix": output}}


def _input_config(session: Session, cfg: Config, bundle: Bundle, name: str) -> dict[str, Any]:
    """The rows as the model takes them: a table made by BigQuery, or files of JSON lines in the bucket.

    A .jsonl file in a bucket is used as it is; any other is read here, in chunks, as `churn score` reads it.
    """
    source = str(cfg.input)
    if source.startswith("bq://"):
        table = _make_instance_table(session, cfg, bundle, name)
        return {"instances_format": "bigquery", "bigquery_source": {"input_uri": f"bq://{table}"}}
    uris = [source] if _is_ready(source) else _upload_instances(session, cfg, bundle, name)
    return {"instances_format": "jsonl", "gcs_source": {"uris": uris}}


def _upload_instances(session: Session, cfg: Config, bundle: Bundle, name: str) -> list[str]:
    """Write the rows to the bucket, one file per chunk; gives their addresses.

    Prints columns of unseen cells, and customers without an id or in several rows. After a row that cannot be
    scored, nothing stays.
    """
    folder = f"{session.deployment.name}/scoring/{name}"
    try:
        return list(_uploaded_instances(session, cfg, bundle, folder))
    except UserError:
        delete_objects(session, [blob for blob in list_staged(session) if blob.name.startswith(f"{folder}/")])
        raise


def _uploaded_instances(session: Session, cfg: Config, bundle: Bundle, folder: str) -> Iterator[str]:
    unseen, repeated, nameless = UnseenCells(bundle), RepeatedCustomers(bundle.schema.id), 0
    read = files.with_marks(cfg.data, bundle.schema)
    for number, raw in enumerate(files.raw_tables(str(cfg.input), read, cfg.score.chunk_rows)):
        features = to_features(raw, bundle.schema)
        unseen.add_frame(features)
        rows = parity.to_instances(features, bundle)
        if bundle.schema.id:
            customers = _customers(raw, bundle.schema.id).tolist()
            repeated.add(pa.array(customers, pa.string()))
            nameless += customers.count("")
            for row, customer in zip(rows, customers, strict=True):
                row |= {CUSTOMER_KEY: customer, ROW: customer}
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        yield upload_object(session, f"{folder}/{number:05}.jsonl", lines)
    _print_columns(unseen)
    if nameless:
        print(f"! {count(nameless, 'row')} without a customer: nobody can tell whose these answers are")
    for line in repeated.describe("each row has its answer, all with one `key`"):
        print(f"! {line}")


def _check_rows(session: Session, cfg: Config, bundle: Bundle) -> None:
    """Raise `UserError` if a table, or the first rows of a file on this machine, cannot be scored."""
    source = str(cfg.input)
    if source.startswith("bq://"):
        check_query(session.clients.bigquery, _select_instances(session, cfg, bundle), cfg.data.bigquery)
    if source.startswith(("bq://", "gs://")):
        return
    raw = next(files.raw_tables(source, files.with_marks(cfg.data, bundle.schema), cfg.score.chunk_rows))
    to_features(raw, bundle.schema)
    if bundle.schema.id:
        _customers(raw, bundle.schema.id)


def _customers(raw: RawTable, name: str) -> pd.Series:
    """The customers of the rows; raises `UserError` without their column: answers come in no order."""
    if name not in raw.frame:
        hint = did_you_mean(name, map(str, raw.frame.columns))
        what = f"column '{name}' is missing, which names each answer{hint}"
        raise UserError(what, raw.origin, "add it, or score here, where the order stays: target=local")
    return to_ids(raw.frame[name])


def _make_instance_table(session: Session, cfg: Config, bundle: Bundle, name: str) -> str:
    """Let BigQuery make the table of instances, beside the answers or in the log; gives its name.

    Prints columns of unseen cells.
    """
    table = f"{_instances_dataset(session, str(cfg.output))}.{name.replace('-', '_')}"
    query = _instances_query(session.deployment, table, _select_instances(session, cfg, bundle))
    query_rows(session.clients.bigquery, query, cfg.data.bigquery, "CREATE_TABLE_AS_SELECT")
    if bundle.profile:
        counts = sql.unseen_cells(bundle, table, REMEMBERED)
        try:
            rows = query_rows(session.clients.bigquery, counts, cfg.data.bigquery)
        except UserError as error:  # the job does not need them
            print(f"Cells unlike any in training are not counted: {error.what}")
        else:
            _print_columns(_unseen_cells(bundle, rows))
    return table


def _unseen_cells(bundle: Bundle, counts: Iterable[tuple[str, Any, int]]) -> UnseenCells:
    """The cells of a table of instances that are unlike any in training, as far as they are common."""
    unseen, columns = UnseenCells(bundle), {one["input"]: one["column"] for one in bundle.facts["inputs"]}
    for name, cell, rows in counts:
        if not name:
            unseen.add_rows(rows)
        elif columns[name] in bundle.schema.categorical:
            unseen.add_texts(columns[name], {cell: rows})
        else:
            unseen.add_numbers(columns[name], np.array([cell], np.float32), np.array([rows]))
    return unseen


def _print_columns(unseen: UnseenCells) -> None:
    """Print the columns of which many cells are unlike any in training."""
    for column in unseen.columns():
        print(f"! {column}")


def _instances_dataset(session: Session, output: str) -> str:
    """The data set of the answers; where they go to a bucket, that of the log, made if there is none."""
    if output.startswith("bq://"):
        return output.removeprefix("bq://")
    ensure_dataset(session)
    return f"{session.deployment.project}.{session.deployment.dataset}"


def _select_instances(session: Session, cfg: Config, bundle: Bundle) -> str:
    """GoogleSQL of the rows of `cfg.input`, a table of BigQuery, as the model takes them."""
    source = str(cfg.input).removeprefix("bq://")
    types = {field.name: field.field_type for field in session.clients.bigquery.get_table(source).schema}
    columns = sql.input_columns(bundle, types)
    if bundle.schema.id:
        columns.append(f"{sql.customer_key(bundle, types)} AS `{ROW}`")
    return "SELECT\n  " + ",\n  ".join(columns) + f"\nFROM `{source}`"


def _instances_query(deployment: Deployment, table: str, select: str) -> str:
    """GoogleSQL that makes the table of instances; BigQuery removes it after 7 days."""
    labels = ", ".join(f'("{name}", "{value}")' for name, value in deployment.labels.items())
    key = f'kms_key_name="{deployment.config.kms_key}", ' if deployment.config.kms_key else ""
    return (
        f"CREATE OR REPLACE TABLE `{table}`\n"
        "OPTIONS(expiration_timestamp=TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 7 DAY), "
        f"{key}labels=[{labels}])\nAS {select}"
    )
