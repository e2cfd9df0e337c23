"""axe-core over every page that the project makes: violations by page, light and dark, at 1280 and 390 px.

The pages are made by the commands of the project, with small data, in a temporary folder. `--site DIR` adds
those of a site that `make docs` built; `--keep DIR` keeps the pages there, and uses those of an earlier call.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from browser import chromium, violations
from compare import arguments, finish

ROOT = Path(__file__).parents[1]
QUICK = "model=tutorial train.epochs=1 export.refits=0 evaluate.bootstrap=20"
COMMANDS = [  # after those of docs/round.md
    "score data.name=history input=today.csv output=list.csv top=20 score.page=list.html",
    "synthesize events=synthetic events.synthetic.customers=300",
    "snapshot events=synthetic output=snapshots.parquet",
    "loop loop.rows_per_day=12 loop.epochs=2 retrain.gate.bootstrap=100",
]
SECTIONS = ("file", "list", "customer", "model", "train")  # of the app
VIEWS = [(scheme, width) for scheme in ("light", "dark") for width in (1280, 390)]
Counts = dict[str, list[list[str]]]  # the violated rules of each page, by view


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--site", type=Path, metavar="DIR", help="also the pages of this site")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the pages there")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = (options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))).absolute()
        pages = made_pages(folder)
        if options.site:
            files = sorted(options.site.absolute().rglob("*.html"))
            pages |= {f"site: {file.relative_to(options.site.absolute())}": file.as_uri() for file in files}
        endpoint = stack.enter_context(served(folder, "serve", "serve.port=8199"))
        pages |= {"endpoint /": f"{endpoint}/", "endpoint /docs": f"{endpoint}/docs"}
        browser = stack.enter_context(chromium())
        found = {name: [look(browser, url, *view) for view in VIEWS] for name, url in pages.items()}
        found |= of_app(browser, stack.enter_context(served(folder, "app", "app.port=8198")), folder)
    show(found)
    finish([entry(name, views) for name, views in found.items()], options.json)


def made_pages(folder: Path) -> dict[str, str]:
    """The addresses of the pages that commands write, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "runs" / "loop.html").exists():
        (folder / ".venv").symlink_to(ROOT / ".venv")
        blocks = re.findall(r"^```bash\n(.*?)^```", (ROOT / "docs" / "round.md").read_text(), re.S | re.M)
        lines = [block.replace("data.path=history.csv", f"data.path=history.csv {QUICK}") for block in blocks]
        for line in [*lines, *(f".venv/bin/churn {command}" for command in COMMANDS)]:
            subprocess.run(["bash", "-euc", line], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    files = [*folder.glob("*.html"), *folder.glob("runs/*.html"), *folder.glob("runs/*/*.html"),
             *folder.glob("runs/monitor/*/*.html")]  # fmt: skip
    return {str(f.relative_to(folder)): f.as_uri() for f in sorted(files) if f.parent.name != "latest"}


@contextmanager
def served(folder: Path, stage: str, *settings: str) -> Iterator[str]:
    """The address of `churn serve` or `churn app` over the runs in a folder."""
    command = [sys.executable, "-u", "-m", "churn", stage, "data.name=history", *settings]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert process.stdout
    try:
        yield next(found[0] for line in process.stdout if (found := re.search(r"http://[\w.]+:\d+", line)))
    finally:
        process.terminate()
        process.wait(60)


def look(browser: Any, url: str, scheme: str, width: int) -> list[str]:
    """The rules that a page violates in one view."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(url)
    page.wait_for_timeout(300)
    found = violations(page)
    page.close()
    return found


def of_app(browser: Any, address: str, folder: Path) -> Counts:
    """The violated rules of each section of the app, with a list, a customer and a table to train on."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(120_000)
    page.goto(address)
    page.set_input_files("#upload", folder / "today.csv")
    page.click("#score")
    page.locator(".calls tbody button").first.click()
    page.wait_for_selector("[data-field]")
    page.click("header nav a[href='#train']")  # Shiny fills what is shown
    page.set_input_files("#history", folder / "history.csv")
    page.wait_for_selector("#start")
    found: Counts = {f"app: {section}": [] for section in SECTIONS}
    for scheme, width in VIEWS:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        for section in SECTIONS:
            page.click(f"header nav a[href='#{section}']")
            page.wait_for_timeout(300)
            found[f"app: {section}"].append(violations(page))
    return found


def show(found: Counts) -> None:
    """The table: pages, and the number of violations in each view."""
    print(f"{'page':58}" + "".join(f"{scheme[:5]} {width:>4} " for scheme, width in VIEWS))
    for name, views in found.items():
        print(f"{name:58}" + "".join(f"{len(rules):>10} " for rules in views))
        for rule in sorted({rule for rules in views for rule in rules}):
            print(f"    {rule}")
    print(f"{len(found)} pages, {sum(len(rules) for views in found.values() for rules in views)} violations")


def entry(name: str, views: list[list[str]]) -> dict[str, Any]:
    """One entry of the results: the sum over the views, and the least and the greatest."""
    counts = [len(rules) for rules in views]
    spread = {"value": sum(counts), "low": min(counts), "high": max(counts)}
    return {"name": name, **spread, "unit": "violations", "peer": "", "better": "lower"}


if __name__ == "__main__":
    main()
