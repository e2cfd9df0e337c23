"""The page in a real browser: drop a file, filter, slide, ask what if, download, train."""

import re
from pathlib import Path

import pandas as pd
import pytest
from conftest import compose_config

from churn.score.stage import score

SECTIONS = ("file", "list", "customer", "model", "train")


@pytest.fixture(scope="module")
def page(browser, address):
    """The page, opened once for all tests of this file: they go through it in the order of its sections."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.set_default_timeout(60_000)
    errors = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(address)
    yield opened
    assert errors == []


def violations(page):
    """What axe-core finds on the page as it is shown."""
    axe = pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text())
    found = page.evaluate(
        "axe.run({exclude: [['svg *']]}, {resultTypes: ['violations']})"
    )  # drawings are images
    assert len(found["passes"]) > 10
    return [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]]


def go(page, section):
    page.click(f"header nav a[href='#{section}']")
    page.wait_for_selector(f"#{section}:not([hidden])")


def called(page):
    return int(page.inner_text("#called").replace(",", ""))


def test_the_model_s_own_customers_are_an_example(page, tmp_path):
    page.click("#example")
    page.wait_for_selector("#score")
    assert "240 rows, 20 columns" in page.inner_text("#recognised")
    page.click("#score")
    page.wait_for_selector(".calls tbody tr")
    barred = tmp_path / "barred.csv"
    barred.write_text(page.get_attribute(".calls tbody button", "data-customer") + "\n")
    page.click(".calls tbody button")
    page.wait_for_selector("#answer :text-is('Call')")
    go(page, "list")
    page.set_input_files("#barred", barred)
    page.wait_for_function("document.getElementById('headline').textContent.includes('1 is not to be cont')")
    go(page, "customer")
    page.wait_for_selector("#answer :text-is('Do not call')")
    page.fill("#who", "")
    page.wait_for_selector("#probability", state="detached")
    go(page, "file")


def test_a_file_is_described_in_words_before_anything_is_predicted(page, customers_file, tmp_path):
    wrong = tmp_path / "other.csv"
    wrong.write_text("a,b\n1,2\n")
    page.set_input_files("#upload", wrong)
    page.wait_for_selector("#recognised .problem")
    assert "column 'tenure' is missing" in page.inner_text("#recognised")
    page.wait_for_selector("text=barred.csv was for the table before")
    page.click(".shiny-notification-warning .shiny-notification-close")
    page.set_input_files("#upload", customers_file)
    page.wait_for_selector("#score")
    said = page.inner_text("#recognised")
    assert "300 rows, 23 columns" in said
    assert "carried along, not used by the model: name, phone" in said
    assert violations(page) == []


def test_the_list_has_the_numbers_of_churn_score(page, customers_file, tmp_path):
    of_the_example = page.get_attribute("#capacity", "max")
    page.click("#score")
    # Until the new list and its sliders have arrived, the page shows those of the example.
    page.wait_for_selector(".calls tbody :text('Ann ')")
    page.wait_for_function(f"document.getElementById('capacity').max != '{of_the_example}'")
    before = called(page)
    assert "not to be contacted" not in page.inner_text("#headline .card")
    page.locator("#capacity").fill("12")
    page.locator("#customer_value").fill("400")
    for setting in ("decision.customer_value=400", "decision.capacity=12"):
        page.wait_for_function(f"document.getElementById('score_command').textContent.includes('{setting}')")
    page.wait_for_function("document.getElementById('called').textContent == '12'")
    assert before != 12
    worth = re.search(r"(\d+) are worth a call", page.inner_text("#headline"))[1]
    page.wait_for_function(f"document.getElementById('capacity').max == '{worth}'")
    profit = page.inner_text("#headline .card:nth-child(2) b")
    for said in (page.inner_text("#curve"), page.get_attribute("#curve svg", "aria-label")):
        assert re.search(rf"here you are(: 12 customers,| at 12:) {re.escape(profit)}", said)
    command = page.text_content("#score_command pre")
    with page.expect_download() as download:
        page.click("#csv")
    download.value.save_as(tmp_path / "page.csv")
    settings = re.findall(r"(?:bundle|top|decision\.\w+)=\S+", command)
    output = tmp_path / "command.csv"
    score(compose_config(f"input={customers_file}", f"output={output}", "score.keep=[name,phone]", *settings))
    assert (tmp_path / "page.csv").read_text() == output.read_text()
    assert pd.read_csv(output).treated.sum() == 12
    with page.expect_download() as download:
        page.click("#xlsx")
    download.value.save_as(tmp_path / "page.xlsx")
    sheet = pd.read_excel(tmp_path / "page.xlsx", engine="openpyxl")
    assert sheet["phone"].tolist() == pd.read_csv(output)["phone"].tolist()
    assert violations(page) == []


def test_a_slider_shows_a_model_s_own_value_as_it_is(page):
    told = """([id, value]) => {
        const el = document.getElementById(id);
        $(el).data("shiny-input-binding").receiveMessage(el, {value: value});
        return Number(el.value);
    }"""
    before = {
        name: float(page.input_value(f"#{name}")) for name in ("customer_value", "contact_cost", "success")
    }
    own = {"customer_value": 333.5, "contact_cost": 0.25, "success": 99.5}
    for values in (own, before):
        assert {name: page.evaluate(told, [name, value]) for name, value in values.items()} == values
    assert page.evaluate(told, ["offer_cost", 1 / 3]) == pytest.approx(1 / 3, abs=1e-12)
    assert page.evaluate(told, ["offer_cost", 10]) == 10
    assert page.get_attribute("#offer_cost", "step") == "1"


def test_the_list_is_filtered_by_text_and_by_level(page):
    total = page.locator(".calls tbody tr").count()
    name = page.locator(".calls tbody tr td").first.inner_text()
    page.fill("#search", name.lower())
    page.wait_for_function(f"document.querySelectorAll('.calls tbody tr').length < {total}")
    assert name in page.inner_text(".calls tbody")
    page.fill("#search", "")
    page.wait_for_function(f"document.querySelectorAll('.calls tbody tr').length == {total}")


def test_a_change_of_one_customer_moves_the_answer(page):
    page.locator(".calls tbody button").first.click()
    page.wait_for_selector("#probability")
    page.wait_for_selector("[data-field=tenure]")
    page.wait_for_selector("#alike table")
    assert not re.search(r"\d\.0\b", page.inner_text("#alike"))  # whole numbers look whole
    as_in_the_file = page.inner_text("#probability")
    page.locator("[data-field=tenure]").fill("70")
    page.wait_for_function(f"document.getElementById('probability').textContent != '{as_in_the_file}'")
    assert f"{as_in_the_file} as in the file" in page.inner_text("#answer")
    assert page.locator(".waterfall [role=listitem]").count() == 6
    assert "not what changing the field would cause" in page.inner_text("#customer")
    assert violations(page) == []


def test_the_model_says_what_it_is_worth(page):
    go(page, "model")
    page.wait_for_selector("#standing table")
    said = page.inner_text("#standing")
    assert "champion" in said
    assert "In money" in said
    with page.expect_popup() as popup:
        page.click("text=The whole report")
    assert "Churn report" in popup.value.title()
    popup.value.close()
    assert violations(page) == []


def test_a_model_is_trained_from_the_page_and_made_the_champion(page, customers_file, tmp_path):
    words = "Array.from(document.querySelectorAll('#churned option'), (one) => one.value).sort().join()"
    other = tmp_path / "other.csv"
    pd.read_csv(customers_file).replace({"Churn": {"Yes": "gone", "No": "here"}}).to_csv(other, index=False)
    go(page, "train")
    (tmp_path / "empty.csv").write_text("")
    page.set_input_files("#history", tmp_path / "empty.csv")
    said = page.inner_text(".shiny-notification-error")
    assert "where: empty.csv" in said
    page.set_input_files("#history", other)
    page.wait_for_selector(".shiny-notification-error", state="detached")
    page.wait_for_selector("#draft .problem")
    assert "does not show who left" in page.inner_text("#draft .problem")
    assert page.input_value("#target") == ""
    page.select_option("#target", "Churn")
    page.wait_for_function(f"{words} == ',gone,here'")
    page.set_input_files("#history", customers_file)
    page.wait_for_function(f"{words} == ',No,Yes'")
    page.wait_for_selector("#start")
    assert page.input_value("#target") == "Churn"
    page.wait_for_function("document.getElementById('roles').textContent.includes('names the customer')")
    assert violations(page) == []
    page.click("#start")
    page.wait_for_selector("#training_progress pre")
    page.wait_for_selector("#promote")
    assert "registered as june version 1" in page.inner_text("#training_progress pre")
    page.click("#promote")
    page.wait_for_selector(".shiny-notification")
    assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_telephone_nothing_is_cut_off(page, scheme):
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme=scheme)
    for section in SECTIONS:
        go(page, section)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, section
        assert violations(page) == [], section
