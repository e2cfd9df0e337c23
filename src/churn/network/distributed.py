"""Training on one processor, on several GPUs, or on several machines (tf.distribute).

TF_CONFIG lists the machines, as Vertex AI's custom jobs set it; each runs the same command and sees the same
files. Each reads all rows and trains on its share of every batch, so that the weights are those of one
machine; boosted trees are grown on each machine alike. The first machine, the chief, writes the files. If one
machine dies, all end; the same command on all of them continues from the chief's last checkpoint.
"""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from functools import cache
from typing import Any

from churn.backend import tensorflow


def _tf_config() -> dict[str, Any]:
    return json.loads(os.environ.get("TF_CONFIG") or "{}")


def machine_count() -> int:
    """The number of machines that train together."""
    cluster = _tf_config().get("cluster", {})
    return max(1, len(cluster.get("chief", [])) + len(cluster.get("worker", [])))


def is_chief() -> bool:
    """Whether this machine is the one that writes."""
    task, cluster = _tf_config().get("task", {}), _tf_config().get("cluster", {})
    first = "chief" if cluster.get("chief") else "worker"
    return machine_count() == 1 or (task.get("type") == first and task.get("index") == 0)


@cache
def strategy() -> Any:
    """The `tf.distribute.Strategy`; with several machines this must be the first call to TensorFlow."""
    tf = tensorflow()
    if machine_count() > 1:
        return tf.distribute.MultiWorkerMirroredStrategy()
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def distribution_scope() -> Any:
    """The scope in which all replicas build and train the network; does nothing on one device."""
    return strategy().scope() if strategy().num_replicas_in_sync > 1 else nullcontext()


def local_copy(network: Any) -> Any:
    """The same network for this machine only."""
    if strategy().num_replicas_in_sync == 1:
        return network
    copy = tensorflow().keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy
