"""Every call of deploy, rollback, score, train and destroy fails in five ways, against the doubles.

They are those of Vertex AI and of Cloud Run. After each fault the same command runs again and must end in the
state of an unbroken run; see test_faults.py in tests/vertex and tests/cloudrun for the comparison. Writes
faults.json (every case) and faults.md (counts) to benchmarks/results/.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KINDS = {
    "unavailable": "503",
    "quota": "429",
    "denied": "403",
    "deadline": "504, accepted",
    "killed": "killed, accepted",
}
TESTS = ("tests/vertex/test_faults.py", "tests/cloudrun/test_faults.py")
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cases.jsonl"
        command = [sys.executable, "-m", "pytest", "-q", "-n0", *TESTS]
        root = Path(__file__).parents[1]
        subprocess.run(command, cwd=root, env=os.environ | {"CHURN_ALL_FAULTS": str(file)}, check=True)
        cases = [json.loads(line) for line in file.read_text().splitlines()]
    text = table(cases)
    (RESULTS / "faults.md").write_text(text)
    (RESULTS / "faults.json").write_text("[\n" + ",\n".join(map(json.dumps, cases)) + "\n]\n")
    print(text)


def table(cases: list[list[Any]]) -> str:
    """Counts by scenario and by call, in Markdown."""
    failed = sum(case[-1] for case in cases)
    lines = [
        f"`python benchmarks/faults.py`: {len(cases)} faults. {failed} of the runs ended with an error",
        f"or were killed, {len(cases) - failed} got over the fault by themselves. After the second run",
        f"all {len(cases)} were in the state of an unbroken run.",
        "",
        *rows("command", 0, cases),
        "",
        *rows("call", 2, cases),
    ]
    return "\n".join(lines) + "\n"


def rows(title: str, column: int, cases: list[list[Any]]) -> Iterator[str]:
    """A row for each value of a column: the number of faults of each kind."""
    counts = Counter((case[column], case[3]) for case in cases)
    yield f"| {title} | " + " | ".join(KINDS.values()) + " | same state |"
    yield "|---|" + "---:|" * (len(KINDS) + 1)
    for name in dict.fromkeys(case[column] for case in cases):
        numbers = [counts[name, kind] for kind in KINDS]
        yield f"| {name} | " + " | ".join(map(str, numbers)) + f" | {sum(numbers)} |"


if __name__ == "__main__":
    main()
