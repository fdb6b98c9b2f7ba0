"""Answers of the store: samples newest first, the newest of each series, meters, resources, poll rows."""

from collections.abc import Iterator
from typing import Any

import msgspec

from meteragent.batch import Poll
from meteragent.clock import SECOND
from meteragent.sample import Metadata, Sample
from meteragent.storage.base import Meter, Page, Resource
from meteragent.storage.duckdb.asking import Question
from meteragent.storage.duckdb.conditions import Where
from meteragent.storage.duckdb.schema import FOREVER, NEVER
from meteragent.storage.query import Query

_POLLS = 1000
"""Poll rows that are read at once."""

_SPAN = 60 * SECOND
"""Microseconds before the newest sample within which those of a page are looked for first."""
_LONGER = 16
"""Times by which the next span is longer."""

_COLUMNS = """series.source, series.resource_id, series.meter, newest.instant, newest.series, newest.origin,
    newest.volume, newest.whole, attributes.type, attributes.unit, attributes.project_id,
    attributes.user_id, attributes.user_name, attributes.project_name, attributes.metadata"""
_JOINED = """
join series on series.id = newest.series
join attributes on attributes.id = newest.attributes
"""
_SAMPLES = f"""
select {_COLUMNS} from (
    select * from every_sample where {{conditions}} order by instant desc, series, origin limit $limit
) as newest {_JOINED}
order by newest.instant desc, newest.series, newest.origin
"""
_ENDS = """
select min(oldest), max(newest) from (
    select min(instant) as oldest, max(instant) as newest from sample
    union all select min(instant), max(instant) from straggler
)
"""
_NEWEST = f"""
with last as (
    select series, max(instant) as instant from every_sample where {{series}} group by series
), newest as (
    select every_sample.* from every_sample join last using (series, instant)
    where instant >= (select min(instant) from last)
    qualify row_number() over (partition by series order by origin desc) = 1
)
select {_COLUMNS} from newest {_JOINED}
where {{conditions}}
order by series.resource_id, series.meter, series.source
"""


def samples(question: Question, query: Query, limit: int, after: tuple[int, ...] | None) -> Page:
    """A page, going back in time span by span, so that it does not cost a look at every older sample."""
    if limit < 1:
        return Page([], after)
    where = Where(query)
    conditions = [where.samples(), "instant between $oldest and $newest"]
    newest = where.end
    if after is not None:
        instant, series, origin = (where.bind(value) for value in after)
        conditions.append(
            f"(instant < {instant} or series > {series} or (series = {series} and origin > {origin}))"
        )
        newest = min(newest, after[0])
    sql = _SAMPLES.format(conditions=" and ".join(conditions))
    found: list[tuple[Any, ...]] = []
    with question.of_one_moment():
        first, last = _ends(question)
        for oldest, youngest in spans(max(where.start, first), min(newest, last)):
            bound = {"oldest": oldest, "newest": youngest, "limit": limit + 1 - len(found)}
            found += question.rows(sql, where.bound | bound)
            if len(found) > limit:
                break
    more = len(found) > limit
    del found[limit:]
    return Page([_sample(row) for row in found], found[-1][3:6] if more else None)


def _ends(question: Question) -> tuple[int, int]:
    """The oldest and the newest instant, which DuckDB knows of a table without reading it."""
    ((oldest, newest),) = question.rows(_ENDS, {})
    return (FOREVER, NEVER) if oldest is None else (oldest, newest)


def spans(first: int, last: int, length: int = _SPAN) -> Iterator[tuple[int, int]]:
    """First and last instants of spans from the newest on, each much longer than the one before it."""
    while last >= first:
        oldest = max(first, last - length + 1)
        yield oldest, last
        last, length = oldest - 1, length * _LONGER


def newest(question: Question, query: Query) -> Iterator[Sample]:
    """The newest samples, of one moment."""
    where = Where(query)
    sql = _NEWEST.format(
        series=where.chosen_series(),
        conditions=" and ".join((*where.attributes, *where.sample)) or "true",
    )
    for row in question.rows(sql, where.bound):
        yield _sample(row)


def _sample(row: tuple[Any, ...]) -> Sample:
    source, resource, meter, at, _, origin, volume, whole, kind, unit, project, user, *names, metadata = row
    user_name, project_name = names
    return Sample(
        meter, kind, unit, volume if whole is None else whole, user, project, resource, at,
        Metadata(metadata.encode()), source, None, None, user_name, project_name, origin,
    )  # fmt: skip


def meters(question: Question) -> list[Meter]:
    """All meters, by name."""
    return [Meter(*row) for row in question.rows("select name, type, unit from meter order by all", {})]


def resources(question: Question) -> list[Resource]:
    """All resources, by id."""
    sql = "select distinct resource_id, source from series order by all"
    return [Resource(*row) for row in question.rows(sql, {})]


def polls(question: Question, start: int | None, end: int | None, host: str | None) -> Iterator[Poll]:
    """Poll rows by tick, page by page."""
    key: tuple[Any, ...] = (NEVER if start is None else start, "", "", "")
    last = FOREVER if end is None else end
    while True:
        with question.reading() as connection:
            found = connection.execute(
                "select host, polling_source, tick, pollster, began, ended, resources, samples, outcome,"
                " reason, failed from poll where tick >= $1 and tick < $5"
                " and (tick > $1 or host > $2 or (host = $2 and (polling_source > $3"
                " or (polling_source = $3 and pollster > $4)))) and ($6 is null or host = $6)"
                f" order by tick, host, polling_source, pollster limit {_POLLS}",
                (*key, last, host),
            ).fetchall()
        for row in found:
            yield Poll(*(*row[1:-1], msgspec.json.decode(row[-1], type=list[str])))
        if len(found) < _POLLS:
            return
        of, source, tick, pollster = found[-1][:4]
        key = (tick, of, source, pollster)
