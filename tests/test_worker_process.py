"""A worker process answers calls, and ends with its caller."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path

import pytest

from churn.bundle.bundle import Bundle
from churn.errors import UserError
from churn.parallel import LAZY, WorkerProcess


@pytest.fixture
def worker():
    with WorkerProcess("json") as worker:
        yield worker


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{process}/stat").read_text().split()[2]


def wait_until(condition, seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_calls_are_answered_in_order_by_another_process(worker):
    lengths = [worker.submit(len, "a" * n) for n in range(5)]
    assert [length.result() for length in lengths] == list(range(5))
    assert worker.submit(os.getpid).result() == worker.process.pid != os.getpid()
    assert worker.submit(sorted, [1, 3, 2], reverse=True).result() == [3, 2, 1]


def test_a_worker_has_imported_its_module_and_has_no_gpu(worker):
    assert worker.submit(eval, "'json' in __import__('sys').modules").result()
    assert worker.submit(os.getenv, "CUDA_VISIBLE_DEVICES").result() == "-1"


def test_an_error_in_the_worker_is_raised_in_the_caller(worker, tmp_path):
    with pytest.raises(UserError) as here:
        Bundle.load(tmp_path)
    with pytest.raises(UserError) as there:
        worker.submit(Bundle.load, tmp_path).result()
    assert str(there.value) == str(here.value)
    assert there.value.where == here.value.where == str(tmp_path)
    assert "in load" in there.value.__notes__[0]
    assert worker.submit(len, "still there").result() == 11


def test_a_worker_that_dies_is_an_error(worker):
    for _ in range(2):  # the second call cannot be sent
        with pytest.raises(RuntimeError, match="exit code 3"):
            worker.submit(os._exit, 3).result()


def test_a_worker_ends_with_the_block_even_in_the_middle_of_a_call():
    with WorkerProcess("json") as worker:
        process = worker.process.pid
        never = worker.submit(time.sleep, 60)
        waiting = worker.submit(len, "")
        began = time.monotonic()
    assert time.monotonic() - began < 10
    assert not is_running(process)
    assert waiting.cancelled() or waiting.exception()
    assert never.exception()


@pytest.mark.parametrize(
    "left", ["worker.submit(time.sleep, 60)", "worker.pipe.send(partial(len, '')), time.sleep(0.5)"]
)
def test_a_worker_ends_if_its_caller_is_killed(left, tmp_path):
    script = tmp_path / "caller.py"  # without the guard that multiprocessing needs
    script.write_text(
        "import time\nfrom functools import partial\nfrom churn.parallel import WorkerProcess\n"
        "with WorkerProcess('json') as worker:\n"
        "    worker.submit(time.sleep, 0).result()\n"
        f"    {left}  # a call that has not ended, or a result that is not read\n"
        "    print(worker.process.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as caller:
        worker_pid = int(caller.stdout.readline())
        assert is_running(worker_pid)
        caller.send_signal(signal.SIGKILL)
    assert wait_until(lambda: not is_running(worker_pid))


def test_without_a_worker_a_call_runs_when_its_result_is_needed():
    done = []
    future = LAZY.submit(done.append, 1)
    assert isinstance(future, Future)
    assert done == []
    future.result(), future.result()
    assert done == [1]
    with pytest.raises(ValueError, match="invalid literal"):
        LAZY.submit(int, "one").result()
