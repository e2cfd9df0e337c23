"""Notebooks equal their scripts and have no outputs; `make notebooks` runs them."""

import ast
from pathlib import Path

import jupytext
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
SCRIPTS = sorted(FOLDER.glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_notebook_equals_its_script_and_has_no_outputs(script):
    cells, expected = jupytext.read(script.with_suffix(".ipynb")).cells, jupytext.read(script).cells
    assert [(c.cell_type, c.source) for c in cells] == [(c.cell_type, c.source) for c in expected]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_no_cell_shows_the_bare_number_that_a_training_gives(script):
    sources = [cell.source for cell in jupytext.read(script).cells if cell.cell_type == "code"]
    trainings = [source for source in sources if _last_statement(source).startswith("pipeline.run(")]
    assert all(source.endswith(";") for source in trainings)


def _last_statement(source):
    code = "\n".join(line for line in source.splitlines() if not line.startswith(("%", "!")))
    return ast.unparse(ast.parse(code).body[-1:])


def test_every_notebook_has_a_script():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == {path.stem for path in SCRIPTS} != set()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_notebook_defines_no_functions_and_uses_the_package(script):
    lines = [line for line in script.read_text().splitlines() if not line.startswith("#")]
    tree = ast.parse("\n".join(lines))
    assert not [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert any(module.partition(".")[0] == "churn" for module in imported)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_chapter_has_exercises_with_folded_solutions_and_names_its_exam_topics(script):
    text = script.read_text()
    assert text.count('<details markdown="1"><summary>Solution</summary>') >= 2
    assert text.count("<details") == text.count("</details>")
    assert "Exam guide, Professional Machine Learning Engineer: section" in text
