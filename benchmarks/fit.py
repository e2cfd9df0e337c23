"""CPU seconds of fitting the default network on the Telco table, beside the article's `fit`.

fit.py --telco FILE: each fit has a process of its own, in turn; TensorFlow and CatBoost are imported and the
table loaded before the clock starts. Ours includes encoding, boosted trees, the network and tracing. The
calibration of the intervals (`export.refits=0` switches it off) has figures of its own.
"""

import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

from compare import arguments, finish, ratio

from churn.backend import tensorflow
from churn.bundle import export
from churn.config.root import compose_config
from churn.data.experiment import Experiment
from churn.data.load import load_dataset
from churn.network.fit import fit_network

ARTICLE = Path(__file__).with_name("article_script.py")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--telco", required=True, metavar="FILE", help="IBM's Telco-Customer-Churn.csv")
    parser.add_argument("--of", choices=("ours", "article"), help="fit this one, once, and print its seconds")
    options = parser.parse_args()
    if options.of:
        print(*(fit_ours if options.of == "ours" else fit_article)(options.telco))
        return
    seconds: dict[str, list[float]] = {"ours": [], "article": [], "intervals": []}
    for _ in range(options.runs):
        fit, intervals = child("ours", options.telco)
        seconds["ours"].append(fit)
        seconds["intervals"].append(intervals)
        seconds["article"] += child("article", options.telco)
    entries = [
        ratio("fit_cpu", seconds["ours"], seconds["article"], "the article's fit"),
        ratio("intervals_cpu", seconds["intervals"], seconds["article"], "the article's fit"),
    ]
    for name, values in seconds.items():
        middle = sorted(values)[len(values) // 2]
        print(f"{name:10} {middle:5.1f} s of CPU ({min(values):.1f} to {max(values):.1f})")
    for entry in entries:
        print(f"{entry['name']:14} {entry['value']:.2f} x ({entry['low']:.2f} to {entry['high']:.2f})")
    finish(entries, options.json)


def child(which: str, file: str) -> list[float]:
    """The seconds that a child process prints."""
    command = [sys.executable, __file__, "--telco", file, "--of", which]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [float(word) for word in done.stdout.splitlines()[-1].split()]


def fit_ours(file: str) -> tuple[float, float]:
    """Seconds of the fit of the network, and of the calibration of its intervals."""
    cfg = compose_config("data=telco", f"data.path={file}")
    data = load_dataset(cfg.data, cfg.seed)
    experiment = Experiment.split(data, cfg)
    tensorflow()
    import_module("catboost")
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        trained = fit_network(experiment, Path(folder) / "checkpoint", quiet=True)
        fitted = time.process_time()
        export.fit_interval(experiment, trained)
    return fitted - began, time.process_time() - fitted


def fit_article(file: str) -> tuple[float]:
    """Seconds of the script's last line, `model.fit`; the lines above it run first."""
    before, fit = ARTICLE.read_text().rsplit("model.fit(", 1)
    sys.argv = [str(ARTICLE), file]
    names: dict[str, object] = {}
    exec(compile(before, str(ARTICLE), "exec"), names)
    began = time.process_time()
    exec(compile("model.fit(" + fit, str(ARTICLE), "exec"), names)
    return (time.process_time() - began,)


if __name__ == "__main__":
    main()
