"""Writes the account of polls of a batch; apart, because it is kept once whichever agent brings it."""

import duckdb
import msgspec

from meteragent.batch import Batch, Poll

_RANKS = {"complete": 2, "partial": 1}
_OF = "host = ? and polling_source = ? and pollster = ? and tick = ?"

Key = tuple[str, str, int]


def write_polls(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """The first complete poll row of a tick stays; before there is one, the better one does."""
    if not batch.polls:
        return
    ticks = [poll.tick for poll in batch.polls]
    stored: dict[Key, str] = {
        (source, pollster, tick): outcome
        for source, pollster, tick, outcome in connection.execute(
            "select polling_source, pollster, tick, outcome from poll"
            " where host = ? and tick between ? and ?",
            (batch.host, min(ticks), max(ticks)),
        ).fetchall()
    }
    chosen: dict[Key, Poll] = {}
    for poll in batch.polls:
        key = (poll.polling_source, poll.pollster, poll.tick)
        present = chosen[key].outcome if key in chosen else stored.get(key)
        if present is None or _RANKS.get(poll.outcome, 0) > _RANKS.get(present, 0):
            chosen[key] = poll
    for source, pollster, tick in chosen.keys() & stored.keys():
        connection.execute(f"delete from poll where {_OF}", (batch.host, source, pollster, tick))
    _append(connection, "poll", [_row(batch.host, poll) for poll in chosen.values()])


def write_missed(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """The first of equal runs stays."""
    if not batch.missed:
        return
    starts = [run.start for run in batch.missed]
    stored = set(
        connection.execute(
            'select polling_source, start, "end" from missed where host = ? and start between ? and ?',
            (batch.host, min(starts), max(starts)),
        ).fetchall()
    )
    chosen = {(run.polling_source, run.start, run.end): run for run in reversed(batch.missed)}
    _append(
        connection,
        "missed",
        [(batch.host, *key, run.ticks, run.reason) for key, run in chosen.items() if key not in stored],
    )


def _row(host: str, poll: Poll) -> tuple[object, ...]:
    return (
        host, poll.polling_source, poll.tick, poll.pollster, poll.began, poll.ended, poll.resources,
        poll.samples, poll.outcome, poll.reason, msgspec.json.encode(poll.failed).decode(),
    )  # fmt: skip


def _append(connection: duckdb.DuckDBPyConnection, table: str, rows: list[tuple[object, ...]]) -> None:
    if rows:
        appender = connection.appender(table)
        appender.append_rows(rows)
        appender.flush()
