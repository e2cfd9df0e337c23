"""`churn score target=vertex`: batch prediction by Vertex AI, from and to BigQuery or a bucket."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from churn.bundle.bundle import Bundle
from churn.bundle.registry import find_bundle
from churn.config.root import Config
from churn.data.dataset import CUSTOMER_KEY, MISSING_BELOW
from churn.data.sources import files
from churn.data.validate import to_features
from churn.errors import UserError
from churn.vertex.apply import register_version
from churn.vertex.checks import account, parity, preflight
from churn.vertex.cloud import jobs, prices
from churn.vertex.cloud.client import Clients, connect, translate_errors, wait_for_pending
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.cloud.staging import encryption, upload_bundle, upload_object
from churn.vertex.cloud.state import State, list_versions
from churn.vertex.confirm import confirm, refuse_all, today

ROW = "row_key"  # names the customer in input and answer; the model does not see it
AGAIN = "run the same command again: it finds the job where one was started"


def score(cfg: Config) -> None:
    """Register the bundle if need be, prepare the rows, run the job; says where the answers lie."""
    source, output = str(cfg.input or ""), str(cfg.output or "")
    if not source or not output.startswith(("bq://", "gs://")):
        do = "input=bq://P.SET.TABLE, or a file, here or gs://; output=bq://P.SET or gs://BUCKET/DIR"
        raise UserError("Vertex AI needs something to read and a place to write", "input, output", do)
    bundle, target = find_bundle(cfg), Deployment.of(cfg)
    refuse_all(preflight.offline_problems(cfg.deploy, target, bundle, today()))
    clients = connect(cfg.deploy, target)
    price = prices.load_prices().running(cfg.target.machine_type, cfg.target.replicas)
    print(f"Batch prediction, while it runs: {price}")
    with translate_errors(target, AGAIN):
        refuse_all(account.account_problems(cfg.deploy, clients, target))
        wait_for_pending(clients, target)
        digest = _job_digest(bundle, source, output, jobs.content_fingerprint(clients, source))
        name = f"{target.name}-score-{digest}"
        job = jobs.find_made_job(clients, target, name)
        if job is None:
            confirm(cfg, target, "Score with")
            job = _start_job(cfg, clients, target, bundle, name, source, output)
        elif not jobs.is_running(job):
            print("The same rows were scored before; another output= scores them again.")
        print(f"Job {job.name}: waiting for it ...", flush=True)
        done = jobs.wait_for_job(clients, job.name)
    info = done.output_info
    table = f"{info.bigquery_output_dataset}.{info.bigquery_output_table}"
    print(f"The answers, by {ROW}: {info.gcs_output_directory or table}")


def _job_digest(bundle: Bundle, source: str, output: str, content: str) -> str:
    """Short hash of what makes a job the same."""
    return hashlib.sha256(f"{bundle.digest} {source} {output} {content}".encode()).hexdigest()[:12]


def _start_job(
    cfg: Config, clients: Clients, target: Deployment, bundle: Bundle, name: str, source: str, output: str
) -> Any:
    """Put everything in place and start the job."""
    upload_bundle(clients, target, bundle)
    state = State(versions=list_versions(clients, target))
    if not state.version(bundle):
        register_version(cfg.deploy, clients, target, bundle, state)
        state = State(versions=list_versions(clients, target))
    version = state.version(bundle)
    assert version
    how = {"instance_type": "object"}
    if not source.endswith(".jsonl") and bundle.schema.id:
        how["key_field"] = ROW
    machine = {"machine_spec": {"machine_type": cfg.target.machine_type}}
    count = {"starting_replica_count": cfg.target.replicas, "max_replica_count": cfg.target.replicas}
    job = {
        "display_name": name,
        "labels": target.labels,
        "model": f"{target.model}@{version.version_id}",
        "input_config": _input_config(cfg, clients, target, bundle, name, source, output),
        "instance_config": how,
        "output_config": _output_config(output),
        "dedicated_resources": machine | count,
        "service_account": cfg.deploy.service_account or "",
        **encryption(cfg.deploy),
    }
    return clients.jobs.create_batch_prediction_job({"parent": target.parent, "batch_prediction_job": job})


def _output_config(output: str) -> dict[str, Any]:
    """Where the answers go."""
    if output.startswith("bq://"):
        return {"predictions_format": "bigquery", "bigquery_destination": {"output_uri": output}}
    return {"predictions_format": "jsonl", "gcs_destination": {"output_uri_prefix": output}}


def _input_config(
    cfg: Config, clients: Clients, target: Deployment, bundle: Bundle, name: str, source: str, output: str
) -> dict[str, Any]:
    """The rows as the model takes them: a table made by BigQuery, or files of JSON lines in the bucket.

    A .jsonl file is taken as it is; any other is read here, in chunks, as `churn score` reads it.
    """
    if source.startswith("bq://"):
        table = f"{target.project}.{target.dataset}.{name.replace('-', '_')}"
        if output.startswith("bq://"):
            table = f"{output.removeprefix('bq://')}.{name.replace('-', '_')}"
        clients.bigquery.query(_instances_query(target, bundle, source.removeprefix("bq://"), table)).result()
        return {"instances_format": "bigquery", "bigquery_source": {"input_uri": f"bq://{table}"}}
    uris = [source]
    if not source.endswith(".jsonl"):
        uris = []
        for raw in files.raw_tables(source, cfg.data, cfg.score.chunk_rows):
            rows = parity.to_instances(to_features(raw, bundle.schema), bundle)
            if bundle.schema.id:
                for row, customer in zip(rows, raw.frame[bundle.schema.id].astype(str), strict=True):
                    row |= {CUSTOMER_KEY: customer, ROW: customer}
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            uris.append(
                upload_object(clients, target, f"{target.name}/scoring/{name}/{len(uris):05}.jsonl", lines)
            )
    return {"instances_format": "jsonl", "gcs_source": {"uris": uris}}


def _instances_query(target: Deployment, bundle: Bundle, source: str, table: str) -> str:
    """GoogleSQL that makes the table of instances, which goes by itself after 7 days."""
    columns = [f"{_input_sql(f, bundle)} AS `{f['input']}`" for f in bundle.facts["inputs"]]
    key = f"CAST(`{bundle.schema.id}` AS STRING)" if bundle.schema.id else "''"
    columns += [f"{key} AS `{CUSTOMER_KEY}`", *([f"{key} AS `{ROW}`"] if bundle.schema.id else [])]
    labels = ", ".join(f'("{name}", "{value}")' for name, value in target.labels.items())
    return (
        f"CREATE OR REPLACE TABLE `{table}`\n"
        "OPTIONS(expiration_timestamp=TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 7 DAY), "
        f"labels=[{labels}])\nAS SELECT\n  " + ",\n  ".join(columns) + f"\nFROM `{source}`"
    )


def _input_sql(field: dict[str, str], bundle: Bundle) -> str:
    """One input in SQL: JSON has no null, so "missing" is spelled out, as in training."""
    is_number, schema = field["kind"] == "number", bundle.schema
    words = ["", *schema.missing, *(schema.missing_numbers if is_number else ())]
    listed = ", ".join("'" + word.replace("\\", "\\\\").replace("'", "\\'") + "'" for word in words)
    text = f"TRIM(CAST(`{field['column']}` AS STRING))"
    missing, value = ("''", text)
    if is_number:
        missing, value = str(MISSING_BELOW), f"CAST(`{field['column']}` AS FLOAT64)"
    return f"CASE WHEN COALESCE({text}, '') IN ({listed}) THEN {missing} ELSE {value} END"
