"""Answers of the store: samples newest first, meters, resources, poll rows."""

from collections.abc import Iterator
from typing import Any

import apsw
import msgspec

from meteragent.batch import Poll
from meteragent.sample import Metadata, Sample
from meteragent.storage.base import Meter, Page, Query, Resource
from meteragent.storage.sqlite import volume as volumes
from meteragent.storage.sqlite.answer import one, rows
from meteragent.storage.sqlite.asking import Question
from meteragent.storage.sqlite.conditions import FOREVER, Where, within_all_time
from meteragent.storage.sqlite.known import NEVER
from meteragent.storage.sqlite.schema import SLOT, SLOTS

_POLLS = 1000
"""Poll rows that are read at once."""

_SERIES = 1000
"""Series whose newest samples are read at once."""

_COLUMNS = """series.source, series.resource_id, series.meter, newest.at, newest.series, newest.origin,
    newest.volume, newest.digits, attributes.type, attributes.unit, attributes.project_id,
    attributes.user_id, attributes.user_name, attributes.project_name, attributes.metadata"""
_SAMPLES = f"""
select {_COLUMNS}
from (
    select at, series, origin, volume, digits, attributes
    from sample {{joined}}
    where {{conditions}}
    order by at desc, series, origin
    limit :limit
) as newest
cross join series on series.id = newest.series
cross join attributes on attributes.id = newest.attributes
order by newest.at desc, newest.series, newest.origin
"""
_LAST = ", ".join(f"series.last_hour * {SLOTS} + {number}" for number in range(SLOTS))
_NEWEST = f"""
select {_COLUMNS}
from series
cross join sample as newest on newest.series = series.id and (newest.slot, newest.at, newest.origin) = (
    select slot, at, origin from sample where sample.slot in ({_LAST}) and sample.series = series.id
    order by at desc, origin desc limit 1
)
cross join attributes on attributes.id = newest.attributes
where (series.resource_id, series.meter, series.source) > (:resource_id, :meter, :source)
    and {{conditions}}
order by series.resource_id, series.meter, series.source limit {_SERIES}
"""


def samples(connection: apsw.Connection, query: Query, limit: int, after: tuple[int, ...] | None) -> Page:
    """A page, going through the slots from the newest, so that no more than a slot is ever sorted."""
    if limit < 1:
        return Page([], after)
    where = Where(query)
    newest = FOREVER
    if where.series:
        chosen = " and ".join(where.series)
        (last,) = one(connection, f"select max(last_hour) from series where {chosen}", where.bound)
        newest = NEVER if last is None else last * SLOTS + SLOTS - 1
    newest = min(newest, (where.end - 1) // SLOT)
    bound = where.bound | {"start": where.start, "end": where.end}
    if after is not None:
        bound["at"], bound["series"], bound["origin"] = after
        newest = min(newest, after[0] // SLOT)
    sql = _statement(where, after)
    found: list[tuple[Any, ...]] = []
    for slot in _slots(connection, where.start // SLOT, newest):
        wanted = limit + 1 - len(found)
        found += rows(connection, sql, {**bound, "slot": slot, "limit": wanted})
        if len(found) > limit:
            break
    more = len(found) > limit
    del found[limit:]
    return Page([_sample(row) for row in found], found[-1][3:6] if more else None)


def _statement(where: Where, after: tuple[int, ...] | None) -> str:
    conditions, joined = ["slot = :slot", "at >= :start", "at < :end", *where.sample], ""
    if where.series:
        conditions.append(where.chosen_series())
    if where.attributes:
        joined = "cross join attributes on attributes.id = sample.attributes"
        conditions += where.attributes
    if after is not None:
        conditions.append("at <= :at and (at < :at or (series, origin) > (:series, :origin))")
    return _SAMPLES.format(joined=joined, conditions=" and ".join(conditions))


def newest(question: Question, query: Query) -> Iterator[Sample]:
    """The newest samples, page by page."""
    where = Where(query)
    sql = _NEWEST.format(
        conditions=" and ".join(
            ("at >= :start", "at < :end", *where.series, *where.attributes, *where.sample)
        )
    )
    bound = where.bound | {"start": where.start, "end": where.end}
    key = {"resource_id": "", "meter": "", "source": ""}
    while True:
        with question.reading() as connection:
            found = rows(connection, sql, bound | key)
        for row in found:
            yield _sample(row)
        if len(found) < _SERIES:
            return
        key["source"], key["resource_id"], key["meter"] = found[-1][:3]


def _slots(connection: apsw.Connection, oldest: int, newest: int) -> Iterator[int]:
    """The slots that have samples, newest first."""
    slot = newest
    while True:
        (found,) = one(connection, "select max(slot) from sample where slot between ? and ?", (oldest, slot))
        if found is None:
            return
        yield found
        slot = found - 1


def _sample(row: tuple[Any, ...]) -> Sample:
    source, resource, meter, at, _, origin, volume, digits, kind, unit, project, user, *names, metadata = row
    user_name, project_name = names
    return Sample(
        meter, kind, unit, volumes.read(volume, digits), user, project, resource, at,
        Metadata(metadata.encode()), source, None, None, user_name, project_name, origin,
    )  # fmt: skip


def meters(connection: apsw.Connection) -> list[Meter]:
    """All meters, by name."""
    sql = "select name, type, unit from meter order by name, type, unit"
    return [Meter(*row) for row in rows(connection, sql)]


def resources(connection: apsw.Connection) -> list[Resource]:
    """All resources, by id."""
    sql = "select distinct resource_id, source from series order by resource_id, source"
    return [Resource(*row) for row in rows(connection, sql)]


def polls(question: Question, start: int | None, end: int | None, host: str | None) -> Iterator[Poll]:
    """Poll rows by tick; page by page, because a long read would keep the log from being emptied."""
    key: tuple[Any, ...] = (within_all_time(start, NEVER), "", "", "")
    last = within_all_time(end, FOREVER)
    while True:
        with question.reading() as connection:
            found = rows(
                connection,
                "select host, polling_source, tick, pollster, began, ended, resources, samples, outcome,"
                " reason, failed from poll"
                " where (tick, host, polling_source, pollster) > (?, ?, ?, ?) and tick < ?"
                " and (?7 is null or host = ?7)"
                " order by tick, host, polling_source, pollster limit ?6",
                (*key, last, _POLLS, host),
            )
        for row in found:
            yield Poll(*(*row[1:-1], msgspec.json.decode(row[-1], type=list[str])))
        if len(found) < _POLLS:
            return
        of, source, tick, pollster = found[-1][:4]
        key = (tick, of, source, pollster)
