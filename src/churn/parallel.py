"""Work that goes on in a thread while the caller does its own."""

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
    """The same items, up to `depth` of them made in a thread while the caller works on those before.

    What making one raises is raised where it would have come.
    """
    source = iter(items)
    with ThreadPoolExecutor(1) as thread:
        coming = deque(thread.submit(next, source, END) for _ in range(depth))
        while (item := coming.popleft().result()) is not END:
            coming.append(thread.submit(next, source, END))
            yield item  # type: ignore[misc]


class _LazyExecutor(Executor):
    """No second process: this one does the work, once somebody asks for the result."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """A future whose `result` calls the function."""
        return _LazyFuture(partial(function, *arguments, **named))


class _LazyFuture(Future[Any]):
    """A call that waits for somebody to ask for its result."""

    def __init__(self, call: Callable[[], Any]) -> None:
        super().__init__()
        self.call = call

    def result(self, timeout: float | None = None) -> Any:
        """What the call gives, or raises."""
        if not self.done():
            self.set_result(self.call())
        return super().result()


LAZY = _LazyExecutor()


class WorkerProcess(Executor):
    """One process, on one core and without a GPU, that does one call after the other.

    It imports `module` at once. Calls and their results are pickled. It ends with the block, whatever it
    does then, or with this process.
    """

    def __init__(self, module: str) -> None:
        self.pipe, theirs = Pipe()
        end = theirs.fileno()
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"from churn.parallel import _answer_calls; _answer_calls({end}, '{module}')",
            ],
            env=os.environ
            | {"CUDA_VISIBLE_DEVICES": "-1", "TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"},
            pass_fds=[end],
            start_new_session=True,  # Ctrl-C is for this process
        )
        theirs.close()
        self.thread = ThreadPoolExecutor(1)

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """The function's result to come."""
        return self.thread.submit(self.ask, partial(function, *arguments, **named))

    def ask(self, call: Callable[[], Any]) -> Any:
        """What the helper's process says to a call; raises what the call raises there."""
        try:
            self.pipe.send(call)
            result, error = self.pipe.recv()
        except (EOFError, OSError):
            raise RuntimeError(f"the helping process ended with exit code {self.process.wait()}") from None
        if error is not None:
            raise error
        return result

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        self.thread.shutdown(cancel_futures=True)
        self.pipe.close()


def _answer_calls(pipe: int, module: str) -> None:
    """What the helper's process does: the calls that come from a pipe, a file descriptor, until it closes."""
    caller, calls = Connection(pipe), SimpleQueue[bytes]()

    def listen() -> None:
        try:
            while True:
                calls.put(caller.recv_bytes())
        except (EOFError, OSError):  # the latter where the caller left an answer unread
            os._exit(0)  # nobody waits for what is being done

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
        error.add_note(traceback.format_exc())  # a traceback itself is not pickled
        return None, error
