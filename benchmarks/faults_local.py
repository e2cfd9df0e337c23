"""Stages are killed, run out of space, or run twice at once: what is left, and does the next run mend it.

Each fault strikes a stage in a copy of one prepared folder; then the same command runs again, and its result
is compared with that of the unbroken run. Kinds of faults:

- killed: SIGKILL at a random moment,
- limit: no file may be longer than some bytes (RLIMIT_FSIZE), from 0 to more than the stage needs,
- full: a disk of which only some bytes are free (a tmpfs; needs root),
- read-only: a disk that cannot be written (the same),
- twice: two processes run the command at once,
- write: one call that writes a file fails (`failing_writes.c`): each call of the stage once, or as many as
  `--writes` says, spread over all kinds of calls and files.

Right: no traceback, exit code 0 or 2, nothing half-written taken for whole, nothing left aside, and the
result of the unbroken run. Each case is a fork, so that nothing is imported twice, and what computes but
writes no file (baselines, the drawing of the report) is remembered from the first run. `--minutes` ends the
search early, and so does Ctrl-C; the table says how many cases there were. Stages can be searched one after
the other: `--json` keeps what the file says about others.
"""

import ctypes
import hashlib
import json
import os
import pickle
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from compare import arguments, finish

SMALL = [
    "data.synthetic.rows=1200", "train.epochs=3", "evaluate.bootstrap=20", "export.background=0",
    "evaluate.importance_repeats=1", "model.members=3", "model.folds=3", "model.trees=20", "export.refits=0",
]  # fmt: skip
KINDS = ("killed", "limit", "full", "read-only", "twice", "write")
ON_DISK = ("full", "read-only")
DISK = 64_000_000
LATER = datetime.now(UTC) + timedelta(days=61)  # the customers of the retraining are newer than the champion
NEW = [
    "seed=44", "data.synthetic.rows=1500", "data.synthetic.dates=true", "data.time=Snapshot",
    "data.synthetic.days=20", f"data.synthetic.start={LATER:%Y-%m-%d}", "data.synthetic.drift=concept",
    "data.synthetic.drift_size=4",
]  # fmt: skip
POLICY = [
    "retrain.trigger.every_days=1", "retrain.recalibration_days=0", "retrain.gate.bootstrap=50",
    "retrain.gate.min_rows=100", "retrain.gate.min_churners=10", "retrain.fresh_share=0.4",
    f"retrain.now={LATER + timedelta(days=60):%Y-%m-%d}",
]  # fmt: skip
EVENTS = ["events=synthetic", "events.synthetic.customers=150", "events.synthetic.months=10"]
Entry = dict[str, Any]
CATS: dict[int, subprocess.Popen[bytes]] = {}  # what writes the output of each process


class Stage(NamedTuple):
    """A command, and what its result is."""

    command: Callable[[Path], list[str]]
    result: Callable[[Path], Any]
    base: str = "base"  # the prepared folder


class Whole(NamedTuple):
    """The unbroken run."""

    seconds: float
    result: Any
    largest: int  # bytes of its largest file
    writes: list[int]  # numbers of the calls to let fail
    calls: int  # that write a file
    kinds: int  # of these calls


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


def snapshot_command(root: Path) -> list[str]:
    return ["snapshot", *EVENTS, f"run.root={root}/runs", f"output={root}/rows.parquet"]


def snapshot_result(root: Path) -> Any:
    """The rows, and whether the page is whole."""
    import pyarrow.parquet as pq

    rows = pq.read_table(root / "rows.parquet")
    digest = hashlib.sha256(repr(rows.to_pydict()).encode()).hexdigest()
    return [rows.num_rows, digest, (root / "rows.html").read_text().rstrip()[-7:]]


def retrain_command(root: Path) -> list[str]:
    return ["retrain", *SMALL, *NEW, *POLICY, f"run.root={root}/runs", f"monitor.labels={root}/labels.csv"]


def retrain_result(root: Path) -> Any:
    """The decisions in the history, and who serves: each decision once, and what it says is done."""
    from churn.bundle.bundle import Bundle
    from churn.bundle.registry import CHALLENGER, CHAMPION, PREVIOUS, bundle_with_alias, version_tags
    from churn.config.root import compose_config

    cfg, runs = compose_config(f"run.root={root}/runs"), root / "runs"
    bundles = {
        alias: Bundle.load(bundle_with_alias(alias, cfg)) for alias in (CHALLENGER, CHAMPION, PREVIOUS)
    }
    lines = (runs / "retrain" / "synthetic" / "history.jsonl").read_text().splitlines()
    history = [json.loads(line) for line in lines]
    assert bundles[PREVIOUS].digest == Bundle.load(runs / "first" / "bundle").digest
    assert bundles[CHAMPION].digest == bundles[CHALLENGER].digest
    assert bundles[CHAMPION].digest == Bundle.load(Path(history[-1]["run"]) / "bundle").digest
    tags = version_tags(str(runs), "synthetic", CHAMPION)
    facts = bundles[CHAMPION].facts["metrics"]["log_loss"]
    return [[(line["kind"], line["promoted"]) for line in history], tags["decision"], facts]


def promote_command(root: Path) -> list[str]:
    return ["promote", f"run={root}/runs/first", f"run.root={root}/runs"]


def promote_result(root: Path) -> Any:
    """Whether the champion is the run."""
    from churn.bundle.registry import champion_path
    from churn.config.root import compose_config

    path = champion_path(compose_config(f"run.root={root}/runs"))
    return path is not None and (path / "assets.extra" / "bundle.json").read_bytes()


STAGES = {
    "train": Stage(train_command, train_result, "retrain"),
    "score": Stage(score_command, score_result),
    "monitor": Stage(monitor_command, monitor_result),
    "promote": Stage(promote_command, promote_result),
    "snapshot": Stage(snapshot_command, snapshot_result),
    "retrain": Stage(retrain_command, retrain_result, "retrain"),
}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--kills", type=int, default=50, help="kills of each stage (default 50)")
    parser.add_argument(
        "--others", type=int, default=10, help="cases of each stage and other kind (default 10)"
    )
    parser.add_argument("--writes", type=int, default=1000, help="failing calls of each stage (default 1000)")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so long")
    parser.add_argument("--stages", nargs="+", default=list(STAGES), choices=STAGES)
    options = parser.parse_args()
    random.seed(0)
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        load_failing_writes(Path(folder))
        import_everything()
        prepare(Path(folder) / "base", options.stages)
        with disk(Path(folder) / "disk") as small:
            entries = search(options, Path(folder), small)
    finish(entries, options.json, merge=True)


def load_failing_writes(folder: Path) -> None:
    """Have `failing_writes.c` in this process, which must begin with it; where it cannot be made, say so."""
    if "LD_PRELOAD" in os.environ:
        return
    source, library = Path(__file__).with_name("failing_writes.c"), folder / "failing_writes.so"
    command = ["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    try:
        subprocess.run(command, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"No write fails here, because its library cannot be made: {error}")
        return
    code = subprocess.run(
        [sys.executable, *sys.argv], env=os.environ | {"LD_PRELOAD": str(library)}, check=False
    )
    sys.exit(code.returncode)


def import_everything() -> None:
    """Import what the stages import first, and give them one core."""
    os.cpu_count = lambda: 1
    import churn.monitor.stage
    import churn.pipeline
    import churn.retrain.stage
    import churn.score.stage  # noqa: F401
    from churn.backend import tensorflow
    from churn.bundle.database import import_mlflow

    tensorflow()
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


def prepare(base: Path, stages: list[str]) -> None:
    """A folder with a run, customers to score, and a log to watch; for `retrain` one with a champion."""
    base.mkdir()
    run_whole(["synthesize", "data.synthetic.rows=500", "seed=7", f"output={base}/customers.csv"], base)
    run_whole(["train", *SMALL, f"run.root={base}/aside", f"run.dir={base}/runs/first"], base)
    shutil.rmtree(base / "aside")
    if not {"retrain", "train"}.isdisjoint(stages):  # `promote` shows what strikes while the registry is made
        shutil.copytree(base, base.with_name("retrain"))
        run_whole(promote_command(base.with_name("retrain")), base)
        in_fork(write_log, base.with_name("retrain"), LATER)
    if "snapshot" in stages:
        run_whole(["synthesize", *EVENTS, f"run.root={base}/runs"], base)
    in_fork(write_log, base, datetime(2026, 3, 1, tzinfo=UTC))


def in_fork(function: Callable[..., None], *arguments: Any) -> None:
    """Call a function in a process of its own: TensorFlow must not run in the one that is forked."""
    child = os.fork()
    if not child:
        function(*arguments)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def write_log(base: Path, start: datetime) -> None:
    """The log of 400 predictions, one a second, and who left."""
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
    rows, times = len(frame), [start + timedelta(seconds=i) for i in range(len(frame))]
    columns = {
        "request_id": [str(i) for i in range(rows)], "row": pa.array([0] * rows, pa.int32()),
        "time": pa.array(times, pa.timestamp("us", "UTC")),
        "bundle": [bundle.digest] * rows, "customer_key": [f"c{i}" for i in range(rows)],
    }  # fmt: skip
    columns |= {
        f"inputs.{field['input']}": pa.array(frame[field["column"]], from_pandas=True)
        for field in bundle.facts["inputs"]
    }
    columns["outputs.churn_probability"] = bundle.predict(frame)["churn_probability"].astype(float)
    (base / "runs" / "log").mkdir()
    pq.write_table(pa.table(columns), base / "runs" / "log" / "day.parquet")
    labels = [f"c{i},{times[i] + timedelta(days=31):%Y-%m-%d},{i % 3 // 2}\n" for i in range(rows)]
    (base / "labels.csv").write_text("".join(["customer_key,time,churned\n", *labels]))


def start(
    command: list[str],
    output: Path,
    limit: int | None = None,
    failing: int | None = None,
    listing: Path | None = None,
    modules: Path | None = None,
) -> int:
    """A process that runs `churn *command`; gives its id.

    No file may be longer than `limit`; the call of number `failing` that writes a file fails; `listing`: a
    file for the list of these calls; `modules`: one for the names of what is imported.
    """
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
        if failing or listing:
            calls = -1 if listing is None else os.open(listing, os.O_WRONLY | os.O_CREAT)
            ctypes.CDLL(None).fail_call(ctypes.c_long(failing or 0), calls)
        from churn.__main__ import main as churn

        remember_computations(output.with_name(command[0] + ".{}.pickle"))
        os.environ.pop("HYDRA_FULL_ERROR", None)
        sys.argv = ["churn", *command]
        churn()
        code = 0
        if modules:
            modules.write_text("\n".join(sys.modules))
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def remember_computations(file: Path) -> None:
    """Let functions that write nothing give what they gave in the first run of the same command."""
    from churn import pipeline
    from churn.evaluate.report import page

    for module, name in ((pipeline, "predict_baselines"), (page, "render_report")):
        setattr(module, name, remembered(getattr(module, name), file.with_name(file.name.format(name))))


def remembered(function: Callable[..., Any], file: Path) -> Callable[..., Any]:
    """The function, whose first result is kept in a file."""

    def call(*arguments: Any) -> Any:
        if file.exists():
            return pickle.loads(file.read_bytes())
        result = function(*arguments)
        file.write_bytes(pickle.dumps(result))
        return result

    return call


def end(child: int) -> int:
    """The exit code of a process; -9 after a kill."""
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    CATS.pop(child).wait()
    return code


def run_whole(command: list[str], root: Path) -> float:
    """Run a command, which must succeed; gives its seconds."""
    began = time.perf_counter()
    output, modules = root.parent / "whole.txt", root.parent / "modules.txt"
    if code := end(start(command, output, modules=modules)):
        sys.exit(f"{command} ended with {code}:\n{output.read_text()}")
    seconds = time.perf_counter() - began
    for name in modules.read_text().splitlines():  # so that the next processes need not
        with suppress(Exception):  # parts of libraries that only their own code can import
            import_module(name)
    return seconds


def search(options: Any, folder: Path, small: Path | None) -> list[Entry]:
    """All cases, in turn; gives the entries of the results."""
    wholes, counts, recoveries = {}, Counter(), {name: [] for name in options.stages}
    for name in options.stages:
        wholes[name] = unbroken(STAGES[name], folder, options.writes)
        print(
            f"{name}: {wholes[name].seconds:.1f} s unbroken, {wholes[name].calls} writes of "
            f"{wholes[name].kinds} kinds",
            flush=True,
        )
    deadline = time.monotonic() + 60 * options.minutes
    with suppress(KeyboardInterrupt):  # the table says how far it came
        for name, kind, number in cases(options, wholes, small):
            if time.monotonic() > deadline:
                break
            where = (small if kind in ON_DISK else folder) / "case"
            stage, whole = STAGES[name], wholes[name]
            call = whole.writes[number] if kind == "write" else 0
            fault, seconds = one_case(stage, kind, whole, where, folder / stage.base, call)
            counts[name, kind, "wrong" if fault else "right"] += 1
            recoveries[name] += [seconds] * (kind == "killed")
            if fault:
                print(f"{name}, {kind} {number}: {fault}", flush=True)
    return table(counts, recoveries, wholes)


def cases(options: Any, wholes: dict[str, Whole], small: Path | None) -> Iterator[tuple[str, str, int]]:
    """Stage, kind and number of every case; all stages and kinds in turn, so that a search may end early."""
    numbers = {"killed": options.kills}
    for number in range(max(options.kills, options.others, options.writes)):
        for name, whole in wholes.items():
            for kind in KINDS:
                most = len(whole.writes) if kind == "write" else numbers.get(kind, options.others)
                if number < most and (small or kind not in ON_DISK):
                    yield name, kind, number


def unbroken(stage: Stage, folder: Path, writes: int) -> Whole:
    """The unbroken run, and a second one for its calls that write files."""
    case, listing = folder / "case", folder / "calls.txt"
    run_whole(stage.command(shutil.copytree(folder / stage.base, case, symlinks=True)), case)  # imports
    shutil.rmtree(case)
    shutil.copytree(folder / stage.base, case, symlinks=True)
    seconds, result = run_whole(stage.command(case), case), read_result(stage, case)
    largest = max(file.stat().st_size for file in case.rglob("*") if file.is_file())
    shutil.rmtree(case)
    calls = []
    if "LD_PRELOAD" in os.environ:
        shutil.copytree(folder / stage.base, case, symlinks=True)
        assert end(start(stage.command(case), folder / "0.txt", listing=listing)) == 0
        shutil.rmtree(case)
        calls = listing.read_text().splitlines()
        listing.unlink()
    return Whole(seconds, result, largest, chosen(calls, writes), len(calls), len(by_kind(calls)))


def chosen(calls: list[str], most: int) -> list[int]:
    """Numbers of at most so many calls, from 1: first one of each kind of call and file, then others."""
    if len(calls) <= most:
        return list(range(1, len(calls) + 1))
    kinds = by_kind(calls)
    for numbers in kinds.values():
        random.shuffle(numbers)
    longest = max(map(len, kinds.values()))
    in_turn = [numbers[i] for i in range(longest) for numbers in kinds.values() if i < len(numbers)]
    return in_turn[:most]


def by_kind(calls: list[str]) -> dict[str, list[int]]:
    """The numbers of the calls, from 1, by function and file; digits of names count as one."""
    kinds: dict[str, list[int]] = {}
    for number, call in enumerate(calls, 1):
        kinds.setdefault(re.sub(r"[0-9a-f]{6,}|\d+", "N", call), []).append(number)
    return kinds


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


def one_case(stage: Stage, kind: str, whole: Whole, case: Path, base: Path, call: int) -> tuple[str, float]:
    """One fault, and the run after it: what was wrong ("" for nothing), and the seconds of that run."""
    shutil.copytree(base, case, symlinks=True)
    outputs = [base.parent / f"{i}.txt" for i in range(3)]
    try:
        codes = strike(stage.command(case), kind, whole, outputs, case, call)
        allowed = {0, -signal.SIGKILL} if kind == "killed" else {0, 2}
        for code, output in zip(codes, outputs, strict=False):
            if code not in allowed or "Traceback" in output.read_text(errors="replace"):
                return f"ended with {code}: {output.read_text(errors='replace')[-1500:]}", 0.0
        began = time.perf_counter()
        code = end(start(stage.command(case), outputs[2]))
        seconds = time.perf_counter() - began
        if code:
            return f"the next run ended with {code}: {outputs[2].read_text()[-1500:]}", seconds
        result = read_result(stage, case)
        if result != whole.result:
            return f"another result: {str(result)[:300]} not {str(whole.result)[:300]}", seconds
        left = [str(path.relative_to(case)) for path in case.rglob(".*")]
        return f"left aside: {left}" if left else "", seconds
    finally:
        shutil.rmtree(case)


def strike(
    command: list[str], kind: str, whole: Whole, outputs: list[Path], case: Path, call: int
) -> list[int]:
    """Let the fault happen; gives the exit codes."""
    if kind == "write":
        return [end(start(command, outputs[0], failing=call))]
    if kind == "limit":
        return [
            end(start(command, outputs[0], int(random.choice([0, random.random() ** 3 * whole.largest]))))
        ]
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
        time.sleep(random.uniform(0, whole.seconds))
        os.kill(children[0], signal.SIGKILL)
    return [end(child) for child in children]


def remount(folder: Path, mode: str) -> None:
    """Make a disk read-only (ro) or writable (rw)."""
    subprocess.run(["mount", "-o", f"remount,{mode}", str(folder)], check=True)


def table(counts: Counter[Any], recoveries: dict[str, list[float]], wholes: dict[str, Whole]) -> list[Entry]:
    """Print stage x kind x tried, right, wrong; gives the same as entries."""
    entries = []
    print(f"\n{'stage':10} {'kind':10} {'tried':>6} {'right':>6} {'wrong':>6}")
    for name in wholes:
        for kind in KINDS:
            right, wrong = counts[name, kind, "right"], counts[name, kind, "wrong"]
            if not right + wrong:
                continue
            print(f"{name:10} {kind:10} {right + wrong:6} {right:6} {wrong:6}")
            unit = f"of {right + wrong} faults"
            entry = {"name": f"{name}_{kind}_right", "value": right, "low": right, "high": right}
            entries.append(entry | {"unit": unit, "peer": "", "better": "higher"})
    for name, seconds in recoveries.items():
        if seconds and any(counts[name, "killed", kind] for kind in ("right", "wrong")):
            spread = {"value": median(seconds), "low": min(seconds), "high": max(seconds)}
            peer = f"{wholes[name].seconds:.2f} s unbroken"
            print(f"{name:10} the run after the fault: {spread['value']:.1f} s ({peer})")
            entries.append(
                {"name": f"{name}_recovery", **spread, "unit": "s", "peer": peer, "better": "lower"}
            )
    return entries


if __name__ == "__main__":
    main()
