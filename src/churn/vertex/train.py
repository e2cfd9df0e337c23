"""`churn train target=vertex`: the same training as a custom job; the finished run is copied back."""

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
from churn.bundle.bundle import Bundle
from churn.config.data import Source
from churn.config.root import Config, config_directory
from churn.config.serving import Platform
from churn.data.declared import with_declared_roles
from churn.data.forgotten import Forgotten
from churn.data.load import dataset_name
from churn.data.sources.bigquery import check_choice
from churn.data.sources.paths import is_delta
from churn.errors import UserError, count
from churn.runs import link_latest, note_unregistered, reserve_run
from churn.vertex.checks import account
from churn.vertex.checks.preflight import build_command
from churn.vertex.cloud import jobs
from churn.vertex.cloud.deployment import Deployment, today
from churn.vertex.cloud.errors import translate_errors
from churn.vertex.cloud.prices import load_prices
from churn.vertex.cloud.session import Session, connect
from churn.vertex.cloud.staging import upload_object
from churn.vertex.confirm import confirm, raise_problems


def train(cfg: Config) -> None:
    """Upload wheel and configuration, run the job, copy the run back and register it.

    >>> train(compose_config("data=bigquery", "data.bigquery.table=P.SET.TABLE", "data.target=left"))
    """
    cfg.data = with_declared_roles(cfg.data)
    cfg.data.name = dataset_name(cfg.data)
    registry.check_name(cfg.data.name)
    with reserve_run(cfg) as run_dir:
        _train_into(run_dir, cfg)


def _train_into(run_dir: Path, cfg: Config) -> None:
    """The same, into a directory whose name is reserved."""
    deployment = Deployment.from_config(cfg)
    _check_source(cfg, deployment)
    session = connect(deployment)
    print(f"Training on {load_prices().describe_cost(cfg.target.machine_type, 1)}, while it runs")
    with translate_errors(deployment, jobs.RETRY):
        raise_problems(_training_problems(session, cfg))
        files = _job_files(cfg)
        folder = f"{deployment.name}/training/{_job_digest(session, cfg, files)}"
        if forgotten := Forgotten.of(cfg).hashes:
            who = f"the {count(len(forgotten), 'customer')} on the list of forgotten ones"
            print(f"! The job does not know {who}: leave their rows out of what it reads")
        job = _find_or_start_job(session, cfg, folder, files)
        print(f"Job {job.name}; its log: {jobs.log_command(job.name)}", flush=True)
        jobs.wait_for_job(session, job.name)
        _fetch_run(session, f"{folder}/run/", run_dir, Path(cfg.run.root))
    link_latest(Path(cfg.run.root) / "latest", run_dir)
    version = registry.register_run(run_dir, cfg.run.root)
    print(f"The run is in {run_dir}; {cfg.data.name} version {version}")


def _check_source(cfg: Config, deployment: Deployment) -> None:
    """Raise `UserError` for data that the job could not read."""
    if cfg.data.source == Source.bigquery:
        check_choice(cfg.data.bigquery)
    path = cfg.data.path
    if cfg.data.source == Source.kaggle:
        do = f"download it, gcloud storage cp FILE gs://{deployment.bucket}/data/, then data.path=gs://..."
        raise UserError("the training container has no client of Kaggle", "data=kaggle", do)
    if cfg.data.source != Source.file or not path or path.startswith("gs://"):
        return
    if "://" in path or is_delta(path):
        do = f"write its rows to a Parquet file below gs://{deployment.bucket}/data/, then data.path=gs://..."
        raise UserError("a job reads files of a bucket, or BigQuery", f"data.path={path}", do)
    copy = "cp --recursive" if Path(path).expanduser().is_dir() else "cp"
    do = f"gcloud storage {copy} {shlex.quote(path)} gs://{deployment.bucket}/data/, then data.path=gs://..."
    raise UserError("a job can't read this machine's files", f"data.path={path}", do)


def _training_problems(session: Session, cfg: Config) -> list[UserError]:
    """Problems that would make the job fail."""
    deployment = session.deployment
    command = build_command(deployment, "training", ".")
    image = list(account.missing_image(session, deployment.fill_in(cfg.target.image), command))
    checks = (account.check_region, account.check_project, account.check_job_bucket)
    return account.account_problems(session, checks) + image


def _job_files(cfg: Config) -> dict[str, bytes]:
    """The files that the job reads, by their names: first the wheel, then the configuration."""
    with tempfile.TemporaryDirectory() as folder:
        wheel = _build_wheel(Path(folder))
        return {wheel.name: wheel.read_bytes(), "train.yaml": _job_configuration(cfg).encode()}


def _build_wheel(folder: Path) -> Path:
    """The package, built from the checkout."""
    root = config_directory().parent
    if not (root / "pyproject.toml").is_file():
        raise UserError("the package's source is not here", str(root), "run it in a checkout")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def _job_configuration(cfg: Config) -> str:
    """The whole configuration as one file for the job, where Hydra checks it again."""
    base = cast("DictConfig", OmegaConf.load(config_directory() / "config.yaml"))
    silent = [choice for choice in base.defaults if "override" in str(choice)]  # Hydra's own logging
    values = OmegaConf.structured(cfg)
    values.target.name = Platform.local
    head = OmegaConf.create({"defaults": ["schema", "_self_", *silent], "hydra": base.hydra})
    return OmegaConf.to_yaml(head) + OmegaConf.to_yaml(values)


def _job_digest(session: Session, cfg: Config, files: dict[str, bytes]) -> str:
    """Short hash of what a training depends on: package, configuration, rows."""
    rows = _data_fingerprint(session, cfg).encode()
    return hashlib.sha256(b"".join([*files.values(), rows])).hexdigest()[:12]


def _data_fingerprint(session: Session, cfg: Config) -> str:
    """A text that changes with training rows in the cloud; a query counts as new every day."""
    table = cfg.data.bigquery.table
    if cfg.data.source == Source.bigquery:
        return jobs.content_fingerprint(session, f"bq://{table}") if table else str(today())
    return jobs.content_fingerprint(session, cfg.data.path) if cfg.data.path else ""


def _find_or_start_job(session: Session, cfg: Config, folder: str, files: dict[str, bytes]) -> Any:
    """The job whose files lie in `folder` of the bucket; an earlier one if there is one."""
    deployment = session.deployment
    job = jobs.find_started_job(session, f"{deployment.name}-train-{Path(folder).name}")
    if job and not jobs.is_running(job):
        print("This training was done before; its run is copied. Another run.dir= or seed= trains again.")
    if job is None:
        confirm(deployment, "Train with")
        for name, content in files.items():
            upload_object(session, f"{folder}/{name}", content)
        specification = _job_specification(cfg, deployment, folder, next(iter(files)))
        request = {"parent": deployment.parent, "custom_job": specification}
        job = session.clients.jobs.create_custom_job(request)
    return job


def _job_specification(cfg: Config, deployment: Deployment, folder: str, wheel: str) -> dict[str, Any]:
    container = {
        "image_uri": deployment.fill_in(cfg.target.image),
        "command": ["sh", "-c"],
        "args": [_job_script(f"/gcs/{deployment.bucket}/{folder}", wheel)],
    }
    pool = {
        "machine_spec": {"machine_type": cfg.target.machine_type},
        "replica_count": 1,
        "container_spec": container,
    }
    account = deployment.config.service_account or ""
    return {
        "display_name": f"{deployment.name}-train-{Path(folder).name}",
        "labels": deployment.labels,
        "job_spec": {"worker_pool_specs": [pool], "service_account": account},
        **deployment.encryption,
    }


def _job_script(folder: str, wheel: str) -> str:
    """Install the wheel, train, copy the finished run to `folder`: the bucket is mounted below /gcs."""
    commands = (
        ["pip", "install", "--quiet", "--no-deps", "--target=/tmp/churn", f"{folder}/{wheel}"],
        ["env", "PYTHONPATH=/tmp/churn", "python", "-m", "churn", "train", f"--config-path={folder}",
         "--config-name=train", "run.root=/tmp/runs", "run.dir=/tmp/runs/run"],
        ["rm", "-rf", f"{folder}/run"],  # of a copy cut short: cp would copy into it
        ["cp", "-r", "/tmp/runs/run", f"{folder}/run"],
    )  # fmt: skip
    return " && ".join(shlex.join(command) for command in commands)


def _fetch_run(session: Session, prefix: str, run_dir: Path, root: Path) -> None:
    """Copy the run from the bucket; it appears whole. The job's objects get the deployment's label."""
    deployment = session.deployment
    run_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=run_dir.parent, prefix=".unfinished-") as folder:
        for blob in session.clients.storage.list_blobs(deployment.bucket, prefix=prefix):
            if not blob.name.endswith("/"):  # the mounted bucket has an empty object for each folder
                file = Path(folder) / "run" / blob.name.removeprefix(prefix)
                file.parent.mkdir(parents=True, exist_ok=True)
                blob.download_to_filename(str(file))
            if blob.metadata != deployment.labels:
                blob.metadata = deployment.labels
                blob.patch()
        _refuse_broken_run(Path(folder) / "run", f"gs://{deployment.bucket}/{prefix}")
        note_unregistered(root, run_dir)
        (Path(folder) / "run").replace(run_dir)


def _refuse_broken_run(run: Path, address: str) -> None:
    """Raise `UserError` if the copy in the bucket lacks files, or has others."""
    try:
        Bundle.load(run / "bundle")
    except UserError as error:
        do = f"gcloud storage rm -r {address}, then train with another run.dir=DIR: that is a new job"
        raise UserError(f"the run in the bucket is not whole: {error.what}", address, do) from error
