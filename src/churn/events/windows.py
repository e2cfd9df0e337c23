"""What was known of a customer's events at a cut-off, window by window.

Two steps, so that each event is added up few times. First, events fall into *rings* of age, the stretches between
the ends of all windows; every ring is counted and added up once. Then each window is the sum of its rings.
"""

from __future__ import annotations

from collections.abc import Iterator

import ibis
import ibis.expr.types as ir

from churn.config.events import EventTable
from churn.events.calendar import DAY
from churn.events.definition import CUSTOMER, CUTOFF, level_names, slug

KEYS = [CUSTOMER, CUTOFF]
NO_SPREAD = 1e-12  # of the sum of squares: less is the rounding of equal values


def feature_names(table: str, spec: EventTable, windows: list[int]) -> list[str]:
    """The columns that `window_features` makes, in order; levels as far as they are known."""
    return [name for name, _ in _named_features(table, spec, windows)]


def fill_missing(joined: ir.Table, table: str, spec: EventTable, windows: list[int]) -> dict[str, ir.Value]:
    """The same columns of a table in which some customers have no event: their counts and sums are 0."""
    return {
        name: ibis.coalesce(joined[name], 0.0) if is_zero else joined[name]
        for name, is_zero in _named_features(table, spec, windows)
    }


def _named_features(table: str, spec: EventTable, windows: list[int]) -> Iterator[tuple[str, bool]]:
    """Each feature's name, and whether it is 0, and not missing, without any event."""
    yield f"{table}_recency", False
    for days in windows:
        for what in ("count", "count_change", "gap"):
            yield f"{table}_{what}_{days}d", what != "gap"
        for column in map(slug, spec.values):
            for what in ("sum", "sum_change", "mean", "std"):
                yield f"{table}_{column}_{what}_{days}d", what.startswith("sum")
        for column in spec.categories:
            for level in level_names(spec.levels.get(column, [])):
                yield f"{table}_{slug(column)}_share_{level}_{days}d", False
            yield f"{table}_{slug(column)}_levels_{days}d", True
        for column in map(slug, spec.distinct):
            yield f"{table}_{column}_distinct_{days}d", True


def window_features(table: str, events: ir.Table, ages: ir.Table, spec: EventTable, windows: list[int]) -> ir.Table:
    """Customer, cut-off and the features of one table of events, for customers with an event in reach.

    `events` as `churn.events.normal` makes them; `ages`: day, cutoff, and age, the days from one to the other.
    An event counts if it happened, and was known, before the cut-off.
    """
    bounds = sorted({edge * days for days in windows for edge in (1, 2)})
    past = ages.filter((ages.age >= 1) & (ages.age <= bounds[-1]))
    past = past.mutate(ring=ibis.cases(*((past.age <= bound, i) for i, bound in enumerate(bounds)), else_=len(bounds)))
    seen = events.join(past, "day")
    if spec.arrival is not None:
        seen = seen.filter(seen.known < seen.cutoff)
    rings = seen.group_by([*KEYS, "ring"]).agg(**dict(_ring_sums(seen, spec)))
    sums = rings.group_by(KEYS).agg(
        last=rings["last"].max(),
        **{name: value for days in windows for name, value in _window_sums(rings, spec, days, bounds)},
    )
    made = sums.select(
        *KEYS,
        **{f"{table}_recency": (sums[CUTOFF] * DAY - sums["last"]) / float(DAY)},
        **{name: value for days in windows for name, value in _features(sums, table, spec, days)},
    )
    for column in map(slug, spec.distinct):
        counted = _distinct(seen, f"text_{column}", f"{table}_{column}_distinct", windows)
        made = made.left_join(counted, KEYS).drop(*(f"{key}_right" for key in KEYS))
    return made.select(*KEYS, *feature_names(table, spec, windows))


def _ring_sums(seen: ir.Table, spec: EventTable) -> Iterator[tuple[str, ir.Value]]:
    """What is added up in each ring; counts as floats, whose sums are faster than those of whole numbers."""
    yield "n", seen.count().cast("float64")
    yield "first", seen.time.min()
    yield "last", seen.time.max()
    for column in map(slug, spec.values):
        value = seen[f"value_{column}"]
        yield f"n_{column}", value.count().cast("float64")
        yield f"sum_{column}", value.sum()
        yield f"squares_{column}", (value * value).sum()
    for column in spec.categories:
        level = seen[f"level_{slug(column)}"]
        for number in (-1, *range(len(spec.levels[column]))):
            yield _level_sum(column, number), (level == number).ifelse(1.0, 0.0).sum()


def _level_sum(column: str, number: int) -> str:
    """Name of the sum that counts a level, -1 those that are none."""
    return f"level_{slug(column)}_{number + 1}"


def _window_sums(rings: ir.Table, spec: EventTable, days: int, bounds: list[int]) -> Iterator[tuple[str, ir.Value]]:
    """The sums of a window, and of the window before it where the trend needs them."""
    last, before = bounds.index(days), bounds.index(2 * days)
    within = rings.ring <= last
    earlier = (rings.ring > last) & (rings.ring <= before)

    def total(name: str, where: ir.Value = within) -> ir.Value:
        return where.ifelse(rings[name], 0.0).sum()

    yield f"n_{days}", total("n")
    yield f"n_before_{days}", total("n", earlier)
    yield f"first_{days}", within.ifelse(rings["first"], ibis.null("int64")).min()
    yield f"last_{days}", within.ifelse(rings["last"], ibis.null("int64")).max()
    for column in map(slug, spec.values):
        for what in ("n", "sum", "squares"):
            yield f"{what}_{column}_{days}", total(f"{what}_{column}")
        yield f"sum_{column}_before_{days}", total(f"sum_{column}", earlier)
    for column in spec.categories:
        for number in (-1, *range(len(spec.levels[column]))):
            yield f"{_level_sum(column, number)}_{days}", total(_level_sum(column, number))


def _features(sums: ir.Table, table: str, spec: EventTable, days: int) -> Iterator[tuple[str, ir.Value]]:
    """The features of a window by name."""
    n = sums[f"n_{days}"]
    yield f"{table}_count_{days}d", n
    yield f"{table}_count_change_{days}d", n - sums[f"n_before_{days}"]
    span = sums[f"last_{days}"] - sums[f"first_{days}"]
    yield f"{table}_gap_{days}d", span.cast("float64") / (n - 1).nullif(0.0) / DAY
    for column in map(slug, spec.values):
        count, total, squares = (sums[f"{what}_{column}_{days}"] for what in ("n", "sum", "squares"))
        total = ibis.coalesce(total, 0.0)
        yield f"{table}_{column}_sum_{days}d", total
        yield f"{table}_{column}_sum_change_{days}d", total - ibis.coalesce(sums[f"sum_{column}_before_{days}"], 0.0)
        yield f"{table}_{column}_mean_{days}d", total / count.nullif(0.0)
        yield f"{table}_{column}_std_{days}d", _spread(count, total, squares)
    for column in spec.categories:
        counts = [sums[f"{_level_sum(column, i)}_{days}"] for i in (-1, *range(len(spec.levels[column])))]
        for name, count in zip(level_names(spec.levels[column]), counts[1:], strict=True):
            yield f"{table}_{slug(column)}_share_{name}_{days}d", count / n.nullif(0.0)
        different = [(count > 0).ifelse(1.0, 0.0) for count in counts]
        yield f"{table}_{slug(column)}_levels_{days}d", sum(different[1:], different[0])


def _spread(count: ir.Value, total: ir.Value, squares: ir.Value) -> ir.Value:
    """The standard deviation of a sample from its sums; 0 where all that differs is rounding."""
    around_mean = squares - total * total / count.nullif(0.0)
    variance = ibis.greatest(around_mean, 0.0) / (count - 1).nullif(0.0)
    return ibis.cases(
        (count < 2, ibis.null("float64")), (around_mean <= NO_SPREAD * squares, 0.0), else_=variance.sqrt()
    )


def _distinct(seen: ir.Table, column: str, name: str, windows: list[int]) -> ir.Table:
    """How many different texts of a column each window has: those whose newest event is young enough."""
    newest = seen.filter(seen[column].notnull()).group_by([*KEYS, column]).agg(age=seen.age.min())
    return newest.group_by(KEYS).agg(
        **{f"{name}_{days}d": (newest.age <= days).ifelse(1.0, 0.0).sum() for days in windows}
    )
