"""Pieces of the page: the macros of fragments.html.j2."""

from __future__ import annotations

from functools import cache
from typing import Any

from shiny import ui

from churn.evaluate.report.templates import template_environment


def html(name: str, *values: Any) -> Any:
    """A piece of the page: a macro of fragments.html.j2 with its values, escaped."""
    return ui.HTML(getattr(_fragments(), name)(*values))


@cache
def _fragments() -> Any:
    return template_environment("app").get_template("fragments.html.j2").module
