"""The content of a report: what the page shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

from churn.bundle.bundle import REASONS, Bundle, decode_strings
from churn.bundle.export import library_versions
from churn.bundle.reasons import reason_columns
from churn.config.training import DecisionConfig
from churn.data.coded import frame_features
from churn.data.contract import SHOWN_FROM
from churn.data.customers import count_customers
from churn.data.dataset import Dataset, Finding
from churn.data.experiment import Experiment, Part
from churn.data.split import Splits
from churn.evaluate.coverage import Coverage
from churn.evaluate.dependence import DRAWN_FEATURES, Dependence, has_shown_values, partial_dependence
from churn.evaluate.evaluation import MODEL, Evaluation
from churn.evaluate.fairness import Fairness
from churn.evaluate.importance import Importance, find_dominant_feature, permutation_importance
from churn.evaluate.profit import Profit
from churn.evaluate.results import Results
from churn.evaluate.robustness import Robustness, measure_robustness
from churn.evaluate.segments import SEGMENTED_FEATURES, Segment, measure_segments
from churn.network.trained import Trained


@dataclass(frozen=True)
class ColumnSummary:
    """One feature over all rows."""

    name: str
    role: str  # "number" or "category"
    missing: float  # share of the rows
    values: str  # minimum, median and maximum; or the number of levels and the most frequent one


@dataclass(frozen=True)
class PartSummary:
    """One part of the split."""

    name: str
    rows: int
    churn_rate: float


@dataclass(frozen=True)
class DataSummary:
    """The table of the run."""

    name: str
    origin: str
    rows: int
    churn_rate: float
    columns: tuple[ColumnSummary, ...]
    parts: tuple[PartSummary, ...]
    roles: Mapping[str, str]  # columns by role, without the features: target, id, time, dropped
    facts: Mapping[str, int]  # counts, for example of dropped copies


@dataclass(frozen=True)
class Example:
    """A customer of the test part."""

    probability: float
    called: bool
    left: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ReportContent:
    """Everything that the page shows."""

    data: DataSummary
    evaluation: Evaluation
    churned: np.ndarray  # [n] of the test part, 1 = left
    predictions: Mapping[str, np.ndarray]  # [n] probabilities of the test part, by the names in `evaluation`
    assumptions: DecisionConfig  # what a call costs and brings
    profit: Profit
    coverage: Coverage
    importance: Sequence[Importance]
    dependence: Sequence[Dependence]
    segments: Sequence[Segment]
    history: Mapping[str, Sequence[float]]  # per epoch: "loss" on train rows, "val_loss" on validation rows
    findings: Sequence[Finding]
    seconds: Mapping[str, float]  # by step
    versions: Mapping[str, str]  # by package
    config: str  # resolved, as YAML
    created: str  # date and time, for people
    robustness: Robustness
    adversarial: float = 0.0  # share of changed copies that the model learnt from
    fairness: Fairness | None = None
    examples: Sequence[Example] = ()


def gather_content(
    experiment: Experiment,
    trained: Trained,
    bundle: Bundle,
    results: Results,
    seconds: Mapping[str, float],
) -> ReportContent:
    """The content of a run's report; `seconds` by step."""
    cfg, test = experiment.cfg, experiment.test

    def predict(rows: pd.DataFrame) -> np.ndarray:
        return bundle.predict(rows)["churn_probability"].astype(float)

    importance = permutation_importance(predict, test.frame, test.churned, cfg.evaluate, cfg.seed)
    names = [column.feature for column in importance]
    drawn = [name for name in names[:DRAWN_FEATURES] if has_shown_values(test.frame[name], test.ids)]
    segmented = test.frame[names[:SEGMENTED_FEATURES]]
    return ReportContent(
        data=summarize_data(experiment.data, experiment.splits),
        evaluation=results.evaluation,
        churned=test.churned,
        predictions=results.predictions,
        assumptions=cfg.decision,
        profit=results.profit,
        coverage=results.coverage,
        importance=importance,
        dependence=[partial_dependence(predict, test.frame, name, test.ids) for name in drawn],
        segments=measure_segments(segmented, test.churned, results.probability, test.ids),
        history=trained.history,
        findings=(*experiment.data.findings, *find_dominant_feature(importance, _roc_auc(results))),
        seconds=seconds,
        versions=library_versions(),
        config=OmegaConf.to_yaml(OmegaConf.structured(cfg)),
        created=f"{datetime.now():%Y-%m-%d %H:%M}",
        robustness=measure_robustness(experiment, trained, bundle, predict, names),
        adversarial=cfg.train.adversarial.share,
        fairness=results.fairness,
        examples=_examples(bundle, test, results),
    )


def _examples(bundle: Bundle, test: Part, results: Results) -> list[Example]:
    """Some customers with reasons: see `customers_to_show`."""
    probability, threshold = results.probability, results.profit.threshold
    chosen = customers_to_show(probability, threshold)
    rows = test.frame.iloc[chosen].reset_index(drop=True)
    if REASONS in bundle.saved_model.signatures:
        outputs = decode_strings(bundle.predict(rows, signature=REASONS))
        shown = without_rare_texts(rows, test)
        reasons = pd.DataFrame(reason_columns(outputs, frame_features(shown, bundle.schema)))
    else:
        reasons = pd.DataFrame(index=rows.index)
    return [
        Example(float(probability[i]), bool(probability[i] >= threshold), bool(test.churned[i]), tuple(texts))
        for i, texts in zip(chosen, reasons.to_numpy(object), strict=True)
    ]


def customers_to_show(probability: np.ndarray, threshold: float) -> list[int]:
    """Positions of the highest and the lowest of the probabilities [n], and of one at the threshold.

    Nobody twice: where all are below the threshold, the highest is the one at it.

    >>> customers_to_show(np.array([0.1, 0.3, 0.2]), 0.9)
    [1, 0]
    """
    nearest = np.abs(probability - threshold).argmin()
    return list(dict.fromkeys(map(int, (probability.argmax(), nearest, probability.argmin()))))


def without_rare_texts(rows: pd.DataFrame, part: Part) -> pd.DataFrame:
    """Rows of `part` with "(rare)" for each text that fewer than `SHOWN_FROM` of its customers share."""
    shown = rows.copy()
    for name in rows.select_dtypes(exclude="number"):
        customers = rows[name].map(count_customers(part.frame[name], part.ids))
        shown[name] = rows[name].where((customers >= SHOWN_FROM) | (rows[name] == ""), "(rare)")
    return shown


def _roc_auc(results: Results) -> float:
    return results.evaluation.scores[MODEL]["roc_auc"].value


def summarize_data(data: Dataset, splits: Splits) -> DataSummary:
    """The data section of the report."""
    schema = data.schema
    roles = {
        "target": f"{schema.target} (churned: {', '.join(schema.churned)})",
        "id": schema.id or "",
        "time": schema.time or "",
        "dropped": ", ".join(schema.dropped),
    }
    return DataSummary(
        name=data.name,
        origin=data.origin,
        rows=len(data),
        churn_rate=float(data.churned.mean()),
        columns=(
            *(_summarize_number(data.frame[name]) for name in schema.numeric),
            *(_summarize_category(data.frame[name], data.ids) for name in schema.categorical),
        ),
        parts=tuple(
            _summarize_part(field.name, data.churned[getattr(splits, field.name)]) for field in fields(splits)
        ),
        roles={role: names for role, names in roles.items() if names},
        facts=data.facts,
    )


def _summarize_part(name: str, churned: np.ndarray) -> PartSummary:
    return PartSummary(name, len(churned), float(churned.mean()) if len(churned) else np.nan)


def _summarize_number(values: pd.Series) -> ColumnSummary:
    known = values.dropna()
    points = known.quantile([0, 0.5, 1]).tolist() if len(known) else []
    shown = " … ".join(f"{point:,.6g}" for point in points).replace("-", "−") or "no values"
    return ColumnSummary(str(values.name), "number", float(values.isna().mean()), shown)


def _summarize_category(values: pd.Series, ids: np.ndarray | None) -> ColumnSummary:
    counts = values[values != ""].value_counts()
    missing = float((values == "").mean())
    if len(counts) == 0:
        return ColumnSummary(str(values.name), "category", missing, "no values")
    shown = f"{len(counts):,} levels"
    if count_customers(values, ids)[counts.index[0]] >= SHOWN_FROM:
        shown += f", most often “{counts.index[0]}” ({100 * counts.iloc[0] / len(values):.0f} %)"
    return ColumnSummary(str(values.name), "category", missing, shown)
