"""The shell blocks of two guides run: to other data, and the whole round."""

import re
import shutil

import pandas as pd
from conftest import ROOT, SMALLEST, copy_of_the_project, run_block

from churn.bundle.registry import register_run


def blocks_of(guide):
    return re.findall(r"^```bash\n(.*?)^```", (ROOT / "docs" / guide).read_text(), re.S | re.M)


def test_the_documented_steps_are_enough_for_another_table(tmp_path):
    project = copy_of_the_project(tmp_path)
    for block in blocks_of("your-data.md"):
        block = block.replace("make train", f"make train ARGS='{' '.join(SMALLEST)}'")  # faster
        run_block(block.replace("train.epochs=3", " ".join(SMALLEST)), project)
    members, scores = pd.read_csv(project / "members.csv", sep=";"), pd.read_csv(project / "scores.csv")
    assert scores["Member No"].tolist() == members["Member No"].tolist()
    assert scores["churn_probability"].between(0, 1).all()
    assert set(pd.read_csv(project / "monday.csv")["Member No"]) < set(members["Member No"])
    assert "Churn report: gym" in (project / "runs" / "latest" / "report.html").read_text()


def test_the_whole_round_ends_with_a_new_champion_that_serves(tmp_path, run_directory):
    project = copy_of_the_project(tmp_path)
    shutil.copytree(run_directory, project / "runs" / "first")  # instead of a training
    register_run(project / "runs" / "first", str(project / "runs"))
    own, quick = "data.path=history.csv data.name=synthetic", " ".join(SMALLEST)
    for block in blocks_of("round.md"):
        block = re.sub(r"^.*churn train .*$", "", block, flags=re.M).replace("rows=6000", "rows=3000")
        run_block(block.replace("data.path=history.csv", f"{own} {quick}"), project)
    first, second = re.findall(r"^Serving synthetic \((\w+)\)", (project / "serve.log").read_text(), re.M)
    assert first != second
