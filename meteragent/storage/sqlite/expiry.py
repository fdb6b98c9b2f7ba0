"""Forgets what is older than wanted, a part at a time, so that recording goes on in between."""

import apsw

from meteragent.storage.sqlite.answer import one, rows
from meteragent.storage.sqlite.connection import Store
from meteragent.storage.sqlite.schema import HOUR

_ROWS = 20_000
"""About how many samples go in one transaction."""


def expire(store: Store, before: int) -> int:
    """Forget whole hours before the one of this instant; how many samples went."""
    cutoff = before // HOUR
    gone = 0
    while True:
        with store.writing() as connection:
            samples = _samples(connection, cutoff)
            if samples is None:
                # in the transaction that found no older sample, since a late one may still come
                _unneeded(connection, cutoff)
                return gone
        gone += samples


def _samples(connection: apsw.Connection, cutoff: int) -> int | None:
    """Delete some samples of the oldest hour; None when no hour is old enough."""
    (hour,) = one(connection, "select min(hour) from sample")
    if hour is None or hour >= cutoff:
        return None
    upto = rows(
        connection, "select series from sample where hour = ? order by series limit 1 offset ?", (hour, _ROWS)
    )
    if upto:
        connection.execute("delete from sample where hour = ? and series <= ?", (hour, *upto[0]))
    else:
        connection.execute("delete from sample where hour = ?", (hour,))
    return connection.changes()


def _unneeded(connection: apsw.Connection, cutoff: int) -> None:
    """Delete what no sample needs any more, but never the newest position of a sink."""
    deleted = 0
    for table in ("provenance", "series", "attributes", "meter"):
        connection.execute(f"delete from {table} where last_hour < ?", (cutoff,))
        deleted += connection.changes()
    if deleted:
        connection.execute("update meta set value = value + 1 where key = 'generation'")
    connection.execute("delete from poll where tick < ?", (cutoff * HOUR,))
    connection.execute('delete from missed where "end" <= ?', (cutoff * HOUR,))
    connection.execute(
        "delete from batch where last_hour < ? and exists (select 1 from batch as newer where"
        " newer.agent = batch.agent and newer.sink = batch.sink and newer.sequence > batch.sequence)",
        (cutoff,),
    )
