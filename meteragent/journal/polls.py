"""What is kept of polls beside their batches: last ticks, those under way, what pollsters keep."""

from collections.abc import Sequence

import apsw

from meteragent.batch import Batch, Kept


def note_polls(connection: apsw.Connection, batch: Batch) -> None:
    """Keep which tick each polling source is at and which polls are under way."""
    ticks = [(each.polling_source, each.tick) for each in batch.begun]
    ticks.extend((each.polling_source, each.tick) for each in batch.polls)
    ticks.extend((each.polling_source, each.end - 1) for each in batch.missed)
    connection.executemany(
        "insert into tick values (?, ?) on conflict do update set last = max(last, excluded.last)", set(ticks)
    )
    connection.executemany(
        "insert or ignore into open_poll(polling_source, tick, pollster, began) values (?, ?, ?, ?)",
        ((each.polling_source, each.tick, each.pollster, each.began) for each in batch.begun),
    )
    ended = {(each.polling_source, each.pollster) for each in batch.polls}
    connection.executemany(
        "update open_poll set samples = samples + ?1 where polling_source = ?2 and pollster = ?3 and tick ="
        " (select max(tick) from open_poll where polling_source = ?2 and pollster = ?3)",
        (
            (each.samples, each.polling_source, each.pollster)
            for each in batch.provenance
            if (each.polling_source, each.pollster) not in ended
        ),
    )
    connection.executemany(
        "delete from open_poll where polling_source = ? and tick = ? and pollster = ?",
        ((each.polling_source, each.tick, each.pollster) for each in batch.polls),
    )


def note_states(connection: apsw.Connection, kept: Sequence[Kept]) -> None:
    """Keep what pollsters keep."""
    connection.executemany(
        "insert or replace into pollster_state values (?, ?, ?)",
        ((each.polling_source, each.pollster, each.state) for each in kept),
    )
