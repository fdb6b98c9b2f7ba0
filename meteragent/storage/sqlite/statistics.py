"""Aggregates over samples, in SQL: of parts that are told by numbers, then of groups that are told by texts.

Where nothing but the series tells a group, the table is read as it lies, a slot and a series at a
time, which saves sorting the samples. Deviations take a second pass, over what is left of each
volume when the average of its group is taken away: a sum of squares of large volumes would be noise.
"""

from collections.abc import Callable, Sequence
from math import inf, isfinite, sqrt
from operator import attrgetter
from typing import Any

import apsw

from meteragent.errors import QueryError
from meteragent.storage.base import MOST_STATISTICS
from meteragent.storage.conditions import SERIES
from meteragent.storage.query import CARDINALITY, METADATA, Query, Statistic
from meteragent.storage.sqlite.answer import one, rows
from meteragent.storage.sqlite.asking import Question
from meteragent.storage.sqlite.conditions import Where, json_path
from meteragent.storage.sqlite.measures import EXACT, FAST, HUGE, OVERFLOW, Measured, Measures
from meteragent.storage.sqlite.schema import SLOT

# Parts as they come from the table; those of a series when nothing else tells a group; and these put
# together from its slots, which lie sorted, when a slot has several samples of it.
_PARTS = """
select series, attributes, {bucket} as bucket, {measures.of_samples}
from sample where {conditions} group by series, attributes, bucket
"""
_PARTS_OF_SERIES = """
select series, {bucket} as bucket, {measures.of_samples}
from sample where {conditions} group by series, bucket
"""
_PARTS_BY_SLOT = """
select series, {bucket} as bucket, {measures.of_parts} from (
    select slot, series, {measures.of_samples} from sample where {conditions} group by slot, series
) group by series, bucket
"""
_NAMED = """
from ({parts}) as part cross join series on series.id = part.series
cross join attributes on attributes.id = part.attributes
"""
_NAMED_OF_SERIES = """
from ({parts}) as part cross join series on series.id = part.series
cross join (select name, min(unit) as unit from meter group by name) as attributes
    on attributes.name = series.meter
"""
_TOLD = """
select {group}, {measures.of_parts} {counts} from (select part.*, {names} {named})
group by {group} order by {group} limit {most}
"""
_DEVIATIONS = """
with part as (
    select series, attributes, {bucket} as bucket, count(*) as n, total(volume) as total,
        min(volume) as low, max(volume) as high
    from sample where {conditions} group by series, attributes, bucket
), shifted as (
    select *, sum(total) over within / sum(n) over within as mean,
        max(max(high, -low)) over within as magnitude
    from (select part.*, {names} {named}) window within as (partition by {group})
), scaled as materialized (
    -- by a power of two, so that no digit is lost and a square is neither too large nor nothing
    select *, case when magnitude > 1e150 then {small} when magnitude < 1e-130 then {large} else 1.0 end
        as scale
    from shifted
)
select {group}, sum(samples), sum(squares), sum(rests), min(scale) from (
    select series, attributes, bucket, count(*) as samples, sum(rest * rest) as squares, sum(rest) as rests
    from (
        select series, attributes, bucket, volume * scale - mean * scale as rest
        from (select series, attributes, {bucket} as bucket, volume from sample where {conditions}) as given
        cross join scaled using (series, attributes, bucket)
    ) group by series, attributes, bucket
) as squared cross join scaled using (series, attributes, bucket) group by {group}
"""

_DENSITY = """
select count(*), count(distinct series) from (
    select series from sample
    where slot = (select max(slot) from sample where slot < (select max(slot) from sample)) limit 1000
)
"""
SEVERAL = 4
"""Samples that a slot has of a series, from which on it is worth while to put them together first."""

Key = tuple[Any, ...]
"""Values of the groups, meter, unit and number of the period."""


class Statistics:
    """One question for statistics."""

    def __init__(
        self, query: Query, aggregates: Sequence[str], group_by: Sequence[str], period: int | None
    ) -> None:
        self._query, self._aggregates, self._period = query, aggregates, period
        self._where = Where(query)
        self._conditions = self._where.samples()
        counted = [name.removeprefix(CARDINALITY) for name in aggregates if name.startswith(CARDINALITY)]
        self._told_by = {*group_by, *counted}
        groups = [f"{self._expression(field)} as g{number}" for number, field in enumerate(group_by)]
        counts = [f"{self._expression(field)} as c{number}" for number, field in enumerate(counted)]
        self._names = ", ".join((*groups, *counts, "series.meter as name", "attributes.unit as unit"))
        self._counts = "".join(
            f", count(distinct c{number}) + max(c{number} is null)" for number in range(len(counted))
        )
        self._group = ", ".join((*(f"g{number}" for number in range(len(group_by))), "name, unit, bucket"))
        self._keys = len(group_by) + 3

    def answer(self, question: Question) -> list[Statistic]:
        """The rows.

        :raises QueryError: when they are too many, or a value is too large for a double
        """
        with question.reading() as connection:
            told = self._told(connection)
            deviations = self._deviations(connection) if "stddev" in self._aggregates else {}
        return [self._statistic(key, measured, counts, deviations) for key, measured, counts in told]

    def _told(self, connection: apsw.Connection) -> list[tuple[Key, Measured, Sequence[int]]]:
        parts = self._parts(connection)
        try:
            told = self._measured(connection, FAST, parts)
        except apsw.SQLError as error:
            if OVERFLOW not in str(error):
                raise
            return self._measured(connection, EXACT, parts)
        if any(measured.high >= HUGE for _, measured, _ in told):
            return self._measured(connection, EXACT, parts)
        return told

    def _measured(
        self, connection: apsw.Connection, measures: Measures, parts: str
    ) -> list[tuple[Key, Measured, Sequence[int]]]:
        bucket = self._bucket(parts is _PARTS_BY_SLOT)
        sql = _TOLD.format(
            group=self._group,
            measures=measures,
            counts=self._counts,
            names=self._names,
            named=(_NAMED if parts is _PARTS else _NAMED_OF_SERIES).format(
                parts=parts.format(measures=measures, conditions=self._conditions, bucket=bucket)
            ),
            most=MOST_STATISTICS + 1,
        )
        found = rows(connection, sql, self._where.bound)
        if len(found) > MOST_STATISTICS:
            raise QueryError(
                f"the answer has more than {MOST_STATISTICS} rows; ask for fewer groups, a longer period or a"
                " shorter range"
            )
        keys, last = self._keys, self._keys + len(measures.columns)
        return [(row[:keys], measures.read(row[keys:last]), row[last:]) for row in found]

    def _deviations(self, connection: apsw.Connection) -> dict[Key, float]:
        sql = _DEVIATIONS.format(
            bucket=self._bucket(False),
            conditions=self._conditions,
            group=self._group,
            names=self._names,
            named=_NAMED.replace("({parts}) as part", "part"),
            small=2.0**-600,
            large=2.0**600,
        )
        return {
            row[: self._keys]: _deviation(*row[self._keys :])
            for row in rows(connection, sql, self._where.bound)
        }

    def _parts(self, connection: apsw.Connection) -> str:
        """Of which parts the groups are put together."""
        if not self._is_told_by_series(connection):
            return _PARTS
        return _PARTS_OF_SERIES if (self._period or 0) % SLOT or not _dense(connection) else _PARTS_BY_SLOT

    def _is_told_by_series(self, connection: apsw.Connection) -> bool:
        """Whether the series tells the group: of each meter there is one unit, and nothing else asked for."""
        if self._told_by - set(SERIES):
            return False
        (several,) = one(
            connection,
            "select count(*) from (select 1 from meter where name = coalesce(?, name)"
            " group by name having min(unit) <> max(unit))",
            (self._query.meter,),
        )
        return not several

    def _bucket(self, by_slot: bool) -> str:
        if self._period is None:
            return "0"
        instant, length = ("slot", self._period // SLOT) if by_slot else ("at", self._period)
        return f"({instant} - case when {instant} < 0 then {length - 1} else 0 end) / {length}"

    def _expression(self, field: str) -> str:
        if not field.startswith(METADATA):
            return f"series.{SERIES[field]}" if field in SERIES else f"attributes.{field}"
        path = self._where.bind(json_path(field))
        return (
            f"case json_type(attributes.metadata, {path}) when 'text' then attributes.metadata ->> {path}"
            f" when 'null' then null else attributes.metadata -> {path} end"
        )

    def _statistic(
        self, key: Key, measured: Measured, counts: Sequence[int], deviations: dict[Key, float]
    ) -> Statistic:
        *group, name, unit, bucket = key
        start, end = self._query.start, self._query.end
        if self._period is not None:
            start, end = bucket * self._period, (bucket + 1) * self._period
        values: list[int | float] = []
        cardinalities = iter(counts)
        for aggregate in self._aggregates:
            tell = _TELLERS.get(aggregate)
            if tell is not None:
                value = tell(measured)
            elif aggregate == "stddev":
                value = deviations[key]
            else:
                value = next(cardinalities)
            if value is None or (type(value) is float and not isfinite(value)):
                raise QueryError(
                    f"{aggregate} of meter {name!r:.80} is too large for a double; ask for a shorter range or"
                    " smaller groups"
                )
            values.append(value)
        return Statistic(
            tuple(group), name, unit, start, end, measured.samples, measured.first, measured.last,
            tuple(values),
        )  # fmt: skip


def _average(measured: Measured) -> float | None:
    return None if measured.total is None else measured.total / measured.samples


_TELLERS: dict[str, Callable[[Measured], int | float | None]] = {
    "count": attrgetter("samples"),
    "min": attrgetter("low"),
    "max": attrgetter("high"),
    "sum": attrgetter("total"),
    "avg": _average,
}


def _dense(connection: apsw.Connection) -> bool:
    """Whether a slot has several samples of a series, as the first ones of a slot that is over show."""
    looked_at, series = one(connection, _DENSITY)
    return bool(looked_at >= SEVERAL * series)


def _deviation(count: int, squares: float | None, rests: float | None, scale: float) -> float:
    if squares is None or rests is None:
        return inf
    return sqrt(max(squares - rests * rests / count, 0.0) / count) / scale
