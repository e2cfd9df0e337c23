"""Figures as SVG that takes its colours and its font from the page."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from html import escape
from io import StringIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from churn.evaluate.evaluation import MODEL, TRUTH
from churn.evaluate.report.wording import display_name

# Placeholders for variables of the page's style sheet, so that one drawing suits light and dark pages.
INK, FAINT, GRID, NETWORK, CHURNERS = "#000001", "#000002", "#000003", "#000004", "#000005"
VARIABLES = {
    INK: "currentColor",
    FAINT: "var(--line)",
    GRID: "var(--grid)",
    NETWORK: "var(--ours)",
    CHURNERS: "var(--leave)",
}

# Okabe and Ito's palette, and dashes for people who do not see the colours.
LINES: dict[str, dict[str, Any]] = {
    "boosting": {"color": "#D55E00"},
    "logistic_regression": {"color": "#009E73", "linestyle": (0, (5, 1.5))},
    "tutorial": {"color": "#CC79A7", "linestyle": (0, (3, 1, 1, 1))},
    TRUTH: {"color": INK, "linestyle": (0, (1, 1))},
    MODEL: {"color": NETWORK, "linewidth": 2.2},  # the last is drawn on top
}

ON_WHITE = {INK: "#1c2127", FAINT: "#9aa3ae", GRID: "#d9dde2", NETWORK: "#0072b2", CHURNERS: "#d55e00"}

STYLE = {
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # a name may hold dollar signs
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}
SIZE = (4.6, 3.7)  # inches; readable when a phone shrinks it by a fifth
COLUMNS = 2  # of a legend: more are wider than the figure
POINTS = 400  # of a curve, at most


@dataclass(frozen=True)
class Chart:
    """A figure of the page."""

    title: str
    text: str  # how to read it; screen readers read it in place of the drawing
    svg: str

    def _repr_html_(self) -> str:
        """The figure in a notebook: with colours for a white page, unless the page defines them."""
        colors = self.svg
        for color, variable in VARIABLES.items():
            colors = colors.replace(variable, variable.replace(")", f", {ON_WHITE[color]})"))
        caption = f"<b>{escape(self.title)}</b><br><small>{escape(self.text)}</small>"
        shown = f"<figcaption>{caption}</figcaption>{colors}"
        return f'<figure class="churn" style="max-width: 480px">{shown}</figure>'


def for_notebooks() -> None:
    """Give the figures of a notebook the style of the report.

    >>> for_notebooks()
    """
    from cycler import cycler

    warnings.filterwarnings("ignore", "IProgress not found")  # of MLflow's empty progress bars
    style: dict[str, Any] = {key: ON_WHITE.get(str(value), value) for key, value in STYLE.items()}
    colors = [line["color"] for line in LINES.values() if line["color"] not in VARIABLES]
    mpl.rcParams.update(
        style
        | {
            "axes.prop_cycle": cycler(
                color=dict.fromkeys([ON_WHITE[NETWORK], ON_WHITE[CHURNERS].upper(), *colors])
            ),
            "axes.axisbelow": True,
            "axes.titlelocation": "left",
            "axes.titleweight": "bold",
            "figure.figsize": (6.4, 3.7),
        }
    )


def new_figure(x: str, y: str) -> tuple[Figure, Axes]:
    """An empty figure with labelled axes."""
    figure = Figure(SIZE)
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y)
    return figure, axes


def draw_curve(axes: Axes, name: str, x: np.ndarray, y: np.ndarray) -> None:
    """Draw a curve of shares in percent, with at most `POINTS` points."""
    shown = np.unique(np.linspace(0, len(x) - 1, POINTS).astype(int))
    axes.plot(100 * x[shown], 100 * y[shown], label=display_name(name), **LINES[name])


def to_chart(figure: Figure, axes: Axes, title: str, text: str) -> Chart:
    """The figure for the page, with a legend below it if something has a label: no curve crosses it."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), COLUMNS))
    svg = StringIO()
    with mpl.rc_context({"svg.hashsalt": title}), warnings.catch_warnings():  # the same ids in each run
        warnings.filterwarnings(
            "ignore", "Glyph .* missing"
        )  # the page's font has the letters of all scripts
        figure.savefig(svg, format="svg", transparent=True)
    return Chart(title, text, _for_page(svg.getvalue(), f"{title}. {text}"))


def _for_page(svg: str, description: str) -> str:
    """Matplotlib's SVG with the colours and the font of the page, without ids that figures share."""
    drawing = svg[svg.index("</defs>") : svg.rindex("</svg>")].removeprefix("</defs>")
    drawing = re.sub(r' id="[\w.]+_\d+"|font-family: [^;]*;', "", drawing)
    for color, variable in VARIABLES.items():
        drawing = drawing.replace(color, variable)
    width, height = (72 * inches for inches in SIZE)
    attributes = f'viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(description)}"'
    return f"<svg {attributes}>{drawing}</svg>"
