"""What was known of a customer's events at a cut-off, window by window.

Two steps, so that each event is added up few times. First, events fall into *rings* of age, the stretches
between the ends of all windows, and of those before them; every ring is counted and added up once. Then each
window is the sum of its rings.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import ibis
import ibis.expr.types as ir

from churn.config.events import EventTable
from churn.events.calendar import DAY
from churn.events.names import CUSTOMER, CUTOFF, feature_names, level_names, slug

KEYS = [CUSTOMER, CUTOFF]
OTHER = -1  # the level of a text that is none of those that are named
NO_SPREAD = 1e-12  # of the sum of squares: less is the rounding of equal values


def window_features(
    table: str,
    events: ir.Table,
    ages: ir.Table,
    spec: EventTable,
    windows: list[int],
    whole: Collection[str] = (),
) -> ir.Table:
    """Customer, cut-off and the features of one table of events, for customers with an event in reach.

    `events` as `churn.events.staging` makes them; `ages`: day, cutoff, and age, the days from one to the
    other; `whole`: values of which none is missing, and categories without another level than those of
    `spec`, for which less has to be counted. An event counts if it happened, and was known, before the
    cut-off.
    """
    bounds = sorted({edge * days for days in windows for edge in (1, 2)})
    seen = _seen(events, ages.filter((ages.age >= 1) & (ages.age <= max(windows))), spec)
    rings = _rings(seen, spec, bounds, whole).union(_outer_ring(events, ages, spec, bounds, whole))
    added = dict(pair for days in windows for pair in _window_sums(rings, spec, days, bounds, whole))
    sums = rings.group_by(KEYS).agg(last=rings["last"].max(), **added)
    recency = {f"{table}_recency": (sums[CUTOFF] * DAY - sums["last"]) / float(DAY)}
    features = dict(pair for days in windows for pair in _features(sums, table, spec, days, whole))
    made = sums.select(*KEYS, **recency, **features)
    for column in map(slug, spec.distinct):
        counted = _distinct(seen, f"text_{column}", f"{table}_{column}_distinct", windows)
        made = made.left_join(counted, KEYS).drop(*(f"{key}_right" for key in KEYS))
    return made.select(*KEYS, *feature_names(table, spec, windows))


def _seen(events: ir.Table, ages: ir.Table, spec: EventTable) -> ir.Table:
    """Each event at each cut-off within some ages before which it was known."""
    seen = events.join(ages, "day")
    return seen if spec.arrival is None else seen.filter(seen.known < seen.cutoff)


def _rings(seen: ir.Table, spec: EventTable, bounds: list[int], whole: Collection[str]) -> ir.Table:
    """What is added up in each ring within the longest window."""
    number = ibis.cases(*((seen.age <= bound, i) for i, bound in enumerate(bounds)), else_=len(bounds))
    seen = seen.mutate(ring=number.cast("int8"))
    return seen.group_by([*KEYS, "ring"]).agg(
        **_trend_sums(seen, spec), **dict(_other_sums(seen, spec, whole))
    )


def _outer_ring(
    events: ir.Table, ages: ir.Table, spec: EventTable, bounds: list[int], whole: Collection[str]
) -> ir.Table:
    """The same of the ring beyond the longest window, which only its trend looks at: the rest is left out."""
    longest = bounds[-1] // 2
    seen = _seen(events, ages.filter((ages.age > longest) & (ages.age <= 2 * longest)), spec)
    sums = seen.group_by(KEYS).agg(**_trend_sums(seen, spec))
    nothing = {name: ibis.null(value.type()) for name, value in _other_sums(seen, spec, whole)}
    return sums.select(
        *KEYS, ring=ibis.literal(len(bounds) - 1, "int8"), **{n: sums[n] for n in sums.columns[2:]}, **nothing
    )


def _trend_sums(seen: ir.Table, spec: EventTable) -> dict[str, ir.Value]:
    """What recency and trends are made of; counts as floats, which are added up faster than whole numbers."""
    sums = {f"sum_{column}": seen[f"value_{column}"].sum() for column in map(slug, spec.values)}
    return {"n": seen.count().cast("float64"), "last": seen.time.max(), **sums}


def _other_sums(seen: ir.Table, spec: EventTable, whole: Collection[str]) -> Iterator[tuple[str, ir.Value]]:
    """What else a window needs."""
    yield "first", seen.time.min()
    for name in spec.values:
        value = seen[f"value_{slug(name)}"]
        yield f"squares_{slug(name)}", (value * value).sum()
        if name not in whole:
            yield f"n_{slug(name)}", value.count().cast("float64")
    for name in spec.categories:
        level = seen[f"level_{slug(name)}"]
        for number in _level_numbers(spec, name, whole):
            yield _level_sum(name, number), (level == number).ifelse(1.0, 0.0).sum()


def _level_numbers(spec: EventTable, column: str, whole: Collection[str]) -> list[int]:
    """The levels that are counted: `OTHER` only where there may be others."""
    return [*([] if column in whole else [OTHER]), *range(len(spec.levels[column]))]


def _level_sum(column: str, number: int) -> str:
    """Name of the sum that counts a level."""
    return f"level_{slug(column)}_{number + 1}"


def _window_sums(
    rings: ir.Table, spec: EventTable, days: int, bounds: list[int], whole: Collection[str]
) -> Iterator[tuple[str, ir.Value]]:
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
    for name in spec.values:
        for what in ("sum", "squares") if name in whole else ("n", "sum", "squares"):
            yield f"{what}_{slug(name)}_{days}", total(f"{what}_{slug(name)}")
        yield f"sum_{slug(name)}_before_{days}", total(f"sum_{slug(name)}", earlier)
    for name in spec.categories:
        for number in _level_numbers(spec, name, whole):
            yield f"{_level_sum(name, number)}_{days}", total(_level_sum(name, number))


def _features(
    sums: ir.Table, table: str, spec: EventTable, days: int, whole: Collection[str]
) -> Iterator[tuple[str, ir.Value]]:
    """The features of a window by name."""
    n = sums[f"n_{days}"]
    yield f"{table}_count_{days}d", n
    yield f"{table}_count_change_{days}d", n - sums[f"n_before_{days}"]
    span = sums[f"last_{days}"] - sums[f"first_{days}"]
    yield f"{table}_gap_{days}d", span.cast("float64") / (n - 1).nullif(0.0) / DAY
    for name in spec.values:
        count = n if name in whole else sums[f"n_{slug(name)}_{days}"]
        features = _value_features(sums, slug(name), days, count)
        yield from ((f"{table}_{slug(name)}_{what}_{days}d", value) for what, value in features)
    for name in spec.categories:
        features = _category_features(sums, spec, name, days, whole)
        yield from ((f"{table}_{slug(name)}_{what}_{days}d", value) for what, value in features)


def _value_features(
    sums: ir.Table, column: str, days: int, count: ir.Value
) -> Iterator[tuple[str, ir.Value]]:
    """Sum, its trend, mean and spread of a column of which so many values are there."""
    total, squares = (ibis.coalesce(sums[f"{what}_{column}_{days}"], 0.0) for what in ("sum", "squares"))
    yield "sum", total
    yield "sum_change", total - ibis.coalesce(sums[f"sum_{column}_before_{days}"], 0.0)
    yield "mean", total / count.nullif(0.0)
    yield "std", _spread(count, total, squares)


def _category_features(
    sums: ir.Table, spec: EventTable, column: str, days: int, whole: Collection[str]
) -> Iterator[tuple[str, ir.Value]]:
    """Share of each level of a category, and how many levels there are."""
    counts = {i: sums[f"{_level_sum(column, i)}_{days}"] for i in _level_numbers(spec, column, whole)}
    for i, name in enumerate(level_names(spec.levels[column])):
        yield f"share_{name}", counts[i] / sums[f"n_{days}"].nullif(0.0)
    different = [(count > 0).ifelse(1.0, 0.0) for count in counts.values()]
    yield "levels", sum(different, ibis.literal(0.0))


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
