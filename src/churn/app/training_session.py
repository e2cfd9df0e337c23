"""Section 5 of the page: train on a file, and make the model the champion."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from shiny import Inputs, Session, reactive, render, ui

from churn.app import models, train
from churn.app.desk import Desk
from churn.app.upload import file_digest
from churn.data.load import dataset_name
from churn.errors import UserError

SHOWN = 12  # of the newest lines
Html = Callable[..., Any]


def fill_training(input: Inputs, session: Session, desk: Desk, html: Html) -> None:
    """From a file to roles, a training with its progress, and the champion."""
    raw = reactive.value[Any](None)
    run = reactive.value[Any](None)
    lines = reactive.value[list[str]]([])

    @reactive.effect
    @reactive.event(input.history)
    def _read() -> None:
        try:
            raw.set(train.read_sample(Path(input.history()[0]["datapath"]), desk.cfg))
        except UserError as error:
            raw.set(None)
            ui.notification_show(str(error), type="error", duration=None)

    @render.ui
    def draft() -> Any:
        table = raw()
        if table is None:
            return None
        targets = train.possible_targets(table)
        if not targets:
            return ui.p("No column has few enough values to say who left.", role="alert")
        names = [str(name) for name in table.frame]
        return ui.TagList(
            ui.input_select(
                "target", "The column that says who left", list(targets), selected=_likely(targets)
            ),
            ui.input_select("churned", "The word for “left”", {"": "the usual one"}),
            ui.input_select("left_out", "Columns to leave out", names, multiple=True, size="6"),
        )

    @reactive.effect
    @reactive.event(input.target)
    def _words() -> None:
        words = train.possible_targets(raw()).get(input.target(), [])
        ui.update_select("churned", choices={"": "the usual one"} | {word: word for word in words})

    @reactive.calc
    def drafted() -> train.Draft:
        file = input.history()[0]
        path, name = (
            Path(file["datapath"]),
            dataset_name(replace(desk.cfg.data, name=None, path=file["name"])),
        )
        chosen = input.target(), input.churned(), tuple(input.left_out())
        return train.Draft(path, *chosen, name, file["name"], file_digest(path))

    @render.ui
    def roles() -> Any:
        if raw() is None or not input.target():
            return None
        found = train.infer_roles(raw(), drafted(), desk.cfg)
        shown = html("roles", found, f"{input.target()}: {train.describe_values(raw(), input.target())}")
        if found.problem:
            return shown
        command = "churn " + shlex.join(train.training_command(drafted(), desk.cfg))
        button = ui.input_action_button("start", "Train", class_="primary")
        return ui.TagList(shown, ui.p(button), html("command", command))

    @reactive.extended_task
    async def training(arguments: list[str]) -> str:
        said: list[str] = []
        async for line in train.run_churn(arguments):
            said.append(line)
            async with reactive.lock():
                lines.set(said[-SHOWN:])
                await reactive.flush()
        return ""

    @reactive.effect
    @reactive.event(input.start)
    def _start() -> None:
        arguments = train.training_command(drafted(), desk.cfg)
        train.keep_table(drafted(), desk.cfg)
        run.set(Path(next(one for one in arguments if one.startswith("run.dir=")).partition("=")[2]))
        lines.set([])
        training(arguments)

    @render.ui
    def training_progress() -> Any:
        status = training.status()
        if status == "initial":
            return None
        trouble = str(training.error.get()) if status == "error" else ""
        report = f"files/{run().name}/report.html" if run() else ""
        shown = html("training", lines(), status == "success", trouble, report)
        if status != "success":
            return shown
        return ui.TagList(shown, ui.input_action_button("promote", "Make it the champion", class_="primary"))

    @reactive.effect
    @reactive.event(input.promote)
    async def _promote() -> None:
        try:
            said = [
                line
                async for line in train.run_churn(
                    ["promote", f"run={run()}", f"run.root={desk.cfg.run.root}"]
                )
            ]
            ui.notification_show(said[-1] if said else "It is the champion.", duration=None)
        except UserError as error:
            ui.notification_show(str(error), type="error", duration=None)
        ui.update_select("bundle", choices=models.list_models(desk.cfg), selected=str(run() / "bundle"))


def _likely(targets: dict[str, list[str]]) -> str:
    """The column that says who left, by its name; else the last one with two values."""
    words = ("churn", "left", "exited", "cancel", "attrition", "gekündigt", "status")
    named = [name for name in targets if any(word in name.casefold() for word in words)]
    two = [name for name, values in targets.items() if len(values) == 2]
    return (named or two or list(targets))[-1]
