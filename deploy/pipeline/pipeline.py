"""The retraining as a Kubeflow pipeline: each step of `churn retrain` in its own container.

    python deploy/pipeline/pipeline.py pipeline.yaml IMAGE

compiles it; the image contains churn and kfp (see Dockerfile). `overrides` are the arguments of
`churn retrain`; docs/retraining.md describes how to submit and schedule the pipeline.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kfp import compiler, dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Model, Output

IMAGE = "python:3.11-slim"  # replaced by the image that is named when compiling


def component(function: Callable[..., Any]) -> Any:
    """A component that runs in the image without installing anything."""
    return dsl.component(function, base_image=IMAGE, install_kfp_package=False)


@component
def ingest(overrides: list, rows: Output[Dataset], fresh: Output[Dataset]) -> None:
    """Write recent labelled rows: some to train on, some to compare models on."""
    from pathlib import Path

    from churn.config.root import compose_config
    from churn.retrain import steps

    cfg = compose_config(*overrides)
    steps.ingest(cfg, steps.load_models(cfg)["champion"], Path(rows.path), Path(fresh.path))


@component
def validate(overrides: list, rows: Input[Dataset], fresh: Input[Dataset]) -> int:
    """The number of training rows; fails if the rows are unusable."""
    from pathlib import Path

    from churn.config.root import compose_config
    from churn.retrain import steps

    cfg = compose_config(*overrides)
    return steps.validate(cfg, steps.load_models(cfg)["champion"], Path(rows.path), Path(fresh.path))["train"]


@component
def train(overrides: list, rows: Input[Dataset], run: Output[Model]) -> None:
    """Train the challenger; its run has bundle, report and metrics."""
    import shutil
    from pathlib import Path

    from churn.config.root import compose_config
    from churn.retrain import steps

    cfg = compose_config(*overrides)
    shutil.copytree(steps.train(cfg, steps.load_models(cfg)["champion"], Path(rows.path)), run.path)


@component
def evaluate(overrides: list, run: Input[Model], fresh: Input[Dataset], predictions: Output[Dataset]) -> None:
    """Predict the same fresh rows with champion, challenger and reference."""
    from pathlib import Path

    from churn.bundle.bundle import Bundle
    from churn.config.root import compose_config
    from churn.retrain import steps

    cfg = compose_config(*overrides)
    bundles = steps.load_models(cfg) | {"challenger": Bundle.load(Path(run.path) / "bundle")}
    steps.evaluate(cfg, bundles, Path(fresh.path), Path(predictions.path))


@component
def gate(
    overrides: list,
    kind: str,
    reason: str,
    predictions: Input[Dataset],
    page: Output[HTML],
    decision: Output[Artifact],
) -> bool:
    """Whether the challenger may serve; writes a page with the evidence."""
    from pathlib import Path

    from churn.config.root import compose_config
    from churn.retrain import steps
    from churn.retrain.trigger import Trigger

    cfg, trigger = compose_config(*overrides), Trigger(kind, reason)
    verdict = steps.decide(cfg, Path(predictions.path), trigger.alarmed)
    steps.document(cfg, verdict, trigger, Path(page.path), Path(decision.path))
    return verdict.promote


@component
def register(overrides: list, run: Input[Model], page: Input[HTML], decision: Input[Artifact]) -> str:
    """Register challenger and decision; gives the version."""
    from pathlib import Path

    from churn.config.root import compose_config
    from churn.retrain import steps

    return steps.register(compose_config(*overrides), Path(run.path), Path(page.path), Path(decision.path))


@component
def canary(overrides: list, run: Input[Model], version: str, promote: bool) -> None:
    """Promote the challenger if the gate allows it; on Vertex AI with a small share of the traffic first."""
    from pathlib import Path

    from churn.config.root import compose_config
    from churn.retrain import steps

    if promote:
        print(steps.promote(compose_config(*overrides), Path(run.path), version))


@dsl.pipeline(
    name="churn-retrain", description="Train a challenger, compare it with the champion, promote it."
)
def retrain(overrides: list, kind: str = "schedule", reason: str = "it is due") -> None:
    """All steps in order; the last one does nothing unless the gate allows it."""
    ingested = ingest(overrides=overrides)
    rows, fresh = ingested.outputs["rows"], ingested.outputs["fresh"]
    valid = validate(overrides=overrides, rows=rows, fresh=fresh)
    trained = train(overrides=overrides, rows=rows).after(valid)
    run = trained.outputs["run"]
    evaluated = evaluate(overrides=overrides, run=run, fresh=fresh)
    gated = gate(overrides=overrides, kind=kind, reason=reason, predictions=evaluated.outputs["predictions"])
    registered = register(
        overrides=overrides, run=run, page=gated.outputs["page"], decision=gated.outputs["decision"]
    )
    # No dsl.If, the step checks `promote`: kfp 2.16's local runner treats every condition as false.
    canary(overrides=overrides, run=run, version=registered.output, promote=gated.outputs["Output"])


def write(path: str, image: str) -> None:
    """Compile the pipeline, with the image of its containers, to a file for Vertex AI and kfp."""
    compiler.Compiler().compile(retrain, path)
    file = Path(path)
    file.write_text(file.read_text().replace(IMAGE, image))


if __name__ == "__main__":
    write(*sys.argv[1:])
