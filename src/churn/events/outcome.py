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
    return _under_contract(_contracts(tables, cfg.churn), ages.select(CUTOFF).distinct())


def with_outcome(
    rows: ir.Table, tables: Mapping[str, ir.Table], cfg: EventsConfig, ages: ir.Table
) -> ir.Table:
    """The same rows with `churned`: 1 who churns within the horizon, else 0."""
    if cfg.churn.kind is ChurnKind.inactive:
        alive = _seen_again(tables[str(cfg.churn.table)], cfg.horizon, ages)
        joined = rows.left_join(alive, [CUSTOMER, CUTOFF])
        return joined.select(*rows.columns, **{CHURNED: joined["alive"].isnull().cast("int8")})
    grace = cfg.churn.grace if cfg.churn.kind is ChurnKind.not_renewed else CONTINUES
    contracts = _contracts(tables, cfg.churn)
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


def _contracts(tables: Mapping[str, ir.Table], churn: ChurnConfig) -> ir.Table:
    """customer, begin, end, known, noticed: the contracts, or what beginnings and cancellations make of them.

    `noticed`: the day on which it has ended and that is known. A contract that ends before it begins is none.
    """
    table = tables[str(churn.table)]
    if "begin" in table.columns:
        return table.filter(table.end.isnull() | (table.end >= table.begin)).mutate(noticed=table.end)
    begun = _beginnings(tables[str(churn.begin)], table)
    noticed = ibis.greatest(table.day, table.known)
    cancelled = table.select(CUSTOMER, until=table.time, end=table.day, noticed=noticed)
    pairs = begun.left_join(cancelled, [CUSTOMER, begun.cancelled_from <= cancelled.until])
    return pairs.group_by([CUSTOMER, "since", "begin"]).agg(
        end=pairs.end.min(), known=pairs.known.min(), noticed=pairs.noticed.min()
    )


def _beginnings(begun: ir.Table, cancelled: ir.Table) -> ir.Table:
    """customer, since, begin, known, cancelled_from: the second from which a cancellation ends it.

    Of a beginning and a cancellation in one second the beginning comes last where the customer was one
    before.
    """
    begun = begun.group_by([CUSTOMER, "time", "day"]).agg(known=begun.known.min())
    tied = begun.semi_join(cancelled, [CUSTOMER, "time"])
    tied = tied.select(CUSTOMER, since="time", decided=ibis.greatest(tied.day, tied.known))
    before = _customer_before(tied, begun, cancelled)
    placed = begun.select(CUSTOMER, "known", since="time", begin="day").left_join(before, [CUSTOMER, "since"])
    placed = placed.select(CUSTOMER, "since", "begin", "known", later=ibis.coalesce(placed.was_customer, 0))
    return placed.mutate(cancelled_from=placed.since + placed.later)


def _customer_before(tied: ir.Table, begun: ir.Table, cancelled: ir.Table) -> ir.Table:
    """customer, since, was_customer (0, 1): by the newest earlier second with only one of the two.

    Of what was known by the day `decided`, so that nothing that arrives later changes it.
    """
    begins = begun.select(CUSTOMER, "time", "known", begins=1, cancels=0)
    cancels = cancelled.select(CUSTOMER, "time", "known", begins=0, cancels=1)
    events = tied.join(begins.union(cancels), CUSTOMER)
    events = events.filter((events.time < events.since) & (events.known <= events.decided))
    moments = events.group_by([CUSTOMER, "since", "time"]).agg(
        begins=events.begins.max(), cancels=events.cancels.max()
    )
    moments = moments.filter(moments.begins != moments.cancels)
    begins_at = (moments.begins == 1).ifelse(moments.time, ibis.null("int64"))
    newest = moments.group_by([CUSTOMER, "since"]).agg(begun=begins_at.max(), any=moments.time.max())
    return newest.select(CUSTOMER, "since", was_customer=(newest.begun == newest["any"]).ifelse(1, 0))


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
