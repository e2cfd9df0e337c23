"""Tables as the expressions of this wing take them: whole numbers for days and seconds, plain names.

    events      customer, time (seconds), day, known (day), value_X, level_X, text_X
    contracts   customer, begin (day), end (day or missing), known (day)
    properties  customer, since (seconds), known (day), number_X, text_X, date_X (day)

Times count on the local clock (see `churn.events.calendar`); `X` is the column's name as `slug` writes it.
"""

from __future__ import annotations

import re
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from churn.config.events import ContractTable, Engine, EventTable, PropertyTable, TableConfig
from churn.data.spelling import one_spelling
from churn.events.calendar import DAY, FIRST_DAY, LAST_DAY
from churn.events.names import slug
from churn.events.windows import OTHER, as_number

UNIX_UNITS = {10**8: 1, 10**11: 10**3, 10**14: 10**6}  # from here on numbers count s, ms, microseconds


@ibis.udf.scalar.builtin(name="timezone")
def _local_duckdb(zone: str, moment: dt.Timestamp("UTC")) -> dt.timestamp:  # type: ignore[valid-type]
    """DuckDB's local time of a moment."""


@ibis.udf.scalar.builtin(name="DATETIME")
def _local_bigquery(moment: dt.Timestamp("UTC"), zone: str) -> dt.timestamp:  # type: ignore[valid-type]
    """BigQuery's local time of a moment."""


class Staging:
    """Makes staged tables of raw ones in one engine; `zone`: where the local clock hangs."""

    def __init__(self, zone: str, engine: Engine = Engine.duckdb) -> None:
        self.zone, self.engine = zone, engine

    def events(self, raw: ir.Table, spec: EventTable) -> ir.Table:
        """Events that have a time, from 1970 to 2200."""
        raw = self.chosen(raw, spec)
        time = self.seconds(raw[spec.time])
        columns = {"customer": self.text(raw[spec.customer]), "time": time, "day": _whole_days(time)}
        columns |= {f"value_{slug(name)}": self.number(raw[name]) for name in spec.values}
        columns |= {
            f"level_{slug(name)}": _level(self.text(raw[name]), list(map(one_spelling, spec.levels[name])))
            for name in spec.categories
        }
        columns |= {f"text_{slug(name)}": self.text(raw[name]) for name in spec.distinct}
        arrived = self._arrival_day(raw, spec)
        made = raw.select(
            **columns, known=columns["day"] if arrived is None else ibis.coalesce(arrived, columns["day"])
        )
        made = made.filter(made.customer.notnull() & made.day.between(FIRST_DAY, LAST_DAY))
        return made.distinct() if spec.drop_copies else made

    def contracts(self, raw: ir.Table, spec: ContractTable) -> ir.Table:
        """Contracts that have a beginning; an end beyond 2200 is none."""
        raw = self.chosen(raw, spec)
        begin, end = (_whole_days(self.seconds(raw[name])) for name in (spec.begin, spec.end))
        arrived = self._arrival_day(raw, spec)
        made = raw.select(
            customer=self.text(raw[spec.customer]),
            begin=begin,
            end=(end > LAST_DAY).ifelse(ibis.null("int64"), end),
            known=begin if arrived is None else ibis.coalesce(arrived, begin),
        )
        return made.filter(made.customer.notnull() & made.begin.between(FIRST_DAY, LAST_DAY))

    def properties(self, raw: ir.Table, spec: PropertyTable) -> ir.Table:
        """Properties with the second from which they hold, 0 where they always did."""
        raw = self.chosen(raw, spec)
        since = ibis.literal(0, "int64") if spec.since is None else self.seconds(raw[spec.since])
        known = self._arrival_day(raw, spec)
        columns: dict[str, Any] = {"customer": self.text(raw[spec.customer]), "since": since}
        columns |= {f"number_{slug(name)}": self.number(raw[name]) for name in spec.numeric}
        columns |= {f"text_{slug(name)}": self.text(raw[name]) for name in spec.categorical}
        columns |= {f"date_{slug(name)}": _whole_days(self.seconds(raw[name])) for name in spec.dates}
        made = raw.select(
            **columns,
            known=ibis.literal(0, "int64") if known is None else ibis.coalesce(known, _whole_days(since)),
        )
        return made.filter(made.customer.notnull() & made.since.notnull())

    def text(self, column: ir.Value) -> ir.StringColumn:
        """A column as text, missing where it is blank."""
        return column.cast("string").nullif("")

    def number(self, column: ir.Value) -> ir.FloatingValue:
        """A column of numbers, missing where it is NaN or infinite: DuckDB's tables come without those."""
        number = as_number(column) if column.type().is_boolean() else column.cast("float64")
        if self.engine is Engine.duckdb or not column.type().is_floating():
            return number
        return (number.isnan() | number.isinf()).ifelse(None, number)

    def seconds(self, column: ir.Value) -> ir.IntegerColumn:
        """The seconds of a column of times: on the local clock, whole, rounded down."""
        kind = column.type()
        if kind.is_date():
            return column.delta(ibis.date(1970, 1, 1), unit="day").cast("int64") * DAY
        if kind.is_integer():
            column = _unix_seconds(column)
            if self.zone == "UTC":
                return column
            column = column.as_timestamp("s").cast(dt.Timestamp("UTC"))
        elif kind.timezone is not None and self.zone != "UTC":
            column = self._local(column.cast(dt.Timestamp("UTC")))
        if self.engine is Engine.bigquery:  # UNIX_SECONDS takes no DATETIME
            column = column.cast(dt.Timestamp("UTC"))
        return column.epoch_seconds().cast("float64").floor().cast("int64")  # DuckDB's have fractions

    def _local(self, moment: ir.Value) -> ir.Value:
        """The local time of a moment, a timestamp without a zone."""
        if self.engine is Engine.bigquery:
            return _local_bigquery(moment, self.zone)
        return _local_duckdb(self.zone, moment)

    def chosen(self, raw: ir.Table, spec: TableConfig) -> ir.Table:
        """The rows that have the values of `only`."""
        for name, texts in spec.only.items():
            values = list(map(one_spelling, texts))
            raw = raw.filter(_spelled(self.text(raw[name]), values).isin(values))
        return raw

    def _arrival_day(self, raw: ir.Table, spec: TableConfig) -> ir.Value | None:
        """The day on which a row was known, where that has a column."""
        return None if spec.arrival is None else _whole_days(self.seconds(raw[spec.arrival]))


def _whole_days(seconds: ir.Value) -> ir.IntegerColumn:
    """The days that seconds fill."""
    return (seconds // DAY).cast("int64")


def _unix_seconds(number: ir.Value) -> ir.Value:
    """Seconds of a number that counts them, or parts of them, since 1970."""
    cases = [(number >= least, number // unit) for least, unit in sorted(UNIX_UNITS.items(), reverse=True)]
    return ibis.cases(*cases, else_=None).cast("int64")


def _level(text: ir.Value, levels: list[str]) -> ir.Value:
    """The place of a text among the levels, `OTHER` where it is none of them."""
    text, known = _spelled(text, levels), [(level, number) for number, level in enumerate(levels)]
    level = text.cases(*known, else_=OTHER) if known else ibis.literal(OTHER)
    return text.isnull().ifelse(ibis.null("int8"), level.cast("int8"))


def _spelled(text: ir.Value, levels: list[str]) -> ir.Value:
    """A text in its one spelling, as far as that decides whether it is one of the levels.

    They are in theirs (`churn.data.spelling`): only a whole number has others, and only 1 and 0 are words.
    """
    if any(re.fullmatch("-?[0-9]+", level) for level in levels):
        text = text.contains(".0").ifelse(text.re_replace(r"^(-?[0-9]+)[.]0+$", r"\1"), text)
    if {"0", "1"} & set(levels):
        text = text.lower().cases(("true", "1"), ("false", "0"), else_=text)
    return text
