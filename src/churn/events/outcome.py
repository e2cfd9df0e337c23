"""Who is a customer at a cut-off, and who has churned by the end of the horizon.

Whether somebody is asked about at a cut-off is decided by what happened before it; the outcome by what
happened from its first moment on.
"""

from __future__ import annotations

from collections.abc import Mapping

import ibis
import ibis.expr.types as ir

from churn.config.events import ChurnConfig, ChurnKind, EventsConfig
from churn.events.definition import CONTINUES
from churn.events.names import CHURNED, CUSTOMER, CUTOFF, TENURE


def population(tables: Mapping[str, ir.Table], cfg: EventsConfig, ages: ir.Table) -> ir.Table:
    """customer, cutoff, days_as_customer: who is a customer at the beginning of each cut-off.

    `tables` by name as `churn.events.staging` makes them; `ages`: day, cutoff, and age.
    """
    if cfg.churn.kind is ChurnKind.inactive:
        table = str(cfg.churn.table)
        seen = _active(tables[table], cfg.churn, ages)
        return _with_tenure(seen, tables[table], arrives_late=cfg.tables[table].arrival is not None)
    return _under_contract(_contracts(tables, cfg), ages.select(CUTOFF).distinct())


def with_outcome(
    rows: ir.Table, tables: Mapping[str, ir.Table], cfg: EventsConfig, ages: ir.Table
) -> ir.Table:
    """The same rows with `churned`: 1 who churns within the horizon, else 0."""
    if cfg.churn.kind is ChurnKind.inactive:
        alive = _seen_again(tables[str(cfg.churn.table)], cfg.horizon, ages)
        joined = rows.left_join(alive, [CUSTOMER, CUTOFF])
        return joined.select(*rows.columns, **{CHURNED: joined["alive"].isnull().cast("int8")})
    grace = cfg.churn.grace if cfg.churn.kind is ChurnKind.not_renewed else CONTINUES
    contracts = _contracts(tables, cfg)
    gone = _leavings(contracts, grace)
    lost = rows.select(CUSTOMER, CUTOFF).join(gone, CUSTOMER)
    lost = lost.filter((lost.left_on >= lost[CUTOFF]) & (lost.left_on < lost[CUTOFF] + cfg.horizon))
    if (cancellations := cfg.tables.get(str(cfg.churn.table))) and cancellations.arrival:
        lost = lost.select(CUSTOMER, CUTOFF, "left_on").union(_gone_unknown(rows, contracts))
    lost = lost.group_by([CUSTOMER, CUTOFF]).agg(left_on=lost.left_on.min())
    joined = rows.left_join(lost, [CUSTOMER, CUTOFF])
    return joined.select(*rows.columns, **{CHURNED: joined.left_on.notnull().cast("int8")})


def _active(events: ir.Table, churn: ChurnConfig, ages: ir.Table) -> ir.Table:
    """Customers with an event in the lookback before a cut-off."""
    before = ages.filter((ages.age >= 1) & (ages.age <= churn.lookback))
    seen = events.join(before, "day")
    return seen.filter(seen.known < seen[CUTOFF]).select(CUSTOMER, CUTOFF).distinct()


def _with_tenure(seen: ir.Table, events: ir.Table, arrives_late: bool) -> ir.Table:
    """The customers at cut-offs with the days since their first event, as known then."""
    if arrives_late:
        first = events.group_by([CUSTOMER, "known"]).agg(day=events.day.min())
        first = seen.join(first, CUSTOMER)
        first = first.filter(first.known < first[CUTOFF])
        joined = first.group_by([CUSTOMER, CUTOFF]).agg(first=first.day.min())
    else:
        joined = seen.join(events.group_by(CUSTOMER).agg(first=events.day.min()), CUSTOMER)
    return joined.select(CUSTOMER, CUTOFF, **{TENURE: (joined[CUTOFF] - joined["first"]).cast("float64")})


def _seen_again(events: ir.Table, horizon: int, ages: ir.Table) -> ir.Table:
    """Customers with an event in the horizon from a cut-off on."""
    after = ages.filter((ages.age <= 0) & (ages.age > -horizon))
    seen = events.join(after, "day")
    return seen.group_by([CUSTOMER, CUTOFF]).agg(alive=seen.day.min())


def _contracts(tables: Mapping[str, ir.Table], cfg: EventsConfig) -> ir.Table:
    """customer, begin, end, known, noticed: the contracts, or what beginnings and cancellations make of them.

    `noticed`: the day on which it has ended and that is known. A contract that ends before it begins is none.
    """
    names = [str(cfg.churn.table), str(cfg.churn.begin)]
    table = tables[names[0]]
    if "begin" in table.columns:
        return table.filter(table.end.isnull() | (table.end >= table.begin)).mutate(noticed=table.end)
    begun = tables[names[1]]
    if any(cfg.tables[name].arrival for name in names):  # what arrives later must not change what was known
        begun = begun.select(CUSTOMER, "known", cancelled_from="time", since="time", begin="day")
    else:
        begun = _beginnings(begun, table)
    noticed = ibis.greatest(table.day, table.known)
    cancelled = table.select(CUSTOMER, until=table.time, end=table.day, noticed=noticed)
    pairs = begun.left_join(cancelled, [CUSTOMER, begun.cancelled_from <= cancelled.until])
    return pairs.group_by([CUSTOMER, "since", "begin"]).agg(
        end=pairs.end.min(), known=pairs.known.min(), noticed=pairs.noticed.min()
    )


def _beginnings(begun: ir.Table, cancelled: ir.Table) -> ir.Table:
    """customer, since, begin, known, cancelled_from: the second from which a cancellation ends it.

    Of a beginning and a cancellation in one second the beginning comes last where the customer was one
    before: by the newest earlier second that has only one of the two. For events that are known at once.
    """
    begins = begun.select(CUSTOMER, "time", "day", "known", begins=1, cancels=0)
    cancels = cancelled.select(CUSTOMER, "time", "day", known=ibis.null("int64"), begins=0, cancels=1)
    both = begins.union(cancels)
    moments = both.group_by([CUSTOMER, "time", "day"]).agg(
        known=both.known.min(), begins=both.begins.max(), cancels=both.cancels.max()
    )
    earlier = ibis.window(group_by=CUSTOMER, order_by="time", preceding=(None, 1))
    only_begins = (moments.cancels == 0).ifelse(moments.time, ibis.null("int64"))
    only_cancels = (moments.begins == 0).ifelse(moments.time, ibis.null("int64"))
    placed = moments.mutate(begun=only_begins.max().over(earlier), ended=only_cancels.max().over(earlier))
    was_customer = (placed.begun > ibis.coalesce(placed.ended, -1)).ifelse(1, 0)
    made = placed.mutate(cancelled_from=placed.time + was_customer).filter(placed.begins == 1)
    return made.select(CUSTOMER, "known", "cancelled_from", since="time", begin="day")


def _under_contract(contracts: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """Customers with a contract that has begun before a cut-off and not ended before it, as known then."""
    pairs = contracts.cross_join(cutoffs)
    running = pairs.filter(
        (pairs.begin < pairs[CUTOFF])
        & (pairs.known < pairs[CUTOFF])
        & (pairs.noticed.isnull() | (pairs.noticed >= pairs[CUTOFF]))
    )
    running = running.select(CUSTOMER, CUTOFF).distinct()
    known = pairs.filter(pairs.known < pairs[CUTOFF])
    first = known.group_by([CUSTOMER, CUTOFF]).agg(first=known.begin.min())
    joined = running.join(first, [CUSTOMER, CUTOFF])
    return joined.select(CUSTOMER, CUTOFF, **{TENURE: (joined[CUTOFF] - joined["first"]).cast("float64")})


def _gone_unknown(rows: ir.Table, contracts: ir.Table) -> ir.Table:
    """customer, cutoff, left_on: who has no contract at a cut-off any more, which only nobody knew yet."""
    pairs = rows.select(CUSTOMER, CUTOFF).join(contracts, CUSTOMER)
    held = pairs.filter((pairs.begin <= pairs[CUTOFF]) & (pairs.end.isnull() | (pairs.end >= pairs[CUTOFF])))
    held = held.select(CUSTOMER, CUTOFF).distinct().mutate(holds=1)
    joined = rows.select(CUSTOMER, CUTOFF).left_join(held, [CUSTOMER, CUTOFF])
    return joined.filter(joined.holds.isnull()).select(CUSTOMER, CUTOFF, left_on=joined[CUTOFF])


def _leavings(contracts: ir.Table, grace: int) -> ir.Table:
    """customer, left_on: each end of a contract that no other contract of the customer goes beyond.

    One that begins up to `grace` days after the end goes on where the first stopped.
    """
    ended = contracts.filter(contracts.end.notnull()).select(CUSTOMER, left_on=contracts.end).distinct()
    others = contracts.select(CUSTOMER, other_begin=contracts.begin, other_end=contracts.end)
    pairs = ended.join(others, CUSTOMER)
    continued = pairs.filter(
        (pairs.other_begin <= pairs.left_on + grace)
        & (pairs.other_end.isnull() | (pairs.other_end > pairs.left_on))
    )
    continued = continued.select(CUSTOMER, "left_on").distinct().mutate(goes_on=1)
    joined = ended.left_join(continued, [CUSTOMER, "left_on"])
    return joined.filter(joined.goes_on.isnull()).select(CUSTOMER, "left_on")


def overlaps(contracts: ir.Table) -> ir.Table:
    """One row for each contract during which another of the same customer begins."""
    others = contracts.select(CUSTOMER, other_begin=contracts.begin)
    pairs = contracts.join(others, CUSTOMER)
    return (
        pairs.filter(
            (pairs.other_begin > pairs.begin) & (pairs.end.isnull() | (pairs.other_begin < pairs.end))
        )
        .select(CUSTOMER, "begin")
        .distinct()
    )
