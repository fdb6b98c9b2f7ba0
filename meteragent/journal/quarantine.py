"""Quarantine: what was refused waits here, with the reason, until a person replays or discards it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw
import msgspec

from meteragent import message
from meteragent.batch import CONFLICT, Batch, Refusal
from meteragent.clock import Clock
from meteragent.errors import NotFound, Rejected, Unavailable
from meteragent.journal import schema
from meteragent.journal.account import count, count_messages
from meteragent.message import Message
from meteragent.plugins.reason import shortened
from meteragent.sample import Sample
from meteragent.wire import decode

HEAD = 64 << 10
"""Bytes that are kept of something too damaged or too big to keep whole."""
DISCARDED = 10_000
"""Entries of which it is kept who discarded them."""
DAMAGE = -1
"""Stands for a sample's index in what is left of a damaged batch."""
MESSAGE, MESSAGE_HEAD = -2, -3
"""Stand for a sample's index where a message is kept, whole or by its head."""


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
    sample_index: int = 0
    message_id: str = ""
    event_type: str = ""
    payload: bytes = b""

    @property
    def of_message(self) -> bool:
        """Whether it is a message, all or some of which could not be converted."""
        return self.sample_index in (MESSAGE, MESSAGE_HEAD)


_COLUMNS = (
    "id, at, category, sink, sequence, polling_source, pollster, reason, detail, samples,"
    " length(payload), state, by, publisher, serial, sample_index, message_id, event_type"
)


def size(connection: apsw.Connection) -> int:
    """Bytes in quarantine, those that a process beside this one has added or removed included."""
    return int(connection.execute("select value from meta where key = 'quarantine_size'").get)


def category(refusal: Refusal) -> str:
    """The line of account of a publisher's refusal."""
    return "conflict" if refusal.reason == CONFLICT else "quarantined"


def samples_of(entry: Entry) -> list[Sample]:
    """The samples of an entry that can be offered again.

    :raises Rejected: when what is kept of it is no sample any more
    """
    return batch_of(entry).samples


def batch_of(entry: Entry) -> Batch:
    """The same with host and who yielded them; the number of the replay is its sequence.

    :raises Rejected: when what is kept of it is no sample any more
    """
    if entry.of_message:
        raise Rejected(f"entry {entry.id}: a message is converted again, it holds no samples yet")
    if entry.category == "refused":
        raise Rejected(
            f"entry {entry.id}: what a pollster yielded cannot be replayed; it polls again by itself"
        )
    if entry.sample_index == DAMAGE:  # most of it may well be decoded, to other volumes
        raise Rejected(f"entry {entry.id}: what is left of a damaged batch cannot be replayed; discard it")
    try:
        return decode(entry.payload, entry.serial)
    except Rejected as error:
        raise Rejected(f"entry {entry.id}: {error}") from None


def message_of(entry: Entry) -> Message:
    """The message of an entry that can be converted again.

    :raises Rejected: when what is kept of it is none, or not all of it
    """
    if entry.sample_index == MESSAGE_HEAD:
        raise Rejected(
            f"entry {entry.id}: of this message only the first {HEAD} bytes were kept, so it cannot be"
            " replayed; discard it"
        )
    return shown_message(entry)


def shown_message(entry: Entry) -> Message:
    """The same, its body perhaps cut.

    :raises Rejected: when what is kept is no message
    """
    try:
        return message.unpacked(entry.payload)
    except Rejected as error:
        raise Rejected(f"entry {entry.id}: {error}") from None


def check_replayable(entry: Entry) -> None:
    """See that an entry can be replayed.

    :raises Rejected: when it cannot
    """
    if entry.of_message:
        message_of(entry)
    else:
        samples_of(entry)


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
            raise NotFound(f"quarantine has no entry {number}; meteragent quarantine list shows those it has")
        return Entry(*row)

    def replay(self, numbers: Sequence[int], by: str) -> int:
        """Mark entries for the agent; how many samples they hold.

        Samples are offered to their sink again, messages are converted again.

        :raises NotFound: when one does not exist; then none is marked
        :raises Rejected: when one cannot be replayed; then none is marked
        :raises Unavailable: when it could not be written
        """
        with self._chosen(numbers) as (connection, entries):
            for entry in entries:
                check_replayable(entry)
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
                note_discarded(connection, entry, self._clock.wall(), by, entry.samples)
            forget_discarded(connection)
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


def note_discarded(connection: apsw.Connection, entry: Entry, at: int, by: str, samples: int) -> None:
    """Keep who let go of an entry."""
    connection.execute(
        "insert or replace into discarded values (?, ?, ?, ?, ?)", (entry.id, at, by, samples, entry.reason)
    )


def forget_discarded(connection: apsw.Connection) -> None:
    """Keep only the newest of what was noted so."""
    connection.execute(
        "delete from discarded where id in"
        " (select id from discarded order by at desc, id desc limit -1 offset ?)",
        (DISCARDED,),
    )


def marked(connection: apsw.Connection, sink: str, after: int, most: int) -> list[Entry]:
    """Entries that a person asked to be offered to a sink again, with their payload.

    :param sink: its name; empty for messages, which are to be converted again
    :param after: serial of the one to go on behind
    :param most: how many at the most; below 0 for all
    """
    rows = connection.execute(
        f"select {_COLUMNS}, payload from quarantine where state = 'replay' and sink = ? and serial > ?"
        " order by serial limit ?",
        (sink, after, most),
    )
    return [Entry(*row) for row in rows]


def keep(connection: apsw.Connection, entry: Entry, reason: str) -> None:
    """Leave an entry that was refused again, with the new reason."""
    connection.execute(
        "update quarantine set state = 'kept', reason = ? where id = ?",
        (shortened(reason or entry.reason), entry.id),
    )


def remove(connection: apsw.Connection, entry: Entry, into: str) -> None:
    """Take an entry out and move its samples into another line of the same account.

    Nothing is done when it is gone already.
    """
    connection.execute("delete from quarantine where id = ?", (entry.id,))
    if not connection.changes():
        return
    if entry.category == "refused":
        count(connection, refused=-entry.samples, **{into: entry.samples})
        return
    if entry.category == "message":
        count_messages(connection, quarantined=-1, **{into: 1})
        return
    if entry.category not in schema.COUNTS:
        raise Unavailable(f"quarantine: entry {entry.id} is damaged: its category is {entry.category!r}")
    connection.execute(
        f"update sink set {entry.category} = {entry.category} - ?, {into} = {into} + ? where name = ?",
        (entry.samples, entry.samples, entry.sink),
    )
