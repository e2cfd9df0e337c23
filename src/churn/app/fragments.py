"""Pieces of the page: the macros of fragments.html.j2."""

from __future__ import annotations

from functools import cache
from typing import Any

from shiny import ui

from churn.evaluate.report.templates import template_environment

ERROR = "error"  # the notice of what went wrong


def html(name: str, *values: Any) -> Any:
    """A piece of the page: a macro of fragments.html.j2 with its values, escaped."""
    return ui.HTML(getattr(_fragments(), name)(*values))


def show_error(text: str) -> None:
    """Show what went wrong, in the place of what went wrong before."""
    ui.notification_show(text, type="error", duration=None, id=ERROR)


def remove_error() -> None:
    """Take away what went wrong with a file or a training before the next one."""
    ui.notification_remove(ERROR)


@cache
def _fragments() -> Any:
    return template_environment("app").get_template("fragments.html.j2").module
