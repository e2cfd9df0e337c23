"""The cost of reasons: seconds a row of the signature with reasons, beside the one without.

reasons.py [--json FILE] [--runs N] [overrides]: trains the default network on synthetic customers for one
epoch (the cost does not depend on the weights), exports it, and calls both signatures in turn.
"""

import tempfile
import time
from pathlib import Path

from compare import arguments, finish, ratio

from churn.bundle import export
from churn.bundle.bundle import REASONS
from churn.config.root import compose_config
from churn.data.experiment import Experiment
from churn.data.load import load_dataset
from churn.network.fit import fit_network

ROWS = {1: 20, 500: 1}  # rows of a request: requests timed together


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_args()
    cfg = compose_config("data=synthetic", "data.synthetic.rows=2000", "train.epochs=1", *options.overrides)
    data = load_dataset(cfg.data, cfg.seed)
    experiment = Experiment.split(data, cfg)
    with tempfile.TemporaryDirectory() as folder:
        trained = fit_network(experiment, Path(folder) / "checkpoint", quiet=True)
        served = export.export_bundle(experiment, trained, None, Path(folder) / "bundle")
        entries = []
        for rows, requests in ROWS.items():
            seconds: dict[str, list[float]] = {"serving_default": [], REASONS: []}
            for run in range(options.runs + 1):
                for signature, took in seconds.items():
                    began = time.perf_counter()
                    for _ in range(requests):
                        served.predict(data.frame.iloc[:rows], signature=signature)
                    if run:  # the first is a warm-up
                        took.append((time.perf_counter() - began) / requests / rows)
            plain, reasons = (sorted(took)[options.runs // 2] for took in seconds.values())
            print(f"{rows:4} rows a request: {1e3 * plain:.3f} ms a row, with reasons {1e3 * reasons:.3f}")
            entries.append(
                ratio(f"reasons_{rows}_rows", seconds[REASONS], seconds["serving_default"], "no reasons")
            )
            entries.append(
                {
                    "name": f"reasons_{rows}_rows_seconds",
                    "value": reasons,
                    "low": min(seconds[REASONS]),
                    "high": max(seconds[REASONS]),
                    "unit": "seconds a row",
                    "peer": "",
                    "better": "lower",
                }
            )
    finish(entries, options.json)


if __name__ == "__main__":
    main()
