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
from meteragent.storage.sqlite.connection import Store
from meteragent.storage.sqlite.known import NEVER
from meteragent.storage.sqlite.schema import HOUR

_FOREVER = 2**63 - 1
_POLLS = 1000
"""Poll rows that are read at once."""

_SAMPLES = """
select series.source, series.resource_id, series.meter, newest.at, newest.series, newest.origin,
    newest.volume, newest.digits, attributes.type, attributes.unit, attributes.project_id,
    attributes.user_id, attributes.user_name, attributes.project_name, attributes.metadata
from (
    select at, series, origin, volume, digits, attributes
    from sample {joined}
    where {conditions}
    order by at desc, series, origin
    limit :limit
) as newest
cross join series on series.id = newest.series
cross join attributes on attributes.id = newest.attributes
order by newest.at desc, newest.series, newest.origin
"""


def samples(connection: apsw.Connection, query: Query, limit: int, after: tuple[int, ...] | None) -> Page:
    """A page, going through the hours from the newest, so that no more than an hour is ever sorted."""
    if limit < 1:
        return Page([], after)
    bound: dict[str, Any] = {
        "start": NEVER if query.start is None else query.start,
        "end": _FOREVER if query.end is None else query.end,
        "meter": query.meter,
        "resource": query.resource_id,
        "project": query.project_id,
    }
    chosen = _chosen_series(query)
    newest = _FOREVER
    if chosen:
        (last,) = one(connection, f"select max(last_hour) from series where {chosen}", bound)
        newest = NEVER if last is None else last
    newest = min(newest, (bound["end"] - 1) // HOUR)
    if after is not None:
        bound["at"], bound["series"], bound["origin"] = after
        newest = min(newest, after[0] // HOUR)
    sql = _statement(query, chosen, after)
    found: list[tuple[Any, ...]] = []
    for hour in _hours(connection, bound["start"] // HOUR, newest):
        wanted = limit + 1 - len(found)
        found += rows(connection, sql, {**bound, "hour": hour, "limit": wanted})
        if len(found) > limit:
            break
    more = len(found) > limit
    del found[limit:]
    return Page([_sample(row) for row in found], found[-1][3:6] if more else None)


def _statement(query: Query, chosen: str, after: tuple[int, ...] | None) -> str:
    conditions, joined = ["hour = :hour", "at >= :start", "at < :end"], ""
    if chosen:
        conditions.append(f"series in (select id from series where {chosen})")
    if query.project_id is not None:
        joined = "cross join attributes as owner on owner.id = sample.attributes"
        conditions.append("owner.project_id = :project")
    if after is not None:
        conditions.append("at <= :at and (at < :at or (series, origin) > (:series, :origin))")
    return _SAMPLES.format(joined=joined, conditions=" and ".join(conditions))


def _chosen_series(query: Query) -> str:
    chosen = []
    if query.meter is not None:
        chosen.append("meter = :meter")
    if query.resource_id is not None:
        chosen.append("resource_id = :resource")
    return " and ".join(chosen)


def _hours(connection: apsw.Connection, oldest: int, newest: int) -> Iterator[int]:
    """The hours that have samples, newest first."""
    hour = newest
    while True:
        (found,) = one(connection, "select max(hour) from sample where hour between ? and ?", (oldest, hour))
        if found is None:
            return
        yield found
        hour = found - 1


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


def polls(store: Store, start: int | None, end: int | None) -> Iterator[Poll]:
    """Poll rows by tick; page by page, because a long read would keep the log from being emptied."""
    key: tuple[Any, ...] = (NEVER if start is None else start, "", "", "")
    last = _FOREVER if end is None else end
    while True:
        with store.reading() as connection:
            found = rows(
                connection,
                "select host, polling_source, tick, pollster, began, ended, resources, samples, outcome,"
                " reason, failed from poll"
                " where (tick, host, polling_source, pollster) > (?, ?, ?, ?) and tick < ?"
                " order by tick, host, polling_source, pollster limit ?",
                (*key, last, _POLLS),
            )
        for row in found:
            yield Poll(*(*row[1:-1], msgspec.json.decode(row[-1], type=list[str])))
        if len(found) < _POLLS:
            return
        host, source, tick, pollster = found[-1][:4]
        key = (tick, host, source, pollster)
