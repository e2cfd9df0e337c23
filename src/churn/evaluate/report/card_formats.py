"""A model card as Markdown for people, and as JSON in the schema of CycloneDX 1.6 (ECMA-424).

CycloneDX has the fields of Google's model cards, is kept, and can be read by the tools that read SBOMs;
`model-card-toolkit` has had no release since 2023.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from churn.evaluate.report.card import UNKNOWN, Card, Score

SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"


def to_markdown(card: Card) -> str:
    """The card for people."""
    overall = [score for score in card.scores if not score.of]
    return "\n".join(
        [
            f"# Model card: {card.name}\n",
            f"Written by `churn train`, {card.created}. The same as CycloneDX: card.json",
            *_section("Model", _table(("", ""), card.facts.items())),
            *_section("Data", _table(("", ""), card.data.items())),
            *_section("Use and misuse", _table(("", ""), card.uses.items())),
            *_section("Results on the test part, with 95 % intervals", _score_table(overall)),
            *_section("By segment and group", _score_table(s for s in card.scores if s.of)),
            *_section("Fairness", _fairness_lines(card)),
            *_section("Limits", (f"- {_plain(limit)}" for limit in card.limits)),
            *_section("Drift", (f"- {line}" for line in card.drift)),
            *_section("Versions", _table(("", ""), card.versions.items())),
            "",
        ]
    )


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield f"\n## {title}\n"
    yield from lines


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(header) + " |"
    yield "|---" * len(header) + "|"
    for row in rows:
        yield "| " + " | ".join(map(_plain, row)) + " |"


def _plain(text: str) -> str:
    """Text of a table's cell: names of columns and levels may hold anything."""
    one_line = " ".join(text.split())
    return one_line.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _score_table(scores: Iterable[Score]) -> Iterator[str]:
    rows = [
        (score.metric, score.of or "all", f"{score.rows:,}", *map(_number, vars(score.estimate).values()))
        for score in scores
    ]
    if rows:
        yield from _table(("metric", "rows of", "rows", "value", "low", "high"), rows)
    else:
        yield f"{UNKNOWN}: no group has enough rows"


def _number(value: float) -> str:
    return UNKNOWN if np.isnan(value) else f"{value:.4f}"


def _fairness_lines(card: Card) -> Iterator[str]:
    if card.fairness is None:
        yield f"{UNKNOWN}: no protected columns were named (`data.protected`)"
        return
    for column in card.fairness.unknown:
        yield f"- {_plain(column)}: {UNKNOWN}, no two groups have ten churners and ten stayers each"
    for grouping in card.fairness.groupings:
        for name, found in grouping.differences.items():
            value, chance = map(_number, (found.value, found.by_chance))
            yield f"- {_plain(grouping.name)}: {name} difference {value} (by chance up to {chance})"


def to_cyclonedx(card: Card) -> str:
    """The card as a CycloneDX document whose one component is the model."""
    model = {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": card.name,
        "version": card.created,
        "description": card.facts["task"],
        "modelCard": {
            "modelParameters": _parameters(card),
            "quantitativeAnalysis": {"performanceMetrics": [_metric(score) for score in card.scores]},
            "considerations": _considerations(card),
            "properties": _properties({**card.facts, "drift plan": "; ".join(card.drift)}),
        },
    }
    libraries = [_library(name, version) for name, version in card.versions.items()]
    document = {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"timestamp": card.created, "component": model},
        "components": libraries,
        "dependencies": [{"ref": "model", "dependsOn": [library["bom-ref"] for library in libraries]}],
    }
    return json.dumps(document, indent=1)


def _parameters(card: Card) -> dict[str, Any]:
    dataset = {
        "type": "dataset",
        "name": card.name,
        "description": "; ".join(f"{name}: {text}" for name, text in card.data.items()),
        "sensitiveData": [card.data["protected columns"]],
        "governance": {"owners": [{"organization": {"name": card.facts["owner"]}}]},
    }
    return {
        "approach": {"type": "supervised"},
        "task": "classification",
        "modelArchitecture": card.facts["model"],
        "datasets": [dataset],
    }


def _metric(score: Score) -> dict[str, Any]:
    value, low, high = map(_number, vars(score.estimate).values())
    interval = {"lowerBound": low, "upperBound": high}
    metric = {"type": score.metric, "value": value, "confidenceInterval": interval}
    return metric | ({"slice": f"{score.of} ({score.rows} rows)"} if score.of else {})


def _considerations(card: Card) -> dict[str, Any]:
    groupings = card.fairness.groupings if card.fairness else []
    at_risk = [f"groups of {grouping.name}" for grouping in groupings] or [UNKNOWN]
    return {
        "users": [card.uses["users"]],
        "useCases": [card.uses["intended use"]],
        "technicalLimitations": card.limits,
        "ethicalConsiderations": [{"name": f"not to be used for: {card.uses['not to be used for']}"}],
        "fairnessAssessments": [
            {"groupAtRisk": group, "benefits": UNKNOWN, "harms": UNKNOWN, "mitigationStrategy": UNKNOWN}
            for group in at_risk
        ],
    }


def _properties(texts: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": f"churn:{name}", "value": text} for name, text in texts.items()]


def _library(name: str, version: str) -> dict[str, str]:
    if name == "python":
        return {"type": "platform", "bom-ref": name, "name": name, "version": version}
    purl = f"pkg:pypi/{name}@{version}"
    return {"type": "library", "bom-ref": name, "name": name, "version": version, "purl": purl}
