"""What `churn --help` and `churn STAGE --help` say."""

from __future__ import annotations

import re

from churn.config.root import config_directory

GROUPS = ("data", "model")  # whose choices the help of each stage lists

HELP = """\
churn: from a raw customer table to a model that is served, watched and retrained.

  churn train       load a table, train and evaluate a model, write the bundle and the report
  churn promote     make the bundle of a run the champion: churn promote run=runs/latest
  churn score       write the churn probabilities of a file: churn score input=FILE output=FILE
  churn synthesize  write a file of synthetic customers: churn synthesize data.synthetic.rows=N output=FILE
  churn snapshot    turn event tables into a labelled table: churn snapshot events=NAME output=FILE
  churn serve       serve the bundle on this machine by Vertex AI's protocol, with metrics and a log
  churn app         a page in the browser: drop a file, see the list, ask why and what if, train
  churn monitor     compare the logged requests with the training data, and predictions with labels
  churn retrain     if the policy asks for it, train a challenger; promote it if it is better
  churn loop        simulate a year of drift, with and without retraining
  churn forget      remove a person from the log and from future trainings: churn forget id=ID
  churn export      make a model of BigQuery ML of the bundle, for scores in SQL:
                    churn export to=bigquery input=bq://P.SET.TABLE output=bq://P.SET.MODEL
                    or a file for other programs: to=litert or to=onnx input=FILE output=FILE
  churn deploy      deploy the bundle on Vertex AI: first the plan and its costs, then a question
                    (deploy.plan_only=true: only the plan)
  churn rollback    give the traffic back to the previous version
  churn status      show what runs on Vertex AI, and what it costs
  churn destroy     remove everything from Vertex AI, and check that it is gone
  target=vertex     runs train and score as jobs on Vertex AI
  target=cloudrun   deploys to Cloud Run, which costs nothing while nobody calls; also rolls back there,
                    shows what runs, and removes it

Each stage takes its configuration as KEY=VALUE, for example: churn train data=telco train.epochs=20
  churn STAGE --help      explain the keys that matter most
  churn STAGE --cfg job   show the whole configuration of the stage
  churn STAGE -m KEY=1,2  run the stage once for each value
  churn --version         show the version
  churn --hydra-help      show more flags of Hydra, and how to set up shell completion
"""


def help_of_stage(stage: str) -> str:
    """What a stage does, its most important keys, and where all are."""
    from churn.config.describe import help_of

    groups = {
        group: sorted(file.stem for file in (config_directory() / group).glob("*.yaml")) for group in GROUPS
    }
    choices = [f"  {group}=" + " | ".join(names) for group, names in groups.items()]
    about = re.search(rf"^  churn {stage} .*(\n {{10,}}.*)*", HELP, re.M)
    parts = [about[0].strip() if about else stage, "Choices:\n" + "\n".join(choices),
             "Keys that matter most, with their defaults (KEY=VALUE):\n" + help_of(stage),
             f"All keys: docs/keys.md; their values: churn {stage} --cfg job\n"]  # fmt: skip
    return "\n\n".join(parts)
