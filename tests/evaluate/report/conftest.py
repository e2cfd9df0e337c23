import numpy as np
import pandas as pd
import pytest

from churn.bundle.conformal import CERTAINTIES
from churn.config.training import DecisionConfig, EvaluateConfig
from churn.data.dataset import Dataset, Finding, Schema
from churn.data.split import Splits
from churn.evaluate.attack import Attack
from churn.evaluate.bootstrap import Estimate
from churn.evaluate.coverage import Coverage
from churn.evaluate.dependence import partial_dependence
from churn.evaluate.evaluation import evaluate
from churn.evaluate.fairness import measure_fairness
from churn.evaluate.importance import Importance
from churn.evaluate.profit import Outcome, measure_profit
from churn.evaluate.report.content import ReportContent, summarize_data
from churn.evaluate.robustness import Curve, Membership, Robustness
from churn.evaluate.segments import measure_segments

LONG = "A column whose name is the whole question of a survey, " * 3


@pytest.fixture(scope="session")
def make_content():
    """A function that makes the content of a page with so many test rows and columns."""

    def make(rows=200, columns=4, truth=True, findings=(), history=True, protected=()) -> ReportContent:
        random = np.random.default_rng(0)
        names = tuple(f"{LONG}{i}" for i in range(columns))
        frame = pd.DataFrame({name: random.normal(size=2 * rows) for name in names})
        frame["plan"] = random.choice(["basic", "<b>bold & “quoted”</b>", ""], 2 * rows)
        chance = random.beta(1, 3, 2 * rows)
        churned = (random.random(2 * rows) < chance).astype(np.int8)
        churned[:2] = churned[rows : rows + 2] = [0, 1]
        data = Dataset("table", Schema("left", ("yes", "1"), names, ("plan",), id="who"), frame, churned)
        half = np.arange(rows)
        noisy = chance * random.uniform(0.5, 1, 2 * rows)
        predictions = {"model": chance * 0.97, "boosting": noisy, "base_rate": np.full(2 * rows, 0.3)}
        predictions |= {"truth": chance} if truth else {}
        tests = {name: values[:rows] for name, values in predictions.items()}
        estimate = Estimate(0.01, -0.001, 0.02)
        outcome = Outcome(frame[:rows], churned[:rows], tests["model"])
        assumptions, few = DecisionConfig(), EvaluateConfig(bootstrap=50)
        return ReportContent(
            data=summarize_data(data, Splits(half + rows, half[:0], half[:0], half)),
            evaluation=evaluate(churned[:rows], tests, None, few, 0),
            churned=churned[:rows],
            predictions=tests,
            assumptions=assumptions,
            profit=measure_profit(outcome, outcome, 0.2, assumptions, few, 0),
            coverage=Coverage(
                0.01,
                0.9,
                dict.fromkeys(("stays", "leaves"), estimate),
                dict.fromkeys(CERTAINTIES, 0.25),
                0.2,
                0.9,
                [0.9],
            ),
            importance=[Importance(name, estimate, estimate) for name in (*names, "plan")],
            dependence=[
                partial_dependence(lambda f: f[names[0]].to_numpy() % 1, frame[:rows], n)
                for n in (names[0], "plan")
            ],
            segments=measure_segments(frame[:rows], churned[:rows], tests["model"]),
            history={"loss": [0.6, 0.5, 0.4], "val_loss": [0.6, 0.45, 0.5]} if history else {},
            findings=findings,
            seconds={"load": 0.5, "train": 4.25},
            versions={"churn": "0.1.0"},
            config="seed: 42\n",
            created="2026-01-02 03:04",
            robustness=Robustness(
                missing=Curve((0, 1), [estimate] * 2, [estimate] * 2),
                outliers=Curve((0.0, 0.1), [estimate] * 2, [estimate] * 2),
                label_noise=Curve((0.0, 0.2), [estimate] * 2, [estimate] * 2),
                attack=Attack(("plan",), np.array([True, False]), np.array([0.5, np.inf])),
                membership=Membership(
                    Estimate(0.55, 0.51, 0.59), Estimate(0.5, 0.46, 0.54), Estimate(0.05, 0.02, 0.08)
                ),
            ),
            fairness=measure_fairness(frame[list(protected)][:rows], outcome, 0.2, assumptions, few, 0)
            if protected
            else None,
        )

    return make


@pytest.fixture(scope="session")
def leak():
    return Finding("'score' gives the target away", "AUC 0.99 by itself", "data.drop=[score]")
