"""TensorFlow, imported quietly and only when a stage needs it."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType


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


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Hide what the process writes to stderr, C++ included; print it if the block fails."""
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as hidden:
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
