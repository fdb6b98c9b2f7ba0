"""Aggregates over samples, in SQL: of parts that are told by numbers, then of groups that are told by texts.

Integers are added up as such, doubles with a running compensation for what their sum drops. Deviations
take a second pass, over what is left of each volume when the average of its group is taken away: a sum
of squares of large volumes would be noise.
"""

import math
from collections.abc import Sequence
from typing import Any

from meteragent.errors import QueryError
from meteragent.storage.base import MOST_STATISTICS
from meteragent.storage.duckdb.asking import Question
from meteragent.storage.duckdb.conditions import SERIES, Where, json_kind, json_path
from meteragent.storage.query import CARDINALITY, METADATA, Query, Statistic

_COUNTED = (("n", "count(*)", "sum"), ("first", "min(instant)", "min"), ("last", "max(instant)", "max"))
_EXTREMES = (
    ("low", "min(volume) filter (where whole is null)", "min"),
    ("high", "max(volume) filter (where whole is null)", "max"),
    ("least", "min(whole)", "min"),
    ("largest", "max(whole)", "max"),
)
_TOTALS = (
    ("integers", "count(whole)", "sum"),
    ("whole", "sum(whole)", "sum"),
    ("real", "fsum(volume) filter (where whole is null)", "fsum"),
)
# The names of groups are joined to parts, of which there are fewer than samples.
_TOLD = """
select {group}, {merged} {counts} from (
    select part.*, {names} from (
        select {key}, {bucket} as bucket, {measures} from every_sample where {conditions} group by all
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

Key = tuple[Any, ...]
"""Values of the groups, meter, unit and number of the period."""
Told = dict[str, Any]


class Statistics:
    """One question for statistics."""

    def __init__(
        self, query: Query, aggregates: Sequence[str], group_by: Sequence[str], period: int | None
    ) -> None:
        self._query, self._aggregates, self._period = query, aggregates, period
        self._where = Where(query)
        counted = [name.removeprefix(CARDINALITY) for name in aggregates if name.startswith(CARDINALITY)]
        self._told_by = {*group_by, *counted}
        groups = [f"{_expression(field)} as g{number}" for number, field in enumerate(group_by)]
        counts = [f"{_expression(field)} as c{number}" for number, field in enumerate(counted)]
        self._names = ", ".join((*groups, *counts, "series.meter as name", "attributes.unit as unit"))
        self._counts = "".join(
            f", count(distinct c{number}) + max((c{number} is null)::integer) as distinct{number}"
            for number in range(len(counted))
        )
        self._keys = [*(f"g{number}" for number in range(len(group_by))), "name", "unit", "bucket"]
        self._columns = [
            *_COUNTED,
            *(_EXTREMES if {"min", "max"} & set(aggregates) else ()),
            *(_TOTALS if {"avg", "sum"} & set(aggregates) else ()),
        ]

    def answer(self, question: Question) -> list[Statistic]:
        """The rows.

        :raises QueryError: when they are too many, or a value is too large for a double
        """
        with question.of_one_moment():
            found = question.rows(self._statement(question), self._where.bound)
            if len(found) > MOST_STATISTICS:
                raise QueryError(
                    f"the answer has more than {MOST_STATISTICS} rows; ask for fewer groups, a longer period"
                    " or a shorter range"
                )
            deviations = self._deviations(question) if "stddev" in self._aggregates else {}
        names = [name for name, _, _ in self._columns]
        first, last = len(self._keys), len(self._keys) + len(names)
        return [
            self._statistic(
                row[:first], dict(zip(names, row[first:last], strict=True)), row[last:], deviations
            )
            for row in found
        ]

    def _statement(self, question: Question) -> str:
        by_series = self._series_tells(question)
        return _TOLD.format(
            group=", ".join(self._keys),
            merged=", ".join(f"{merge}({name}) as {name}" for name, _, merge in self._columns),
            counts=self._counts,
            names=self._names,
            key="series" if by_series else "series, attributes",
            bucket=self._bucket(),
            measures=", ".join(f"{told} as {name}" for name, told, _ in self._columns),
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

    def _statistic(
        self, key: Key, told: Told, counts: Sequence[int], deviations: dict[Key, float]
    ) -> Statistic:
        *group, name, unit, bucket = key
        start, end = self._query.start, self._query.end
        if self._period is not None:
            start, end = bucket * self._period, (bucket + 1) * self._period
        cardinalities = iter(counts)
        values = tuple(
            next(cardinalities)
            if aggregate.startswith(CARDINALITY)
            else _value(aggregate, told, deviations.get(key), name)
            for aggregate in self._aggregates
        )
        return Statistic(tuple(group), name, unit, start, end, told["n"], told["first"], told["last"], values)


def _expression(field: str) -> str:
    if not field.startswith(METADATA):
        return f"series.{SERIES[field]}" if field in SERIES else f"attributes.{field}"
    path = json_path(field)
    return (
        f"case {json_kind(path)} when 'VARCHAR' then json_extract_string(attributes.metadata, {path})"
        f" when 'NULL' then null else json_extract(attributes.metadata, {path})::varchar end"
    )


def _value(aggregate: str, told: Told, deviation: float | None, meter: str) -> int | float:
    value: int | float | None
    match aggregate:
        case "count":
            return int(told["n"])
        case "min":
            value = min(each for each in (told["low"], told["least"]) if each is not None)
        case "max":
            value = max(each for each in (told["high"], told["largest"]) if each is not None)
        case "stddev":
            value = deviation
        case _:
            value = _total(told)
            if aggregate == "avg" and value is not None:
                value = value / told["n"]
    if value is None or (type(value) is float and not math.isfinite(value)):
        raise QueryError(
            f"{aggregate} of meter {meter!r:.80} is too large for a double; ask for a shorter range or"
            " smaller groups"
        )
    return value


def _total(told: Told) -> int | float | None:
    if told["integers"] == told["n"]:
        return int(told["whole"])
    real: float | None = told["real"]
    return None if real is None else real + float(told["whole"] or 0)


def _deviation(count: int, squares: float | None, rests: float | None, scale: float) -> float:
    if squares is None or rests is None:
        return math.inf
    return math.sqrt(max(squares - rests * rests / count, 0.0) / count) / scale
