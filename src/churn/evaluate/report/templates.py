"""Templates of HTML pages, which need neither scripts nor other files."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def template_environment(folder: str) -> Environment:
    """The templates of a folder of the package, and those of the report, whose style sheet they include.

    >>> template_environment("evaluate/report").get_template("template.html.j2")
    """
    package = Path(__file__).parents[2]
    environment = Environment(
        loader=FileSystemLoader([package / folder, package / "evaluate/report"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["sentence"] = capitalize_first
    environment.filters["probability"] = format_probability
    return environment


def capitalize_first(text: str) -> str:
    """The text with a capital first letter; unlike `str.capitalize`, it leaves the others as they are."""
    return text[:1].upper() + text[1:]


def format_probability(probability: float, digits: int = 0) -> str:
    """A probability in per cent; nobody leaves or stays for sure because of rounding.

    >>> format_probability(0.998), format_probability(0.998, 1), format_probability(0.001)
    ('> 99 %', '99.8 %', '< 1 %')
    """
    step = 10.0**-digits
    percent = round(100 * probability, digits)
    if percent == 100 and probability < 1:
        return f"> {100 - step:.{digits}f} %"
    if percent == 0 and probability > 0:
        return f"< {step:.{digits}f} %"
    return f"{percent:.{digits}f} %"
