"""`churn score` on a Parquet file: rows per second of the whole command, start, reading and writing included.

`score`: the article's network, beside its own `model.predict` with defaults on encoded numbers.
`score_of_graph`: the default model, beside its exported graph alone on tensors in memory. `score_reasons`:
the cost of the reasons, beside the probability alone. Needs about 2 GB of disk.
"""

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
from churn.bundle.bundle import CODED, REASONS, Bundle
from churn.config.data import SyntheticConfig
from churn.data.coded import ArrowFeatures, to_matrices
from churn.data.features import to_arrow_features
from churn.data.sources import columns, synthetic

ALONE = 200_000  # rows for the peers
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
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        file = Path(root) / "customers.parquet"
        some = customers(ALONE)
        with pq.ParquetWriter(file, some.schema) as writer:
            for _ in range(-(-options.rows // ALONE)):
                writer.write_table(some)
        rows = pq.read_metadata(file).num_rows
        entries = [
            *score_article(root, file, rows, some, options.runs),
            *score_default(root, file, rows, some, options.runs),
        ]
    finish(entries, options.json)


def score_article(root: str, file: Path, rows: int, some: pa.Table, runs: int) -> list[dict]:
    """The entry `score`."""
    bundle = trained(root, "tutorial")
    ours = score(bundle.path, file, f"{root}/tutorial.parquet"), rows
    theirs = keras_predict(some), ALONE
    return [entry("score", ours, theirs, "model.predict with defaults, encoded numbers", runs)]


def score_default(root: str, file: Path, rows: int, some: pa.Table, runs: int) -> list[dict]:
    """The entries `score_of_graph` and `score_reasons`."""
    bundle, tf = trained(root, "dense"), tensorflow()

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
    cost = entry(
        "score_reasons",
        (lambda: bundle.run(few, signature=REASONS), 1_000),
        (lambda: bundle.run(few), 1_000),
        "the probability alone",
        runs,
    )
    return [alone, cost]


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


def trained(root: str, model: str) -> Bundle:
    """A bundle of this model, trained briefly: the time of scoring does not depend on the weights."""
    run = f"{root}/{model}"
    churn("train", f"model={model}", "data.synthetic.rows=5000", f"run.root={root}", f"run.dir={run}", *QUICK)
    return Bundle.load(Path(run) / "bundle")


def score(bundle: Path, file: Path, output: str) -> Callable:
    """The whole command in a child process."""
    return lambda: churn("score", f"bundle={bundle}", f"input={file}", f"output={output}")


def churn(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "churn", *words], capture_output=True, text=True, check=False
    )
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
