"""The one place that imports TensorFlow: quietly, and only when a stage needs it."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType


def tensorflow() -> ModuleType:
    """The `tensorflow` module, imported without the notes that its C++ core writes to the terminal."""
    if "tensorflow" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # a machine without a GPU is no error
        with silent_stderr():
            import tensorflow
        tensorflow.get_logger().setLevel("ERROR")  # in a notebook it tells of every export
    return sys.modules["tensorflow"]


def leave_one_core() -> None:
    """Let TensorFlow, if it is not imported yet, compute on all cores but one: a helper has that."""
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(max(1, (os.cpu_count() or 1) - 1)))


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Hold back what the process, C++ included, writes to stderr; show it if the block fails."""
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(terminal, held.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


def make_deterministic(seed: int) -> None:
    """Seed every random generator and let TensorFlow use deterministic operations only."""
    tf = tensorflow()
    tf.keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


@contextmanager
def profiler(folder: Path | None) -> Iterator[None]:
    """Write what TensorFlow does in the block to `folder`, as TensorBoard reads it; None: do not."""
    if folder is None:
        yield
    else:
        with tensorflow().profiler.experimental.Profile(str(folder)):
            yield
