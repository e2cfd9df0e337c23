"""What the page does for one person: each section is a function that fills its outputs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from shiny import Inputs, Outputs, Session, reactive, render, ui

from churn.app import one, whom
from churn.app.desk import Desk, Finish
from churn.app.page import SLIDERS
from churn.app.upload import Report
from churn.bundle.money import format_amount
from churn.config.root import Config
from churn.errors import UserError
from churn.evaluate.report.templates import template_environment
from churn.score.call_list import CONTROL_NOTE
from churn.score.page import render_page

SHOWN = 20  # rows of the list that are explained and shown


def html(name: str, *values: Any) -> Any:
    """A piece of the page: a macro of fragments.html.j2 with its values, escaped."""
    return ui.HTML(getattr(_fragments(), name)(*values))


@cache
def _fragments() -> Any:
    return template_environment("app").get_template("fragments.html.j2").module


def serve_session(cfg: Config) -> Callable[[Inputs, Outputs, Session], None]:
    """The function that Shiny calls for each person."""

    def serve(input: Inputs, output: Outputs, session: Session) -> None:
        from churn.app.training_session import fill_training

        desk = Desk(cfg)
        session.on_ended(desk.closing.close)
        _fill_file(input, session, desk)
        _fill_list(input, session, desk)
        _fill_downloads(input, desk)
        _fill_customer(input, session, desk)
        _fill_model(input, desk)
        fill_training(input, session, desk, html)

    return serve


def _fill_file(input: Inputs, session: Session, desk: Desk) -> None:
    """Section 1: read what was dropped, say what it holds, and score it when asked to."""

    @reactive.effect
    @reactive.event(input.bundle)
    def _choose() -> None:
        try:
            desk.choose(input.bundle())
        except UserError as error:  # it was changed since the page was opened
            desk.choose("")
            ui.notification_show(str(error), type="error", duration=None)

    @reactive.effect
    @reactive.event(input.upload, input.bundle)
    async def _read() -> None:
        if chosen := input.upload():
            path, name = Path(chosen[0]["datapath"]), chosen[0]["name"]
            await _with_progress("Reading", lambda report: desk.inspect(path, name, report))

    @reactive.effect
    @reactive.event(input.example)
    async def _example() -> None:
        await _with_progress("Reading the example", desk.take_example)

    @render.ui
    def recognised() -> Any:
        upload = desk.upload()
        return html("recognised", upload) if upload else None

    @reactive.effect
    @reactive.event(input.score)
    async def _score() -> None:
        await _with_progress("Scoring", desk.score)
        await session.send_custom_message("go", {"section": "list"})


async def _with_progress(message: str, work: Callable[[Report], Finish]) -> None:
    """Work in a thread, and show how far it is; a `UserError` is shown, too."""
    loop = asyncio.get_running_loop()
    with ui.Progress() as progress:
        progress.set(message=message)

        def report(detail: str) -> None:
            loop.call_soon_threadsafe(lambda: progress.set(message=message, detail=detail))

        try:
            finish = await asyncio.to_thread(work, report)
        except UserError as error:
            ui.notification_show(str(error), type="error", duration=None)
        else:
            finish()
        await asyncio.sleep(0)


def _fill_list(input: Inputs, session: Session, desk: Desk) -> None:
    """Section 2: the list, in the order that the sliders give."""

    @reactive.effect
    @reactive.event(desk.scored)
    def _set_sliders() -> None:
        assumed = whom.assumptions(desk.bundle(), {})
        longest = max(1, len(whom.rank(desk.scored(), desk.bundle(), assumed).best))
        start = {name: getattr(assumed, name) for name in whom.MONEY} | {"success": 100 * assumed.success}
        for name in SLIDERS:
            value = min(assumed.capacity or 50, longest) if name == "capacity" else start[name]
            more = {"max": longest} if name == "capacity" else {"max": max(SLIDERS[name][2], 3 * value)}
            session.send_input_message(name, {"value": value} | ({} if name == "success" else more))
        columns = desk.columns()
        ui.update_select("column", choices={"": "any"} | {name: name for name in columns})

    @reactive.effect
    @reactive.event(input.column)
    def _set_levels() -> None:
        levels = desk.levels_of(input.column())
        ui.update_select("level", choices={"": "any"} | {level: level for level in levels})

    @reactive.calc
    def changed() -> Mapping[str, Any]:
        return desk.changed({name: input[name]() for name in SLIDERS})

    @reactive.calc
    def excluded() -> set[str]:
        return desk.excluded(input.barred())

    desk.settings, desk.barred_ids = changed, excluded

    @render.ui
    def headline() -> Any:
        if desk.scored() is None:
            return html("nothing", "file")
        ranked, calls = desk.ranked(), desk.calls()
        treated = calls.table["treated"]
        called = int(treated.sum())
        profit = desk.money(calls.table["expected_profit"][treated == 1].sum())
        common = desk.explained(_shown().index)[1]
        return html(
            "headline", ranked, called, len(treated) - called, profit, common, CONTROL_NOTE, desk.money
        )

    @reactive.calc
    def _matching() -> pd.DataFrame:
        table = desk.calls().table
        return whom.matching(
            desk.with_features(table), input.search(), input.column(), input.level(), input.certainty()
        )

    @reactive.calc
    def _shown() -> pd.DataFrame:
        return _matching()[:SHOWN]

    @render.ui
    def curve() -> Any:
        if desk.scored() is None:
            return None
        drawn = whom.draw_curve(desk.ranked(), len(desk.calls().table))
        return html("curve", drawn, desk.money(drawn["top"]), desk.money(drawn["here"]))

    @render.ui
    def calls() -> Any:
        if desk.scored() is None:
            return None
        shown = _shown()
        return html("calls", desk.rows(shown), desk.who(), len(_matching()), len(shown))

    @render.ui
    def score_command() -> Any:
        return html("command", desk.command()) if desk.scored() is not None else None


def _fill_downloads(input: Inputs, desk: Desk) -> None:
    """The files of section 2: the whole list as it stands, without filters."""

    @render.download_button(filename="monday.csv")
    def csv() -> Any:
        yield whom.to_file(desk.full_list().table, ".csv")

    @render.download_button(filename="monday.xlsx")
    def xlsx() -> Any:
        yield whom.to_file(desk.full_list().table, ".xlsx")

    @render.download_button(filename="monday.html")
    def printed() -> Any:
        yield render_page(desk.full_list(), desk.bundle())


def _fill_customer(input: Inputs, session: Session, desk: Desk) -> None:
    """Section 3: one customer, as in the file and with changed fields."""
    row = reactive.value[pd.DataFrame | None](None)

    @reactive.effect
    @reactive.event(input.chosen)
    def _choose() -> None:
        ui.update_text("who", value=input.chosen())

    @reactive.effect
    def _find() -> None:
        row.set(desk.find(input.who()))

    @reactive.effect
    @reactive.event(input.changed)
    def _change() -> None:
        now = row()
        if now is not None:
            row.set(desk.changed_row(now, **input.changed()))

    @render.ui
    def answer() -> Any:
        now = row()
        if now is None:
            return html("nothing", "list" if not input.who() else "customer")
        assumed = desk.ranked().assumed
        given = one.answer(desk.bundle(), now, assumed)
        found = desk.find(input.who())
        before = given if found is None else one.answer(desk.bundle(), found, assumed)
        return html(
            "answer",
            given,
            before if before != given else None,
            format_amount(given.profit, assumed.currency),
        )

    @render.ui
    def waterfall() -> Any:
        now = row()
        return None if now is None else html("waterfall", one.waterfall(desk.bundle(), now))

    @render.ui
    def fields() -> Any:
        found = desk.find(input.who())  # not `row`: a field keeps the focus while it is changed
        return None if found is None else html("fields", desk.fields(found))

    @render.ui
    def alike() -> Any:
        found = desk.find(input.who())
        return None if found is None else desk.show_alike(found, html)


def _fill_model(input: Inputs, desk: Desk) -> None:
    """Section 4: what the model is worth."""

    @render.ui
    def standing() -> Any:
        return html("standing", *desk.standing()) if desk.bundle() else html("nothing", "train")
