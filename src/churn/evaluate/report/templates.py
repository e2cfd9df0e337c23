"""Templates of pages: HTML files without scripts that need nothing else."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def template_environment(room: str) -> Environment:
    """Templates of a folder of the package, with the style sheet of the report."""
    package = Path(__file__).parents[2]
    made = Environment(
        loader=FileSystemLoader([package / room, package / "evaluate/report"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["sentence"] = capitalize_first
    return made


def capitalize_first(text: str) -> str:
    """The text with its first letter as a capital; the others stay as they are."""
    return text[:1].upper() + text[1:]
