"""Several processes on one network learn what one alone learns, also after one of them was killed."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

# Trains a small network as `churn train` does; with a third argument one that takes its time.
SCRIPT = """
import sys, time
from pathlib import Path
from churn import loop, machines, model
together = machines.strategy()
import numpy as np
from churn.backend import make_repeatable, tensorflow
from churn.checkpoint import Checkpoint
from churn.config import ModelConfig, ModelName, TrainConfig
from churn.train import optimizer

make_repeatable(1)
tf, rng = tensorflow(), np.random.default_rng(0)
inputs = rng.standard_normal((500, 10)).astype("f")
targets = tf.repeat(tf.constant((inputs[:, :1] > 0).astype("f")), 8, 1)
weights = (rng.integers(0, 8, (500, 1)) != np.arange(8)).astype("f")
with together.scope():
    network = model.build(ModelConfig(name=ModelName.dense, dropout=0.0, hidden=[16, 8]), 10)
    rule = optimizer(TrainConfig(), 60)
    epoch = loop.epoch_of(network, rule, xla=False)
    state = Checkpoint(Path(sys.argv[1]), [*network.variables, *rule.variables])
    state.load()
    print("from", state.epochs, flush=True)
    while state.epochs < 6:
        block = loop.Block(tf.constant(inputs), targets, weights)
        loss, _ = epoch(block, loop.batches(500, 51, 0, state.epochs))
        state.record(loss, None, 0)
        state.save()
        time.sleep(float(sys.argv[3]))
np.savez(sys.argv[2], *machines.alone(network).get_weights())
"""


def start(folder: Path, name: str, pause: float = 0, ports: tuple[int, ...] = (), index: int = 0):
    """A process that trains, alone or as one of several."""
    cluster = {"cluster": {"worker": [f"127.0.0.1:{port}" for port in ports]}}
    environment = dict(os.environ)
    if ports:
        environment["TF_CONFIG"] = json.dumps(cluster | {"task": {"type": "worker", "index": index}})
    shared = folder / ("together.npz" if ports else "alone.npz")
    command = [sys.executable, "-c", SCRIPT, str(shared), str(folder / f"{name}.npz"), str(pause)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def free_ports() -> tuple[int, int]:
    with socket.socket() as a, socket.socket() as b:
        a.bind(("127.0.0.1", 0))
        b.bind(("127.0.0.1", 0))
        return a.getsockname()[1], b.getsockname()[1]


def test_two_processes_learn_what_one_learns_and_go_on_after_a_kill(tmp_path):
    one = start(tmp_path, "one")
    ports = free_ports()
    pair = [start(tmp_path, f"first{i}", 1.0, ports, i) for i in range(2)]
    until = time.monotonic() + 400
    while not (tmp_path / "together.npz").exists() and time.monotonic() < until:
        time.sleep(0.2)
    pair[1].kill()
    pair[0].kill()  # alone it would wait for the other
    for process in pair:
        process.communicate()
    assert not (tmp_path / "first0.npz").exists()
    ports = free_ports()
    pair = [start(tmp_path, f"again{i}", 0, ports, i) for i in range(2)]
    told = [process.communicate(timeout=500) for process in [one, *pair]]
    assert [process.returncode for process in [one, *pair]] == [0, 0, 0], told
    assert all(int(out.split()[1]) >= 1 for out, _ in told[1:])
    with np.load(tmp_path / "one.npz") as alone:
        for name in ("again0", "again1"):
            with np.load(tmp_path / f"{name}.npz") as found:
                for key in alone:
                    assert found[key] == pytest.approx(alone[key], abs=1e-4)
