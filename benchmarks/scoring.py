"""`churn score` on a Parquet file: rows per second of the whole command, start, reading and writing included.

`score`: the article's network, beside its own `model.predict` with defaults on encoded numbers.
`score_of_graph`: the default model, beside its exported graph alone on tensors in memory. `score_reasons`:
the cost of the reasons, beside the probability alone. Needs about 2 GB of disk.

`--before CHECKOUT` compares with an earlier version instead, each with a bundle that it trained itself:
`score_small_before` for 10,000 rows of text, and their memory; `score_reasons_before` for the same rows with
reasons; `score_before` for all rows.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from compare import arguments, finish, ratio

from churn.backend import tensorflow
from churn.bundle.bundle import CODED, Bundle
from churn.bundle.model import Model
from churn.config.data import SyntheticConfig
from churn.data.coded import ArrowFeatures, to_matrices
from churn.data.features import to_arrow_features
from churn.data.sources import columns, synthetic

ALONE, SMALL = 200_000, 10_000  # rows for the peers, and of a small table
PROJECT = Path(__file__).parents[1]
Work = tuple[Callable, int]  # with its number of rows
QUICK = [
    "evaluate.bootstrap=20",
    "evaluate.importance_repeats=1",
    "train.epochs=2",
    "split.method=stratified",
]


def main() -> None:
    parser = arguments(__doc__)
    parser.set_defaults(runs=3)
    parser.add_argument("--rows", type=int, default=20_000_000, help="rows of the file (default 20,000,000)")
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="compare with this version")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        file = Path(root) / "customers.parquet"
        some = customers(ALONE)
        with pq.ParquetWriter(file, some.schema) as writer:
            for _ in range(-(-options.rows // ALONE)):
                writer.write_table(some)
        rows = pq.read_metadata(file).num_rows
        if options.before:
            finish(compare_before(root, file, options), options.json, merge=True)
            return
        entries = [
            *score_article(root, file, rows, some, options.runs),
            *score_default(root, file, rows, some, options.runs),
        ]
    finish(entries, options.json, merge=True)


def score_article(root: str, file: Path, rows: int, some: pa.Table, runs: int) -> list[dict]:
    """The entry `score`."""
    ours = score(trained(root, "tutorial"), file, f"{root}/tutorial.parquet"), rows
    theirs = keras_predict(some), ALONE
    return [entry("score", ours, theirs, "model.predict with defaults, encoded numbers", runs)]


def score_default(root: str, file: Path, rows: int, some: pa.Table, runs: int) -> list[dict]:
    """The entries `score_of_graph` and `score_reasons`."""
    bundle, tf = Bundle.load(trained(root, "dense")), tensorflow()

    def chunk(size: int) -> ArrowFeatures:
        features = to_arrow_features(columns.simplify_types(some.slice(0, size)), bundle.schema)
        assert features
        return features

    numbers, codes = map(tf.constant, to_matrices(chunk(50_000), bundle.schema, bundle.vocabulary))
    graph = bundle.saved_model.signatures[CODED]
    alone = entry(
        "score_of_graph",
        (score(bundle.path, file, f"{root}/dense.parquet"), rows),
        (lambda: [graph(numbers=numbers, codes=codes) for _ in range(4)], ALONE),
        "its graph alone, in memory",
        runs,
    )
    few = chunk(1_000)
    model = Model(bundle, threads=os.cpu_count() or 1)
    cost = entry(
        "score_reasons",
        (lambda: model.answer(few, reasons=True), 1_000),
        (lambda: model.answer(few, reasons=False), 1_000),
        "the probability alone",
        runs,
    )
    return [alone, cost]


def compare_before(root: str, file: Path, options: argparse.Namespace) -> list[dict]:
    """The entries beside an earlier version."""
    sources = {"now": PROJECT / "src", "before": options.before.absolute() / "src"}
    runs = {name: (source, trained(f"{root}/{name}", "dense", source)) for name, source in sources.items()}
    small, rows = Path(root) / "small.csv", pq.read_metadata(file).num_rows
    customers(SMALL).to_pandas().to_csv(small, index=False)

    def both(table: Path, rows: int, *more: str) -> list[Work]:
        output = table.with_suffix(f".out{table.suffix}")
        return [(score(run, table, str(output), source, *more), rows) for source, run in runs.values()]

    quick = entry("score_small_before", *both(small, SMALL), "the version before", 3 * options.runs)
    for source, run in runs.values():
        print(f"{'':16} {peak_megabytes(run, small, source):8.0f} MB at most")
    with_reasons = both(small, SMALL, "score.reasons=true")
    reasons = entry("score_reasons_before", *with_reasons, "the version before", options.runs)
    return [quick, reasons, entry("score_before", *both(file, rows), "the version before", options.runs)]


def peak_megabytes(bundle: Path, file: Path, source: Path) -> float:
    """The greatest memory of a command that scores a file."""
    code = "import sys; from churn.__main__ import main; sys.argv[0] = 'churn'; main(); "
    code += "print(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0])"
    words = ["score", f"bundle={bundle}", f"input={file}", f"output={file}.memory.csv"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True, env=of(source)
    )
    return int(done.stdout.split()[-1]) / 1000


def of(source: Path) -> dict[str, str]:
    """The environment in which a version runs."""
    return os.environ | {"PYTHONPATH": f"{source}:{os.environ.get('PYTHONPATH', '')}"}


def entry(name: str, ours: Work, theirs: Work, peer: str, runs: int) -> dict:
    """Rows per second of both, in turn, after one warm-up of the peer."""
    theirs[0]()
    pairs = [(speed(*ours), speed(*theirs)) for _ in range(runs)]
    our_speeds, their_speeds = map(list, zip(*pairs, strict=True))
    middle = median(our_speeds)
    result = ratio(name, our_speeds, their_speeds, peer) | {"better": "higher", "rows_per_second": middle}
    print(f"{name:16} {middle:12,.0f} rows/s   {median(their_speeds):12,.0f} rows/s {peer}")
    print(f"{'':16} {result['value']:8.2f} x  ({result['low']:.2f} to {result['high']:.2f})", flush=True)
    return result


def speed(work: Callable, rows: int) -> float:
    """Rows per second."""
    began = time.perf_counter()
    work()
    return rows / (time.perf_counter() - began)


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def customers(rows: int) -> pa.Table:
    """Synthetic customers as a table."""
    return pa.Table.from_pandas(
        synthetic.make_table(SyntheticConfig(rows=rows), 1).frame, preserve_index=False
    )


def trained(root: str, model: str, source: Path = PROJECT / "src") -> Path:
    """A bundle of this model, trained briefly: the time of scoring does not depend on the weights."""
    run = f"{root}/{model}"
    where = (f"run.root={root}", f"run.dir={run}")
    churn("train", f"model={model}", "data.synthetic.rows=5000", *where, *QUICK, source=source)
    return Path(run) / "bundle"


def score(bundle: Path, file: Path, output: str, source: Path = PROJECT / "src", *more: str) -> Callable:
    """The whole command in a child process."""
    words = f"bundle={bundle}", f"input={file}", f"output={output}", *more
    return lambda: churn("score", *words, source=source)


def churn(*words: str, source: Path) -> None:
    command = [sys.executable, "-m", "churn", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=of(source))
    if done.returncode:
        sys.exit(done.stdout + done.stderr)


def keras_predict(some: pa.Table) -> Callable:
    """`predict` of the article's network on its 45 numbers, as the tutorial calls it."""
    keras, tf = tensorflow().keras, tensorflow()
    layers = [
        keras.layers.Dense(64, "relu"),
        keras.layers.Dense(32, "relu"),
        keras.layers.Dense(1, "sigmoid"),
    ]
    model = keras.Sequential([keras.Input((45,)), *layers])
    numbers = tf.random.normal([len(some), 45]).numpy()
    return lambda: model.predict(numbers, verbose=0)


if __name__ == "__main__":
    main()
