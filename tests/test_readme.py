"""The README is true: its shell blocks run in a copy of the project, and its names exist."""

import re

import pytest
from conftest import ROOT, SMALL, SMALLEST, copy_of_the_project, run_block

README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    return copy_of_the_project(tmp_path_factory.mktemp("readme"))


def smaller(block: str) -> str:
    """The block with quick trainings: the first of the default model, the others of the smallest."""
    block = block.replace("make train", f"make train ARGS='{' '.join(SMALL)}'")
    return re.sub(r"(churn train data=.*)", rf"\1 {' '.join(SMALLEST[1:])}", block)


def test_every_shell_block_of_the_readme_runs_except_make_test(checkout):
    blocks = re.findall(r"^```bash\n(.*?)^```", README, re.S | re.M)
    assert len(blocks) >= 4
    for block in blocks:
        if block.strip() == "make test":
            continue
        run_block(smaller(block), checkout)
    assert (checkout / "runs" / "latest" / "report.html").exists()
    assert len((checkout / "scores.csv").read_text().splitlines()) == 3
    assert len((checkout / "mine-scores.csv").read_text().splitlines()) == 601


def test_the_readme_has_at_most_1200_words():
    assert len(README.split()) <= 1200


def test_files_that_the_readme_names_exist():
    named = re.findall(r"\]\((?!http)([^)#]+)\)", README) + re.findall(
        r"`((?:src|configs|docs|notebooks)/[\w./-]+)`", README
    )
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_map_of_the_code_names_existing_files():
    table = README.split("## The map of the code")[1].split("\n## ")[0]
    named = [name for row in re.findall(r"^\|.*\|$", table, re.M) for name in re.findall(r"`([\w./]+)`", row)]
    files = [ROOT / "src" / "churn" / name for name in named if name != "src/churn/"]
    assert len(files) > 25
    assert [file.name for file in files if not file.exists()] == []
