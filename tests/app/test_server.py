"""Who may open the page: this machine, or who has the token."""

import asyncio
import shutil
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import httpx
import pytest
from conftest import compose_config

pytest.importorskip("shiny", reason="the extra `app` is not installed")

from churn.app.models import list_models
from churn.app.server import make_app
from churn.app.stage import app
from churn.bundle.registry import register_run
from churn.errors import UserError


@pytest.fixture
def client(tmp_path, monkeypatch):
    """A function: a client of the page, whose `Host` is given."""

    def make(host, token=None):
        monkeypatch.setenv("CHURN_TOKEN", token) if token else monkeypatch.delenv(
            "CHURN_TOKEN", raising=False
        )
        (tmp_path / "run").mkdir(exist_ok=True)
        (tmp_path / "run" / "report.html").write_text("the report")
        (tmp_path / "mlflow.db").write_text("secret")
        transport = httpx.ASGITransport(make_app(compose_config(f"run.root={tmp_path}")))
        # In a thread: a browser of other tests may have an event loop in this one.
        return lambda *paths, headers=None: thread.submit(
            asyncio.run, _ask(transport, host, paths, headers)
        ).result()

    with ThreadPoolExecutor(1) as thread:
        yield make


async def _ask(transport, host, paths, headers):
    """The last of the answers to the paths, as a browser with cookies gets them."""
    async with httpx.AsyncClient(
        transport=transport, base_url=f"http://{host}", follow_redirects=True, headers=headers
    ) as client:
        return [await client.get(path) for path in paths][-1]


def test_the_page_answers_to_the_names_of_its_machine_only(client):
    assert client("127.0.0.1:8050")("/").status_code == 200
    assert client("evil.example")("/").status_code == 403


def test_reports_are_shown_and_nothing_else(client):
    here = client("localhost")
    assert here("/files/run/report.html").text == "the report"
    assert here("/files/mlflow.db").status_code == 404


def test_with_a_token_a_browser_shows_it_once(client):
    here = client("localhost", "open-sesame")
    assert here("/").status_code == 401
    assert here("/?token=wrong").status_code == 401
    assert here("/?token=open-sesame", "/").status_code == 200


@pytest.mark.parametrize("token", ["geheüm", "5 € ist; es", "открой"])
def test_a_token_of_any_letters_opens_the_page_and_a_wrong_cookie_of_any_letters_does_not(client, token):
    here = client("localhost", token)
    assert here(f"/?token={quote(token)}", "/").status_code == 200
    for wrong in (b"x", b"\xe9", b'"\\351"'):
        assert here("/", headers={b"cookie": b"churn_token=" + wrong}).status_code == 401


def test_beyond_this_machine_a_token_and_a_certificate_are_wanted(monkeypatch):
    monkeypatch.delenv("CHURN_TOKEN", raising=False)
    with pytest.raises(UserError, match="other machines can reach this server"):
        app(compose_config("serve.host=0.0.0.0"))


def test_with_several_data_sets_nobody_gets_a_model_by_chance(run_directory, exported_bundle, tmp_path):
    shutil.copytree(run_directory, tmp_path / "run")
    register_run(tmp_path / "run", str(tmp_path))
    cfg = compose_config(f"run.root={tmp_path}")
    assert next(iter(list_models(cfg).values())).endswith("in use")
    shutil.copytree(exported_bundle, tmp_path / "other" / "bundle")
    (tmp_path / "latest").symlink_to("other")
    assert next(iter(list_models(cfg).items())) == ("", "choose a model: there are several data sets")


def test_a_damaged_bundle_does_not_take_the_page_away(client, exported_bundle, tmp_path):
    for name in ("good", "cut", "empty"):
        shutil.copytree(exported_bundle, tmp_path / name / "bundle")
    (tmp_path / "latest").symlink_to("good")
    facts = tmp_path / "cut" / "bundle" / "assets.extra" / "bundle.json"
    facts.write_text(facts.read_text()[:100])
    (tmp_path / "empty" / "bundle" / "assets.extra" / "bundle.json").unlink()
    listed = list_models(compose_config(f"run.root={tmp_path}"))
    assert [*listed] == [str(tmp_path / "good" / "bundle")]  # what the link names, once
    assert listed.popitem()[1].endswith("in use")
    (tmp_path / "latest").unlink()
    (tmp_path / "latest").symlink_to("cut")
    what, said = next(iter(list_models(compose_config(f"run.root={tmp_path}")).items()))
    assert what == ""
    assert "the bundle is damaged" in said
    assert client("localhost")("/").status_code == 200


def test_a_damaged_registry_is_said_and_no_other_model_is_taken(exported_bundle, tmp_path):
    shutil.copytree(exported_bundle, tmp_path / "run" / "bundle")
    (tmp_path / "latest").symlink_to("run")
    (tmp_path / "mlflow.db").write_bytes(b"")
    what, said = next(iter(list_models(compose_config(f"run.root={tmp_path}")).items()))
    assert what == ""
    assert "the registry is damaged" in said


def test_without_any_model_there_is_nothing_to_choose(tmp_path):
    assert list_models(compose_config(f"run.root={tmp_path}")) == {}
