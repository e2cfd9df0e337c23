"""The command line: help, configuration errors, and the imports that they need."""

import subprocess
import sys

import pytest
from conftest import churn, compose_config

from churn.config.root import config_directory


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "train.epoch=3"], "did you mean 'train.epochs'?"),
        (["score"], "churn score input=FILE output=FILE"),
    ],
)
def test_a_wrong_configuration_ends_with_one_message_and_code_2(arguments, says, tmp_path):
    done = churn(*arguments, code=2, cwd=tmp_path)
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"runs"}


def test_without_arguments_the_stages_are_listed(tmp_path):
    done = churn(cwd=tmp_path)
    assert "churn train" in done.stdout
    assert churn("--help", cwd=tmp_path).stdout == done.stdout
    assert not list(tmp_path.iterdir())


def test_hydras_own_views_of_the_configuration_work(tmp_path):
    assert "epochs: 7" in churn("train", "train.epochs=7", "--cfg", "job", cwd=tmp_path).stdout
    assert "--config-dir" in churn("--hydra-help", cwd=tmp_path).stdout


def test_shell_completion_knows_stages_groups_and_keys(monkeypatch):
    def completed(line):
        monkeypatch.setenv("COMP_LINE", line)
        return churn("-sc", "query=bash").stdout.split()

    assert completed("churn tr") == ["train"]
    assert completed("churn train model=") == ["model=dense", "model=network", "model=tutorial"]
    assert completed("churn train train.epo") == ["train.epochs="]


HEAVY = ("tensorflow", "keras", "pandas", "numpy", "sklearn", "pyarrow", "mlflow", "rich")


@pytest.mark.parametrize("arguments", [["train", "--help"], ["train", "train.epoch=3"]])
def test_help_and_configuration_errors_import_nothing_heavy(arguments):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "churn", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}
    assert "omegaconf" in imported
    assert not imported & set(HEAVY)


CHOICES = sorted(
    f"{file.parent.name}={file.stem}"
    for group in ("data", "model")
    for file in (config_directory() / group).glob("*.yaml")
)


@pytest.mark.parametrize("choice", CHOICES)
def test_every_configuration_file_fits_the_declared_keys(choice):
    compose_config(choice)
