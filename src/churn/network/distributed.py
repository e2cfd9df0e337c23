"""How training is spread over what is there: one processor, several GPUs, or several machines.

Machines are named by TF_CONFIG, as Vertex AI's custom jobs set it; each runs the same command and sees the
same files. Every one reads all rows and learns from its share of each batch, so that the weights are those of
one machine. The first of them, the chief, writes; if one dies, all end, and the same command on all of them
goes on from the chief's last checkpoint.
"""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from functools import cache
from typing import Any

from churn.backend import tensorflow


def _tf_config() -> dict[str, Any]:
    """What TF_CONFIG says; nothing where there is one machine."""
    return json.loads(os.environ.get("TF_CONFIG") or "{}")


def machine_count() -> int:
    """Machines that train together."""
    cluster = _tf_config().get("cluster", {})
    return max(1, len(cluster.get("chief", [])) + len(cluster.get("worker", [])))


def is_chief() -> bool:
    """Whether this machine is the one that writes."""
    task, cluster = _tf_config().get("task", {}), _tf_config().get("cluster", {})
    first = "chief" if cluster.get("chief") else "worker"
    return machine_count() == 1 or (task.get("type") == first and task.get("index") == 0)


@cache
def strategy() -> Any:
    """TensorFlow's `tf.distribute.Strategy`; of several machines it has to be made before anything else."""
    tf = tensorflow()
    if machine_count() > 1:
        return tf.distribute.MultiWorkerMirroredStrategy()
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def distribution_scope() -> Any:
    """Within it networks are built and trained by all together; it changes nothing for one processor."""
    together = strategy()
    return together.scope() if together.num_replicas_in_sync > 1 else nullcontext()


def local_copy(network: Any) -> Any:
    """The same network for this machine only."""
    if strategy().num_replicas_in_sync == 1:
        return network
    copy = tensorflow().keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy
