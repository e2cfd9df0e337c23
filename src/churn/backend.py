"""Heavy libraries, imported quietly and only when a stage needs them."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import Any

_HIDING = RLock()


def tensorflow() -> ModuleType:
    """The `tensorflow` module, imported without the messages of its C++ core."""
    if "tensorflow" not in sys.modules:
        os.environ.setdefault(
            "TF_CPP_MIN_LOG_LEVEL", "3"
        )  # else it reports a machine without a GPU as an error
        with silent_stderr():
            import tensorflow
        tensorflow.get_logger().setLevel("ERROR")  # else it prints a line for every export
    return sys.modules["tensorflow"]


def leave_one_core() -> None:
    """Leave one core to the worker process: TensorFlow, if not yet imported, computes on the others."""
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(max(1, (os.cpu_count() or 1) - 1)))


def arrow_alone() -> None:
    """Keep Arrow from importing pandas, which it does where it is given a list or a scalar (pyarrow 25).

    It only wants to know whether that is a Series. Where it makes a frame, it still imports pandas, and knows
    Series from then on.
    """
    if "pandas" in sys.modules:
        return
    import pyarrow as pa

    sys.meta_path.insert(0, _NoPandas())
    try:
        pa.array([])
    finally:
        del sys.meta_path[0]


class _NoPandas(MetaPathFinder):
    """Refuses to import pandas."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> None:
        """Nothing, for other modules."""
        if name == "pandas":
            raise ModuleNotFoundError(name)


def limit_threads(threads: int) -> None:
    """Let TensorFlow compute on so many threads; what it was limited to before stays if it is the same."""
    threading = tensorflow().config.threading
    if threading.get_intra_op_parallelism_threads() != threads:
        threading.set_intra_op_parallelism_threads(threads)
        threading.set_inter_op_parallelism_threads(threads)


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Hide what the process writes to stderr, C++ included; print it if the block fails.

    One thread at a time: a second one would take the hiding place of the first for stderr.
    """
    with _HIDING, tempfile.TemporaryFile() as hidden:
        sys.stderr.flush()
        terminal = os.dup(2)
        os.dup2(hidden.fileno(), 2)
        try:
            yield
        except BaseException:
            hidden.seek(0)
            os.write(terminal, hidden.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


def make_deterministic(seed: int) -> None:
    """Seed Python, NumPy and TensorFlow, and make TensorFlow use deterministic operations only."""
    tf = tensorflow()
    tf.keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


@contextmanager
def profiler(folder: Path | None) -> Iterator[None]:
    """Write a profile of TensorFlow in the block to `folder`, for TensorBoard; none if it is None."""
    if folder is None:
        yield
    else:
        with tensorflow().profiler.experimental.Profile(str(folder)):
            yield
