"""Forgets what is older than wanted, a part at a time, so that recording goes on in between."""

import duckdb

from meteragent.storage.duckdb.connection import Store
from meteragent.storage.duckdb.schema import HOUR


def expire(store: Store, before: int) -> int:
    """Forget whole hours before the one of this instant; how many samples went."""
    cutoff = before // HOUR * HOUR
    gone = 0
    while True:
        with store.writing() as connection:
            samples = _samples(connection, cutoff)
            if samples is None and not _events(connection, cutoff):
                # in the transaction that found no older sample, since a late one may still come
                store.known.forget()
                _unneeded(connection, cutoff)
                return gone
        gone += samples or 0


def _samples(connection: duckdb.DuckDBPyConnection, cutoff: int) -> int | None:
    """Delete the samples of the oldest hour; None when no hour is old enough."""
    ((oldest,),) = connection.execute("select min(instant) from every_sample").fetchall()
    if oldest is None or oldest >= cutoff:
        return None
    gone = 0
    for table in ("sample", "straggler"):
        ((count,),) = connection.execute(
            f"delete from {table} where instant < ?", ((oldest // HOUR + 1) * HOUR,)
        ).fetchall()
        gone += count
    return gone


def _events(connection: duckdb.DuckDBPyConnection, cutoff: int) -> bool:
    """Delete the events of the oldest hour; whether any hour was old enough."""
    ((oldest,),) = connection.execute("select min(generated) from event").fetchall()
    if oldest is None or oldest >= cutoff:
        return False
    connection.execute("delete from event where generated < ?", ((oldest // HOUR + 1) * HOUR,))
    return True


def _unneeded(connection: duckdb.DuckDBPyConnection, cutoff: int) -> None:
    """Delete what no sample and no event needs any more, but never the newest position of a sink."""
    connection.execute("delete from poll where tick < ?", (cutoff,))
    connection.execute('delete from missed where "end" <= ?', (cutoff,))
    connection.execute(
        "delete from batch where newest < ? and exists (select 1 from batch as newer where"
        " newer.agent = batch.agent and newer.sink = batch.sink and newer.sequence > batch.sequence)",
        (cutoff,),
    )
    connection.execute(
        "create or replace temp table needed as select distinct series, attributes, part from every_sample"
    )
    for statement in (
        "delete from brought where (part, series) not in (select (part, series) from needed)",
        "delete from series where id not in (select series from needed)",
        "delete from attributes where id not in (select attributes from needed)",
        "delete from meter where (name, type, unit) not in (select (series.meter, attributes.type,"
        " attributes.unit) from needed join series on series.id = needed.series"
        " join attributes on attributes.id = needed.attributes)",
    ):
        connection.execute(statement)
    connection.execute("drop table needed")
    connection.execute("delete from trait where last_hour < ?", (cutoff // HOUR,))
    connection.execute("delete from event_type where id not in (select event_type from event)")
