"""Our training loop beside the article's `fit`: the same network, batch size and rows, in turn.

training.py [--data Telco-Customer-Churn.csv]. Ratios of rows a second (or of seconds, where lower is better):

- train_small, train_large: 64-32-1 on 45 numbers, batches of 32, 5,000 and 1,000,000 rows; the compilation of
  ours and the first batches of `fit` do not count. For the large case also its share of the speed of the
  machine's matrix product, measured here, too;
- train_default: an epoch of the default network's members, beside an epoch of the article's;
- train_cost (with --data): CPU seconds of `churn.network.fit.fit_network` with the default configuration,
  from the table to the fitted model, trees included, beside the article's ten epochs of `fit` on the
  same rows.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from compare import arguments, finish, ratio

from churn.backend import tensorflow
from churn.config.root import compose_config
from churn.data.experiment import Experiment
from churn.data.load import load_dataset
from churn.data.split import Splits
from churn.network import encoding, layers, trainer
from churn.network.encoder import Encoder
from churn.network.fit import fit_network
from churn.network.trained import frame_tensors
from churn.network.trainer import default_batch_size, make_optimizer

COLUMNS = 45  # of the article's Telco table, one-hot encoded
MULTIPLICATIONS = COLUMNS * 64 + 64 * 32 + 32  # of one row, forwards


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--data", help="IBM's Telco-Customer-Churn.csv")
    options = parser.parse_args()
    print(f"{'':16} {'ratio':>7} {'from':>7} {'to':>7}   ours, the article's (median)")
    entries = [
        rows_per_second("train_small", 5_000, epochs=3, runs=options.runs),
        rows_per_second("train_large", 1_000_000, epochs=1, runs=min(2, options.runs)),
        default_epoch(options.runs),
    ]
    entries.append(share_of_limit(entries[1]["rows_per_second"]))
    if options.data:
        entries.append(cost(options.data, min(3, options.runs)))
    finish(entries, options.json)


def table(rows: int, columns: int = COLUMNS) -> tuple[np.ndarray, np.ndarray]:
    """Standard normal numbers, and a label that depends on some of them."""
    random = np.random.default_rng(0)
    inputs = random.standard_normal((rows, columns), np.float32)
    return inputs, (inputs[:, :5].sum(1) + random.normal(0, 2, rows) > 1.5).astype(np.float32)


def article() -> Any:
    """The article's network, compiled as in the article."""
    keras = tensorflow().keras
    dense = keras.layers.Dense
    layers = [dense(64, activation="relu"), dense(32, activation="relu"), dense(1, activation="sigmoid")]
    network = keras.Sequential(layers)
    network.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    return network


def timed(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    began = clock()
    work()
    return clock() - began


def paired(ours: Callable[[], object], theirs: Callable[[], object], runs: int) -> tuple[list, list]:
    """Seconds of each, in turn."""
    pairs = [(timed(ours), timed(theirs)) for _ in range(runs)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def shown(entry: dict[str, Any], ours: list[float], theirs: list[float], unit: str) -> dict[str, Any]:
    """The entry, printed with both medians."""
    print(f"{entry['name']:16} {entry['value']:7.2f} {entry['low']:7.2f} {entry['high']:7.2f}   ", end="")
    print(f"{median(ours):,.2f} {unit}, {median(theirs):,.2f} {unit}", flush=True)
    return entry


def rows_per_second(name: str, rows: int, epochs: int, runs: int) -> dict[str, Any]:
    """How many times more rows a second our loop learns than `fit` with the same network and batches."""
    tf, (inputs, labels) = tensorflow(), table(rows)
    theirs, ours = article(), article()
    theirs.fit(inputs[:640], labels[:640], batch_size=32, verbose=0)
    ours.build((None, COLUMNS))
    epoch = trainer.compile_epoch(ours, tf.keras.optimizers.Adam(), xla=True)
    block = trainer.Block(tf.constant(inputs), tf.constant(labels[:, None]), tf.ones((rows, 1)))
    epoch(block, trainer.shuffled_batches(rows, 32, 0, 0))  # compiles

    def our_epochs() -> None:
        for number in range(epochs):
            epoch(block, trainer.shuffled_batches(rows, 32, 0, number))

    seconds = paired(
        our_epochs, lambda: theirs.fit(inputs, labels, batch_size=32, epochs=epochs, verbose=0), runs
    )
    speed = [[rows * epochs / s for s in side] for side in seconds]
    entry = ratio(name, *speed, peer="the article's model.fit(batch_size=32)")
    return shown(entry, *speed, "rows/s") | {"better": "higher", "rows_per_second": median(speed[0])}


def share_of_limit(rows_per_second: float) -> dict[str, Any]:
    """The operations per second of the large case as a share of those of a matrix product on this machine."""
    tf, size = tensorflow(), 2_048
    a = tf.random.normal((size, size))
    product = tf.function(lambda: tf.reduce_sum(a @ a))
    product()
    limits = sorted(2 * size**3 / timed(lambda: product().numpy()) for _ in range(5))
    done = 6 * MULTIPLICATIONS * rows_per_second  # two a multiplication; backwards costs twice as much
    low, value, high = (done / limit for limit in (limits[-1], limits[2], limits[0]))
    print(f"matrix product {limits[2] / 1e9:.0f} GFLOP/s, train_large {done / 1e9:.1f} GFLOP/s: {value:.1%}")
    spread = {"value": value, "low": low, "high": high}
    entry = {"name": "train_large_share_of_limit", **spread, "unit": "ratio"}
    return entry | {"peer": "a product of 2,048 x 2,048 float32 matrices", "better": "higher"}


def default_epoch(runs: int) -> dict[str, Any]:
    """An epoch of the default network's members on 5,000 customers, beside the article's."""
    tf, cfg = tensorflow(), compose_config("data.synthetic.rows=5000")
    data = load_dataset(cfg.data, 0)
    encoder = Encoder(encoding.fit_encoding(data.frame, data.schema, cfg.model))
    inputs = encoder(*frame_tensors(data.frame, data.schema))
    rows, members = len(inputs), cfg.model.members
    network = layers.build_network(cfg.model, inputs.shape[1])
    epoch = trainer.compile_epoch(network, make_optimizer(cfg.train, 1_000), xla=False)
    block = trainer.Block(inputs, tf.random.uniform((rows, members)), tf.ones((rows, members)))
    order = trainer.shuffled_batches(rows, cfg.train.batch_size or default_batch_size(rows), 0, 0)
    epoch(block, order)
    theirs, (numbers, labels) = article(), table(len(data))
    theirs.fit(numbers, labels, batch_size=32, verbose=0)
    seconds = paired(
        lambda: epoch(block, order), lambda: theirs.fit(numbers, labels, batch_size=32, verbose=0), runs
    )
    return shown(ratio("train_default", *seconds, peer="an epoch of the article's fit"), *seconds, "s")


def cost(path: str, runs: int) -> dict[str, Any]:
    """CPU seconds of a whole default training on four fifths of the Telco table, and of the article's fit."""
    cfg = compose_config("data=telco", f"data.path={path}")
    data = load_dataset(cfg.data, cfg.seed)
    fit, test = np.split(np.random.default_rng(0).permutation(len(data)), [len(data) * 4 // 5])
    parts = Splits(fit, fit[:0], fit[:0], test)
    single = encoding.fit_encoding(data.frame.iloc[fit], data.schema, compose_config("model=tutorial").model)
    inputs = Encoder(single)(*frame_tensors(data.frame.iloc[fit], data.schema)).numpy()

    def ours() -> None:
        with tempfile.TemporaryDirectory() as folder:
            fit_network(Experiment(data, parts, cfg), Path(folder) / "checkpoint", quiet=True)

    def theirs() -> None:
        article().fit(inputs, data.churned[fit], epochs=10, validation_split=0.2, verbose=0)

    pairs = [(timed(ours, time.process_time), timed(theirs, time.process_time)) for _ in range(runs)]
    seconds = [list(side) for side in zip(*pairs, strict=True)]
    entry = ratio("train_cost", *seconds, peer="the article's model.fit, 10 epochs, in CPU seconds")
    return shown(entry, *seconds, "s of CPU")


if __name__ == "__main__":
    main()
