"""The recipes of CONTRIBUTING.md work as they are written, in a copy of the project."""

import re

import pytest
from conftest import ROOT, copy_of_the_project, run_block

RECIPES = re.findall(
    r"^## (Add [^\n]+)\n(.*?)(?=^## |\Z)", (ROOT / "CONTRIBUTING.md").read_text(), re.S | re.M
)
STEP = re.compile(
    r"^[^\n]*?(?:[Nn]ew file `(?P<new>[^`]+)`|In `(?P<file>[^`]+)`, (?P<where>\w+) `(?P<anchor>[^`]+)`)"
    r":\n\n```\w+\n(?P<lines>.*?)^```"
    r"|^```bash\n(?P<shell>.*?)^```",
    re.S | re.M,
)


@pytest.mark.parametrize(("title", "text"), RECIPES, ids=[title for title, _ in RECIPES])
def test_a_recipe_followed_line_by_line_works(title, text, tmp_path):
    project = copy_of_the_project(tmp_path)
    steps = list(STEP.finditer(text))
    assert len(steps) == text.count("```") // 2  # each block is a step
    for step in steps:
        if step["new"]:
            (project / step["new"]).write_text(step["lines"])
        elif step["file"]:
            insert(project / step["file"], step["where"], step["anchor"], step["lines"])
        else:
            run_block(step["shell"], project)


def insert(file, where, anchor, lines):
    """Insert lines below or above the only line that ends with the anchor."""
    old = file.read_text().splitlines(keepends=True)
    (match,) = [number for number, line in enumerate(old) if line.rstrip("\n").endswith(anchor)]
    position = match + (where == "below")
    file.write_text("".join(old[:position]) + lines + "".join(old[position:]))


def test_there_are_recipes_for_a_source_a_model_and_a_stage():
    assert [title for title, _ in RECIPES] == ["Add a data source", "Add a model", "Add a stage"]
