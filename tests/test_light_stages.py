"""Stages that only use a bundle load neither TensorFlow nor scikit-learn; nor pandas, where Arrow does."""

import json
import shutil
import signal
import subprocess
import sys

import httpx
import numpy as np
import pytest
from conftest import churn
from serve.conftest import ROW, wait_until

from churn.bundle.bundle import Bundle
from churn.bundle.export import seal
from churn.monitor.drift.profile import build_profile

HEAVY = ("tensorflow", "keras", "sklearn")
WATCH = """
import atexit, sys
from churn.__main__ import main
atexit.register(lambda: print("loaded:", sorted({heavy} & sys.modules.keys()), file=sys.stderr))
sys.argv[0] = "churn"
main()
"""


def loaded(*arguments: str, heavy: tuple[str, ...] = (*HEAVY, "pandas")) -> list[str]:
    """The libraries among `heavy` that a stage has loaded when it ends."""
    command = [sys.executable, "-c", WATCH.format(heavy=set(heavy)), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stderr.rpartition("loaded: ")[2].replace("'", '"'))


@pytest.fixture(scope="module")
def bundle(exported_bundle, customers, tmp_path_factory):
    """The bundle with a profile of its training data."""
    path = shutil.copytree(exported_bundle, tmp_path_factory.mktemp("light") / "bundle")
    facts = {name: fact for name, fact in Bundle.load(path).facts.items() if name != "format"}
    probability = np.linspace(0.1, 0.9, len(customers))
    seal(path, facts, build_profile(customers.frame, customers.schema, customers.frame, probability))
    return path


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_scoring_a_file(exported_bundle, customers, tmp_path, suffix):
    table, file = customers.frame.assign(customer=[f"c{i}" for i in range(800)]), tmp_path / f"in.{suffix}"
    table.to_parquet(file) if suffix == "parquet" else table.to_csv(file, index=False)
    paths = f"bundle={exported_bundle}", f"input={file}", f"output={tmp_path}/out.{suffix}"
    assert loaded("score", *paths) == []
    assert loaded("score", *paths, "top=5", heavy=HEAVY) == []


def test_serving_and_monitoring_what_was_served(bundle, tmp_path):
    settings = (f"bundle={bundle}", f"run.root={tmp_path}")
    quick = ("serve.drain_seconds=0", "serve.log.segment_seconds=0.5")
    code = WATCH.format(heavy={*HEAVY, "pandas"})
    command = [sys.executable, "-uc", code, "serve", *settings, "serve.port=0", *quick]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    url = next(line for line in process.stdout if line.startswith("Serving ")).split()[-1]
    assert httpx.post(url, json={"instances": [ROW]}, timeout=30).status_code == 200
    wait_until(lambda: list((tmp_path / "log").glob("*.parquet")))  # the log is compacted without pandas, too
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert errors.endswith("loaded: []\n")
    assert loaded("monitor", *settings) == []


def test_tensorflow_computes_where_it_is_asked_for(exported_bundle, customers, tmp_path):
    customers.frame[:20].to_csv(tmp_path / "in.csv", index=False)
    paths = f"bundle={exported_bundle}", f"input={tmp_path}/in.csv"
    churn("score", *paths, f"output={tmp_path}/light.csv")
    assert loaded("score", *paths, f"output={tmp_path}/out.csv", "score.runtime=tensorflow")[0] == "keras"
    assert (tmp_path / "light.csv").read_text().count("\n") == (tmp_path / "out.csv").read_text().count("\n")
