"""`churn train target=vertex`: the same training as a custom job; the run comes back as if made here."""

from __future__ import annotations

import hashlib
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from churn import registry
from churn.config import Config, Place, Source, config_directory
from churn.data import name_of
from churn.errors import UserError
from churn.runs import place, point
from churn.vertex import account, jobs, prices
from churn.vertex.client import Clients, connect, in_plain_words
from churn.vertex.deploy import confirm, refuse
from churn.vertex.preflight import build
from churn.vertex.staging import encryption, put
from churn.vertex.target import Target

AGAIN = "run the same command again: it finds the job where one was started"


def train(cfg: Config) -> None:
    """Stage wheel and configuration, run the job, fetch the run and register it."""
    cfg.data.name = name_of(cfg.data)
    target, final = Target.of(cfg), place(cfg)
    if cfg.data.source == Source.file and cfg.data.path and not cfg.data.path.startswith("gs://"):
        do = f"gcloud storage cp {cfg.data.path} gs://{target.bucket}/data/, then data.path=gs://..."
        raise UserError("a job can't read this machine's files", f"data.path={cfg.data.path}", do)
    clients = connect(cfg.deploy, target)
    print(f"Training on {prices.load().running(cfg.target.machine_type, 1)}, while it runs")
    with in_plain_words(target, AGAIN), tempfile.TemporaryDirectory() as folder:
        refuse(problems(cfg, clients, target))
        files = {file.name: file.read_bytes() for file in (wheel(Path(folder)),)}
        files["train.yaml"] = configuration(cfg).encode()
        rows = content_of(cfg, clients).encode()
        digest = hashlib.sha256(b"".join([*files.values(), rows])).hexdigest()[:12]
        directory = f"{target.name}/training/{digest}"
        job = jobs.made(clients, target, f"{target.name}-train-{digest}")
        if job and not jobs.is_running(job):
            print("The same was trained before and is fetched; another run.dir= or seed= trains again.")
        if job is None:
            confirm(cfg, target, "Train with")
            for name, content in files.items():
                put(clients, target, f"{directory}/{name}", content)
            wanted = specification(cfg, target, directory, next(iter(files)))
            job = clients.jobs.create_custom_job({"parent": target.parent, "custom_job": wanted})
        print(f"Job {job.name}; its log: {jobs.logs(job.name)}", flush=True)
        jobs.wait(clients, job.name)
        fetch(clients, target, f"{directory}/run/", final)
    point(Path(cfg.run.root) / "latest", final)
    version = registry.register(final, cfg.run.root)
    print(f"The run is in {final}; {cfg.data.name} version {version}")


def problems(cfg: Config, clients: Clients, target: Target) -> list[UserError]:
    """What would make the job fail."""
    command = build(target, "training", ".")
    image = list(account.unbuilt(cfg.deploy, clients, target.filled(cfg.target.image), command))
    checks = (account.region, account.project, account.bucket)
    return account.problems(cfg.deploy, clients, target, checks) + image


def wheel(folder: Path) -> Path:
    """The package, built from the checkout."""
    root = config_directory().parent
    if not (root / "pyproject.toml").is_file():
        raise UserError("the package's source is not here", str(root), "run it in a checkout")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def content_of(cfg: Config, clients: Clients) -> str:
    """What changes with the rows to train on, if they lie in the cloud; a query counts as new every day."""
    table = cfg.data.bigquery.table
    if cfg.data.source == Source.bigquery:
        return jobs.content(clients, f"bq://{table}") if table else jobs.today()
    return jobs.content(clients, cfg.data.path) if cfg.data.path else ""


def configuration(cfg: Config) -> str:
    """The whole configuration as the job's own file, which Hydra checks there as here."""
    base = cast("DictConfig", OmegaConf.load(config_directory() / "config.yaml"))
    silent = [choice for choice in base.defaults if "override" in str(choice)]  # Hydra's own logging
    values = OmegaConf.structured(cfg)
    values.target.name = Place.local
    head = OmegaConf.create({"defaults": ["schema", "_self_", *silent], "hydra": base.hydra})
    return OmegaConf.to_yaml(head) + OmegaConf.to_yaml(values)


def specification(cfg: Config, target: Target, directory: str, wheel_name: str) -> dict[str, Any]:
    """The job: install the wheel, train, copy the finished run into the bucket, mounted below /gcs."""
    there = f"/gcs/{target.bucket}/{directory}"
    script = " && ".join(
        shlex.join(command)
        for command in (
            ["pip", "install", "--quiet", "--no-deps", "--target=/tmp/churn", f"{there}/{wheel_name}"],
            ["env", "PYTHONPATH=/tmp/churn", "python", "-m", "churn", "train", f"--config-path={there}",
             "--config-name=train", "run.root=/tmp/runs", "run.dir=/tmp/runs/run"],
            ["cp", "-r", "/tmp/runs/run", f"{there}/run"],
        )
    )  # fmt: skip
    return {
        "display_name": f"{target.name}-train-{Path(directory).name}",
        "labels": target.labels,
        "job_spec": {
            "worker_pool_specs": [
                {
                    "machine_spec": {"machine_type": cfg.target.machine_type},
                    "replica_count": 1,
                    "container_spec": {
                        "image_uri": target.filled(cfg.target.image),
                        "command": ["sh", "-c"],
                        "args": [script],
                    },
                }
            ],
            "service_account": cfg.deploy.service_account or "",
        },
        **encryption(cfg.deploy),
    }


def fetch(clients: Clients, target: Target, prefix: str, final: Path) -> None:
    """Copy the run from the bucket; it appears whole. What the job wrote there gets the label, too."""
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=final.parent, prefix=".unfinished-") as folder:
        for blob in clients.storage.list_blobs(target.bucket, prefix=prefix):
            file = Path(folder) / "run" / blob.name.removeprefix(prefix)
            file.parent.mkdir(parents=True, exist_ok=True)
            blob.download_to_filename(str(file))
            if blob.metadata != target.labels:
                blob.metadata = target.labels
                blob.patch()
        (Path(folder) / "run").replace(final)
