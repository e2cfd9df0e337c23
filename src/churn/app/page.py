"""The page: five sections with their inputs; `churn.app.session` fills them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shiny import ui

from churn.bundle.conformal import CERTAINTIES
from churn.evaluate.report.templates import template_environment

HERE = Path(__file__).parent
SECTIONS = {
    "file": "1. A file",
    "list": "2. Whom to call",
    "customer": "3. One customer",
    "model": "4. The model",
    "train": "5. Train",
}
SLIDERS = {  # id: label, least, greatest, step
    "capacity": ("Customers we can call", 1, 500, 1),
    "customer_value": ("A customer who leaves costs", 1, 2000, 1),
    "contact_cost": ("A call costs", 0, 100, 0.5),
    "offer_cost": ("The offer costs", 0, 200, 1),
    "success": ("Of 100 who would leave, the offer keeps", 1, 99, 1),
}


def page(models: dict[str, str]) -> Any:
    """The whole page, for the bundles to choose from."""
    templates = template_environment("evaluate/report")
    style = templates.get_template("style.css").render() + (HERE / "app.css").read_text()
    links = [ui.tags.a(title, href=f"#{name}") for name, title in SECTIONS.items()]
    return ui.page_fluid(
        ui.head_content(
            ui.tags.link(rel="icon", href="data:,"),
            ui.tags.meta(name="viewport", content="width=device-width, initial-scale=1"),
            ui.tags.style(style),
            ui.tags.script((HERE / "app.js").read_text()),
        ),
        ui.tags.header(ui.h1("Whom to call, and why"), ui.tags.nav(*links, aria_label="Steps")),
        ui.tags.main(_file(models), _list(), _customer(), _model(), _train()),
        title="churn",
        lang="en",
    )


def _section(name: str, *content: Any) -> Any:
    heading = ui.h2(SECTIONS[name], id=f"{name}-heading", tabindex="-1")
    return ui.tags.section(heading, *content, id=name, aria_labelledby=f"{name}-heading")


def _file(models: dict[str, str]) -> Any:
    return _section(
        "file",
        ui.p("Drop a table of customers as they are today. It stays on this machine, and is forgotten when "
             "you close the page."),
        ui.input_select("bundle", "Model", models),
        ui.input_file("upload", "Table of customers: csv, Excel, Parquet, ..."),
        ui.input_action_button("example", "Take the model's own test customers as an example"),
        ui.div(ui.output_ui("recognised"), aria_live="polite"),
    )  # fmt: skip


def _list() -> Any:
    sliders = [_slider(name, *settings) for name, settings in SLIDERS.items()]
    return _section(
        "list",
        ui.div(ui.output_ui("headline"), aria_live="polite"),
        ui.div(
            ui.div(*sliders, ui.input_file("barred", "Not to be contacted: a file of ids"), class_="sliders"),
            ui.output_ui("curve"),
            class_="figures",
        ),
        ui.div(
            ui.input_text("search", "Search any column"),
            ui.input_select("column", "Only customers with", {"": "any"}),
            ui.input_select("level", "being", {"": "any"}),
            ui.input_select("certainty", "Certainty", {"": "any"} | {word: word for word in CERTAINTIES}),
            class_="filters",
        ),
        ui.output_ui("calls"),
        ui.div(
            ui.download_button("csv", "Download as CSV"),
            ui.download_button("xlsx", "Download for Excel"),
            ui.download_button("printed", "Page to print"),
            class_="buttons",
        ),
        ui.output_ui("score_command"),
    )  # fmt: skip


def _customer() -> Any:
    return _section(
        "customer",
        ui.input_text("who", "Customer: the id, or the number of the row"),
        ui.div(ui.output_ui("answer"), aria_live="polite"),
        ui.output_ui("waterfall"),
        ui.h3("What if"),
        ui.p("Change a field. The answer moves at once: it is what the model expects of such a customer, "
             "not what changing the field would cause.", class_="soft"),
        ui.output_ui("fields"),
        ui.h3("Customers like this one"),
        ui.output_ui("alike"),
    )  # fmt: skip


def _model() -> Any:
    return _section("model", ui.output_ui("standing"))


def _train() -> Any:
    return _section(
        "train",
        ui.p(
            "Drop a table of former customers with a column that says who left. If you train, a copy is "
            "kept beside the runs: the model can be compared and retrained only with its data."
        ),
        ui.input_file("history", "Table to learn from"),
        ui.output_ui("draft"),
        ui.output_ui("roles"),
        ui.output_ui("training_progress"),
    )


def _slider(name: str, label: str, least: float, greatest: float, step: float) -> Any:
    slider = ui.tags.input(
        id=name, type="range", class_="churn-range", min=str(least), max=str(greatest), step=str(step),
        value=str(least), aria_describedby=f"{name}-value",
    )  # fmt: skip
    return ui.div(
        ui.tags.label(label, for_=name),
        ui.tags.output("", id=f"{name}-value", for_=name),
        slider,
        class_="slider",
    )
