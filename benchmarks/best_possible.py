"""The default network beside the best possible model, on synthetic customers with known probabilities.

best_possible.py [--seeds N] [overrides]: for each seed the network is compared with the true probabilities on
the test part. The last line is the expected excess log loss given the true probabilities, which does not
depend on chance in the test labels.
"""

import numpy as np
from compare import arguments, finish
from scipy.special import rel_entr
from sklearn.metrics import log_loss, roc_auc_score

from churn.bundle.calibration import apply_temperature, fit_temperature
from churn.config.root import compose_config
from churn.data.experiment import Experiment
from churn.data.load import load_dataset
from churn.network.fit import fit_network


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("overrides", nargs="*", default=["data.synthetic.rows=100000"])
    options = parser.parse_args()
    differences = [minus_best_possible(seed, options.overrides) for seed in range(options.seeds)]
    entries = []
    for name, better in (("roc_auc", "higher"), ("log_loss", "lower"), ("expected_log_loss", "lower")):
        values = [difference[name] for difference in differences]
        spread = {"value": float(np.mean(values)), "low": min(values), "high": max(values)}
        print(f"{name:18} {spread['value']:+.4f} ({spread['low']:+.4f} to {spread['high']:+.4f})")
        entries.append({"name": f"{name}_minus_best_possible", **spread, "unit": name, "better": better})
    finish(entries, options.json)


def minus_best_possible(seed: int, overrides: list[str]) -> dict[str, float]:
    """Metrics of the network minus those of the true probabilities, on the test part."""
    cfg = compose_config(*overrides, f"seed={seed}")
    data = load_dataset(cfg.data, cfg.seed)
    experiment = Experiment.split(data, cfg)
    trained = fit_network(experiment, quiet=True)
    temperature = fit_temperature(data.churned[trained.held_out_rows], trained.held_out_probability, cfg.seed)
    ours = apply_temperature(trained.predict(data.frame.iloc[experiment.splits.test]), temperature)
    churned, truth = data.churned[experiment.splits.test], data.true_probability[experiment.splits.test]
    return {
        "roc_auc": float(roc_auc_score(churned, ours) - roc_auc_score(churned, truth)),
        "log_loss": float(log_loss(churned, ours) - log_loss(churned, truth)),
        "expected_log_loss": float(np.mean(rel_entr(truth, ours) + rel_entr(1 - truth, 1 - ours))),
    }


if __name__ == "__main__":
    main()
