"""Training on tables larger than memory: speed beside the same loop in memory, growth, and memory over time.

out_of_core.py [--rows 1000000] [--folder FOLDER] [--svg FILE] [--copies N]. `churn synthesize` writes all of
the rows, a tenth of them and, from 10,000,000 on, a hundredth. For each table: seconds of the pass that
samples, of the pass that checks every cell and counts, and of one epoch; and the resident megabytes over
time. FOLDER keeps tables and results, so that the command can continue.

- train_out_of_core: rows per second of the epoch, reading included, beside the same loop on encoded rows in
  memory;
- out_of_core_growth: seconds for all rows beside ten times those for a tenth: 1 is linear;
- out_of_core_memory: the largest resident gigabytes (10^9 bytes), in these and in the whole command
  `churn train` on 1,000,000 rows, whose report and baselines come from a sample that does not grow.

With --copies N the file is read N times as one table, through everything but the network.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from argparse import SUPPRESS
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from compare import arguments, finish, ratio

from churn.config.root import Config, compose_config
from churn.data.stream.rows import open_stream
from churn.network import encoding, layers, trainer
from churn.network.encoder import Encoder
from churn.network.fit_stream import encode_block, fit_stream
from churn.network.trainer import default_batch_size, make_optimizer

STREAMED = ("data=parquet", "data.target=Churn", "train.epochs=1", "train.stream_rows=0")
LARGE = 10_000_000  # rows from which a hundredth of them is measured, too
WHOLE = 1_000_000  # rows on which the whole command is run
IN_MEMORY = 400_000  # rows of the block that the peer trains on


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the larger table")
    parser.add_argument("--folder", type=Path, help="where tables and results are kept")
    parser.add_argument("--svg", type=Path, help="draw the memory over time there")
    parser.add_argument(
        "--copies", type=int, default=0, help="read so many copies of the table, without the network"
    )
    parser.add_argument("--one", type=Path, help=SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.copies)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        parts = (100, 10, 1) if options.rows >= LARGE else (10, 1)
        sizes = [options.rows // part for part in ((1,) if options.copies else parts)]
        results = [child(table(folder, rows), options.copies) for rows in sizes]
        whole = None if options.copies else whole_command(table(folder, min(WHOLE, options.rows)))
    names = [f"{rows * max(1, options.copies):,} rows" for rows in sizes]
    for name, result in zip(names, results, strict=True):
        phases = ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in result["seconds"].items())
        print(f"{name:>17}: {phases}; at most {peak(result):.2f} GB resident")
    if options.svg:
        draw(dict(zip(names, (result["memory"] for result in results), strict=True)), options.svg)
    if whole:
        print(f"{'churn train':>17}: at most {whole:.2f} GB resident")
    finish(entries(results, whole), options.json)


def table(folder: Path, rows: int) -> Path:
    """A Parquet file of so many synthetic customers."""
    file = folder / f"{rows}.parquet"
    if not file.exists():
        command = ["synthesize", f"data.synthetic.rows={rows}", f"output={file}"]
        subprocess.run([sys.executable, "-m", "churn", *command], check=True, capture_output=True)
    return file


def child(file: Path, copies: int) -> dict[str, Any]:
    """The result of `measure` in a child process, or the one that was kept."""
    kept = file.with_suffix(f".{copies}.json")
    if kept.exists():
        return json.loads(kept.read_text())
    command = [sys.executable, __file__, "--one", str(file), "--copies", str(copies)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    kept.write_text(done.stdout.splitlines()[-1])
    return json.loads(kept.read_text())


def whole_command(file: Path) -> float:
    """Largest resident gigabytes of `churn train` on a streamed file, report and registry included."""
    with tempfile.TemporaryDirectory() as root:
        words = ["train", *STREAMED, f"data.path={file.resolve()}", f"run.root={root}"]
        process = subprocess.Popen([sys.executable, "-m", "churn", *words], stdout=subprocess.DEVNULL)
        _, process.returncode, usage = os.wait4(process.pid, 0)
    if process.returncode:
        sys.exit("churn train failed")
    return usage.ru_maxrss * 1024 / 1e9


def measure(file: Path, copies: int) -> dict[str, Any]:
    """Seconds of each phase, rows per second of training, and [second, megabytes] of the process."""
    memory: list[tuple[float, float]] = []
    began, seconds = time.perf_counter(), {}

    def sample_memory() -> None:
        while True:
            memory.append((time.perf_counter() - began, resident()))
            time.sleep(0.5)

    threading.Thread(target=sample_memory, daemon=True).start()

    def timed(name: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = work()
        seconds[name] = time.perf_counter() - start
        return result

    with tempfile.TemporaryDirectory() as folder:
        for number in range(max(1, copies)):
            (Path(folder) / f"{number:03d}.parquet").symlink_to(file.resolve())
        cfg = compose_config(*STREAMED, f"data.path={folder}")
        table = timed("sample", lambda: open_stream(cfg))
        if copies:
            timed("count", table.count)
            timed("encode", lambda: encode_all(table, cfg))
            return {"seconds": seconds, "memory": memory}
        counts = timed("count", table.count)
        timed("count and epoch", lambda: fit_stream(table, cfg, Path(folder) / "checkpoint"))
        seconds["epoch"] = seconds.pop("count and epoch") - seconds["count"]
        most = max(megabytes for _, megabytes in memory)
        peer = in_memory(table, cfg)
    speeds = {"ours": counts.rows / seconds["epoch"], "theirs": peer}
    return {"seconds": seconds, "memory": [point for point in memory if point[1] <= most], **speeds}


def encode_all(table: Any, cfg: Config) -> None:
    """Read, check, split and encode every row."""
    data = table.sample
    encoder = Encoder(encoding.fit_encoding(data.frame, data.schema, cfg.model))
    for groups in table.shuffled_groups(cfg.train.shuffle_rows, cfg.seed, 0):
        encode_block(table.rows(groups), encoder, data.schema, np.arange(cfg.model.members))


def in_memory(table: Any, cfg: Config) -> float:
    """Rows per second of the same loop on rows that are encoded already."""
    groups, data = table.groups, table.sample
    encoder = Encoder(encoding.fit_encoding(data.frame, data.schema, cfg.model))
    few = groups[: max(1, IN_MEMORY // groups[0].rows)]
    block = encode_block(
        table.rows(few), encoder, data.schema, np.arange(cfg.model.members) % cfg.model.folds
    )
    rows = len(block.labels)
    size = default_batch_size(table.count().rows)
    network = layers.build_network(cfg.model, block.inputs.shape[1])
    learn = trainer.compile_epoch(network, make_optimizer(cfg.train, 1_000), xla=False)
    learn(block, trainer.shuffled_batches(rows, size, 0, 0)[:8])
    start = time.perf_counter()
    learn(block, trainer.shuffled_batches(rows, size, 0, 1))
    return rows / (time.perf_counter() - start)


def entries(results: list[dict[str, Any]], whole_command: float | None) -> list[dict[str, Any]]:
    """The results."""
    most = {"name": "out_of_core_memory", "unit": "GB", "peer": None, "better": "lower"}
    most |= dict.fromkeys(("value", "low", "high"), max([*map(peak, results), whole_command or 0]))
    if not whole_command:
        return [most | {"name": "out_of_core_memory_without_network"}]
    whole = results[-1]
    passes = [sum(result["seconds"].values()) for result in results[-2:]]
    peer = "the same loop on encoded rows in memory"
    speed = ratio("train_out_of_core", [whole["ours"]], [whole["theirs"]], peer)
    growth = ratio("out_of_core_growth", [passes[1]], [10 * passes[0]], "ten times a tenth of the rows")
    print(f"train_out_of_core  {speed['value']:.2f}: {whole['ours']:,.0f} and {whole['theirs']:,.0f} rows/s")
    print(f"out_of_core_growth {growth['value']:.2f}")
    return [speed | {"better": "higher", "rows_per_second": whole["ours"]}, growth, most]


def peak(result: dict[str, Any]) -> float:
    """Largest resident gigabytes."""
    return max(megabytes for _, megabytes in result["memory"]) / 1_000


def resident() -> float:
    """Resident megabytes (10^6 bytes) of this process."""
    words = Path("/proc/self/statm").read_text().split()
    return int(words[1]) * 4096 / 1e6


def draw(curves: dict[str, list], file: Path) -> None:
    """Resident memory over the time of each run, from its start to its end."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "churn"
    figure = Figure((7, 3.2), layout="constrained")
    axes = figure.subplots()
    for name, points in curves.items():
        seconds, megabytes = np.array(points).T
        axes.plot(seconds / seconds[-1], megabytes / 1_000, label=f"{name}, {seconds[-1]:,.0f} s")
    axes.axhline(3, color="0.6", linestyle=":", label="3 GB")
    axes.set(xlabel="share of the run", ylabel="GB resident", ylim=(0, 3.4), xlim=(0, 1))
    axes.legend(frameon=False)
    figure.savefig(file, metadata={"Date": None})


if __name__ == "__main__":
    main()
