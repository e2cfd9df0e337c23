import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path

import pytest

from churn.bundle.bundle import Bundle
from churn.config.root import compose_config
from churn.errors import UserError
from churn.parallel import LAZY, WorkerProcess


@pytest.fixture
def helper():
    with WorkerProcess("json") as helper:
        yield helper


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{process}/stat").read_text().split()[2]


def until(condition, seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_calls_are_answered_in_order_by_another_process(helper):
    lengths = [helper.submit(len, "a" * n) for n in range(5)]
    assert [length.result() for length in lengths] == list(range(5))
    assert helper.submit(os.getpid).result() == helper.process.pid != os.getpid()
    assert helper.submit(sorted, [1, 3, 2], reverse=True).result() == [3, 2, 1]


def test_the_helper_has_imported_its_module_and_sees_no_gpu(helper):
    assert helper.submit(eval, "'json' in __import__('sys').modules").result()
    assert helper.submit(os.getenv, "CUDA_VISIBLE_DEVICES").result() == "-1"


def test_what_goes_wrong_there_is_raised_here(helper, tmp_path):
    with pytest.raises(UserError) as here:
        Bundle.load(tmp_path)
    with pytest.raises(UserError) as there:
        helper.submit(Bundle.load, tmp_path).result()
    assert str(there.value) == str(here.value)
    assert there.value.where == here.value.where == str(tmp_path)
    assert "in load" in there.value.__notes__[0]
    assert helper.submit(len, "still there").result() == 11


def test_a_helper_that_dies_is_an_error(helper):
    for _ in range(2):  # the second time there is nobody to send a call to
        with pytest.raises(RuntimeError, match="exit code 3"):
            helper.submit(os._exit, 3).result()


def test_it_ends_with_the_block_whatever_it_does():
    with WorkerProcess("json") as helper:
        process = helper.process.pid
        never = helper.submit(time.sleep, 60)
        waiting = helper.submit(len, "")
        began = time.monotonic()
    assert time.monotonic() - began < 10
    assert not is_running(process)
    assert waiting.cancelled() or waiting.exception()
    assert never.exception()


@pytest.mark.parametrize(
    "left", ["helper.submit(time.sleep, 60)", "helper.pipe.send(partial(len, '')), time.sleep(0.5)"]
)
def test_it_ends_with_a_caller_that_is_killed(left, tmp_path):
    script = tmp_path / "caller.py"  # without a guard, which multiprocessing would want
    script.write_text(
        "import time\nfrom functools import partial\nfrom churn.parallel import WorkerProcess\n"
        "with WorkerProcess('json') as helper:\n"
        "    helper.submit(time.sleep, 0).result()\n"
        f"    {left}  # a call that is not ended, an answer that is not read\n"
        "    print(helper.process.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as caller:
        helping = int(caller.stdout.readline())
        assert is_running(helping)
        caller.send_signal(signal.SIGKILL)
    assert until(lambda: not is_running(helping))


def test_without_a_helper_a_call_waits_until_it_is_wanted():
    done = []
    future = LAZY.submit(done.append, 1)
    assert isinstance(future, Future)
    assert done == []
    future.result(), future.result()
    assert done == [1]
    with pytest.raises(ValueError, match="invalid literal"):
        LAZY.submit(int, "one").result()


def test_a_run_is_the_same_with_a_helper_and_without(tmp_path):
    from churn import pipeline

    overrides = ("data.synthetic.rows=1200", "train.epochs=2", "evaluate.bootstrap=50", "export.refits=0")
    found = []
    with WorkerProcess("churn.evaluate.baselines") as helper:
        for name, by in {"with": helper, "without": LAZY}.items():
            cfg = compose_config(*overrides, f"run.root={tmp_path}", f"run.dir={tmp_path / name}")
            loss = pipeline.run(cfg, by)
            found.append((loss, json.loads((tmp_path / name / "metrics.json").read_text())))
            assert found[-1][1].pop("seconds")["baselines"] > 0
    assert found[0] == found[1]
