"""The house rules of CONTRIBUTING.md: where commands lie, what a wing may import, what a file shows."""

import ast
import re
from graphlib import TopologicalSorter

import pytest
from conftest import ROOT

from churn.__main__ import ON_CLOUD_RUN, ON_VERTEX, STAGES

SOURCE = ROOT / "src" / "churn"
FLOORS = (  # from the ground up; wings on one floor do not import each other
    ("errors",),
    ("refusals", "files", "backend", "parallel"),
    ("lines", "scratch"),
    ("config",),
    ("runs", "data"),
    ("network",),
    ("bundle",),
    ("evaluate",),
    ("events",),  # draws its page with the charts of reports; scoring makes the rows of today with it
    ("score", "serve", "vertex"),
    ("cloudrun",),  # with vertex' staging, checks, questions
    ("monitor",),
    ("app", "pipeline"),
    ("retrain", "stage", "frame"),
    ("__main__",),
)
FLOOR = {wing: number for number, wings in enumerate(FLOORS) for wing in wings}
TREES = {file: ast.parse(file.read_text()) for file in sorted(SOURCE.rglob("*.py"))}
USERS = [file for folder in ("src", "tests", "benchmarks", "notebooks", "docs", "deploy")
         for file in (ROOT / folder).rglob("*.py")]  # fmt: skip


def dotted(file):
    """The name of a module."""
    return ".".join(file.relative_to(SOURCE.parent).with_suffix("").parts)


MODULES = {dotted(file): tree for file, tree in TREES.items()}


def imports(tree):
    """What a file imports from the package: "module" or "module.name"."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("churn"):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def uses(file):
    """What a file uses of other files: "module.name", also from texts such as "module:name"."""
    tree = ast.parse(file.read_text())
    own = dotted(file) if file in TREES else None
    yield from (name for name in imports(tree) if name.rpartition(".")[0] != own)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from (text.replace(":", ".") for text in re.findall(r"churn\.[\w.:]+", node.value))


@pytest.mark.parametrize(("command", "target"), [*STAGES.items(), *ON_VERTEX.items(), *ON_CLOUD_RUN.items()])
def test_a_command_lies_in_the_stage_of_its_wing_or_in_a_file_of_its_name(command, target):
    assert target.partition(":")[0].rpartition(".")[2] in ("stage", command)


def test_a_wing_imports_only_wings_below_it():
    wrong = []
    for name, tree in MODULES.items():
        wing = name.split(".")[1]
        others = {target.split(".")[1] for target in imports(tree)} & FLOOR.keys() - {wing}
        wrong += [f"{name} -> {other}" for other in others if FLOOR[other] >= FLOOR[wing]]
    assert wrong == []


def test_files_do_not_import_each_other_in_a_circle():
    graph = {
        name: {module for target in imports(tree) for module in (target, target.rpartition(".")[0])}
        & MODULES.keys() - {name}
        for name, tree in MODULES.items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError


WINGS = [file for file in TREES if file.name == "__init__.py" and file.parent != SOURCE]


@pytest.mark.parametrize("file", WINGS, ids=dotted)
def test_an_init_is_one_sentence_without_imports(file):
    assert [type(node) for node in TREES[file].body] == [ast.Expr]


def test_a_function_that_only_its_own_file_uses_begins_with_an_underscore():
    used = {name for file in USERS for name in uses(file)}
    in_templates = {
        name for file in SOURCE.rglob("*.j2") for name in re.findall(r"\.(\w+)", file.read_text())
    }
    unused = [
        f"{name}.{node.name}"
        for name, tree in MODULES.items()
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_")
        if node.name not in in_templates
        if used.isdisjoint({f"{name}.{node.name}", f"{name.rpartition('.')[2]}.{node.name}"})
    ]
    assert unused == []


WRITES = {
    "write_bytes", "to_csv", "to_parquet", "savez", "ParquetWriter", "CSVWriter", "mkdtemp", "mkstemp",
    "TemporaryDirectory", "NamedTemporaryFile", "copyfile", "copytree", "write_table", "write_to_textfile",
}  # fmt: skip
MODES = ("'w", "'a", "'x", "O_WRONLY", "O_RDWR")
WRITES_ELSEWHERE = {  # whatever else writes, and why it may
    "churn.files": "the one place for files",
    "churn.lines": "the one place for lines",
    "churn.scratch": "the one place for rows in work",
    "churn.__main__": "nothing, to nowhere",
    "churn.serve.log.write": "the log has one writer a file, which checks each write itself",
    "churn.serve.processes": "an empty file that is named after a process",
    "churn.score.beam": "a copy of a bundle, on a worker, and an empty file that stops the workers",
    "churn.frame": "a copy of a run, which is moved when it is whole",
    "churn.vertex.train": "a wheel, and the run of a job, which is moved when it is whole",
    "churn.data.writers": "the writers of `write_tables`, which opens them aside",
    "churn.data.sources.archives": "a member of an archive, in a scratch folder",
    "churn.data.sources.compressed": "an unpacked file, in a scratch folder",
    "churn.data.sources.paths": "a folder for the members of an archive, in a scratch folder",
    "churn.data.sources.workbooks": "nothing: it reads members of an archive whose names begin with an x",
    "churn.bundle.portable": "the light model, to a file that its caller opened aside",
    "churn.events.writing": "a writer for a file that its caller opened aside",
    "churn.events.reading": "a typed copy of a table, in a scratch folder",
    "churn.retrain.training_set": "`write_rows` writes where its callers say: aside, or in a scratch folder",
    "churn.monitor.prometheus": "the client's own function writes aside and moves",
}


def written(node, safe=False):
    """The calls below a node that write a file, outside the blocks of `atomic_write` and `scratch_folder`."""
    if isinstance(node, ast.With):
        calls = [ast.unparse(item.context_expr).partition("(")[0] for item in node.items]
        safe = safe or not {"atomic_write", "scratch_folder"}.isdisjoint(calls)
    if isinstance(node, ast.Call) and not safe:
        name, text = ast.unparse(node.func).rpartition(".")[2], ast.unparse(node)
        method = name == "write_text" and isinstance(node.func, ast.Attribute)
        if name in WRITES or method or (name == "open" and any(mark in text for mark in MODES)):
            yield text
    for child in ast.iter_child_nodes(node):
        yield from written(child, safe)


def test_files_are_written_in_one_place_aside_synced_and_moved():
    elsewhere = {name: calls for name, tree in MODULES.items() if (calls := list(written(tree)))}
    assert elsewhere.keys() - WRITES_ELSEWHERE.keys() == set(), elsewhere
