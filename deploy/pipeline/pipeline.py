"""The retraining as a Kubeflow pipeline: the steps of `churn retrain`, each a container of its own.

    python deploy/pipeline/pipeline.py pipeline.yaml IMAGE

compiles it; the image has churn and kfp (see Dockerfile). `overrides` are what one would type after
`churn retrain`; docs/retraining.md tells how to submit and schedule it.
"""

import sys

from kfp import compiler, dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Model, Output

IMAGE = "python:3.11-slim"  # stands for the one that is named when compiling


def component(function):
    """A component that runs in the image as it is, with nothing to install."""
    return dsl.component(function, base_image=IMAGE, install_kfp_package=False)


@component
def ingest(overrides: list, rows: Output[Dataset], fresh: Output[Dataset]) -> None:
    """Recent labelled rows: to train on, and to compare on."""
    from pathlib import Path

    from churn.config.root import compose_config
    from churn.retrain import steps

    cfg = compose_config(*overrides)
    steps.ingest(cfg, steps.load_models(cfg)["champion"], Path(rows.path), Path(fresh.path))


@component
def validate(overrides: list, rows: Input[Dataset], fresh: Input[Dataset]) -> int:
    """Whether they can be learnt from; gives how many there are."""
    from pathlib import Path

    from churn.config.root import compose_config
    from churn.retrain import steps

    cfg = compose_config(*overrides)
    return steps.validate(cfg, steps.load_models(cfg)["champion"], Path(rows.path), Path(fresh.path))["train"]


@component
def train(overrides: list, rows: Input[Dataset], run: Output[Model]) -> None:
    """The challenger's run: bundle, report, numbers."""
    import shutil
    from pathlib import Path

    from churn.config.root import compose_config
    from churn.retrain import steps

    cfg = compose_config(*overrides)
    shutil.copytree(steps.train(cfg, steps.load_models(cfg)["champion"], Path(rows.path)), run.path)


@component
def evaluate(overrides: list, run: Input[Model], fresh: Input[Dataset], predictions: Output[Dataset]) -> None:
    """What champion, challenger and reference say about the same fresh rows."""
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
    """Whether the challenger may serve, with the evidence."""
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
    """Challenger and decision in the registry; gives its version there."""
    from pathlib import Path

    from churn.config.root import compose_config
    from churn.retrain import steps

    return steps.register(compose_config(*overrides), Path(run.path), Path(page.path), Path(decision.path))


@component
def canary(overrides: list, run: Input[Model], version: str, promote: bool) -> None:
    """If the gate says so, the challenger serves: locally at once, on Vertex AI with a small share first."""
    from pathlib import Path

    from churn.config.root import compose_config
    from churn.retrain import steps

    if promote:
        print(steps.promote(compose_config(*overrides), Path(run.path), version))


@dsl.pipeline(
    name="churn-retrain", description="Train a challenger, compare it with the champion, promote it."
)
def retrain(overrides: list, kind: str = "schedule", reason: str = "it is due") -> None:
    """All of it in order; the last step does something only if the gate says so."""
    ingested = ingest(overrides=overrides)
    rows, fresh = ingested.outputs["rows"], ingested.outputs["fresh"]
    valid = validate(overrides=overrides, rows=rows, fresh=fresh)
    trained = train(overrides=overrides, rows=rows).after(valid)
    run = trained.outputs["run"]
    evaluated = evaluate(overrides=overrides, run=run, fresh=fresh)
    judged = gate(overrides=overrides, kind=kind, reason=reason, predictions=evaluated.outputs["predictions"])
    registered = register(
        overrides=overrides, run=run, page=judged.outputs["page"], decision=judged.outputs["decision"]
    )
    # The step itself asks, and not a dsl.If: kfp 2.16's local runner takes every condition for false.
    canary(overrides=overrides, run=run, version=registered.output, promote=judged.outputs["Output"])


def write(path: str, image: str) -> None:
    """Compile the pipeline, with its containers' image, to a file that Vertex AI and kfp read."""
    compiler.Compiler().compile(retrain, path)
    with open(path) as file:
        text = file.read()
    with open(path, "w") as file:
        file.write(text.replace(IMAGE, image))


if __name__ == "__main__":
    write(*sys.argv[1:])
