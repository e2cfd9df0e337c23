"""How much code there is: code_size.py [PROJECT ...], this one by default.

Non-blank lines of Python outside tests, benchmarks and notebooks; lines of a function from `def` to its
last; non-blank lines of tests per line of source.
"""

import ast
import sys
from pathlib import Path
from statistics import mean

ELSEWHERE = {"benchmarks", "notebooks", "docs", "build", "site"}


def main() -> None:
    for project in map(Path, sys.argv[1:] or [Path(__file__).parent.parent]):
        source, tests, functions = 0, 0, []
        for file in sorted(project.rglob("*.py")):
            folders = file.relative_to(project).parts[:-1]
            if ELSEWHERE.intersection(folders) or any(name.startswith(".") for name in folders):
                continue
            text = file.read_text()
            lines = sum(bool(line.strip()) for line in text.splitlines())
            if "tests" in folders or file.name.startswith("test_"):
                tests += lines
            else:
                source += lines
                functions += [
                    node.end_lineno - node.lineno + 1
                    for node in ast.walk(ast.parse(text))
                    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                ]
        print(f"{project.resolve().name}: {source:,} lines, {tests / source:.2f} of tests per line,", end=" ")
        print(f"functions of {mean(functions):.0f} lines, the longest {max(functions)}")


if __name__ == "__main__":
    main()
