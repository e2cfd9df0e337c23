"""Section 2 of the page: the list, in the order that the sliders give, and its files."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pandas as pd
from shiny import Inputs, Session, reactive, render, ui

from churn.app import whom
from churn.app.fragments import html
from churn.app.listing import Listing
from churn.app.page import SLIDERS
from churn.errors import UserError
from churn.score.call_list import CONTROL_NOTE
from churn.score.page import render_page

SHOWN = 20  # rows of the list that are explained and shown


def fill_list(input: Inputs, session: Session, listing: Listing) -> None:
    """The sliders, the profit curve, and the rows that the filters let through."""
    _fill_settings(input, session, listing)
    _fill_barred(input, session, listing)
    scored = listing.desk.scored

    @reactive.calc
    def matching() -> pd.DataFrame:
        table = listing.with_features(listing.calls().table)
        return whom.matching(table, input.search(), input.column(), input.level(), input.certainty())

    @reactive.calc
    def shown() -> pd.DataFrame:
        return matching()[:SHOWN]

    @render.ui
    def headline() -> Any:
        if scored() is None:
            return html("nothing", "file")
        called, profit = listing.outlook()
        common = listing.explained(shown().index)[1]
        kept = len(listing.calls().table) - called
        return html("headline", listing.ranked(), called, kept, profit, common, CONTROL_NOTE)

    @render.ui
    def curve() -> Any:
        if scored() is None:
            return None
        called, profit = listing.outlook()
        drawn = whom.draw_curve(listing.ranked(), called)
        return html("curve", drawn, listing.money(drawn["top"]), called, profit)

    @render.ui
    def calls() -> Any:
        if scored() is None:
            return None
        return html("calls", listing.rows(shown()), listing.who(), len(matching()), len(shown()))

    @render.ui
    def score_command() -> Any:
        return html("command", listing.command()) if scored() is not None else None


def _fill_settings(input: Inputs, session: Session, listing: Listing) -> None:
    """The sliders and the filters begin with what the model and the file have."""
    desk = listing.desk

    @reactive.effect
    @reactive.event(desk.scored)
    def _set_sliders() -> None:
        if desk.scored() is None:
            return
        assumed = whom.assumptions(desk.bundle(), {}, desk.cfg)
        longest = max(1, len(whom.rank(desk.scored(), desk.bundle(), assumed).best))
        start = {name: getattr(assumed, name) for name in whom.MONEY} | {"success": 100 * assumed.success}
        for name in SLIDERS:
            value = min(assumed.capacity or 50, longest) if name == "capacity" else start[name]
            more = {"max": longest} if name == "capacity" else {"max": max(SLIDERS[name][2], 3 * value)}
            session.send_input_message(name, {"value": value} | ({} if name == "success" else more))
        ui.update_select("column", choices={"": "any"} | {name: name for name in listing.columns()})

    @reactive.effect
    @reactive.event(input.column)
    def _set_levels() -> None:
        levels = listing.levels_of(input.column())
        ui.update_select("level", choices={"": "any"} | {level: level for level in levels})

    @reactive.calc
    def changes() -> Mapping[str, Any]:
        return listing.changed({name: input[name]() for name in SLIDERS if name != "capacity"})

    @reactive.calc
    def capacity() -> int:
        return int(input.capacity())

    @reactive.effect
    def _set_longest() -> None:
        if desk.scored() is None:
            return
        with suppress(UserError):  # the list itself says it
            session.send_input_message("capacity", {"max": max(1, len(listing.in_order().best))})

    listing.changes, listing.capacity = changes, capacity


def _fill_barred(input: Inputs, session: Session, listing: Listing) -> None:
    """Those not to be contacted: a file of ids, for one table of customers."""
    barred, table = reactive.value[Any](None), reactive.value("")

    @reactive.effect
    @reactive.event(input.barred)
    def _take() -> None:
        barred.set(input.barred())

    @reactive.effect
    @reactive.event(listing.desk.upload)
    async def _forget() -> None:
        digest = listing.desk.upload().digest
        if barred() and table() not in ("", digest):
            said = (
                f"{barred()[0]['name']} was for the table before: drop it again if it is for this one, too."
            )
            barred.set(None)
            await session.send_custom_message("forget", {"id": "barred"})
            ui.notification_show(said, type="warning", duration=None)
        table.set(digest)

    @reactive.calc
    def excluded() -> set[str]:
        return listing.excluded(barred())

    listing.barred_ids = excluded
    listing.barred_file = lambda: barred()[0]["name"] if barred() else ""


def fill_downloads(listing: Listing) -> None:
    """The files: the whole list as it stands, without filters."""

    @render.download_button(filename="monday.csv")
    def csv() -> Any:
        yield whom.to_file(listing.full().table, ".csv")

    @render.download_button(filename="monday.xlsx")
    def xlsx() -> Any:
        yield whom.to_file(listing.full().table, ".xlsx")

    @render.download_button(filename="monday.html")
    def printed() -> Any:
        yield render_page(listing.full(), listing.desk.bundle())
