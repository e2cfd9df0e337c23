"""Section 5 of the page: train on a file, and make the model the champion."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from shiny import Inputs, reactive, render, ui

from churn.app import models, train
from churn.app.desk import Desk
from churn.app.fragments import html, remove_error, show_error
from churn.app.upload import describe_error, file_digest
from churn.data.load import dataset_name
from churn.data.table import RawTable
from churn.errors import UserError

SHOWN = 12  # of the newest lines
USUAL = {"": "the usual one"}
UNKNOWN = {"": "choose it"}
Raw = reactive.Value[RawTable | None]
Drafted = Callable[[], train.Draft]


def fill_training(input: Inputs, desk: Desk) -> None:
    """From a file to roles, a training with its progress, and the champion."""
    raw: Raw = reactive.value[RawTable | None](None)

    @reactive.effect
    @reactive.event(input.history)
    def _read() -> None:
        remove_error()
        path, name = Path(input.history()[0]["datapath"]), input.history()[0]["name"]
        try:
            raw.set(train.read_sample(path, desk.cfg))
        except UserError as error:
            raw.set(None)
            show_error(describe_error(error, path, name))

    @reactive.calc
    def drafted() -> train.Draft:
        file = input.history()[0]
        path, name = Path(file["datapath"]), file["name"]
        chosen = input.target(), input.churned(), tuple(input.left_out())
        data_set = dataset_name(replace(desk.cfg.data, name=None, path=name))
        return train.Draft(path, *chosen, data_set, name, file_digest(path))

    _fill_choices(input, desk, raw)
    _fill_roles(input, desk, raw, drafted)
    _fill_run(input, desk, drafted)


def _fill_choices(input: Inputs, desk: Desk, raw: Raw) -> None:
    """What a person chooses: the column that says who left, its word for it, columns to leave out."""

    @render.ui
    def draft() -> Any:
        table = raw()
        if table is None:
            return None
        targets = train.possible_targets(table)
        if not targets:
            return ui.p("No column has few enough values to say who left.", role="alert")
        likely, trouble = train.likely_target(table, desk.cfg)
        names, column = [str(name) for name in table.frame], "The column that says who left"
        choices = ({} if likely in targets else UNKNOWN) | {name: name for name in targets}
        return ui.TagList(
            ui.p(trouble, class_="card problem", role="alert") if trouble else None,
            ui.input_select("target", column, choices, selected=likely),
            ui.input_select("churned", "The word for “left”", _words_for(targets.get(likely, []))),
            ui.input_select("left_out", "Columns to leave out", names, multiple=True, size="6"),
        )

    @reactive.effect
    @reactive.event(input.target)
    def _words() -> None:
        table = raw()
        words = train.possible_targets(table).get(input.target(), []) if table else []
        ui.update_select("churned", choices=_words_for(words))


def _fill_roles(input: Inputs, desk: Desk, raw: Raw, drafted: Drafted) -> None:
    """What the columns are taken for, the button that starts, and the command that does the same."""

    @render.ui
    def roles() -> Any:
        table = raw()
        if table is None or input.target() not in table.frame:  # the choices of the file before
            return None
        found = train.infer_roles(table, drafted(), desk.cfg)
        shown = html("roles", found, f"{input.target()}: {train.describe_values(table, input.target())}")
        if found.problem:
            return shown
        directory = train.run_directory(drafted(), desk.cfg)
        command = "churn " + shlex.join(train.training_command(drafted(), desk.cfg, directory))
        button = ui.input_action_button("start", "Train", class_="primary")
        return ui.TagList(shown, ui.p(button), html("command", command))


def _fill_run(input: Inputs, desk: Desk, drafted: Drafted) -> None:
    """The training, as the command does it, and the promotion."""
    run = reactive.value[Any](None)
    lines = reactive.value[list[str]]([])

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
        remove_error()
        directory = train.run_directory(drafted(), desk.cfg)
        try:
            train.keep_table(drafted(), desk.cfg)
        except UserError as error:
            show_error(str(error))
            return
        run.set(directory)
        lines.set([])
        training(train.training_command(drafted(), desk.cfg, directory))

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
        button = ui.input_action_button("promote", "Make it the champion", class_="primary")
        return ui.TagList(
            shown, button, html("command", "churn " + shlex.join(train.promotion(run(), desk.cfg)))
        )

    @reactive.effect
    @reactive.event(input.promote)
    async def _promote() -> None:
        try:
            said = [line async for line in train.run_churn(train.promotion(run(), desk.cfg))]
            ui.notification_show(said[-1] if said else "It is the champion.", duration=10)
        except UserError as error:
            show_error(str(error))
        ui.update_select("bundle", choices=models.list_models(desk.cfg), selected=str(run() / "bundle"))


def _words_for(words: list[str]) -> dict[str, str]:
    return USUAL | {word: word for word in words}
