"""The house rules of CONTRIBUTING.md: wings stand on each other, and each file shows its doors."""

import ast
import re
from collections import defaultdict

import pytest
from conftest import ROOT

SOURCE = ROOT / "src" / "churn"
FLOORS = (  # from the ground up; wings of one floor do not import each other
    ("errors", "files", "backend", "parallel"),
    ("config",),
    ("runs", "data"),
    ("network",),
    ("bundle",),
    ("evaluate",),
    (
        "events",
    ),  # its page is drawn with what reports are drawn with, and scoring makes the rows of today by it
    ("score", "serve", "vertex"),
    ("monitor",),
    ("pipeline",),
    ("retrain", "stage"),
    ("__main__",),
)
FLOOR = {wing: number for number, wings in enumerate(FLOORS) for wing in wings}
FILES = sorted(SOURCE.rglob("*.py"))
TREES = {file: ast.parse(file.read_text()) for file in FILES}
OTHERS = [*FILES, *(file for folder in ("tests", "benchmarks", "notebooks", "docs", "deploy")
                   for file in (ROOT / folder).rglob("*.py"))]  # fmt: skip


def imports(tree):
    """The modules of churn that a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("churn"):
            yield from (f"{node.module}.{name.name}" for name in node.names)


def module(file):
    """The dotted name of a file of the package."""
    return ".".join(("churn", *file.relative_to(SOURCE).with_suffix("").parts))


def uses(file):
    """What a file imports from churn, names as `module.name` in code, and "module:name" in texts."""
    tree = ast.parse(file.read_text())
    found = {name for name in imports(tree) if name.rpartition(".")[0] != (file in TREES and module(file))}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found.add(f"{node.value.id}.{node.attr}")
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "churn." in node.value:
            found |= {text.replace(":", ".") for text in re.findall(r"churn[\w.:]+", node.value)}
    return found


def test_a_wing_imports_only_wings_below_it():
    wrong = []
    for file, tree in TREES.items():
        wing = file.relative_to(SOURCE).parts[0].removesuffix(".py")
        others = {name.split(".")[1] for name in imports(tree)} & FLOOR.keys() - {wing}
        wrong += [f"{file.relative_to(SOURCE)} -> {other}" for other in others if FLOOR[other] >= FLOOR[wing]]
    assert wrong == []


def test_files_do_not_import_each_other_in_a_circle():
    names, arrows = set(map(module, FILES)), defaultdict(set)
    for file, tree in TREES.items():
        for target in imports(tree):
            arrows[module(file)] |= {target, target.rpartition(".")[0]} & names - {module(file)}
    while ends := names - {name for name in names if arrows[name] & names}:
        names -= ends  # what imports nothing that is left is in no circle
    assert names == set()


@pytest.mark.parametrize("file", [file for file in FILES if file.name == "__init__.py"], ids=str)
def test_a_wing_s_init_is_one_sentence(file):
    assert [type(node) for node in TREES[file].body] == [ast.Expr]


def test_what_only_its_own_file_uses_has_an_underscore():
    used = set().union(*(uses(file) for file in OTHERS))
    templates = " ".join(file.read_text() for file in SOURCE.rglob("*.j2"))
    shown = [
        f"{module(file)}.{node.name}"
        for file, tree in TREES.items()
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_")
        if not {f"{module(file)}.{node.name}", f"{file.stem}.{node.name}"} & used
        if not re.search(rf"\bwords\.{node.name}\b", templates)
    ]
    assert shown == [], shown
