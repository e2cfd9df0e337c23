"""What a reader must know about event tables: everything odd counted, none of it an error."""

from __future__ import annotations

from collections.abc import Iterator

from churn.config.events import ChurnKind
from churn.data.dataset import Finding
from churn.errors import count
from churn.events.calendar import to_date, today
from churn.events.definition import tables_of
from churn.events.history import ended_tables
from churn.events.names import CUSTOMER, slug
from churn.events.outcome import overlaps
from churn.events.workspace import Workspace, to_sql

LATE_DAYS = 1  # a lateness of the slowest hundredth from which labels of the newest cut-offs may be wrong
FAR_AHEAD = 7_305  # days: 20 years
PERIOD = "between 1970 and 2200"


def table_findings(work: Workspace) -> tuple[Finding, ...]:
    """What is odd, table by table."""
    looks = {
        "tables": (_unknown_customers, _copies, _refunds, _arrivals, _future, _changes),
        "contracts": (_contracts,),
        "properties": (_properties,),
    }
    return tuple(
        finding
        for group, own in looks.items()
        for name in getattr(work.cfg, group)
        for look in (_unreadable, _unusable, _none_chosen, *own)
        for finding in look(work, name)
    )


def history_findings(work: Workspace, cutoffs: list[int]) -> Iterator[Finding]:
    """Tables that end before the last cut-off, and windows that reach back beyond a table's first event."""
    last = cutoffs[-1]
    for name, day in ended_tables(work, last):
        yield _nothing_yet(name, last) if day is None else _ended(name, day, last)
    for name in work.cfg.tables:
        first = work.one(f"SELECT min(day) FROM all_{name}") or 0
        short = {days: [day for day in cutoffs if day - days < first] for days in work.cfg.windows}
        windows = [
            f"{days} days at {len(at)} cut-offs, up to {to_date(at[-1])}" for days, at in short.items() if at
        ]
        if windows:
            longest = max(days for days, at in short.items() if at)
            yield Finding(
                f"the window of {longest} days is longer than the history of '{name}' at some cut-offs",
                f"its first event is of {to_date(first)}; beyond it look back {'; '.join(windows)}: the same "
                "column means less there",
                "begin later (events.cutoffs.first), or leave out the window (events.windows)",
            )


def _nothing_yet(name: str, last: int) -> Finding:
    """A table without an event before the last cut-off."""
    return Finding(
        f"'{name}' has no event before the last cut-off",
        f"none before {to_date(last)}: its features say that nothing happened",
        "export it again, or take it out of the definition",
    )


def _ended(name: str, day: int, last: int) -> Finding:
    """A table that ends before the last cut-off."""
    return Finding(
        f"'{name}' ends before the last cut-off",
        f"its newest event is of {to_date(day)}, {last - day:,} days before {to_date(last)}: "
        "from then on its features say that nothing happened",
        f"export it again, or end with it: events.cutoffs.last={to_date(day + 1)}",
    )


def _unreadable(work: Workspace, name: str) -> Iterator[Finding]:
    """Rows that were left out because a cell could not be read."""
    if name in work.readings and (rows := work.readings[name].bad_rows):
        yield Finding(
            f"'{name}': {count(rows, 'row')} left out",
            "; ".join(work.readings[name].bad_cells[:3]),
            "correct them",
        )


def _unusable(work: Workspace, name: str) -> Iterator[Finding]:
    """Rows without a customer, or without a time that can be one."""
    lost, cfg = work.lost[name], work.cfg
    if lost:
        moment = "beginning" if name in cfg.contracts else "date" if name in cfg.properties else "time"
        yield Finding(
            f"'{name}': {count(lost, 'row')} without a customer, or without a {moment} {PERIOD}, left out",
            f"{lost:,} of {work.one(f'SELECT count(*) FROM all_{name}') + lost:,} rows",
            "dates such as 1900-01-01 often stand for 'unknown': leave such cells blank in the export",
        )


def _none_chosen(work: Workspace, name: str) -> Iterator[Finding]:
    """A condition that no row meets."""
    only = tables_of(work.cfg)[name].only
    if only and not work.lost[name] and not work.one(f"SELECT count(*) FROM all_{name}"):
        evidence = "; ".join(f"'{column}' is one of {', '.join(values)}" for column, values in only.items())
        do = "write the values as the file has them, with their capitals: events.X.NAME.only"
        yield Finding(f"'{name}': no row meets the condition of `only`", evidence, do)


def _unknown_customers(work: Workspace, name: str) -> Iterator[Finding]:
    """Events of those who never were customers by the definition of churn."""
    rows, strangers = work.rows(f"SELECT count(*), count(*) - count({CUSTOMER}) FROM all_{name}")[0]
    if strangers:
        yield Finding(
            f"'{name}': {count(strangers, 'event')} of unknown customers left out",
            f"{strangers:,} of {rows:,} events; these customers are not in '{work.population}'",
            "if there are many, look whether both tables write the customer alike (007 and 7, capitals)",
        )


def _copies(work: Workspace, name: str) -> Iterator[Finding]:
    """Events that agree with another in everything that is read of them."""
    copies, dropped = work.copies[name], work.cfg.tables[name].drop_copies
    if copies:
        yield Finding(
            f"'{name}': {count(copies, 'exact copy', 'exact copies')} of other events "
            + ("dropped" if dropped else "kept"),
            "the same customer, time and values"
            + ("" if dropped else "; the times are days, on which several events may be alike"),
            f"to decide otherwise: events.tables.{name}.drop_copies={str(not dropped).lower()}",
        )


def _refunds(work: Workspace, name: str) -> Iterator[Finding]:
    """Negative values, as those of refunds."""
    for column in work.cfg.tables[name].values:
        rows, total = work.rows(
            f'SELECT count(*), sum("value_{slug(column)}") FROM all_{name} WHERE "value_{slug(column)}" < 0'
        )[0]
        if rows:
            yield Finding(
                f"'{name}': {count(rows, 'event')} with a negative '{column}', as of refunds",
                f"together {total:,.2f}; they lower the sum, and count as events",
                "to look at them alone, name the file twice, with events.tables.X.only",
            )


def _arrivals(work: Workspace, name: str) -> Iterator[Finding]:
    """Events that arrive late, before they happen, or at an unknown time."""
    spec = work.cfg.tables[name]
    if spec.arrival is None:
        return
    early, late = work.rows(
        f"SELECT count_if(known < day), quantile_disc(known - day, 0.99) FROM all_{name}"
    )[0]
    if early:
        title = f"'{name}': {count(early, 'event')} with an arrival before its time"
        evidence = f"'{spec.arrival}' is before '{spec.time}'; they count from when they happened"
        yield Finding(title, evidence, "look whether the two columns are in the same zone")
    if late is not None and late > LATE_DAYS:
        title = f"'{name}': one event in a hundred arrives {late} days late, or later"
        evidence = "the newest cut-offs may have labels from events that are still on their way"
        yield Finding(title, evidence, f"set events.until to {late} days before the newest event")


def _future(work: Workspace, name: str) -> Iterator[Finding]:
    """Events that have not happened yet."""
    rows = work.one(f"SELECT count(*) FROM all_{name} WHERE day > {today(work.cfg.timezone)}")
    if rows:
        title = f"'{name}': {count(rows, 'event')} of days to come"
        evidence = "bookings, or wrong dates; no cut-off lies after today"
        yield Finding(title, evidence, "leave them out of the export, or name events.until")


def _changes(work: Workspace, name: str) -> Iterator[Finding]:
    """Cancellations and beginnings of one customer of which nobody knows which came first."""
    churn = work.cfg.churn
    if churn.kind is not ChurnKind.cancelled or name != churn.table:
        return
    seconds = f"SELECT DISTINCT {CUSTOMER}, time FROM"
    rows = work.one(
        f"SELECT count(*) FROM ({seconds} all_{name}) SEMI JOIN all_{churn.begin} USING ({CUSTOMER}, time)"
    )
    if rows:
        yield Finding(
            f"'{name}': {count(rows, 'cancellation')} in the second of a beginning",
            "who was a customer before remains one; who was not began and left at once",
            "name columns with the time of day, where there are some",
        )


def _contracts(work: Workspace, name: str) -> Iterator[Finding]:
    """Contracts that overlap, or end before they begin."""
    rows = work.one(f"SELECT count(*) FROM ({to_sql(overlaps(work.tables[name]))})")
    if rows:
        yield Finding(
            f"'{name}': {count(rows, 'contract')} with a later one of the same customer before its end",
            "the customer has left when the last of them has ended",
            "nothing has to be done",
        )
    wrong = work.one(f'SELECT count(*) FROM all_{name} WHERE "end" < begin')
    if wrong:
        yield Finding(
            f"'{name}': {count(wrong, 'contract')} with an end before the beginning",
            "nobody is a customer by such a contract",
            "correct them in the export",
        )


def _properties(work: Workspace, name: str) -> Iterator[Finding]:
    """Properties without a date, with two rows from one moment, or with dates far ahead."""
    if work.cfg.properties[name].since is None:
        title = f"the columns of '{name}' have no date from which they hold"
        evidence = "every cut-off sees what the table says today; what changed later was not known then"
        do = f"name the column with the date: events.properties.{name}.since; or keep only what never changes"
        yield Finding(title, evidence, do)
    if not work.one(f"SELECT count(*) FROM all_{name}"):
        yield Finding(f"'{name}' has no row that can be used", "its features are missing", "export it again")
    twice = work.one(
        "SELECT coalesce(sum(n - 1), 0)::BIGINT FROM "
        f"(SELECT count(*) AS n FROM all_{name} GROUP BY {CUSTOMER}, since)"
    )
    if twice:
        title = f"'{name}': {count(twice, 'row')} of the same customer and moment as another"
        yield Finding(title, "the one with the least values counts", "leave one of them in the export")
    for column in work.cfg.properties[name].dates:
        last = today(work.cfg.timezone) + FAR_AHEAD
        rows = work.one(f'SELECT count(*) FROM all_{name} WHERE "date_{slug(column)}" > {last}')
        if rows:
            title = f"'{name}': {count(rows, 'date')} of '{column}' more than 20 years ahead"
            evidence = "a year of two digits is one from 1969 to 2068"
            yield Finding(title, evidence, "write years with four digits in the export, as those of births")
