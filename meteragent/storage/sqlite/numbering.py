"""Finds the numbers of series and attributes in the file, and adds those that are new, many at a time.

Apart from remembering them. Between two statements SQLite lets other threads run and then has to wait for
them, so a statement for each new series would slow a store with many down to a fraction.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, TypeVar

import apsw
import msgspec

from meteragent.storage.delivery import AttributesKey, SeriesKey
from meteragent.storage.sqlite.answer import one, rows

TOGETHER = 100
"""Rows that one statement inserts."""
ASKED = 1000
"""Rows that one statement looks for."""

Row = tuple[int, int]
"""Number and newest hour."""
Wanted = TypeVar("Wanted")

_encode = msgspec.json.Encoder().encode
_SERIES = (
    "select k.key, series.id, series.last_hour from json_each(?) as k cross join series"
    " where series.resource_id = k.value ->> 1 and series.meter = k.value ->> 2"
    " and series.source = k.value ->> 0"
)
_ONE_SERIES = "select id, last_hour from series where source = ? and resource_id = ? and meter = ?"
_ATTRIBUTES = (
    "select k.key, attributes.id, attributes.last_hour from json_each(?) as k cross join attributes"
    " where attributes.digest = unhex(k.value)"
)


def series(connection: apsw.Connection, wanted: Mapping[SeriesKey, int]) -> dict[SeriesKey, Row]:
    """Those that are wanted, with the hour that each is added with where it is new."""
    found: dict[SeriesKey, Row] = {}
    whole = []
    for key in wanted:
        if "\0" in "".join(key):  # at which SQLite's JSON ends a text
            found.update((key, row) for row in rows(connection, _ONE_SERIES, key))
        else:
            whole.append(key)
    for keys in _parts(whole, ASKED):
        for place, number, hour in rows(connection, _SERIES, (_encode(keys).decode(),)):
            found[keys[place]] = number, hour
    new = [key for key in wanted if key not in found]
    number = _last(connection, "series") if new else 0
    made = [(number + n, resource, meter, source, wanted[source, resource, meter])
            for n, (source, resource, meter) in enumerate(new, 1)]  # fmt: skip
    _insert(connection, "series (id, resource_id, meter, source, last_hour)", made)
    found |= {key: (row[0], row[-1]) for key, row in zip(new, made, strict=True)}
    return found


def attributes(
    connection: apsw.Connection, wanted: Mapping[bytes, tuple[AttributesKey, int]]
) -> tuple[dict[bytes, Row], dict[int, AttributesKey]]:
    """Those that are wanted, by digest, with the hour that each is added with where it is new.

    :returns: their rows, and by number those that were added
    """
    found: dict[bytes, Row] = {}
    for digests in _parts(list(wanted), ASKED):
        told = _encode([digest.hex() for digest in digests]).decode()
        for place, number, hour in rows(connection, _ATTRIBUTES, (told,)):
            found[digests[place]] = number, hour
    new = [digest for digest in wanted if digest not in found]
    number = _last(connection, "attributes") if new else 0
    made, added = [], {}
    for digest in new:
        number += 1
        key, hour = wanted[digest]
        made.append((number, digest, *key[:-1], key[-1].decode(), hour))
        found[digest], added[number] = (number, hour), key
    columns = "id, digest, type, unit, project_id, user_id, user_name, project_name, metadata, last_hour"
    _insert(connection, f"attributes ({columns})", made)
    return found, added


def _last(connection: apsw.Connection, table: str) -> int:
    """The highest number that a table has; no other process adds any while this one writes."""
    return int(one(connection, f"select coalesce(max(id), 0) from {table}")[0])


def _insert(connection: apsw.Connection, table: str, made: Sequence[tuple[Any, ...]]) -> None:
    if not made:
        return
    row = f"({', '.join('?' * len(made[0]))})"
    whole = len(made) - len(made) % TOGETHER
    connection.executemany(
        f"insert into {table} values {', '.join([row] * TOGETHER)}",
        (tuple(chain.from_iterable(part)) for part in _parts(made[:whole], TOGETHER)),
    )
    connection.executemany(f"insert into {table} values {row}", made[whole:])


def _parts(each: Iterable[Wanted], length: int) -> Iterator[list[Wanted]]:
    left = iter(each)
    while part := list(islice(left, length)):
        yield part
