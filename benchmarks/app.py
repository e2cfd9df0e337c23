"""How long a change of "what if" on the page takes until the answer has moved, in a real Chromium.

One network is trained; `churn app` runs as a process of its own, as on an analyst's machine. Wall time is
measured in the browser, from the event of the field to the new answer on the page. Processor time is that of
the server, with the reasons, which come after the answer.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from browser import chromium
from compare import arguments, finish

CHANGE = """async (value) => {
  const field = document.querySelector("[data-field][type=number]");
  const answer = document.getElementById("answer");
  const began = performance.now();
  const moved = new Promise((done) => {
    const watch = new MutationObserver(() => { watch.disconnect(); done(performance.now() - began); });
    watch.observe(answer, { childList: true, subtree: true });
  });
  field.value = value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  return await moved;
}"""
PAUSE = 250  # milliseconds between two changes, in which the reasons are drawn


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=4_000, help="customers to train on (default 4000)")
    parser.add_argument("--changes", type=int, default=60, help="changes in each of the runs (default 60)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        train(Path(folder), options.rows)
        measured = [changes(Path(folder), options.changes) for _ in range(options.runs)]
    wall, spent = np.concatenate([one for one, _ in measured]), sorted(one for _, one in measured)
    low, middle, high = np.percentile(wall, [5, 50, 95])
    print(f"a change of what if: median {middle:.1f} ms, 95 % in {high:.1f} ms, all in {wall.max():.1f} ms")
    print(f"processor time of the server: {median(spent):.1f} ms a change, with the reasons")
    results = {
        "wall": (middle, low, high, "the limit of 100 ms"),
        "processor": (median(spent), spent[0], spent[-1], ""),
    }
    finish([entry(f"what_if_{name}", *values) for name, values in results.items()], options.json)


def entry(name: str, value: float, low: float, high: float, peer: str) -> dict[str, Any]:
    """One entry of the results, in milliseconds."""
    spread = {"value": float(value), "low": float(low), "high": float(high)}
    return {"name": name, **spread, "unit": "ms", "peer": peer, "better": "lower"}


def train(root: Path, rows: int) -> None:
    """One run in `root`."""
    settings = [f"run.root={root}", f"run.dir={root}/run", f"data.synthetic.rows={rows}"]
    command = [sys.executable, "-m", "churn", "train", *settings]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def served(root: Path) -> Iterator[tuple[str, int]]:
    """The address of `churn app` over the runs in `root`, and its process."""
    command = [sys.executable, "-u", "-m", "churn", "app", f"run.root={root}", "app.port=0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        address = next(found[0] for line in process.stdout if (found := re.search(r"http://[\w.:]+", line)))
        yield address, process.pid
    finally:
        process.terminate()
        process.wait(60)


def changes(root: Path, count: int) -> tuple[np.ndarray, float]:
    """Wall milliseconds [count] of changes of one field, and the server's processor time of one."""
    with served(root) as (address, process), chromium() as browser:
        page = open_customer(browser, address)
        page.evaluate(CHANGE, 1)  # the reasons are loaded
        page.wait_for_timeout(1_000)
        began, wall = processor_seconds(process), []
        for number in range(count):
            wall.append(page.evaluate(CHANGE, 1 + (37 * number) % 72))
            page.wait_for_timeout(PAUSE)
        return np.array(wall), 1_000 * (processor_seconds(process) - began) / count


def open_customer(browser: Any, address: str) -> Any:
    """The page with the first customer of the example's list."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(120_000)
    page.goto(address)
    page.click("#example")
    page.click("#score")
    page.locator(".calls tbody button").first.click()
    page.wait_for_selector("[data-field][type=number]")
    page.wait_for_selector("#alike table")
    return page


def processor_seconds(process: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
