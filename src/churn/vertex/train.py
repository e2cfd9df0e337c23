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

from churn.bundle import registry
from churn.config.data import Source
from churn.config.root import Config, config_directory
from churn.config.serving import Platform
from churn.data.load import dataset_name
from churn.errors import UserError
from churn.runs import choose_run_dir, link_latest
from churn.vertex.checks import account
from churn.vertex.checks.preflight import build_command
from churn.vertex.cloud import jobs, prices
from churn.vertex.cloud.client import Clients, connect, translate_errors
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.cloud.staging import encryption, upload_object
from churn.vertex.confirm import confirm, refuse_all

AGAIN = "run the same command again: it finds the job where one was started"


def train(cfg: Config) -> None:
    """Stage wheel and configuration, run the job, fetch the run and register it."""
    cfg.data.name = dataset_name(cfg.data)
    target, final = Deployment.of(cfg), choose_run_dir(cfg)
    if cfg.data.source == Source.file and cfg.data.path and not cfg.data.path.startswith("gs://"):
        do = f"gcloud storage cp {cfg.data.path} gs://{target.bucket}/data/, then data.path=gs://..."
        raise UserError("a job can't read this machine's files", f"data.path={cfg.data.path}", do)
    clients = connect(cfg.deploy, target)
    print(f"Training on {prices.load_prices().running(cfg.target.machine_type, 1)}, while it runs")
    with translate_errors(target, AGAIN), tempfile.TemporaryDirectory() as folder:
        refuse_all(_training_problems(cfg, clients, target))
        files = {file.name: file.read_bytes() for file in (_build_wheel(Path(folder)),)}
        files["train.yaml"] = _job_configuration(cfg).encode()
        rows = _data_fingerprint(cfg, clients).encode()
        digest = hashlib.sha256(b"".join([*files.values(), rows])).hexdigest()[:12]
        directory = f"{target.name}/training/{digest}"
        job = jobs.find_made_job(clients, target, f"{target.name}-train-{digest}")
        if job and not jobs.is_running(job):
            print("The same was trained before and is fetched; another run.dir= or seed= trains again.")
        if job is None:
            confirm(cfg, target, "Train with")
            for name, content in files.items():
                upload_object(clients, target, f"{directory}/{name}", content)
            wanted = _job_specification(cfg, target, directory, next(iter(files)))
            job = clients.jobs.create_custom_job({"parent": target.parent, "custom_job": wanted})
        print(f"Job {job.name}; its log: {jobs.log_command(job.name)}", flush=True)
        jobs.wait_for_job(clients, job.name)
        _fetch_run(clients, target, f"{directory}/run/", final)
    link_latest(Path(cfg.run.root) / "latest", final)
    version = registry.register_run(final, cfg.run.root)
    print(f"The run is in {final}; {cfg.data.name} version {version}")


def _training_problems(cfg: Config, clients: Clients, target: Deployment) -> list[UserError]:
    """What would make the job fail."""
    command = build_command(target, "training", ".")
    image = list(account.missing_image(cfg.deploy, clients, target.filled(cfg.target.image), command))
    checks = (account.check_region, account.check_project, account.check_bucket)
    return account.account_problems(cfg.deploy, clients, target, checks) + image


def _build_wheel(folder: Path) -> Path:
    """The package, built from the checkout."""
    root = config_directory().parent
    if not (root / "pyproject.toml").is_file():
        raise UserError("the package's source is not here", str(root), "run it in a checkout")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def _data_fingerprint(cfg: Config, clients: Clients) -> str:
    """What changes with the rows to train on, if they lie in the cloud; a query counts as new every day."""
    table = cfg.data.bigquery.table
    if cfg.data.source == Source.bigquery:
        return jobs.content_fingerprint(clients, f"bq://{table}") if table else jobs.today_text()
    return jobs.content_fingerprint(clients, cfg.data.path) if cfg.data.path else ""


def _job_configuration(cfg: Config) -> str:
    """The whole configuration as the job's own file, which Hydra checks there as here."""
    base = cast("DictConfig", OmegaConf.load(config_directory() / "config.yaml"))
    silent = [choice for choice in base.defaults if "override" in str(choice)]  # Hydra's own logging
    values = OmegaConf.structured(cfg)
    values.target.name = Platform.local
    head = OmegaConf.create({"defaults": ["schema", "_self_", *silent], "hydra": base.hydra})
    return OmegaConf.to_yaml(head) + OmegaConf.to_yaml(values)


def _job_specification(cfg: Config, target: Deployment, directory: str, wheel_name: str) -> dict[str, Any]:
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


def _fetch_run(clients: Clients, target: Deployment, prefix: str, final: Path) -> None:
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
