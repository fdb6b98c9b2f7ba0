"""Quarantine: what was refused waits here, with the reason, until a person replays or discards it."""

from collections.abc import Sequence
from pathlib import Path

import apsw
import msgspec

from meteragent.batch import CONFLICT, Batch, Refusal, Refused
from meteragent.clock import Clock
from meteragent.errors import NotFound, Rejected, Unavailable
from meteragent.journal import schema
from meteragent.sample import Sample
from meteragent.wire import decode, encode

HEAD = 64 << 10
"""Bytes that are kept of something too damaged or too big to keep whole."""


class Entry(msgspec.Struct, frozen=True):
    """Something in quarantine; ``category`` is the line of account that it stands in."""

    id: int
    at: int
    category: str
    sink: str
    sequence: int
    polling_source: str
    pollster: str
    reason: str
    detail: str
    samples: int
    size: int
    state: str
    by: str
    payload: bytes = b""


_COLUMNS = (
    "id, at, category, sink, sequence, polling_source, pollster, reason, detail, samples,"
    " length(payload), state, by"
)


def size(connection: apsw.Connection) -> int:
    """Bytes in quarantine."""
    row = connection.execute("select coalesce(sum(length(payload) + length(detail)), 0) from quarantine")
    return int(row.get)


def add_refused(connection: apsw.Connection, refused: Sequence[Refused], at: int, sequence: int) -> None:
    """Put what was refused at intake aside, in the transaction that counts it."""
    connection.executemany(
        "insert into quarantine(at, category, sink, sequence, item, polling_source, pollster, reason,"
        " detail, samples, payload) values (?, 'refused', '', ?, 0, ?, ?, ?, '', ?, ?)",
        (
            (at, sequence, each.polling_source, each.pollster, each.reason, each.samples, each.payload)
            for each in refused
        ),
    )


def add_refusals(
    connection: apsw.Connection, sink: str, batch: Batch, refusals: Sequence[Refusal], at: int
) -> None:
    """Put what a publisher refused aside, once however often its batch is delivered."""
    connection.executemany(
        "insert or ignore into quarantine(at, category, sink, sequence, item, polling_source, pollster,"
        " reason, detail, samples, payload) values (?, ?, ?, ?, ?, '', '', ?, ?, 1, ?)",
        (
            (
                at,
                category(each),
                sink,
                batch.sequence,
                each.index,
                each.reason,
                each.detail,
                encode(Batch(samples=[batch.samples[each.index]])),
            )
            for each in refusals
        ),
    )


def category(refusal: Refusal) -> str:
    """The line of account of a publisher's refusal."""
    return "conflict" if refusal.reason.startswith(CONFLICT) else "quarantined"


def add_damaged(
    connection: apsw.Connection, sink: str, sequence: int, samples: int, reason: str, head: bytes, at: int
) -> None:
    """Put a record that can no longer be read aside."""
    connection.execute(
        "insert or ignore into quarantine(at, category, sink, sequence, item, polling_source, pollster,"
        " reason, detail, samples, payload) values (?, 'quarantined', ?, ?, -1, '', '', ?, '', ?, ?)",
        (at, sink, sequence, reason, samples, head[:HEAD]),
    )


def samples_of(entry: Entry) -> list[Sample]:
    """The samples of an entry that can be offered again.

    :raises Rejected: when what is kept of it is no sample any more
    """
    if entry.category != "refused":
        return decode(entry.payload, entry.sequence).samples
    raise Rejected(f"entry {entry.id}: what a pollster yielded cannot be replayed; it polls again by itself")


class Quarantine:
    """What a person may do with quarantine, beside a running agent or without one."""

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self._path = path
        self._clock = clock or Clock()
        schema.connect_reader(path).close()
        try:
            self._connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
            self._connection.set_busy_timeout(schema.BUSY_MILLISECONDS)
        except apsw.Error as error:
            raise Unavailable(f"{path}: cannot be opened: {error}") from error

    def list(self) -> list[Entry]:
        """All entries, oldest first, without their payload."""
        rows = self._connection.execute(f"select {_COLUMNS} from quarantine order by id")
        return [Entry(*row) for row in rows]

    def show(self, number: int) -> Entry:
        """One entry with its payload.

        :raises NotFound: when there is no such entry
        """
        row = self._connection.execute(
            f"select {_COLUMNS}, payload from quarantine where id = ?", (number,)
        ).fetchone()
        if row is None:
            raise NotFound(f"quarantine has no entry {number}")
        return Entry(*row)

    def replay(self, numbers: Sequence[int], by: str) -> int:
        """Mark entries to be offered to their sink again by the agent; how many samples they hold.

        :raises NotFound: when one does not exist; then none is marked
        :raises Rejected: when one cannot be replayed; then none is marked
        """
        with self._connection as connection:
            entries = [self.show(number) for number in numbers]
            for entry in entries:
                samples_of(entry)
                connection.execute(
                    "update quarantine set state = 'replay', by = ? where id = ?", (by, entry.id)
                )
        return sum(entry.samples for entry in entries)

    def discard(self, numbers: Sequence[int], by: str) -> int:
        """Let go of entries for good, under a person's name; how many samples they held.

        :raises NotFound: when one does not exist; then none is discarded
        """
        with self._connection as connection:
            entries = [self.show(number) for number in numbers]
            for entry in entries:
                remove(connection, entry, "discarded")
                connection.execute(
                    "insert or replace into discarded values (?, ?, ?, ?, ?)",
                    (entry.id, self._clock.wall(), by, entry.samples, entry.reason),
                )
        return sum(entry.samples for entry in entries)

    def close(self) -> None:
        """Let go of the journal."""
        self._connection.close()


def marked(connection: apsw.Connection, sink: str) -> list[Entry]:
    """Entries that a person asked to be offered to a sink again, with their payload."""
    rows = connection.execute(
        f"select {_COLUMNS}, payload from quarantine where state = 'replay' and sink = ? order by id", (sink,)
    )
    return [Entry(*row) for row in rows]


def keep(connection: apsw.Connection, entry: Entry, reason: str) -> None:
    """Leave an entry that was refused again, with the new reason."""
    connection.execute(
        "update quarantine set state = 'kept', reason = ? where id = ?", (reason or entry.reason, entry.id)
    )


def remove(connection: apsw.Connection, entry: Entry, into: str) -> None:
    """Take an entry out and move its samples into another line of the same account."""
    connection.execute("delete from quarantine where id = ?", (entry.id,))
    if entry.category == "refused":
        connection.execute("update account set value = value - ? where name = 'refused'", (entry.samples,))
        connection.execute("update account set value = value + ? where name = ?", (entry.samples, into))
    else:
        assert entry.category in schema.COUNTS
        assert into in schema.COUNTS
        connection.execute(
            f"update sink set {entry.category} = {entry.category} - ?, {into} = {into} + ? where name = ?",
            (entry.samples, entry.samples, entry.sink),
        )
