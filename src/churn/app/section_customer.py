"""Section 3 of the page: one customer, as in the file and with changed fields."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pandas as pd
from shiny import Inputs, Session, reactive, render, ui

from churn.app import one
from churn.app.desk import Desk
from churn.app.fragments import html
from churn.app.listing import Listing
from churn.errors import UserError

Row = reactive.Value[pd.DataFrame | None]


def fill_customer(input: Inputs, session: Session, desk: Desk, listing: Listing) -> None:
    """The answer moves with every change; the reasons, which cost more, come a moment later."""
    row: Row = reactive.value[pd.DataFrame | None](None)

    @reactive.effect
    @reactive.event(input.chosen)
    def _choose() -> None:
        ui.update_text("who", value=input.chosen())

    @reactive.calc
    def found() -> pd.DataFrame | None:
        if desk.scored() is None:
            return None
        with reactive.isolate():  # a slider does not take back what was changed of the customer
            assumed = listing.assumed()
        return one.find(desk.scored(), input.who(), assumed)

    @reactive.effect
    def _begin() -> None:
        row.set(found())

    @reactive.effect
    @reactive.event(input.changed)
    def _change() -> None:
        now = row()
        if now is not None:
            row.set(one.changed_row(desk.bundle(), now, **input.changed()))

    def ask(asked: pd.DataFrame) -> one.Answer:
        told = one.answer(desk.bundle(), asked, listing.ranked().assumed)
        return replace(told, call=told.call and input.who().strip() not in listing.barred_ids())

    @reactive.calc
    def before() -> one.Answer | None:
        given = found()
        return None if given is None else ask(given)

    @render.ui
    def answer() -> Any:
        now, given = row(), before()
        if now is None or given is None:
            return html("nothing", "list" if not input.who() else "customer")
        moved = ask(now)
        return html("answer", moved, given if given != moved else None, listing.money(moved.profit))

    @render.ui
    def fields() -> Any:
        given = found()  # not `row`: a field keeps the focus while it is changed
        return None if given is None else html("fields", one.fields(desk.bundle(), given))

    @render.ui
    def alike() -> Any:
        given = found()
        return None if given is None else _show_alike(given, input.who().strip(), desk)

    _fill_reasons(session, desk, row)


def _fill_reasons(session: Session, desk: Desk, row: Row) -> None:
    """The waterfall of the row that is asked about, after the answer was sent."""
    steps = reactive.value[list[one.Step]]([])
    tasks = set[asyncio.Task[None]]()  # a task that nobody holds may vanish

    @reactive.effect
    def _ask() -> None:
        now, bundle = row(), desk.bundle()
        if now is None:
            steps.set([])
            return

        async def explain() -> None:
            made = await asyncio.to_thread(one.waterfall, bundle, now)
            async with reactive.lock():
                with reactive.isolate():
                    newest = row() is now
                if newest:
                    steps.set(made)
                    await reactive.flush()

        def begin() -> None:
            task = asyncio.create_task(explain())
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        session.on_flushed(begin, once=True)

    @render.ui
    def waterfall() -> Any:
        return html("waterfall", steps())


def _show_alike(row: pd.DataFrame, key: str, desk: Desk) -> Any:
    """Other customers like this one, and what became of them."""
    try:
        training = desk.training()
    except UserError as error:
        return ui.p(f"{error.what}: {error.do}")
    total, left, nearest = one.alike(row, key, training)
    return html("alike", total, left, nearest.to_dict("records"), list(training.frame.columns))
