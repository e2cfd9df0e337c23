"""An hour of an analyst's work, replayed in a real Chromium with a file that nobody has seen before.

analyst.py FILE: a table of former customers with a column that says who left. On the page she trains on all
rows but the last 500, reads the report, makes the model the champion, drops the last 500 as the customers of
today, plans the calls, asks about one customer, and takes the list away. Each step is printed with its
seconds and what she saw.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from app import served
from browser import chromium, violations
from compare import arguments, finish

TODAY = 500  # rows
SEEN = 110  # characters of what she saw


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("file", type=Path, help="a CSV file with a column that says who left")
    parser.add_argument("--shots", type=Path, metavar="DIR", help="a screenshot after each step")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = pd.read_csv(options.file, dtype=str, keep_default_na=False)
        former, today = Path(folder) / options.file.name, Path(folder) / "today.csv"
        table[:-TODAY].to_csv(former, index=False)
        table[-TODAY:].to_csv(today, index=False)
        with served(Path(folder) / "runs") as (address, _), chromium() as browser:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(600_000)
            page.goto(address)
            diary = Diary(page, options.shots)
            train(page, diary, former)
            plan(page, diary, today, Path(folder))
    finish(diary.entries, options.json)


class Diary:
    """The steps with their seconds, what was seen, and the violations that axe-core finds."""

    def __init__(self, page: Any, shots: Path | None) -> None:
        self.page, self.shots, self.entries = page, shots, list[dict[str, Any]]()

    @contextmanager
    def step(self, does: str, sees: Callable[[], str]) -> Iterator[None]:
        """One step: what she does, and what is looked at when it is done."""
        began = time.perf_counter()
        yield
        seconds = time.perf_counter() - began
        seen = " ".join(sees().split())[:SEEN]
        print(f"{seconds:6.1f} s  {does}\n          sees: {seen}", *violations(self.page), flush=True)
        value = {"value": seconds, "low": seconds, "high": seconds}
        self.entries.append({"name": does, **value, "unit": "s", "peer": "", "better": "lower"})
        if self.shots:
            self.shots.mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=self.shots / f"{len(self.entries):02}.png", full_page=True)


def go(page: Any, section: str) -> None:
    """Open a section of the page."""
    page.click(f"header nav a[href='#{section}']")


def train(page: Any, diary: Diary, former: Path) -> None:
    """Section 5: from the file to a champion."""
    go(page, "train")
    with diary.step("drops the table of former customers", lambda: page.inner_text("#roles")):
        page.set_input_files("#history", former)
        page.wait_for_selector("#start")
    with diary.step("trains", lambda: page.inner_text("#training_progress pre")[-SEEN:]):
        page.click("#start")
        page.wait_for_selector("#promote, #training_progress .problem")
    if trouble := page.locator("#training_progress .problem").all_inner_texts():
        sys.exit(trouble[0])
    with diary.step("reads the report", lambda: report[0]):
        with page.expect_popup() as popup:
            page.click("text=Read the report")
        popup.value.wait_for_selector(".card")
        report = [popup.value.inner_text("main .cards")]
        popup.value.close()
    with diary.step("makes it the champion", lambda: page.inner_text(".shiny-notification")):
        page.click("#promote")
        page.wait_for_selector(".shiny-notification")


def plan(page: Any, diary: Diary, today: Path, folder: Path) -> None:
    """Sections 1 to 4: from today's customers to the list."""
    go(page, "file")
    with diary.step("drops the customers of today", lambda: page.inner_text("#recognised")):
        page.set_input_files("#upload", today)
        page.wait_for_selector("#score")
    with diary.step("makes the list", lambda: page.inner_text("#headline")):
        page.click("#score")
        page.wait_for_selector(".calls tbody tr")
    with diary.step("has time for 20 calls", lambda: page.inner_text("#curve figcaption")):
        page.locator("#capacity").fill("20")
        page.wait_for_function("document.getElementById('called').textContent == '20'")
    with diary.step("asks about the first", lambda: page.inner_text("#waterfall")):
        page.locator(".calls tbody button").first.click()
        page.wait_for_selector("#waterfall [role=listitem]")
    with diary.step("asks what if", lambda: page.inner_text("#answer")):
        before = page.inner_text("#answer")
        page.locator("[data-field][type=number]").first.fill("3")
        page.wait_for_function("before => document.getElementById('answer').innerText != before", arg=before)
    with diary.step("looks at the model", lambda: page.inner_text("#standing")):
        go(page, "model")
        page.wait_for_selector("#standing table")
    with diary.step(
        "takes the list away", lambda: f"{len(pd.read_excel(folder / 'list.xlsx', engine='openpyxl'))} rows"
    ):
        go(page, "list")
        with page.expect_download() as download:
            page.click("#xlsx")
        download.value.save_as(folder / "list.xlsx")


if __name__ == "__main__":
    main()
