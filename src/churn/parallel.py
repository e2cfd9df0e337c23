"""Parallel work: a thread that reads ahead, and a process that computes."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from importlib import import_module
from multiprocessing.connection import Connection, Pipe
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")
END = object()


def prefetch(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """The same items in order; a thread makes the next `depth` of them while the caller works.

    An error in making an item is raised at its turn.

    >>> for chunk in prefetch(read_chunks()):
    ...     score(chunk)
    """
    source = iter(items)
    with ThreadPoolExecutor(1) as thread:
        pending = deque(thread.submit(next, source, END) for _ in range(depth))
        while (item := pending.popleft().result()) is not END:
            pending.append(thread.submit(next, source, END))
            yield item  # type: ignore[misc]


class _LazyExecutor(Executor):
    """Runs each call in this process, when its result is needed."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """A future that calls the function when its result is needed."""
        return _LazyFuture(partial(function, *arguments, **named))


class _LazyFuture(Future[Any]):
    """A call that runs when its result is needed."""

    def __init__(self, call: Callable[[], Any]) -> None:
        super().__init__()
        self.call = call

    def result(self, timeout: float | None = None) -> Any:
        """The result of the call; raises what the call raises."""
        if not self.done():
            self.set_result(self.call())
        return super().result()


LAZY = _LazyExecutor()


class WorkerProcess(Executor):
    """A worker process for CPU-bound work that the GIL would serialise.

    It has one core and no GPU, imports `module` first, and runs one call after the other. Calls and results
    are pickled. It ends with the block, even in the middle of a call, or with this process.

    >>> with WorkerProcess("sklearn.ensemble") as worker:
    ...     fitted = worker.submit(fit, rows)
    ...     fitted.result()
    """

    def __init__(self, module: str) -> None:
        self.pipe, child_pipe = Pipe()
        child = child_pipe.fileno()
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"from churn.parallel import _run_calls; _run_calls({child}, '{module}')",
            ],
            env=os.environ
            | {"CUDA_VISIBLE_DEVICES": "-1", "TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"},
            pass_fds=[child],
            start_new_session=True,  # Ctrl-C goes to this process only
        )
        child_pipe.close()
        self.thread = ThreadPoolExecutor(1)

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """A future of the function's result."""
        return self.thread.submit(self._run, partial(function, *arguments, **named))

    def _run(self, call: Callable[[], Any]) -> Any:
        """The result of a call in the process; raises what the call raises there."""
        try:
            self.pipe.send(call)
            result, error = self.pipe.recv()
        except (EOFError, OSError):
            raise RuntimeError(f"the worker process ended with exit code {self.process.wait()}") from None
        if error is not None:
            raise error
        return result

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        self.thread.shutdown(cancel_futures=True)
        self.pipe.close()


def _run_calls(pipe: int, module: str) -> None:
    """Run the calls that arrive through a pipe, given as a file descriptor, until it closes."""
    caller, calls = Connection(pipe), SimpleQueue[bytes]()

    def listen() -> None:
        try:
            while True:
                calls.put(caller.recv_bytes())
        except (EOFError, OSError):  # OSError: the caller has not read the last result
            os._exit(0)  # the caller is gone; the result is not needed

    Thread(target=listen, daemon=True).start()
    gc.set_threshold(100_000)  # as `churn.__main__` does
    import_module(module)
    while True:
        caller.send(_result_of(calls.get()))


def _result_of(call: bytes) -> tuple[Any, Exception | None]:
    """The result of a pickled call, or what it raised."""
    try:
        return pickle.loads(call)(), None
    except Exception as error:
        error.add_note(traceback.format_exc())  # a traceback cannot be pickled
        return None, error
