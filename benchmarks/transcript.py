"""The life of a deployment against the double of Vertex AI, as a user types it: docs/deploy-transcript.md.

Every command runs as written and its whole output is kept; `$EMULATOR` is the address of the double. Ends
with the message for each thing that can be wrong before a deployment. Needs gcloud for the prediction.
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
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from doubles import vertex
from vertex.failures import CONFIGURATIONS, FAILURES

from churn.__main__ import main
from churn.vertex.cloud import client

DOCUMENT = Path(__file__).parents[1] / "docs" / "deploy-transcript.md"
CLOUD = "deploy.project=p deploy.bucket=bucket deploy.emulator=$EMULATOR"
QUICK = "data.synthetic.rows=3000 train.epochs=4 evaluate.bootstrap=50 evaluate.importance_repeats=1"
LIFE = [
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
    ("How it stands", f"churn status {CLOUD}"),
    ("Promote", f"churn deploy bundle=runs/two/bundle deploy.yes=true {CLOUD}"),
    ("Roll back", f"churn rollback {CLOUD}"),
    ("Status", f"churn status {CLOUD}"),
    (
        "Batch prediction",
        f"churn score target=vertex bundle=runs/two/bundle input=customers.csv output=gs://bucket/scores"
        f" deploy.yes=true {CLOUD}",
    ),
    ("Destroy", f"churn destroy deploy.yes=true {CLOUD}"),
    ("Nothing is left", f"churn status {CLOUD}"),
]


def write() -> None:
    """Run everything and write the document."""
    client.POLL_SECONDS = 0.0
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        for name, seed in (("one", 1), ("two", 2)):
            typed(f"churn train {QUICK} seed={seed} run.dir=runs/{name}", {})
        prepare(Path("runs/one/bundle"))
        parts = [*life(), *preflight()]
    made = "Made by `python benchmarks/transcript.py` against `tests/doubles`, not against Google's service."
    DOCUMENT.write_text("\n".join(["# Transcript of a deployment", "", made, "", *parts]))


def prepare(bundle: Path) -> None:
    """A request and a table of customers in the current directory."""
    from churn.bundle.bundle import Bundle
    from churn.config.data import SyntheticConfig
    from churn.data.sources.synthetic import make_table
    from churn.data.validate import to_features
    from churn.vertex.checks.parity import to_instances

    table, loaded = make_table(SyntheticConfig(rows=200), 3), Bundle.load(bundle)
    table.frame.to_csv("customers.csv", index=False)
    rows = to_features(table, loaded.schema).head(2)
    Path("request.json").write_text(json.dumps({"instances": to_instances(rows, loaded)}))


def life() -> Iterator[str]:
    """The commands of `LIFE` and what they print."""
    with vertex.running() as cloud:
        environment = {
            "EMULATOR": cloud.url,
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM": f"{cloud.url}/",
            "CLOUDSDK_AUTH_ACCESS_TOKEN": "fake",
            "CLOUDSDK_CONFIG": str(Path.cwd() / "gcloud"),
        }
        for title, command in LIFE:
            output = typed(command, environment)
            yield f"## {title}\n\n```\n$ {command}\n{output}\n```\n"
        files = cloud.service.storage.list("gs://bucket/")
        service = cloud.service
        kinds = (service.models, service.endpoints, service.monitors, service.datasets, service.jobs)
        left = sum(map(len, (*kinds, service.pipelines, service.schedules)))
        yield (
            f"The double itself holds {left} models, endpoints, jobs, pipelines, schedules and data sets, "
            f"and {len(files)} object in the bucket: {', '.join(files)}, which `output=` asked for.\n"
        )


def preflight() -> Iterator[str]:
    """The message for everything that can be wrong before a deployment."""
    yield "# What preflight says\n"
    yield "| wrong | message |\n|---|---|"
    os.environ["NO_GCE_CHECK"] = "true"  # else Google's library looks for a machine of Google's
    shutil.copytree("runs/one/bundle", "broken")
    Path("broken/saved_model.pb").write_bytes(b"")
    own = {"no credentials": "deploy.emulator=null", "a bundle that was changed": "bundle=broken"}
    for title, override in (own | {f"`{override}`": override for override in CONFIGURATIONS}).items():
        with vertex.running() as cloud:
            yield row(title, f"churn deploy {override}", cloud)
    for title, (breakage, overrides, _) in FAILURES.items():
        with vertex.running() as cloud:
            breakage(cloud)
            yield row(title, f"churn deploy {' '.join(overrides)}", cloud)


def row(title: str, command: str, cloud: vertex.Vertex) -> str:
    """A line of the table: the message of a command that is refused."""
    usual = f"{CLOUD} bundle=runs/one/bundle deploy.yes=true".split()
    given = [word for word in usual if f"{word.partition('=')[0]}=" not in command]
    said = typed(f"{command} {' '.join(given)}", {"EMULATOR": cloud.url})
    message = said.partition("cannot be deployed:\n")[2] or said
    assert "do: " in message, said
    told = "<br>".join(line.strip().removeprefix("- ") for line in message.splitlines())
    return f"| {title} | {told.replace('|', chr(92) + '|')} |"


def typed(command: str, environment: dict[str, str]) -> str:
    """What a command prints; `churn` runs in this process, so that TensorFlow is imported once."""
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
    """Without what differs from machine to machine."""
    text = text.replace(environment.get("EMULATOR", "\0"), "$EMULATOR").replace(str(Path.cwd()) + "/", "")
    return re.sub(r"/\S*/(tmp\w+)/", "", text).strip()


if __name__ == "__main__":
    write()
