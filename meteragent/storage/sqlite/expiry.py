"""Forgets what is older than wanted, a part at a time, so that recording goes on in between."""

import apsw

from meteragent.storage.sqlite.answer import one, rows
from meteragent.storage.sqlite.connection import Store
from meteragent.storage.sqlite.schema import HOUR, SLOTS

_ROWS = 20_000
"""About how many samples go in one transaction."""
_EVENTS = 5_000
"""How many events do: each may have its notification with it."""


def expire(store: Store, before: int) -> int:
    """Forget whole hours before the one of this instant; how many samples went."""
    cutoff = before // HOUR
    gone = 0
    while True:
        with store.writing() as connection:
            samples = _samples(connection, cutoff)
            if samples is None and not _events(connection, cutoff):
                # in the transaction that found no older sample, since a late one may still come
                _unneeded(connection, cutoff)
                return gone
        gone += samples or 0


def _samples(connection: apsw.Connection, cutoff: int) -> int | None:
    """Delete some samples of the oldest slot; None when none is old enough."""
    (slot,) = one(connection, "select min(slot) from sample")
    if slot is None or slot >= cutoff * SLOTS:
        return None
    upto = rows(
        connection, "select series from sample where slot = ? order by series limit 1 offset ?", (slot, _ROWS)
    )
    if upto:
        connection.execute("delete from sample where slot = ? and series <= ?", (slot, *upto[0]))
    else:
        connection.execute("delete from sample where slot = ?", (slot,))
    return connection.changes()


def _events(connection: apsw.Connection, cutoff: int) -> bool:
    """Delete some of the oldest events; whether any was old enough."""
    connection.execute(
        "delete from event where id in (select id from event indexed by event_identity where generated < ?"
        f" order by generated limit {_EVENTS})",
        (cutoff * HOUR,),
    )
    return connection.changes() > 0


def _unneeded(connection: apsw.Connection, cutoff: int) -> None:
    """Delete what no sample and no event needs any more, but never the newest position of a sink."""
    deleted = 0
    for table in ("provenance", "series", "attributes", "meter", "event_type", "trait"):
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
