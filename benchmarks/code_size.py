"""The size of a project's code, and how it hangs together: code_size.py [PROJECT ...]; this one by default.

Source is all Python outside tests, benchmarks, notebooks and docs. Lines are non-blank lines. Functions
include methods and nested functions; the lines of a function go from `def` to its last line, and `self` and
`cls` do not count as parameters. Private functions begin with one underscore. A function is used only in its
own file if no other file of the project, tests included, contains its name. Rooms are the modules and
packages directly inside a top-level package; the import depth is the longest chain of rooms in which each
imports the next, also by a text such as "package.module:function". A circle is a group of files that import
each other, directly or through others.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from statistics import mean, median

ELSEWHERE = {"benchmarks", "notebooks", "docs", "build", "site"}
Function = ast.FunctionDef | ast.AsyncFunctionDef
Graph = dict[str, set[str]]  # what each module or room imports


def main() -> None:
    projects = [Path(name).resolve() for name in sys.argv[1:]] or [Path(__file__).resolve().parents[1]]
    columns = {project: figures(project) for project in projects}
    widths = {p: max(map(len, [p.name, *column.values()])) for p, column in columns.items()}
    print(" " * 28, *(p.name.rjust(width) for p, width in widths.items()), sep="  ")
    for name in columns[projects[0]]:
        print(name.ljust(28), *(columns[p][name].rjust(width) for p, width in widths.items()), sep="  ")


@dataclass(frozen=True)
class File:
    """A Python file of a project."""

    path: Path
    project: Path

    @cached_property
    def lines(self) -> int:
        """Its non-blank lines."""
        return sum(bool(line.strip()) for line in self.path.read_text().splitlines())

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax tree; empty for a template that is not Python yet."""
        try:
            return ast.parse(self.path.read_text())
        except SyntaxError:
            return ast.Module([], [])

    @cached_property
    def folders(self) -> tuple[str, ...]:
        """The folders from the project to the file."""
        return self.path.relative_to(self.project).parts[:-1]

    @property
    def is_test(self) -> bool:
        """Whether it is a test, or lies beside tests."""
        return "tests" in self.folders or self.path.name.startswith("test_")

    @property
    def is_source(self) -> bool:
        """Whether it belongs to the program itself."""
        return not self.is_test and not ELSEWHERE.intersection(self.folders)

    @cached_property
    def functions(self) -> list[Function]:
        """Its functions, methods and nested functions."""
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]

    @cached_property
    def names(self) -> set[str]:
        """Every name that it uses or imports, in code or in a text such as "package.module:function"."""
        names = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name):
                names.add(node.id)
            elif isinstance(node, ast.Attribute):
                names.add(node.attr)
            elif isinstance(node, ast.ImportFrom):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                names |= set(re.findall(r"[.:](\w+)$", node.value))
        return names

    @cached_property
    def module(self) -> str | None:
        """Its dotted name; None outside packages."""
        package = self.path.parent
        while (package / "__init__.py").exists():
            package = package.parent
        if package == self.path.parent:
            return None
        parts = self.path.relative_to(package).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def imports(self) -> Iterator[str]:
        """Dotted names of what it imports."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = ".".join(filter(None, [self._package(node.level), node.module]))
                yield from (f"{base}.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.Constant) and re.fullmatch(r"[\w.]+:\w+", str(node.value)):
                yield str(node.value).replace(":", ".")

    def _package(self, level: int) -> str:
        """The package that the dots of a relative import mean."""
        if not level or not self.module:
            return ""
        parts = self.module.split(".") + (["__init__"] if self.path.name == "__init__.py" else [])
        return ".".join(parts[:-level])


def figures(project: Path) -> dict[str, str]:
    """The figures of a project, by name."""
    files = [File(path, project) for path in sorted(project.rglob("*.py"))]
    files = [file for file in files if not any(name.startswith(".") for name in file.folders)]
    source = [file for file in files if file.is_source]
    functions = [function for file in source for function in file.functions]
    if not functions:
        sys.exit(f"{project} has no function")
    lengths = {function: (function.end_lineno or 0) - function.lineno + 1 for function in functions}
    longest, widest = max(functions, key=lengths.__getitem__), max(functions, key=parameters)
    largest = max(source, key=lambda file: file.lines)
    lines, modules = sum(file.lines for file in source), import_graph(source)
    rooms = between_rooms(modules)
    return {
        "lines": f"{lines:,}",
        "files": str(len(source)),
        "lines of a file, median": f"{median(file.lines for file in source):.0f}",
        "largest file": f"{largest.path.stem} {largest.lines:,}",
        "functions": f"{len(functions):,}",
        "lines of a function, mean": f"{mean(lengths.values()):.1f}",
        "longest function": f"{longest.name} {lengths[longest]}",
        "private functions": f"{mean(map(is_private, functions)):.0%}",
        "used in their own file only": f"{own_file_only(source, files):.0%}",
        "most parameters": f"{widest.name} {parameters(widest)}",
        "rooms": str(len(rooms)),
        "import depth between rooms": str(depth(rooms)),
        "circles between files": str(len(circles(modules))),
        "test lines per source line": f"{sum(file.lines for file in files if file.is_test) / lines:.2f}",
    }


def parameters(function: Function) -> int:
    """How many parameters a function has."""
    given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return len([parameter for parameter in given if parameter.arg not in ("self", "cls")])


def is_private(function: Function) -> bool:
    """Whether the name begins with an underscore and is not that of a dunder method."""
    return function.name.startswith("_") and not is_dunder(function)


def is_dunder(function: Function) -> bool:
    """Whether Python itself calls the function, as it calls `__init__`."""
    return function.name.startswith("__") and function.name.endswith("__")


def own_file_only(source: list[File], files: list[File]) -> float:
    """Share of the functions whose name no other file contains."""
    users = defaultdict(set)
    for file in files:
        for name in file.names:
            users[name].add(file.path)
    return mean(
        not users[function.name] - {file.path}
        for file in source
        for function in file.functions
        if not is_dunder(function)
    )


def import_graph(source: list[File]) -> Graph:
    """The modules of the project that each of its modules imports."""
    modules = {file.module: file for file in source if file.module}

    def defining(name: str) -> str:
        while name and name not in modules:
            name = name.rpartition(".")[0]  # a name inside a module
        return name

    return {
        name: {defining(target) for target in file.imports()} - {name, ""} for name, file in modules.items()
    }


def between_rooms(modules: Graph) -> Graph:
    """The rooms that each room imports."""
    rooms: Graph = defaultdict(set)
    for name, targets in modules.items():
        rooms[room(name)] |= {room(target) for target in targets} - {room(name)}
    return dict(rooms)


def room(module: str) -> str:
    """The top-level package of a module, and what lies directly inside it."""
    return ".".join(module.split(".")[:2])


def reachable(graph: Graph) -> Graph:
    """What each node imports, directly or through others."""
    below: Graph = {}
    for name in graph:
        below[name], waiting = set(), [name]
        while waiting:
            new = graph[waiting.pop()] - below[name]
            below[name] |= new
            waiting += new
    return below


def circles(graph: Graph) -> set[frozenset[str]]:
    """Groups of nodes that import each other."""
    below = reachable(graph)
    groups = {frozenset(other for other in below[name] if name in below[other]) for name in graph}
    return groups - {frozenset()}


def depth(graph: Graph) -> int:
    """Length of the longest chain of imports; a circle counts as one link."""
    below = reachable(graph)

    @cache
    def length(name: str) -> int:
        return 1 + max((length(other) for other in below[name] if name not in below[other]), default=0)

    return max(map(length, graph), default=0)


if __name__ == "__main__":
    main()
