"""What is typed after `make TARGET` is read, or refused: nothing is left aside in silence."""

import os
import subprocess

import pytest
from conftest import ROOT


def make(*words):
    """Exit code and output of `make -n`, which runs nothing."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", "-n", *words], cwd=ROOT, env=outside, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["train", "data=telco"], "make train ARGS='data=telco'"),
        (["promote", "run=runs/x"], "make promote ARGS='run=runs/x'"),
        (["score", "input=a.csv"], "make score ARGS='input=a.csv'"),
        (["deploy", "PLAN=yes"], "write PLAN=1 or YES=1"),
        (["rollback", "PLAN=1"], "PLAN=1 is for make deploy only"),
        (["deploy", "destroy", "PLAN=1"], "PLAN=1 is for make deploy only"),
        (["retrain", "YES=1"], "YES=1 is for make deploy and make destroy only"),
        (["chapter", "CHAPTER=4"], "there is no chapter 4; write CHAPTER=04"),
    ],
)
def test_words_that_nothing_would_read_are_refused(words, says):
    code, output = make(*words)
    assert code == 2
    assert says in output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["train", "ARGS=data=telco", "-j2"], "churn train data=telco"),
        (["deploy", "PLAN=1"], "churn deploy deploy.plan_only=true"),
        (["destroy", "YES=1"], "churn destroy  deploy.yes=true"),
        (["chapter", "CHAPTER=04"], "runs/notebooks/04"),
        (["sbom", "SHIPPED=train"], "sbom/: train.cdx.json licences.csv"),
    ],
)
def test_the_variables_of_the_makefile_are_read(words, says):
    code, output = make(*words)
    assert code == 0, output
    assert says in output
