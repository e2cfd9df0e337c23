"""Two processes train the same network as one, also after a kill."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from churn.bundle.bundle import Bundle

SMALL = (
    "data.synthetic.rows=1200",
    "train.epochs=10",
    "train.batch_size=16",
    "model.members=3",
    "model.folds=3",
    "model.trees=20",
    "export.refits=0",
    "export.background=0",
    "evaluate.bootstrap=20",
    "evaluate.importance_repeats=1",
)


def start(root: Path, ports: tuple[int, ...] = (), index: int = 0):
    """`churn train`, alone or as one of several."""
    environment = dict(os.environ)
    if ports:
        cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
        task = {"type": "worker", "index": index}
        environment["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": task})
    command = [sys.executable, "-m", "churn", "train", *SMALL, f"run.root={root}"]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def pair(root: Path):
    """Two processes that train together, the chief first."""
    with socket.socket() as a, socket.socket() as b:
        a.bind(("127.0.0.1", 0))
        b.bind(("127.0.0.1", 0))
        ports = a.getsockname()[1], b.getsockname()[1]
    return [start(root, ports, index) for index in range(2)]


def weights(run: Path) -> list[np.ndarray]:
    """The variables of a run's network; the order in which Keras lists them differs from run to run."""
    values = [variable.numpy() for variable in Bundle.load(run / "bundle").saved_model.weights]
    return sorted(values, key=lambda value: (value.shape, value.sum()))


def test_two_processes_train_the_same_network_as_one_and_continue_after_a_kill(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    alone, killed = start(one), pair(two)
    until = time.monotonic() + 300
    while not list(two.glob(".unfinished-*/checkpoints/model.npz")) and time.monotonic() < until:
        assert killed[0].poll() is None, killed[0].stdout.read()
        time.sleep(0.05)
    killed[1].kill()
    killed[0].kill()  # alone it would wait
    for process in killed:
        process.communicate()
    assert not (two / "latest").exists()
    (checkpoint,) = two.glob(".unfinished-*/checkpoints/model.npz")
    with np.load(checkpoint) as state:
        assert 0 < json.loads(str(state["facts"]))["epochs"] < 10
    again = pair(two)
    outputs = [process.communicate(timeout=300)[0] for process in [alone, *again]]
    assert [process.returncode for process in [alone, *again]] == [0, 0, 0], outputs
    assert "epoch 1 of 10" in outputs[0]
    assert "epoch 1 of 10" not in outputs[1]
    together, single = weights(two / "latest"), weights(one / "latest")
    assert len(together) == len(single) > 4
    for actual, expected in zip(together, single, strict=True):
        assert actual == pytest.approx(expected, abs=1e-3)
