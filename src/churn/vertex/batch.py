"""`churn score target=vertex`: batch prediction by Vertex AI, from and to BigQuery or a bucket."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from churn.bundle import Bundle
from churn.config import Config
from churn.data import files
from churn.errors import UserError
from churn.graph import KEY
from churn.preprocess import MISSING_BELOW
from churn.registry import find_bundle
from churn.validate import features
from churn.vertex import account, jobs, parity, preflight, prices
from churn.vertex.apply import register
from churn.vertex.client import Clients, connect, in_plain_words, settle
from churn.vertex.deploy import confirm, refuse, today
from churn.vertex.staging import encryption, put, stage
from churn.vertex.state import State, versions
from churn.vertex.target import Target

ROW = "row_key"  # names the customer in input and answer; the model does not see it
AGAIN = "run the same command again: it finds the job where one was started"


def score(cfg: Config) -> None:
    """Register the bundle if need be, prepare the rows, run the job; says where the answers lie."""
    source, output = str(cfg.input or ""), str(cfg.output or "")
    if not source or not output.startswith(("bq://", "gs://")):
        do = "input=bq://P.SET.TABLE, or a file, here or gs://; output=bq://P.SET or gs://BUCKET/DIR"
        raise UserError("Vertex AI needs something to read and a place to write", "input, output", do)
    bundle, target = find_bundle(cfg), Target.of(cfg)
    refuse(preflight.offline(cfg.deploy, target, bundle, today()))
    clients = connect(cfg.deploy, target)
    price = prices.load().running(cfg.target.machine_type, cfg.target.replicas)
    print(f"Batch prediction, while it runs: {price}")
    with in_plain_words(target, AGAIN):
        refuse(account.problems(cfg.deploy, clients, target))
        settle(clients, target)
        digest = identity(bundle, source, output, jobs.content(clients, source))
        name = f"{target.name}-score-{digest}"
        job = jobs.made(clients, target, name)
        if job is None:
            confirm(cfg, target, "Score with")
            job = start(cfg, clients, target, bundle, name, source, output)
        elif not jobs.is_running(job):
            print("The same rows were scored before; another output= scores them again.")
        print(f"Job {job.name}: waiting for it ...", flush=True)
        done = jobs.wait(clients, job.name)
    info = done.output_info
    table = f"{info.bigquery_output_dataset}.{info.bigquery_output_table}"
    print(f"The answers, by {ROW}: {info.gcs_output_directory or table}")


def identity(bundle: Bundle, source: str, output: str, content: str) -> str:
    """Short hash of what makes a job the same."""
    return hashlib.sha256(f"{bundle.digest} {source} {output} {content}".encode()).hexdigest()[:12]


def start(
    cfg: Config, clients: Clients, target: Target, bundle: Bundle, name: str, source: str, output: str
) -> Any:
    """Put everything in place and start the job."""
    stage(clients, target, bundle)
    state = State(versions=versions(clients, target))
    if not state.version(bundle):
        register(cfg.deploy, clients, target, bundle, state)
        state = State(versions=versions(clients, target))
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
        "input_config": given(cfg, clients, target, bundle, name, source, output),
        "instance_config": how,
        "output_config": wanted(output),
        "dedicated_resources": machine | count,
        "service_account": cfg.deploy.service_account or "",
        **encryption(cfg.deploy),
    }
    return clients.jobs.create_batch_prediction_job({"parent": target.parent, "batch_prediction_job": job})


def wanted(output: str) -> dict[str, Any]:
    """Where the answers go."""
    if output.startswith("bq://"):
        return {"predictions_format": "bigquery", "bigquery_destination": {"output_uri": output}}
    return {"predictions_format": "jsonl", "gcs_destination": {"output_uri_prefix": output}}


def given(
    cfg: Config, clients: Clients, target: Target, bundle: Bundle, name: str, source: str, output: str
) -> dict[str, Any]:
    """The rows as the model takes them: a table made by BigQuery, or files of JSON lines in the bucket.

    A .jsonl file is taken as it is; any other is read here, in chunks, as `churn score` reads it.
    """
    if source.startswith("bq://"):
        table = f"{target.project}.{target.dataset}.{name.replace('-', '_')}"
        if output.startswith("bq://"):
            table = f"{output.removeprefix('bq://')}.{name.replace('-', '_')}"
        clients.bigquery.query(query(target, bundle, source.removeprefix("bq://"), table)).result()
        return {"instances_format": "bigquery", "bigquery_source": {"input_uri": f"bq://{table}"}}
    uris = [source]
    if not source.endswith(".jsonl"):
        uris = []
        for raw in files.chunks(source, cfg.data, cfg.score.chunk_rows):
            rows = parity.instances(features(raw, bundle.schema), bundle)
            if bundle.schema.id:
                for row, customer in zip(rows, raw.frame[bundle.schema.id].astype(str), strict=True):
                    row |= {KEY: customer, ROW: customer}
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            uris.append(put(clients, target, f"{target.name}/scoring/{name}/{len(uris):05}.jsonl", lines))
    return {"instances_format": "jsonl", "gcs_source": {"uris": uris}}


def query(target: Target, bundle: Bundle, source: str, table: str) -> str:
    """GoogleSQL that makes the table of instances, which goes by itself after 7 days."""
    columns = [f"{column(f, bundle)} AS `{f['input']}`" for f in bundle.facts["inputs"]]
    key = f"CAST(`{bundle.schema.id}` AS STRING)" if bundle.schema.id else "''"
    columns += [f"{key} AS `{KEY}`", *([f"{key} AS `{ROW}`"] if bundle.schema.id else [])]
    labels = ", ".join(f'("{name}", "{value}")' for name, value in target.labels.items())
    return (
        f"CREATE OR REPLACE TABLE `{table}`\n"
        "OPTIONS(expiration_timestamp=TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 7 DAY), "
        f"labels=[{labels}])\nAS SELECT\n  " + ",\n  ".join(columns) + f"\nFROM `{source}`"
    )


def column(field: dict[str, str], bundle: Bundle) -> str:
    """One input in SQL: JSON has no null, so "missing" is spelled out, as in training."""
    is_number, schema = field["kind"] == "number", bundle.schema
    words = ["", *schema.missing, *(schema.missing_numbers if is_number else ())]
    listed = ", ".join("'" + word.replace("\\", "\\\\").replace("'", "\\'") + "'" for word in words)
    text = f"TRIM(CAST(`{field['column']}` AS STRING))"
    missing, value = ("''", text)
    if is_number:
        missing, value = str(MISSING_BELOW), f"CAST(`{field['column']}` AS FLOAT64)"
    return f"CASE WHEN COALESCE({text}, '') IN ({listed}) THEN {missing} ELSE {value} END"
