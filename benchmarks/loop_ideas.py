"""What could be gained in the simulated year of `churn loop`: ideas tried on a fast model, without a gate.

loop_ideas.py [--seeds 4] [--json FILE]: the model is a logistic regression. Each idea is a rule that gives a
model for every day; its value is the share of the loss of never retraining that it saves. With open windows
the likelihood of a customer who has not left by now is 1 - F p: F is the share of leavers gone at this age.
"""

from argparse import ArgumentParser
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from compare import finish
from scipy.optimize import minimize
from scipy.special import expit

Plan = list[tuple[int, np.ndarray]]  # from which day on which probabilities [n] serve


class Year:
    """A simulated year with everybody's features as a matrix."""

    def __init__(self, seed: int) -> None:
        from churn.bundle.decision import break_even, expected_profit
        from churn.config.root import compose_config
        from churn.retrain.simulation.world import known_rows, make_world

        cfg = compose_config()
        self.loop, self.world = cfg.loop, make_world(cfg.loop, seed)
        self.features = encode(self.world.rows.frame, known_rows(self.world, 0, cfg.loop))
        value = np.array(cfg.decision.customer_value)
        self.gain = expected_profit(self.world.probability, value, cfg.decision)
        self.even = break_even(cfg.decision.customer_value, cfg.decision)
        self.first = self.fit(0)

    def fit(
        self, day: int, open_windows: bool = False, half_life: float | None = None, late: int | None = None
    ) -> np.ndarray:
        """[n] probabilities of a model of what is known on a day; `late`: days until stayers are known."""
        late = late or self.loop.label_days
        rows = self.world.between(day - late - self.loop.memory_days, day if open_windows else day - late)
        age = (day - self.world.day[rows]).astype(float)
        left, gone = self.seen(rows, age, late)
        weight = np.ones(len(rows)) if half_life is None else 0.5 ** (age / half_life)
        start = np.zeros(self.features.shape[1])
        best = minimize(loss, start, (self.features[rows], left, gone, weight), jac=True, method="L-BFGS-B")
        return expit(self.features @ best.x)

    def seen(self, rows: np.ndarray, age: np.ndarray, late: int) -> tuple[np.ndarray, np.ndarray]:
        """[k] who has left by an age, and the share of leavers that has."""
        known = (self.world.age[rows] <= age) | (age >= late)
        return (self.world.rows.churned[rows] == 1) & known, np.where(age >= late, 1, np.clip(age / 30, 0, 1))

    def recalibrated(self, probability: np.ndarray, day: int, days: int) -> np.ndarray:
        """[n] probabilities, their log-odds shifted by the open windows of some days."""
        from churn.retrain.recalibration import OpenWindows, fit_shift, shifted

        rows = self.world.between(day - days, day)
        age = (day - self.world.day[rows]).astype(float)
        left, _ = self.seen(rows, age, self.loop.label_days)
        seen = OpenWindows(probability[rows], left, age, np.linspace(0, 30, 1_000))
        return shifted(probability, fit_shift(seen).log_odds)

    def profit(self, plan: Plan) -> float:
        """What the calls of a plan earn."""
        ends = [day for day, _ in plan[1:]] + [360]
        called = [
            self.gain[rows][probability[rows] >= self.even].sum()
            for (day, probability), end in zip(plan, ends, strict=True)
            for rows in [self.world.between(day, end)]
        ]
        return float(sum(called))

    def saved(self, plan: Plan) -> float:
        """The share of the loss of never retraining that a plan saves, in per cent."""
        never, oracle = self.profit([(0, self.first)]), np.maximum(self.gain[self.world.day >= 0], 0).sum()
        return float(100 * (self.profit(plan) - never) / (oracle - never))


def encode(frame, known: np.ndarray) -> np.ndarray:  # noqa: ANN001
    """The features as numbers, with a constant."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    from churn.retrain.simulation.world import CATEGORIES, NUMBERS

    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    levels = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    encoder = make_column_transformer((numbers, list(NUMBERS)), (levels, list(CATEGORIES)))
    encoder.fit(frame.iloc[known])
    return np.column_stack([encoder.transform(frame), np.ones(len(frame))])


def loss(weights, x, left, gone, rows):  # noqa: ANN001, ANN201
    """Mean censored log loss with a ridge of 1, and its gradient."""
    p = expit(x @ weights)
    stays = np.clip(1 - gone * p, 1e-9, 1)
    value = -np.where(left, np.log(np.maximum(p, 1e-12)), np.log(stays))
    slope = np.where(left, p - 1, gone * p * (1 - p) / stays)
    ridge = np.append(weights[:-1], 0)
    return (rows @ value + ridge @ ridge / 2) / rows.sum(), (x.T @ (rows * slope) + ridge) / rows.sum()


def retrained(year: Year, every: int, **known) -> Plan:  # noqa: ANN003
    """A new model every so many days."""
    return [(0, year.first), *((day, year.fit(day, **known)) for day in range(every, 360, every))]


def recalibrated(year: Year, days: int, monthly: bool = False) -> Plan:
    """Recalibration every week, of the first model or of one that is trained every month."""
    model, plan = year.first, [(0, year.first)]
    for day in range(7, 360, 7):
        if monthly and day // 30 > (day - 7) // 30:
            model = year.fit(day // 30 * 30)
        plan.append((day, year.recalibrated(model, day, days)))
    return plan


IDEAS: dict[str, Callable[[Year], Plan]] = {
    "every month": partial(retrained, every=30),
    "every week": partial(retrained, every=7),
    "every month, recent rows (half-life 30 days)": partial(retrained, every=30, half_life=30),
    "every week, recent rows (half-life 30 days)": partial(retrained, every=7, half_life=30),
    "every month, if stayers were known after 30 days": partial(retrained, every=30, late=30),
    "every month with open windows, half-life 60 days": partial(
        retrained, every=30, open_windows=True, half_life=60
    ),
    "every month with open windows, half-life 30 days": partial(
        retrained, every=30, open_windows=True, half_life=30
    ),
    "every week with open windows": partial(retrained, every=7, open_windows=True),
    "every week with open windows, half-life 30 days": partial(
        retrained, every=7, open_windows=True, half_life=30
    ),
    "never, recalibrated by open windows of 14 days": partial(recalibrated, days=14),
    "never, recalibrated by open windows of 28 days": partial(recalibrated, days=28),
    "never, recalibrated by open windows of 45 days": partial(recalibrated, days=45),
    "every month, recalibrated by open windows of 28 days": partial(recalibrated, days=28, monthly=True),
}


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument("--seeds", type=int, default=4)
    options = parser.parse_args()
    years, entries = [Year(seed) for seed in range(options.seeds)], []
    for idea, plan_of in IDEAS.items():
        saved = [year.saved(plan_of(year)) for year in years]
        low, value, high = min(saved), float(np.median(saved)), max(saved)
        print(f"{idea:55} {value:5.0f} %   ({low:.0f} to {high:.0f})", flush=True)
        entries.append(
            {"name": idea, "value": value, "low": low, "high": high, "unit": "% saved",
             "peer": None, "better": "higher", "seeds": f"0 to {options.seeds - 1}"}
        )  # fmt: skip
    finish(entries, options.json)


if __name__ == "__main__":
    main()
