"""CONTRIBUTING.md's recipes work as they are written, in a copy of the project."""

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
    """Put lines below or above the one line that ends with the anchor."""
    old = file.read_text().splitlines(keepends=True)
    (found,) = [number for number, line in enumerate(old) if line.rstrip("\n").endswith(anchor)]
    place = found + (where == "below")
    file.write_text("".join(old[:place]) + lines + "".join(old[place:]))


def test_the_recipes_are_those_that_are_promised():
    assert [title for title, _ in RECIPES] == ["Add a data source", "Add a model", "Add a stage"]
