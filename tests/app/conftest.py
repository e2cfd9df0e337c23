"""A real Chromium, and the page in a thread of this process."""

import shutil
import socket
import threading
import time
from pathlib import Path

import pytest
from conftest import SMALLEST, compose_config

from churn.data.sources.synthetic import make_table

NO_BROWSER = "no Chromium: apt-get install chromium, or .venv/bin/playwright install chromium"
QUICK = SMALLEST[1:]  # of a table of one's own


@pytest.fixture(scope="package")  # while it lives, the main thread has an event loop
def browser():
    """Chromium of this machine, or Playwright's own."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as running:
        names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
        found = next(filter(None, map(shutil.which, names)), None) or running.chromium.executable_path
        if not Path(found).exists():
            pytest.skip(NO_BROWSER)
        chromium = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="package")
def customers_file(tmp_path_factory):
    """300 customers with names and telephone numbers."""
    frame = make_table(compose_config("data.synthetic.rows=300").data.synthetic, 5).frame
    frame.insert(1, "name", [f"Ann {i}" for i in range(300)])
    frame.insert(2, "phone", [f"+49 30 {i:06}" for i in range(300)])
    path = tmp_path_factory.mktemp("upload") / "june.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def address(run_directory, tmp_path_factory):
    """The address of the page, over a copy of a folder of runs."""
    pytest.importorskip("shiny", reason="the extra `app` is not installed")
    import uvicorn

    from churn.app.server import make_app

    root = tmp_path_factory.mktemp("app") / "runs"
    shutil.copytree(run_directory.parent, root, symlinks=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = make_app(compose_config(f"run.root={root}", *QUICK))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="websockets-sansio"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.02)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()
