"""Quarantine: what was refused waits here, with the reason, until a person replays or discards it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
    publisher: str = ""
    """URLs of those that refused it, one a line; they alone are offered it again."""
    serial: int = 0
    """Number of the replay that was asked for, never given twice."""
    payload: bytes = b""


class Item(msgspec.Struct, frozen=True):
    """Something on its way into quarantine."""

    category: str
    sink: str
    sequence: int
    item: int
    reason: str
    samples: int
    payload: bytes
    detail: str = ""
    polling_source: str = ""
    pollster: str = ""
    publisher: str = ""

    @property
    def size(self) -> int:
        """Bytes that it takes, about."""
        return len(self.payload) + len(self.detail) + len(self.reason) + 300


_COLUMNS = (
    "id, at, category, sink, sequence, polling_source, pollster, reason, detail, samples,"
    " length(payload), state, by, publisher, serial"
)
_ITEM = ", ".join(Item.__struct_fields__)
_ADD = (
    f"insert or ignore into quarantine(at, {_ITEM})"
    f" values (?{', ?' * len(Item.__struct_fields__)})"
)  # fmt: skip


def size(connection: apsw.Connection) -> int:
    """Bytes in quarantine, those that a process beside this one has added or removed included."""
    return int(connection.execute("select value from meta where key = 'quarantine_size'").get)


def add(connection: apsw.Connection, items: Sequence[Item], at: int) -> None:
    """Put things aside, each once however often its batch is delivered."""
    connection.executemany(_ADD, ((at, *msgspec.structs.astuple(item)) for item in items))


def of_refused(refused: Sequence[Refused], sequence: int) -> list[Item]:
    """What was refused at intake."""
    return [
        Item(
            "refused", "", sequence, 0, each.reason, each.samples, each.payload,
            polling_source=each.polling_source, pollster=each.pollster,
        )
        for each in refused
    ]  # fmt: skip


def of_refusals(sink: str, batch: Batch, refusals: Sequence[Refusal]) -> list[Item]:
    """What publishers refused."""
    return [
        Item(
            category(each), sink, batch.sequence, each.index, each.reason, 1,
            encode(Batch(samples=[batch.samples[each.index]])),
            detail=each.detail, publisher=each.publisher,
        )
        for each in refusals
    ]  # fmt: skip


def of_damage(sink: str, sequence: int, samples: int, reason: str, head: bytes) -> Item:
    """A record that can no longer be read."""
    return Item("quarantined", sink, sequence, -1, reason, samples, head[:HEAD])


def category(refusal: Refusal) -> str:
    """The line of account of a publisher's refusal."""
    return "conflict" if refusal.reason.startswith(CONFLICT) else "quarantined"


def samples_of(entry: Entry) -> list[Sample]:
    """The samples of an entry that can be offered again.

    :raises Rejected: when what is kept of it is no sample any more
    """
    if entry.category == "refused":
        raise Rejected(
            f"entry {entry.id}: what a pollster yielded cannot be replayed; it polls again by itself"
        )
    try:
        return decode(entry.payload, entry.sequence).samples
    except Rejected as error:
        raise Rejected(f"entry {entry.id}: {error}") from None


class Quarantine:
    """What a person may do with quarantine, beside a running agent or without one."""

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self._path = path
        self._clock = clock or Clock()
        schema.connect_reader(path).close()
        with schema.explained(path):
            self._connection = schema.connect_writer(path)

    def list(self) -> list[Entry]:
        """All entries, oldest first, without their payload.

        :raises Unavailable: when they cannot be read
        """
        with schema.explained(self._path):
            rows = self._connection.execute(f"select {_COLUMNS} from quarantine order by id")
            return [Entry(*row) for row in rows]

    def show(self, number: int) -> Entry:
        """One entry with its payload.

        :raises NotFound: when there is no such entry
        :raises Unavailable: when it cannot be read
        """
        with schema.explained(self._path):
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
        :raises Unavailable: when it could not be written
        """
        with self._chosen(numbers) as (connection, entries):
            for entry in entries:
                samples_of(entry)
                connection.execute("update meta set value = value + 1 where key = 'replays'")
                connection.execute(
                    "update quarantine set state = 'replay', by = ?,"
                    " serial = (select value from meta where key = 'replays') where id = ?",
                    (by, entry.id),
                )
        return sum(entry.samples for entry in entries)

    def discard(self, numbers: Sequence[int], by: str) -> int:
        """Let go of entries for good, under a person's name; how many samples they held.

        :raises NotFound: when one does not exist; then none is discarded
        :raises Unavailable: when it could not be written
        """
        with self._chosen(numbers) as (connection, entries):
            for entry in entries:
                remove(connection, entry, "discarded")
                connection.execute(
                    "insert or replace into discarded values (?, ?, ?, ?, ?)",
                    (entry.id, self._clock.wall(), by, entry.samples, entry.reason),
                )
        return sum(entry.samples for entry in entries)

    @contextmanager
    def _chosen(self, numbers: Sequence[int]) -> Iterator[tuple[apsw.Connection, Sequence[Entry]]]:
        """The entries, which nobody else changes meanwhile; all that is done with them, or nothing."""
        connection = self._connection
        with schema.explained(self._path):
            connection.execute("begin immediate")
            try:
                yield connection, [self.show(number) for number in dict.fromkeys(numbers)]
                connection.execute("commit")
            finally:
                if connection.in_transaction:
                    connection.execute("rollback")

    def close(self) -> None:
        """Let go of the journal."""
        self._connection.close()


def marked(connection: apsw.Connection, sink: str) -> list[Entry]:
    """Entries that a person asked to be offered to a sink again, with their payload."""
    rows = connection.execute(
        f"select {_COLUMNS}, payload from quarantine where state = 'replay' and sink = ? order by serial",
        (sink,),
    )
    return [Entry(*row) for row in rows]


def keep(connection: apsw.Connection, entry: Entry, reason: str) -> None:
    """Leave an entry that was refused again, with the new reason."""
    connection.execute(
        "update quarantine set state = 'kept', reason = ? where id = ?", (reason or entry.reason, entry.id)
    )


def remove(connection: apsw.Connection, entry: Entry, into: str) -> None:
    """Take an entry out and move its samples into another line of the same account.

    Nothing is done when it is gone already.
    """
    connection.execute("delete from quarantine where id = ?", (entry.id,))
    if not connection.changes():
        return
    if entry.category == "refused":
        connection.execute("update account set value = value - ? where name = 'refused'", (entry.samples,))
        connection.execute("update account set value = value + ? where name = ?", (entry.samples, into))
        return
    if entry.category not in schema.COUNTS:
        raise Unavailable(f"quarantine: entry {entry.id} is damaged: its category is {entry.category!r}")
    connection.execute(
        f"update sink set {entry.category} = {entry.category} - ?, {into} = {into} + ? where name = ?",
        (entry.samples, entry.samples, entry.sink),
    )
