"""Aggregates over samples, in SQL: of parts that are told by numbers, then of groups that are told by texts.

Integers are added up as such, doubles with a running compensation for what their sum drops. Deviations
take a second pass, over what is left of each volume when the average of its group is taken away: a sum
of squares of large volumes would be noise.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any

from meteragent.errors import QueryError
from meteragent.storage.base import MOST_STATISTICS
from meteragent.storage.conditions import SERIES
from meteragent.storage.duckdb.asking import Question
from meteragent.storage.duckdb.conditions import Where, json_kind, json_path
from meteragent.storage.duckdb.measures import Measures, Told, Volumes
from meteragent.storage.query import CARDINALITY, METADATA, Query, Statistic

# The names of groups are joined to parts, of which there are fewer than samples.
_TOLD = """
select {group}, {measures.of_parts} {counts} from (
    select part.*, {names} from (
        select {key}, {bucket} as bucket, {measures.of_samples} from every_sample where {conditions}
        group by all
    ) as part {joined}
) group by all order by {order} limit {most}
"""
_NAMED = """join series on series.id = part.series
    join attributes on attributes.id = part.attributes"""
_NAMED_BY_SERIES = """join series on series.id = part.series
    join (select name, min(unit) as unit from meter group by name) as attributes
        on attributes.name = series.meter"""
_DEVIATIONS = """
with part as (
    select series, attributes, {bucket} as bucket, count(*) as n, fsum(volume) as total,
        min(volume) as low, max(volume) as high
    from every_sample where {conditions} group by all
), shifted as (
    select *, sum(total) over within / sum(n) over within as mean,
        max(greatest(high, -low)) over within as magnitude
    from (select part.*, {names} from part {joined}) window within as (partition by {group})
), scaled as materialized (
    -- by a power of two, so that no digit is lost and a square is neither too large nor nothing
    select *, case when magnitude > 1e150 then {small}::double when magnitude < 1e-130 then {large}::double
        else 1.0::double end as scale
    from shifted
)
select {group}, count(*), fsum(rest * rest), fsum(rest), min(scale) from (
    select scaled.*, given.volume * scale - mean * scale as rest from (
        select series, attributes, {bucket} as bucket, volume from every_sample where {conditions}
    ) as given join scaled using (series, attributes, bucket)
) group by all
"""

_WORKED_OUT = ("avg", "sum", "stddev")
"""Aggregates that may be too large for a double, as no volume is."""

Key = tuple[Any, ...]
"""Values of the groups, meter, unit and number of the period."""


class Statistics:
    """One question for statistics."""

    def __init__(
        self, query: Query, aggregates: Sequence[str], group_by: Sequence[str], period: int | None
    ) -> None:
        self._query, self._aggregates, self._period = query, aggregates, period
        self._where = Where(query)
        self._cardinalities = [name for name in aggregates if name.startswith(CARDINALITY)]
        counted = [name.removeprefix(CARDINALITY) for name in self._cardinalities]
        self._told_by = {*group_by, *counted}
        groups = [f"{_expression(field)} as g{number}" for number, field in enumerate(group_by)]
        counts = [f"{_expression(field)} as c{number}" for number, field in enumerate(counted)]
        self._names = ", ".join((*groups, *counts, "series.meter as name", "attributes.unit as unit"))
        self._counts = "".join(
            f", count(distinct c{number}) + max((c{number} is null)::integer) as distinct{number}"
            for number in range(len(counted))
        )
        self._keys = [*(f"g{number}" for number in range(len(group_by))), "name", "unit", "bucket"]

    def answer(self, question: Question) -> list[Statistic]:
        """The rows.

        :raises QueryError: when they are too many, or a value is too large for a double
        """
        with question.of_one_moment():
            found = question.columns(self._statement(question), self._where.bound)
            if len(found["n"]) > MOST_STATISTICS:
                raise QueryError(
                    f"the answer has more than {MOST_STATISTICS} rows; ask for fewer groups, a longer period"
                    " or a shorter range"
                )
            deviations = self._deviations(question) if "stddev" in self._aggregates else {}
        return self._statistics(Told(found), deviations)

    def _statement(self, question: Question) -> str:
        by_series = self._series_tells(question)
        measures = Measures(Volumes.stored(question), self._aggregates)
        return _TOLD.format(
            group=", ".join(self._keys),
            counts=self._counts,
            names=self._names,
            key=("series" if by_series else "series, attributes") + measures.key,
            bucket=self._bucket(),
            measures=measures,
            conditions=self._where.samples(),
            joined=_NAMED_BY_SERIES if by_series else _NAMED,
            order=", ".join(f"{key} nulls first" for key in self._keys),
            most=MOST_STATISTICS + 1,
        )

    def _deviations(self, question: Question) -> dict[Key, float]:
        sql = _DEVIATIONS.format(
            bucket=self._bucket(),
            conditions=self._where.samples(),
            group=", ".join(self._keys),
            names=self._names,
            joined=_NAMED,
            small=2.0**-600,
            large=2.0**600,
        )
        last = len(self._keys)
        return {row[:last]: _deviation(*row[last:]) for row in question.rows(sql, self._where.bound)}

    def _series_tells(self, question: Question) -> bool:
        """Whether the series tells the group: of each meter there is one unit, and nothing else asked for."""
        if self._told_by - set(SERIES):
            return False
        ((several,),) = question.rows(
            "select count(*) from (select name from meter where $meter is null or name = $meter"
            " group by name having min(unit) <> max(unit))",
            {"meter": self._query.meter},
        )
        return not several

    def _bucket(self) -> str:
        if self._period is None:
            return "0"
        length = self._period
        return f"(instant - case when instant < 0 then {length - 1} else 0 end) // {length}"

    def _statistics(self, told: Told, deviations: dict[Key, float]) -> list[Statistic]:
        """The rows, put together by column, since there may be many."""
        keys = [told.column(key) for key in self._keys]
        *groups, meters, units, buckets = keys
        starts: Iterable[int | None] = repeat(self._query.start)
        ends: Iterable[int | None] = repeat(self._query.end)
        if self._period is not None:
            starts = [bucket * self._period for bucket in buckets]
            ends = [(bucket + 1) * self._period for bucket in buckets]
        values: list[Sequence[int | float]] = []
        for aggregate in self._aggregates:
            if aggregate.startswith(CARDINALITY):
                values.append(told.column(f"distinct{self._cardinalities.index(aggregate)}"))
            elif aggregate == "stddev":
                values.append([deviations[key] for key in zip(*keys, strict=True)])
            else:
                values.append(told.values(aggregate))
            if aggregate in _WORKED_OUT:
                _check(aggregate, values[-1], meters)
        first, last = told.column("first"), told.column("last")
        rows = map(
            Statistic, _rows(groups), meters, units, starts, ends, told.count, first, last, _rows(values)
        )
        return list(rows)


def _rows(columns: Sequence[Sequence[Any]]) -> Iterable[tuple[Any, ...]]:
    return zip(*columns, strict=True) if columns else repeat(())


def _expression(field: str) -> str:
    if not field.startswith(METADATA):
        return f"series.{SERIES[field]}" if field in SERIES else f"attributes.{field}"
    path = json_path(field)
    return (
        f"case {json_kind(path)} when 'VARCHAR' then json_extract_string(attributes.metadata, {path})"
        f" when 'NULL' then null else json_extract(attributes.metadata, {path})::varchar end"
    )


def _check(aggregate: str, values: Sequence[int | float], meters: Sequence[str]) -> None:
    if not all(map(math.isfinite, values)):
        meter = next(meter for meter, value in zip(meters, values, strict=True) if not math.isfinite(value))
        raise QueryError(
            f"{aggregate} of meter {meter!r:.80} is too large for a double; ask for a shorter range or"
            " smaller groups"
        )


def _deviation(count: int, squares: float | None, rests: float | None, scale: float) -> float:
    if squares is None or rests is None:
        return math.inf
    return math.sqrt(max(squares - rests * rests / count, 0.0) / count) / scale
