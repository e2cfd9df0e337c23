"""The model card of a run: what the program knows, what the configuration adds, else "unknown"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from churn.bundle.bundle import Bundle
from churn.config.root import Config
from churn.data.experiment import Experiment
from churn.data.split import is_by_time
from churn.evaluate.bootstrap import Estimate
from churn.evaluate.evaluation import MODEL
from churn.evaluate.fairness import Fairness
from churn.evaluate.report.content import ReportContent
from churn.evaluate.robustness import Membership

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Score:
    """A metric on the test part, or on some of its rows."""

    metric: str
    of: str  # the rows: "" for all, else "column=group"
    rows: int
    estimate: Estimate


@dataclass(frozen=True)
class Card:
    """The content of a model card; each text is ready for people."""

    name: str
    created: str  # ISO, UTC
    facts: Mapping[str, str]  # what the model is: task, model, threshold, horizon, who owns it, ...
    data: Mapping[str, str]  # what it has learnt from
    uses: Mapping[str, str]  # what it is for, and what not
    scores: list[Score]
    fairness: Fairness | None
    limits: list[str]
    drift: list[str]  # what is done when the world changes
    versions: Mapping[str, str]


def make_card(experiment: Experiment, bundle: Bundle, content: ReportContent) -> Card:
    """The card of a bundle, from its evaluation.

    >>> make_card(experiment, bundle, content).uses["intended use"]
    'unknown'
    """
    cfg = experiment.cfg
    return Card(
        name=str(bundle.facts["name"]),
        created=bundle.facts["created"],
        facts=_facts(cfg, bundle),
        data=_data(experiment, bundle, content),
        uses={
            "intended use": cfg.card.intended_use or UNKNOWN,
            "users": cfg.card.users or UNKNOWN,
            "not to be used for": cfg.card.misuse or UNKNOWN,
        },
        scores=list(_scores(content)),
        fairness=content.fairness,
        limits=[*cfg.card.limits, *_limits(experiment, content)],
        drift=_drift_plan(cfg),
        versions=bundle.facts["versions"],
    )


def _facts(cfg: Config, bundle: Bundle) -> dict[str, str]:
    facts = bundle.facts
    within = f"within {facts['horizon']} days" if bundle.schema.time else f"within a time that is {UNKNOWN}"
    share = cfg.train.adversarial.share
    columns = ", ".join(cfg.data.influence)
    hardened = f"; learnt also from changes of {columns}, with a weight of {share:g}" if share else ""
    return {
        "task": f"the probability that a customer leaves {within}, and whom to call",
        "model": f"{facts['model']} (churn.network.layers), calibrated; one TensorFlow graph{hardened}",
        "decision": f"call from a probability of {facts['threshold']:.4f} on",
        "inputs": f"{len(bundle.schema.numeric)} numbers, {len(bundle.schema.categorical)} categories",
        "owner": cfg.card.owner or UNKNOWN,
        "contact": cfg.card.contact or UNKNOWN,
        "may approve": ", ".join(cfg.card.approvers) or UNKNOWN,
        "program": f"commit {facts['git_commit'] or UNKNOWN}",
    }


def _data(experiment: Experiment, bundle: Bundle, content: ReportContent) -> dict[str, str]:
    data, facts = experiment.data, bundle.facts["data"]
    window = f"{UNKNOWN}: the table has no time (data.time)"
    if data.times is not None:
        first, last = (str(time.astype("datetime64[D]")) for time in (data.times.min(), data.times.max()))
        window = f"{first} to {last}"
    protected = ", ".join(experiment.cfg.data.protected)
    parts = ", ".join(f"{rows:,} {name}" for name, rows in facts["rows"].items())
    return {
        "source": data.origin or UNKNOWN,
        "window": window,
        "rows": f"{content.data.rows:,}, {content.data.churn_rate:.1%} left ({parts})",
        "protected columns": protected or f"{UNKNOWN} (data.protected)",
        "left out": ", ".join(data.schema.dropped) or "nothing",
        "fingerprint": facts["fingerprint"],
    }


def _scores(content: ReportContent) -> Iterator[Score]:
    """All metrics on all rows; then ROC AUC by segment, and rates by group."""
    rows = len(content.churned)
    for metric, estimate in content.evaluation.scores[MODEL].items():
        yield Score(metric, "", rows, estimate)
    for segment in content.segments:
        yield Score("roc_auc", f"{segment.feature}={segment.group}", segment.rows, segment.roc_auc)
    for grouping in content.fairness.groupings if content.fairness else []:
        for group in grouping.groups:
            for rate, estimate in group.rates.items():
                yield Score(rate, f"{grouping.name}={group.name}", group.rows, estimate)


def _limits(experiment: Experiment, content: ReportContent) -> Iterator[str]:
    """What the program has found."""
    yield "It tells who is likely to leave, not whom a call would keep, and shows no causes."
    for finding in content.findings:
        yield f"{finding.title}: {finding.evidence}"
    for segment in content.segments:
        if segment.deviates:
            yield (
                f"{segment.feature}={segment.group}: {segment.churn_rate:.1%} left, "
                f"{segment.mean_probability:.1%} were predicted"
            )
    yield f"{content.coverage.unseen:.1%} of the test rows have a field unlike any in training"
    yield from _privacy_limit(content.robustness.membership)
    if not is_by_time(experiment.data, experiment.cfg.split):
        yield "Test and training rows are of the same time: how it does in later months is unknown."


def _privacy_limit(member: Membership) -> Iterator[str]:
    """What the model gives away of its training rows, where it is more than chance or nobody knows."""
    if member.unknown:
        yield (
            "Whether it gives something away of whom it learnt from is unknown: membership inference has ROC "
            f"AUC {member.model.value:.3f}, and nothing tells what other customers or times alone give"
        )
    elif not member.no_better_than_chance:
        yield (
            "It gives something away of whom it learnt from: membership inference has ROC AUC "
            f"{member.model.value:.3f}, {member.difference.value:.3f} ({member.difference.low:.3f} to "
            f"{member.difference.high:.3f}) more than without having learnt from the row"
        )


def _drift_plan(cfg: Config) -> list[str]:
    """What the configuration says; whether anybody runs it, no training can know."""
    monitor, trigger = cfg.monitor, cfg.retrain.trigger
    return [
        f"churn monitor compares {monitor.days:g} days of requests with the training data: a warning from a "
        f"population stability index of {monitor.warning_psi:g}, an alarm from {monitor.alarm_psi:g}",
        f"churn retrain trains a challenger after {trigger.alarms} alarms in {trigger.windows} windows; "
        "it serves if the gate finds it better on fresh rows",
        f"Whether and how often these commands run is {UNKNOWN} here.",
    ]
