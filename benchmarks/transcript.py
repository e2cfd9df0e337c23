"""Writes docs/deploy-transcript.md and docs/cloudrun-transcript.md: all commands of a deployment.

They run as written against the doubles of Vertex AI and Cloud Run, and all their output is kept; `$EMULATOR`
is the address of a double. At the end of the first comes the message for everything that can be wrong before
a deployment. Needs gcloud for the prediction.
"""

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from doubles import vertex
from doubles.bigquery import BigQuery
from doubles.service import Service
from vertex.failures import CONFIGURATIONS, FAILURES, OUT_OF_BOUNDS

from churn.__main__ import main
from churn.cloudrun.service import LOG_TO_STDOUT
from churn.vertex.cloud import operations

DOCS = Path(__file__).parents[1] / "docs"
CLOUD = "deploy.project=p deploy.bucket=bucket deploy.emulator=$EMULATOR"
QUICK = "data.synthetic.rows=3000 train.epochs=4 evaluate.bootstrap=50 evaluate.importance_repeats=1"
COMMANDS = [  # title, command
    ("The plan, without an account", "churn deploy bundle=runs/one/bundle deploy.plan_only=true"),
    ("Apply", f"churn deploy bundle=runs/one/bundle deploy.yes=true {CLOUD}"),
    (
        "Predict",
        "gcloud ai endpoints predict churn-dev --project=p --region=us-central1 --json-request=request.json",
    ),
    (
        "A second version, as a canary",
        f"churn deploy bundle=runs/two/bundle deploy.canary=10 deploy.yes=true {CLOUD}",
    ),
    ("Status of the canary", f"churn status {CLOUD}"),
    ("Promote", f"churn deploy bundle=runs/two/bundle deploy.yes=true {CLOUD}"),
    ("Roll back", f"churn rollback {CLOUD}"),
    ("Status", f"churn status {CLOUD}"),
    (
        "Batch prediction",
        f"churn score target=vertex bundle=runs/two/bundle input=customers.csv output=gs://bucket/scores"
        f" deploy.yes=true {CLOUD}",
    ),
    (
        "A model of BigQuery ML",
        "churn export to=bigquery bundle=runs/two/bundle input=bq://p.shop.customers output=bq://p.shop.churn"
        f" deploy.yes=true {CLOUD}",
    ),
    ("Destroy", f"churn destroy deploy.yes=true {CLOUD}"),
    ("Nothing is left", f"churn status {CLOUD}"),
]
RUN = f"target=cloudrun {CLOUD}"
RUN_COMMANDS = [
    (
        "The plan, without an account",
        "churn deploy target=cloudrun bundle=runs/one/bundle deploy.plan_only=true",
    ),
    ("Apply", f"churn deploy bundle=runs/one/bundle deploy.yes=true {RUN}"),
    (
        "A second revision, as a canary",
        f"churn deploy bundle=runs/two/bundle deploy.canary=10 deploy.yes=true {RUN}",
    ),
    ("Status of the canary", f"churn status {RUN}"),
    ("Promote", f"churn deploy bundle=runs/two/bundle deploy.yes=true {RUN}"),
    ("Roll back", f"churn rollback {RUN}"),
    ("Status", f"churn status {RUN}"),
    ("Destroy", f"churn destroy deploy.yes=true {RUN}"),
    ("Nothing is left", f"churn status {RUN}"),
]


def write() -> None:
    """Run all commands and write the document."""
    operations.POLL_SECONDS = 0.0
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        for name, seed in (("one", 1), ("two", 2)):
            run(f"churn train {QUICK} seed={seed} run.dir=runs/{name}", {})
        prepare(Path("runs/one/bundle"))
        save("deploy", "Transcript of a deployment", [*run_commands(), *preflight_messages()])
        save("cloudrun", "Transcript of a deployment to Cloud Run", run_cloud_run())


def save(name: str, title: str, parts: Iterable[str]) -> None:
    """Write a transcript to its document."""
    note = "Made by `python benchmarks/transcript.py` against `tests/doubles`, not against Google's service."
    (DOCS / f"{name}-transcript.md").write_text("\n".join([f"# {title}", "", note, "", *parts]))


def prepare(bundle: Path) -> None:
    """Write a request and a table of customers to the current directory."""
    from churn.bundle.bundle import Bundle
    from churn.config.data import SyntheticConfig
    from churn.data.sources.synthetic import make_table
    from churn.data.validate import to_features
    from churn.vertex.checks.parity import to_instances

    table, loaded = make_table(SyntheticConfig(rows=200), 3), Bundle.load(bundle)
    table.frame.to_csv("customers.csv", index=False)
    rows = to_features(table, loaded.schema).head(2)
    Path("request.json").write_text(json.dumps({"instances": to_instances(rows, loaded)}))


def run_commands() -> Iterator[str]:
    """`COMMANDS` and what they print, in Markdown."""
    with vertex.running() as cloud:
        cloud.service.warehouse.write("p.shop.customers", pd.read_csv("customers.csv"))
        environment = {
            "EMULATOR": cloud.url,
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM": f"{cloud.url}/",
            "CLOUDSDK_AUTH_ACCESS_TOKEN": "fake",
            "CLOUDSDK_CONFIG": str(Path.cwd() / "gcloud"),
        }
        for title, command in COMMANDS:
            output = run(command, environment)
            yield f"## {title}\n\n```\n$ {command}\n{output}\n```\n"
        yield describe_rest(cloud.service)


def run_cloud_run() -> Iterator[str]:
    """`RUN_COMMANDS` and what they print, in Markdown."""
    from doubles import cloudrun, containers

    containers.settings(LOG_TO_STDOUT)  # composed now: Hydra cannot be used twice at the same time
    with cloudrun.running() as cloud:
        key = Path("account.json").absolute()
        key.write_text(json.dumps(BigQuery().account() | {"token_uri": f"{cloud.url}/token"}))
        os.environ["GOOGLE_APPLICATION_CREDENTIALS"] = str(key)
        for title, command in RUN_COMMANDS:
            yield f"## {title}\n\n```\n$ {command}\n{run(command, {'EMULATOR': cloud.url})}\n```\n"
        counts = (cloud.run.services, cloud.run.revisions, cloud.sinks, cloud.service.datasets)
        count = sum(map(len, counts)) + len(cloud.service.storage.list("gs://bucket/"))
        yield f"The double itself holds {count} services, revisions, sinks, data sets and files.\n"
        del os.environ["GOOGLE_APPLICATION_CREDENTIALS"]


def describe_rest(service: Service) -> str:
    """What the double still holds."""
    files = service.storage.list("gs://bucket/")
    datasets = [name for name in service.datasets if name != "p.shop"]  # that of the customers
    kinds = (service.models, service.endpoints, service.monitors, datasets, service.jobs)
    count = sum(map(len, (*kinds, service.pipelines, service.schedules)))
    return (
        f"The double itself holds {count} models, endpoints, jobs, pipelines, schedules and data sets, "
        f"and {len(files)} object in the bucket: {', '.join(files)}, which is the output.\n"
    )


def preflight_messages() -> Iterator[str]:
    """A table of the messages for everything that can be wrong before a deployment."""
    yield "# What preflight says\n"
    yield "| wrong | message |\n|---|---|"
    os.environ["NO_GCE_CHECK"] = "true"  # else Google's library looks for Google's metadata server
    shutil.copytree("runs/one/bundle", "broken")
    Path("broken/saved_model.pb").write_bytes(b"")
    overrides = {"no credentials": "deploy.emulator=null", "a bundle that was changed": "bundle=broken"}
    overrides |= {f"`{override}`": override for override in (*CONFIGURATIONS, *OUT_OF_BOUNDS)}
    for title, override in overrides.items():
        with vertex.running() as cloud:
            yield row(title, f"churn deploy {override}", cloud)
    for title, (cause, words, _) in FAILURES.items():
        with vertex.running() as cloud:
            cause(cloud)
            yield row(title, f"churn deploy {' '.join(words)}", cloud)


def row(title: str, command: str, cloud: vertex.Vertex) -> str:
    """A row of the table: the message of a command that is refused."""
    defaults = f"{CLOUD} bundle=runs/one/bundle deploy.yes=true".split()
    more = [word for word in defaults if f"{word.partition('=')[0]}=" not in command]
    output = run(f"{command} {' '.join(more)}", {"EMULATOR": cloud.url})
    message = output.partition("cannot be deployed:\n")[2] or output
    assert "do: " in message, output
    cell = "<br>".join(line.strip().removeprefix("- ") for line in message.splitlines())
    return f"| {title} | {cell.replace('|', chr(92) + '|')} |"


def run(command: str, environment: dict[str, str]) -> str:
    """What a command prints. `churn` runs in this process, so TensorFlow is imported only once."""
    words = shlex.split(re.sub(r"\$EMULATOR", environment.get("EMULATOR", ""), command))
    if words[0] != "churn":
        done = subprocess.run(words, env=os.environ | environment, capture_output=True, text=True, check=True)
        return tidy(done.stdout, environment)
    printed, sys.argv = io.StringIO(), words
    with redirect_stdout(printed), redirect_stderr(printed):
        try:
            main()
        except SystemExit as ended:
            print(f"(exit code {ended.code})")
    return tidy(printed.getvalue(), environment)


def tidy(text: str, environment: dict[str, str]) -> str:
    """The text without what differs between machines."""
    text = text.replace(environment.get("EMULATOR", "\0"), "$EMULATOR").replace(str(Path.cwd()) + "/", "")
    return re.sub(r"/\S*/(tmp\w+)/", "", text).strip()


if __name__ == "__main__":
    write()
