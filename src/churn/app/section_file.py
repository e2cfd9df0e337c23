"""Section 1 of the page: read what was dropped, say what it holds, and score it when asked to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shiny import Inputs, Session, reactive, render, ui

from churn.app.desk import Desk, Finish
from churn.app.fragments import html, remove_error, show_error
from churn.app.upload import Report
from churn.errors import UserError


def fill_file(input: Inputs, session: Session, desk: Desk) -> None:
    """From a file, or an example, to the answers for its customers."""

    @reactive.effect
    @reactive.event(input.bundle)
    def _choose() -> None:
        try:
            desk.choose(input.bundle())
        except UserError as error:  # it was changed since the page was opened
            desk.choose("")
            show_error(str(error))

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
    remove_error()
    with ui.Progress() as progress:
        progress.set(message=message)

        def report(detail: str) -> None:
            loop.call_soon_threadsafe(lambda: progress.set(message=message, detail=detail))

        try:
            finish = await asyncio.to_thread(work, report)
        except UserError as error:
            show_error(str(error))
        else:
            finish()
        await asyncio.sleep(0)
