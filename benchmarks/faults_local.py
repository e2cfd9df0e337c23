"""Stages are killed, run out of space, or run twice at once: what is left, and does the next run mend it.

Each fault strikes a stage in a copy of one prepared folder; then the same command runs again, and its result
is compared with that of the unbroken run. Kinds of faults:

- killed: SIGKILL at a random moment,
- limit: no file may be longer than some bytes (RLIMIT_FSIZE), from 0 to more than the stage needs,
- full: a disk of which only some bytes are free (a tmpfs; needs root),
- read-only: a disk that cannot be written (the same),
- twice: two processes run the command at once.

Right: no traceback, exit code 0 or 2, nothing half-written taken for whole, nothing left aside, and the
result of the unbroken run. Each case is a fork, so that nothing is imported twice. `--minutes` ends the
search early; the table says how many cases there were.
"""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from compare import arguments, finish

SMALL = [
    "data.synthetic.rows=1200", "train.epochs=3", "train.augmented=0", "evaluate.bootstrap=20",
    "evaluate.importance_repeats=1", "model.members=3", "model.folds=3",
]  # fmt: skip
KINDS = ("killed", "limit", "full", "read-only", "twice")
ON_DISK = ("full", "read-only")
DISK = 64_000_000
Whole = tuple[float, Any, int]  # the seconds and the result of the unbroken run, and its largest file
Entry = dict[str, Any]
CATS: dict[int, subprocess.Popen[bytes]] = {}  # what writes the output of each process


class Stage(NamedTuple):
    """A command, and what its result is."""

    command: Callable[[Path], list[str]]
    result: Callable[[Path], Any]


def train_command(root: Path) -> list[str]:
    return ["train", *SMALL, f"run.root={root}/runs"]


def train_result(root: Path) -> Any:
    """The metrics of the newest run. Every run must be whole."""
    from churn.bundle.bundle import Bundle

    runs = [
        path
        for path in (root / "runs").iterdir()
        if path.name.endswith("-synthetic") or "-synthetic-" in path.name
    ]
    for run in runs:
        Bundle.load(run / "bundle")
    return json.loads((root / "runs" / "latest" / "metrics.json").read_text())["test"]["log_loss"]


def score_command(root: Path) -> list[str]:
    return ["score", f"run.root={root}/runs", f"bundle={root}/runs/first/bundle",
            f"input={root}/customers.csv", f"output={root}/scores.csv"]  # fmt: skip


def score_result(root: Path) -> Any:
    return (root / "scores.csv").read_text()


def monitor_command(root: Path) -> list[str]:
    return ["monitor", f"run.root={root}/runs", f"bundle={root}/runs/first/bundle", "monitor.permutations=50",
            "monitor.since=2026-03-01", "monitor.until=2026-03-02"]  # fmt: skip


def monitor_result(root: Path) -> Any:
    """The last line of the history, which must be the report; every line must be whole."""
    folder = root / "runs" / "monitor" / "synthetic"
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert lines[-1] == json.loads((folder / "report.json").read_text())
    return {name: value for name, value in lines[-1].items() if name != "time"}


def promote_command(root: Path) -> list[str]:
    return ["promote", f"run={root}/runs/first", f"run.root={root}/runs"]


def promote_result(root: Path) -> Any:
    """Whether the champion is the run."""
    from churn.bundle.registry import champion_path
    from churn.config.root import compose_config

    path = champion_path(compose_config(f"run.root={root}/runs"))
    return path is not None and (path / "assets.extra" / "bundle.json").read_bytes()


STAGES = {
    "train": Stage(train_command, train_result),
    "score": Stage(score_command, score_result),
    "monitor": Stage(monitor_command, monitor_result),
    "promote": Stage(promote_command, promote_result),
}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--kills", type=int, default=50, help="cases of each stage and kind (default 50)")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so long")
    parser.add_argument("--stages", nargs="+", default=list(STAGES), choices=STAGES)
    options = parser.parse_args()
    random.seed(0)
    import_everything()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, disk(Path(folder) / "disk") as small:
        prepare(Path(folder) / "base")
        entries = search(options, Path(folder), small)
    finish(entries, options.json)


def import_everything() -> None:
    """Import what the stages import, and give them one core."""
    os.cpu_count = lambda: 1
    import churn.monitor.stage
    import churn.pipeline
    import churn.retrain.promote
    import churn.score.stage  # noqa: F401
    from churn.bundle.database import import_mlflow

    import_mlflow()


@contextmanager
def disk(folder: Path) -> Iterator[Path | None]:
    """A small disk, or None where it cannot be made."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        print("No disk can be mounted here, so none was filled.")
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def prepare(base: Path) -> None:
    """A folder with a run, customers to score, and a log to watch."""
    base.mkdir()
    run_whole(["synthesize", "data.synthetic.rows=500", "seed=7", f"output={base}/customers.csv"], base)
    run_whole(["train", *SMALL, f"run.root={base}/aside", f"run.dir={base}/runs/first"], base)
    shutil.rmtree(base / "aside")
    child = os.fork()
    if not child:
        write_log(base)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def write_log(base: Path) -> None:
    """The log of 400 predictions of one day."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from churn.bundle.bundle import Bundle
    from churn.config.root import compose_config
    from churn.data.sources.synthetic import make_table
    from churn.data.validate import to_features

    bundle = Bundle.load(base / "runs" / "first" / "bundle")
    frame = to_features(
        make_table(compose_config("data.synthetic.rows=400").data.synthetic, 3), bundle.schema
    )
    rows, start = len(frame), 1_772_323_200_000_000  # 2026-03-01 in microseconds
    columns = {
        "request_id": [str(i) for i in range(rows)], "row": pa.array([0] * rows, pa.int32()),
        "time": pa.array([start + i * 1_000_000 for i in range(rows)], pa.timestamp("us", "UTC")),
        "bundle": [bundle.digest] * rows, "customer_key": [f"c{i}" for i in range(rows)],
    }  # fmt: skip
    columns |= {
        f"inputs.{field['input']}": pa.array(frame[field["column"]], from_pandas=True)
        for field in bundle.facts["inputs"]
    }
    columns["outputs.churn_probability"] = bundle.predict(frame)["churn_probability"].astype(float)
    (base / "runs" / "log").mkdir()
    pq.write_table(pa.table(columns), base / "runs" / "log" / "day.parquet")


def start(command: list[str], output: Path, limit: int | None = None) -> int:
    """A process that runs `churn *command`; gives its id."""
    with output.open("wb") as file:  # written by `cat`, which has no limit
        cat = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=file)
    child = os.fork()
    if child:
        cat.stdin.close()
        CATS[child] = cat
        return child
    code = 1
    try:
        os.dup2(cat.stdin.fileno(), 1)
        os.dup2(cat.stdin.fileno(), 2)
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        from churn.__main__ import main as churn

        os.environ.pop("HYDRA_FULL_ERROR", None)
        sys.argv = ["churn", *command]
        churn()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def end(child: int) -> int:
    """The exit code of a process; -9 after a kill."""
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    CATS.pop(child).wait()
    return code


def run_whole(command: list[str], root: Path) -> float:
    """Run a command, which must succeed; gives its seconds."""
    began = time.perf_counter()
    output = root.parent / "whole.txt"
    if code := end(start(command, output)):
        sys.exit(f"{command} ended with {code}:\n{output.read_text()}")
    return time.perf_counter() - began


def search(options: Any, folder: Path, small: Path | None) -> list[dict[str, Any]]:
    """All cases, in turn; gives the entries of the results."""
    wholes, counts, recoveries, wrong = {}, Counter(), {name: [] for name in options.stages}, []
    for name in options.stages:
        wholes[name] = unbroken(STAGES[name], folder)
        print(f"{name}: {wholes[name][0]:.1f} s unbroken", flush=True)
    deadline = time.monotonic() + 60 * options.minutes
    for number in range(options.kills):
        for name in options.stages:
            for kind in KINDS:
                few = kind == "twice" and number >= max(5, options.kills // 10)
                if time.monotonic() > deadline or few or (kind in ON_DISK and small is None):
                    continue
                where = (small if kind in ON_DISK else folder) / "case"
                fault, seconds = one_case(STAGES[name], kind, wholes[name], where, folder / "base")
                counts[name, kind, "wrong" if fault else "right"] += 1
                recoveries[name].append(seconds)
                if fault:
                    wrong.append(f"{name}, {kind}: {fault}")
                    print(wrong[-1], flush=True)
    return table(counts, recoveries, wholes)


def unbroken(stage: Stage, folder: Path) -> Whole:
    """Seconds and result of the unbroken run, and the size of the largest file it writes."""
    case = folder / "case"
    shutil.copytree(folder / "base", case, symlinks=True)
    seconds, result = run_whole(stage.command(case), case), read_result(stage, case)
    largest = max(file.stat().st_size for file in case.rglob("*") if file.is_file())
    shutil.rmtree(case)
    return seconds, result, largest


def read_result(stage: Stage, case: Path) -> Any:
    """The result of a stage, read by a process of its own: MLflow keeps databases open."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(reader)
            result = stage.result(case)
        except Exception as error:
            result = f"unreadable: {error!r}"
        with os.fdopen(writer, "w") as pipe:
            json.dump(result, pipe, default=repr)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return json.loads(text)


def one_case(
    stage: Stage, kind: str, whole: tuple[float, Any, int], case: Path, base: Path
) -> tuple[str, float]:
    """One fault, and the run after it: what was wrong ("" for nothing), and the seconds of that run."""
    shutil.copytree(base, case, symlinks=True)
    outputs = [base.parent / f"{i}.txt" for i in range(3)]
    try:
        codes = strike(stage.command(case), kind, whole, outputs, case)
        allowed = {0, -signal.SIGKILL} if kind == "killed" else {0, 2}
        for code, output in zip(codes, outputs, strict=False):
            if code not in allowed or "Traceback" in output.read_text(errors="replace"):
                return f"ended with {code}: {output.read_text(errors='replace')[-600:]}", 0.0
        began = time.perf_counter()
        code = end(start(stage.command(case), outputs[2]))
        seconds = time.perf_counter() - began
        if code:
            return f"the next run ended with {code}: {outputs[2].read_text()[-600:]}", seconds
        result = read_result(stage, case)
        if result != whole[1]:
            return f"another result: {str(result)[:200]}", seconds
        left = [str(path.relative_to(case)) for path in case.rglob(".*")]
        return f"left aside: {left}" if left else "", seconds
    finally:
        shutil.rmtree(case)


def strike(
    command: list[str], kind: str, whole: tuple[float, Any, int], outputs: list[Path], case: Path
) -> list[int]:
    """Let the fault happen; gives the exit codes."""
    seconds, _, largest = whole
    if kind == "limit":
        return [end(start(command, outputs[0], int(random.choice([0, random.random() ** 3 * largest]))))]
    if kind == "full":
        filler = case.parent / "filler"
        free = shutil.disk_usage(case.parent).free
        with filler.open("wb") as file:
            file.write(bytes(max(0, free - int(random.random() ** 2 * 6_000_000))))
        try:
            return [end(start(command, outputs[0]))]
        finally:
            filler.unlink()
    if kind == "read-only":
        remount(case.parent, "ro")
        try:
            return [end(start(command, outputs[0]))]
        finally:
            remount(case.parent, "rw")
    children = [start(command, output) for output in outputs[: 2 if kind == "twice" else 1]]
    if kind == "killed":
        time.sleep(random.uniform(0, seconds))
        os.kill(children[0], signal.SIGKILL)
    return [end(child) for child in children]


def remount(folder: Path, mode: str) -> None:
    """Make a disk read-only (ro) or writable (rw)."""
    subprocess.run(["mount", "-o", f"remount,{mode}", str(folder)], check=True)


def table(
    counts: Counter[Any], recoveries: dict[str, list[float]], wholes: dict[str, Any]
) -> list[dict[str, Any]]:
    """Print stage x kind x tried, right, wrong; gives the same as entries."""
    entries = []
    print(f"\n{'stage':10} {'kind':8} {'tried':>6} {'right':>6} {'wrong':>6}")
    for name in wholes:
        for kind in KINDS:
            right, wrong = counts[name, kind, "right"], counts[name, kind, "wrong"]
            print(f"{name:10} {kind:8} {right + wrong:6} {right:6} {wrong:6}")
            unit = f"of {right + wrong} faults"
            entry = {"name": f"{name}_{kind}_right", "value": right, "low": right, "high": right}
            entries.append(entry | {"unit": unit, "peer": "", "better": "higher"})
    for name, seconds in recoveries.items():
        if seconds:
            spread = {"value": median(seconds), "low": min(seconds), "high": max(seconds)}
            peer = f"{wholes[name][0]:.2f} s unbroken"
            print(f"{name:10} the run after the fault: {spread['value']:.1f} s ({peer})")
            entries.append(
                {"name": f"{name}_recovery", **spread, "unit": "s", "peer": peer, "better": "lower"}
            )
    return entries


if __name__ == "__main__":
    main()
