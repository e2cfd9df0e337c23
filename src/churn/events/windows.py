"""What was known of a customer's events at a cut-off, window by window.

An event meets each cut-off that it is in reach of, and is added up there in every window that it is in: one
pass over the events, in the order of their customers, makes the sums of all windows.
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
# Less than so much of the sum of squares is the rounding of equal values: of a few by value, and at most; of
# more than 10,000 by value: 7e-17 was the most for 150 different values, each up to two million times.
NO_SPREAD, MOST_ROUNDING, MANY_ROUNDING = 1e-15, 1e-12, 1e-16


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
    longest = max(windows)
    seen = _seen(events, ages.filter((ages.age >= 1) & (ages.age <= longest)), spec)
    added = dict(pair for days in windows for pair in _window_sums(seen, spec, days, longest, whole))
    recent = seen.group_by(KEYS).agg(last=seen.time.max(), **added)
    sums = _joined(recent, _older_sums(events, ages, spec, windows))
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


def _older_sums(events: ir.Table, ages: ir.Table, spec: EventTable, windows: list[int]) -> ir.Table:
    """Events from before the longest window: what recency and trends need of them."""
    longest = max(windows)
    seen = _seen(events, ages.filter((ages.age > longest) & (ages.age <= 2 * longest)), spec)
    added: dict[str, ir.Value] = {"last": seen.time.max()}
    for days in (days for days in windows if 2 * days > longest):
        added |= _trend_sums(seen, spec, f"older_{days}", None if days == longest else seen.age <= 2 * days)
    return seen.group_by(KEYS).agg(**added)


def _joined(recent: ir.Table, older: ir.Table) -> ir.Table:
    """Both sums of customers and cut-offs that have either; `last` is the newest."""
    both = recent.outer_join(older, KEYS)
    shared = [*KEYS, "last"]
    columns = {name: ibis.coalesce(both[name], both[f"{name}_right"]) for name in shared}
    others = [name for name in (*recent.columns, *older.columns) if name not in shared]
    return both.select(**columns, **{name: both[name] for name in others})


def _window_sums(
    seen: ir.Table, spec: EventTable, days: int, longest: int, whole: Collection[str]
) -> Iterator[tuple[str, ir.Value]]:
    """The sums of a window, and of the window before it as far as that is in the longest one."""
    within = None if days == longest else seen.age <= days
    yield f"n_{days}", _count(seen, within)
    yield f"first_{days}", (seen.time if within is None else within.ifelse(seen.time, None)).min()
    for column in map(slug, spec.values):
        value = seen[f"value_{column}"]
        yield f"sum_{column}_{days}", _within(value, within).sum()
        yield f"squares_{column}_{days}", _within(value * value, within).sum()
    for name in (name for name in spec.values if name not in whole):
        known = as_number(seen[f"value_{slug(name)}"].notnull())
        yield f"n_{slug(name)}_{days}", _within(known, within).sum()
    for name in spec.categories:
        for number in _level_numbers(spec, name, whole):
            has_level = as_number(seen[f"level_{slug(name)}"] == number)
            yield f"{_level_sum(name, number)}_{days}", _within(has_level, within).sum()
    if within is not None:
        before = (seen.age > days) & (seen.age <= 2 * days)
        yield from _trend_sums(seen, spec, f"before_{days}", before).items()


def _trend_sums(
    seen: ir.Table, spec: EventTable, name: str, where: ir.BooleanValue | None
) -> dict[str, ir.Value]:
    """What a trend compares a window with."""
    values = {f"sum_{column}": seen[f"value_{column}"] for column in map(slug, spec.values)}
    sums = {f"{name}_{what}": _within(value, where).sum() for what, value in values.items()}
    return {f"{name}_n": _count(seen, where), **sums}


def _within(value: ir.FloatingValue, where: ir.BooleanValue | None) -> ir.FloatingValue:
    """A number where a condition holds, 0 elsewhere: to multiply is quicker than to choose."""
    return value if where is None else value * as_number(where)


def as_number(condition: ir.BooleanValue) -> ir.FloatingValue:
    """1.0 or 0.0; BigQuery casts truth values to whole numbers only."""
    return condition.cast("int8").cast("float64")


def _count(seen: ir.Table, where: ir.BooleanValue | None) -> ir.FloatingValue:
    """How many events meet a condition: a sum of floats, which is quicker than one of whole numbers."""
    return seen.count().cast("float64") if where is None else as_number(where).sum()


def _level_numbers(spec: EventTable, column: str, whole: Collection[str]) -> list[int]:
    """The levels that are counted: `OTHER` only where there may be others."""
    return [*([] if column in whole else [OTHER]), *range(len(spec.levels[column]))]


def _level_sum(column: str, number: int) -> str:
    """Name of the sum that counts a level."""
    return f"level_{slug(column)}_{number + 1}"


def _features(
    sums: ir.Table, table: str, spec: EventTable, days: int, whole: Collection[str]
) -> Iterator[tuple[str, ir.Value]]:
    """The features of a window by name; missing, or 0, without any event."""
    n = sums[f"n_{days}"]
    yield f"{table}_count_{days}d", n
    yield f"{table}_count_change_{days}d", _change(sums, "n", days)
    span = (sums["last"] - sums[f"first_{days}"]).cast("float64")  # the newest event is that of all windows
    yield f"{table}_gap_{days}d", span / _less_one(n) / float(DAY)
    for name in spec.values:
        count = n if name in whole else sums[f"n_{slug(name)}_{days}"]
        features = _value_features(sums, slug(name), days, count)
        yield from ((f"{table}_{slug(name)}_{what}_{days}d", value) for what, value in features)
    for name in spec.categories:
        features = _category_features(sums, spec, name, days, whole)
        yield from ((f"{table}_{slug(name)}_{what}_{days}d", value) for what, value in features)


def _change(sums: ir.Table, what: str, days: int) -> ir.Value:
    """A sum of a window less that of the window before it."""
    before = [name for part in ("before", "older") if (name := f"{part}_{days}_{what}") in sums.columns]
    total = ibis.coalesce(sums[f"{what}_{days}"], 0.0)
    for name in before:
        total = total - ibis.coalesce(sums[name], 0.0)
    return total


def _less_one(count: ir.Value) -> ir.Value:
    """One less than a count from two on, else missing."""
    return (count.nullif(0.0) - 1.0).nullif(0.0)


def _value_features(
    sums: ir.Table, column: str, days: int, count: ir.Value
) -> Iterator[tuple[str, ir.Value]]:
    """Sum, its trend, mean and spread of a column of which so many values are there."""
    total, squares = sums[f"sum_{column}_{days}"], sums[f"squares_{column}_{days}"]
    mean = total / count.nullif(0.0)
    around_mean = squares - total * mean
    rounding = ibis.greatest(ibis.least(NO_SPREAD * count, MOST_ROUNDING), MANY_ROUNDING * count)
    spread = (around_mean > rounding * squares).ifelse(around_mean, 0.0)
    yield "sum", total
    yield "sum_change", _change(sums, f"sum_{column}", days)
    yield "mean", mean
    yield "std", (spread / _less_one(count)).sqrt()


def _category_features(
    sums: ir.Table, spec: EventTable, column: str, days: int, whole: Collection[str]
) -> Iterator[tuple[str, ir.Value]]:
    """Share of each level of a category, and how many levels there are."""
    counts = {
        i: ibis.coalesce(sums[f"{_level_sum(column, i)}_{days}"], 0.0)  # missing where all texts are
        for i in _level_numbers(spec, column, whole)
    }
    for i, name in enumerate(level_names(spec.levels[column])):
        yield f"share_{name}", counts[i] / sums[f"n_{days}"].nullif(0.0)
    different = [as_number(count > 0) for count in counts.values()]
    yield "levels", sum(different, ibis.literal(0.0))


def _distinct(seen: ir.Table, column: str, name: str, windows: list[int]) -> ir.Table:
    """How many different texts of a column each window has: those whose newest event is young enough."""
    newest = seen.filter(seen[column].notnull()).group_by([*KEYS, column]).agg(age=seen.age.min())
    return newest.group_by(KEYS).agg(
        **{f"{name}_{days}d": _count(newest, newest.age <= days) for days in windows}
    )
