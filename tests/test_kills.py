"""A kill at any step of a write leaves what was there or all of the new, and the next run does the rest.

`benchmarks/faults_local.py` kills whole stages.
"""

import json
import multiprocessing
import os
import signal
from pathlib import Path

STEPS = ("open", "write", "fsync", "replace", "unlink", "ftruncate", "symlink")


def write_scores(folder: Path) -> str:
    """What `churn score` does with its answers; gives the state that it leaves."""
    import pyarrow as pa

    from churn.data.writers import write_tables

    tables = (pa.table({"customer": [name], "churn_probability": [0.5]}) for name in "ab")
    write_tables(tables, folder / "scores.csv")
    return (folder / "scores.csv").read_text()


def write_report(folder: Path) -> str:
    """What `churn monitor` does with its report."""
    from churn.monitor.history import HISTORY, record_report

    record_report(folder, {"from": "2026-01-02", "until": "2026-01-03", "bundle": "b", "status": "new"})
    return (folder / HISTORY).read_text() + json.loads((folder / "report.json").read_text())["status"]


def link_run(folder: Path) -> str:
    """What `churn train` does with `latest`."""
    from churn.runs import link_latest

    link_latest(folder / "latest", folder / "new")
    return str((folder / "latest").readlink())


def kill_at(step: int, work, folder: Path) -> bool:
    """Do the work in a process that kills itself before a step; whether it came so far."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    taken = 0

    def counted(function):
        def call(*arguments, **named):
            nonlocal taken
            taken += 1
            if taken == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **named)

        return call

    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))
    work(folder)
    os._exit(0)


def state(folder: Path) -> dict[str, str]:
    """The files and links that are not aside."""
    return {
        path.name: str(path.readlink()) if path.is_symlink() else path.read_text()
        for path in folder.iterdir()
        if not path.name.startswith(".")
    }


def kill_at_every_step(work, root: Path, old: dict[str, str]) -> int:
    """Kill the work at its first step, at its second ..., each time in a new folder; gives the kills."""
    step, killed = 0, True
    while killed:
        step += 1
        folder = root / str(step)
        folder.mkdir()
        for name, content in old.items():
            (folder / name).write_text(content)
        killed = kill_at(step, work, folder)
        found = state(folder)
        whole = work(folder)
        new = state(folder)
        assert all(found.get(name) in (old.get(name), new[name]) for name in new), (step, found)
        assert found.keys() <= new.keys()
        assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
        assert whole == work(folder), "the same as without a kill"
    return step - 1


def kill_all(root: Path) -> None:
    """All cases, in one process without threads."""
    for number, (work, old, least) in enumerate(CASES):
        case = root / str(number)
        case.mkdir()
        assert kill_at_every_step(work, case, old) >= least, work


CASES = (
    (write_scores, {}, 5),
    (write_scores, {"scores.csv": "old"}, 5),
    (write_report, {"history.jsonl": '{"from": "2026-01-01", "until": "2026-01-02", "bundle": "b"}\n'}, 8),
    (write_report, {"history.jsonl": '{"from": "2026-01-02", "until": "2026-01-03", "bundle": "b"}\n'}, 8),
    (link_run, {}, 3),
)


def test_a_kill_at_any_step_leaves_the_old_or_the_whole_and_the_next_run_the_same(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=kill_all, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == 0
