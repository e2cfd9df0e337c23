"""What the page does for one person: each section fills its outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shiny import Inputs, Outputs, Session, render, ui

from churn.app import models
from churn.app.desk import Desk
from churn.app.fragments import html
from churn.app.listing import Listing
from churn.app.section_customer import fill_customer
from churn.app.section_file import fill_file
from churn.app.section_list import fill_downloads, fill_list
from churn.app.section_train import fill_training
from churn.config.root import Config
from churn.errors import UserError


def serve_session(cfg: Config) -> Callable[[Inputs, Outputs, Session], None]:
    """The function that Shiny calls for each person."""

    def serve(input: Inputs, output: Outputs, session: Session) -> None:
        desk = Desk(cfg)
        listing = Listing(desk)
        session.on_ended(desk.closing.close)
        fill_file(input, session, desk)
        fill_list(input, session, listing)
        fill_downloads(listing)
        fill_customer(input, session, desk, listing)
        _fill_model(desk)
        fill_training(input, desk)

    return serve


def _fill_model(desk: Desk) -> None:
    """Section 4: what the model is worth."""

    @render.ui
    def standing() -> Any:
        bundle = desk.bundle()
        if not bundle:
            return html("nothing", "train")
        try:
            return html("standing", *models.standing(bundle, desk.cfg))
        except UserError as error:  # a damaged registry
            return ui.p(str(error), role="alert")
