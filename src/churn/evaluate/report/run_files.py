"""What a run keeps beside its bundle and its report."""

from __future__ import annotations

import json
from pathlib import Path

from omegaconf import OmegaConf

from churn.bundle.bundle import Bundle
from churn.bundle.export import add_files
from churn.data.experiment import Experiment
from churn.data.id_hash import id_hash
from churn.data.learnt import write_customers
from churn.evaluate.report.card import make_card
from churn.evaluate.report.card_formats import to_cyclonedx, to_markdown
from churn.evaluate.report.console import describe_finding
from churn.evaluate.report.content import ReportContent
from churn.evaluate.results import Results
from churn.files import PERSONAL, atomic_write, write_text


def write_run_files(
    experiment: Experiment, bundle: Bundle, results: Results, content: ReportContent, directory: Path
) -> None:
    """Write model card, configuration, metrics, rows that were set aside, and whom the model learnt from.

    The card is put into the bundle, too. Findings of the report that loading the data had not are printed.
    """
    card = make_card(experiment, bundle, content)
    texts = {"card.md": to_markdown(card), "card.json": to_cyclonedx(card)}
    add_files(bundle.path, texts)
    for name, text in texts.items():
        write_text(directory / name, text)
    for finding in content.findings[len(experiment.data.findings) :]:
        print(describe_finding(finding))
    if experiment.data.bad_rows is not None:
        with atomic_write(directory / "bad_rows.csv", PERSONAL) as aside:
            experiment.data.bad_rows.to_csv(aside, index=False)
    _note_customers(experiment, directory)
    write_text(directory / "config.yaml", OmegaConf.to_yaml(OmegaConf.structured(experiment.cfg)))
    metrics = results.to_json() | {"segments": [segment.to_json() for segment in content.segments]}
    metrics |= {"robustness": content.robustness.to_json(), "seconds": content.seconds}
    write_text(directory / "metrics.json", json.dumps(metrics, indent=1))


def _note_customers(experiment: Experiment, directory: Path) -> None:
    """Write down whom the model learnt from, as hashes; not of a table that is larger than memory."""
    if experiment.data.ids is None or experiment.is_sample:
        return
    try:
        hash_id = id_hash(experiment.cfg)
    except OSError as error:
        print(f"! No key of ids can be made, so churn forget will not know this run's customers: {error}")
        return
    write_customers(experiment, hash_id, directory)
