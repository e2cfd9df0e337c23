"""The shell blocks of the guide to other data run: a fork needs no step that is not written down."""

import re

import pandas as pd
from conftest import ROOT, SMALLEST, copy_of_the_project, run_block


def test_the_documented_steps_are_enough_for_another_table(tmp_path):
    project = copy_of_the_project(tmp_path)
    for block in re.findall(
        r"^```bash\n(.*?)^```", (ROOT / "docs" / "your-data.md").read_text(), re.S | re.M
    ):
        block = block.replace("make train", f"make train ARGS='{' '.join(SMALLEST)}'")  # faster
        run_block(block.replace("train.epochs=3", " ".join(SMALLEST)), project)
    members, scores = pd.read_csv(project / "members.csv", sep=";"), pd.read_csv(project / "scores.csv")
    assert scores["Member No"].tolist() == members["Member No"].tolist()
    assert scores["churn_probability"].between(0, 1).all()
    assert set(pd.read_csv(project / "monday.csv")["Member No"]) < set(members["Member No"])
    assert "Churn report: gym" in (project / "runs" / "latest" / "report.html").read_text()
