"""axe-core finds nothing on the pages that stages write, light and dark, and nothing is cut off."""

from datetime import UTC, datetime

import numpy as np
import pytest
from conftest import compose_config

from churn.bundle.bundle import Bundle
from churn.config.loop import GateConfig
from churn.data.sources.synthetic import make_table
from churn.data.validate import to_features
from churn.monitor.drift.alarm import DriftPolicy
from churn.monitor.page import write_page
from churn.monitor.window import Window, assess_window
from churn.retrain.gate import CHALLENGER, CHAMPION, FreshRows, judge_challenger
from churn.retrain.page import write_decision_page
from churn.retrain.trigger import Trigger
from churn.score.stage import score
from churn.serve.welcome import welcome_page

from .test_page import violations


@pytest.fixture(scope="module")
def bundle(run_directory):
    return Bundle.load(run_directory / "bundle")


def report(path, bundle, customers_file):
    path.write_text((bundle.path.parent / "report.html").read_text())


def call_list(path, bundle, customers_file):
    files = f"input={customers_file}", f"output={path.with_suffix('.csv')}", f"score.page={path}"
    score(compose_config(f"bundle={bundle.path}", *files, "top=20", "score.keep=[name,phone]"))


def monitor(path, bundle, customers_file):
    drifted = compose_config(
        "data.synthetic.rows=400", "data.synthetic.drift=mean", "data.synthetic.drift_size=2"
    )
    frame = to_features(make_table(drifted.data.synthetic, 7), bundle.schema)
    history = []
    for day in (1, 2):
        window, rng = Window.of(bundle.profile), np.random.default_rng(day)
        window.add(
            dict(frame), p := rng.random(400), (rng.random(400) < p).astype(int), rng.integers(-1, 2, 400)
        )
        period = {"from": f"2026-03-0{day}T00:00:00+00:00", "until": f"2026-03-0{day + 1}T00:00:00+00:00"}
        seen = {"bundle": bundle.digest, "other_bundles": 0, "repeated": 0, "notes": [], "labels": None}
        history.append(period | seen | assess_window(window, bundle.facts["metrics"]))
    write_page(path, bundle, history, DriftPolicy())


def decision(path, bundle, customers_file):
    rng = np.random.default_rng(0)
    p = rng.random(800)
    churned = (rng.random(800) < p).astype(int)
    models = {CHAMPION: np.clip(p + rng.normal(0, 0.2, 800), 0.01, 0.99), CHALLENGER: p}
    called = {name: values > 0.5 for name, values in models.items()}
    fresh = FreshRows(churned, models, called, 10.0 * churned - 2, np.arange(800).astype(object), {})
    verdict = judge_challenger(fresh, True, GateConfig(bootstrap=50), 0)
    write_decision_page(
        path, "customers", verdict, Trigger("alarm", "an alarm"), datetime.now(UTC), GateConfig()
    )


def endpoint(path, bundle, customers_file):
    path.write_text(welcome_page(bundle.facts, {"tenure": 1.0}, "http://127.0.0.1:8080/predict", "/health"))


@pytest.mark.parametrize("write", [report, call_list, monitor, decision, endpoint])
def test_a_page_is_readable_for_everybody(browser, bundle, customers_file, tmp_path, write):
    write(tmp_path / "page.html", bundle, customers_file)
    page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
    page.goto((tmp_path / "page.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert violations(page) == []
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")
    assert violations(page) == []
    page.close()
