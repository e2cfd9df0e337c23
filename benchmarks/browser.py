"""Shared by the benchmarks of pages: Chromium of this machine, headless, which asks no other machine."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@contextmanager
def chromium() -> Iterator[Any]:
    """Chromium of this machine, or Playwright's own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running:
        path = next(filter(None, map(shutil.which, NAMES)), None) or running.chromium.executable_path
        browser = running.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


def violations(page: Any) -> list[str]:
    """What axe-core finds on a page as it is shown: each violated rule with its first element."""
    import axe_playwright_python

    page.evaluate((Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text())
    found = page.evaluate(
        "axe.run({exclude: [['svg *']]}, {resultTypes: ['violations']})"
    )  # drawings are images
    assert len(found["passes"]) > 5, page.url  # it looked at something
    return [f"{one['id']}: {one['nodes'][0]['html'][:100]}" for one in found["violations"]]
