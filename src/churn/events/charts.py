"""The figures that help to choose a definition of churn, its cut-offs and its horizon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.ticker import MaxNLocator
from scipy.stats import beta

from churn.evaluate.report.drawing import CHURNERS, INK, NETWORK, STYLE, Chart, new_figure, to_chart
from churn.events.calendar import DAY
from churn.events.silence import STABLE, Silence

SHOWN_ROWS = 40  # rows of a customer, from where on a histogram puts them together
DASHES = ("-", "--", ":", "-.")


def draw_base_rate(by_cutoff: Mapping[str, Sequence[int]], censored: Mapping[str, int]) -> Chart:
    """Share of churners by cut-off, with 95 % Jeffreys intervals; cut-offs without an outcome are marked."""
    with mpl.rc_context(STYLE):
        figure, axes = new_figure("Cut-off", "Churned within the horizon (%)")
        dates = np.array(list(by_cutoff), "datetime64[D]")
        rate, errors = _rates(np.array(list(by_cutoff.values())))
        axes.errorbar(dates, rate, errors, color=NETWORK, fmt="o", markersize=4, label="with 95 % interval")
        for number, cutoff in enumerate(censored):
            label = "outcome not known yet" if number == 0 else None
            axes.axvline(date2num(np.datetime64(cutoff)), color=CHURNERS, linestyle=":", label=label)
        axes.set_ylim(0, 1.25 * (rate + errors[1]).max())  # room for the legend
        _few_dates(axes)
        how = "A level line means that one definition holds all the time. Steps are changes of the business "
        how += "or of the export; waves are seasons."
        return to_chart(figure, axes, "How many churn, by cut-off", how)


def _rates(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Percentages [n] of rows and churned [n, 2], and how far their intervals reach down and up [2, n]."""
    rows, churned = counts.T
    low, high = 100 * beta.ppf([[0.025], [0.975]], churned + 0.5, rows - churned + 0.5)
    rate = 100 * churned / rows
    return rate, np.maximum([rate - low, high - rate], 0)


def draw_silence(found: Sequence[Silence]) -> Chart:
    """Share of the silent who come back, by how long they have been silent."""
    with mpl.rc_context(STYLE):
        figure, axes = new_figure("Days without an event", "Of those silent so long, come back (%)")
        for silence, dashes in zip(found, DASHES * len(found), strict=False):
            returning = int(np.count_nonzero(silence.come_back > 0.005))  # the share never rises
            shown = (silence.at_risk >= 30) & (silence.days <= returning)
            days, percent = silence.days[shown], 100 * silence.come_back[shown]
            axes.plot(days, percent, linestyle=dashes, color=NETWORK, label=silence.table)
            if silence.stable_from is not None:
                axes.axvline(silence.stable_from, color=CHURNERS, linestyle=dashes, linewidth=1)
        axes.axhline(100 * STABLE, color=INK, linewidth=0.8, linestyle=":", label=f"{100 * STABLE:.0f} %")
        axes.set(ylim=(0, 103), xlim=(0, None))
        how = f"Where the line falls below {100 * STABLE:.0f} % (vertical lines), silence is rarely a pause: "
        how += "a definition of inactivity with a horizon that long is stable. Gaps at the data's end are "
        return to_chart(figure, axes, "From when on silence is an end", how + "censored (Kaplan and Meier).")


def draw_rows(rows_of_customer: Mapping[int, int]) -> Chart:
    """How many customers have one row, two, ..."""
    with mpl.rc_context(STYLE):
        figure, axes = new_figure("Rows of a customer", "Customers")
        counts = np.zeros(SHOWN_ROWS + 1)
        for rows, customers in rows_of_customer.items():
            counts[min(rows, SHOWN_ROWS)] += customers
        last = int(np.flatnonzero(counts)[-1])
        axes.bar(np.arange(1, last + 1), counts[1 : last + 1], color=NETWORK)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_axisbelow(True)
        how = "A row stands for each cut-off at which somebody is a customer. Rows of a customer are alike: "
        how += "the split by time keeps those apart whose outcomes overlap."
        return to_chart(figure, axes, "Rows by customer", how)


def draw_weeks(weeks: Mapping[str, Sequence[tuple[int, int]]]) -> Chart:
    """Events by week, on one scale for all tables."""
    with mpl.rc_context(STYLE):
        figure, axes = new_figure("Week", "Events of the week (largest week = 100)")
        for (name, counted), dashes in zip(weeks.items(), DASHES * len(weeks), strict=False):
            days, events = np.array(counted).T
            mondays, percent = (days * DAY).astype("datetime64[s]"), 100 * events / events.max()
            axes.plot(mondays, percent, linestyle=dashes, color=NETWORK, label=name)
        axes.set_ylim(0, 103)
        _few_dates(axes)
        how = "A hole or a step is more often a fault of the export than of customers; waves are seasons. "
        return to_chart(figure, axes, "Events by week", how + "The first and the last week are seldom whole.")


def _few_dates(axes: Axes) -> None:
    """No more dates below an axis than a phone has room for."""
    locator = AutoDateLocator(minticks=3, maxticks=6)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
