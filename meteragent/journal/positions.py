"""Where each sink stands in the journal, what became of its samples, and what may be trimmed."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import apsw
import msgspec

from meteragent.batch import Batch, Refusal
from meteragent.clock import Clock
from meteragent.errors import Unavailable
from meteragent.failpoints import reach
from meteragent.journal import aside, quarantine
from meteragent.journal.file import JournalFile
from meteragent.journal.schema import COUNTS, Meta, explained

LOG = logging.getLogger(__name__)

DETACHED = 1000
"""Ranges of missed batches that are kept of a sink; its account goes on to count older ones."""
QUIET = 60.0
"""Seconds without a missed batch after which the next one begins a new run."""


class Head(msgspec.Struct, frozen=True):
    """The newest batch: its sequence, and the totals and digest up to it."""

    sequence: int
    samples: int
    size: int
    digest: bytes


class SinkRow(msgspec.Struct):
    """Where a sink stands, and what its publishers keep with that."""

    name: str
    mode: str
    max_lag: int
    sequence: int
    size: int
    state: dict[str, Any]
    left_at: int | None = None
    """Newest batch when it was last configured; None while it is."""

    @property
    def waits(self) -> bool:
        """Whether it is no longer configured, but holds batches from when it was."""
        return self.left_at is not None and self.mode == "hold" and self.sequence < self.left_at


class Moves(msgspec.Struct):
    """What a transaction changes; to be remembered once it is committed."""

    places: dict[str, tuple[int, int]] = {}
    """By sink its new sequence and total of bytes."""
    trimmed: tuple[int, int] | None = None
    """Those of the batch up to which all were deleted."""
    missed: dict[str, str] = {}
    """By sink that was moved on without its samples, why."""


class Positions:
    """The sinks' rows; every method is called with the file's lock held or takes it."""

    def __init__(self, file: JournalFile, clock: Clock, meta: Meta, head: Head) -> None:
        self._file = file
        self._clock = clock
        self._lost = meta.sinks_lost
        self._sinks: dict[str, SinkRow] = {}
        self.trimmed = meta.anchor_sequence
        """Sequence of the newest batch that was deleted."""
        self._trimmed_size = meta.anchor_bytes
        self._unmarked: dict[str, int] = {}
        """By sink the state of the file in which nothing was marked for a replay."""
        self._told: dict[str, float] = {}
        """By sink when it last missed batches, on the monotonic clock."""
        with file.transaction_unsynced("position open") as connection:
            connection.execute("update sink set left_at = ? where left_at is null", (head.sequence,))
            self._absent = {
                row.name: row
                for row in (
                    SinkRow(name, mode, 0, sequence, size, {}, left_at)
                    for name, mode, sequence, size, left_at in connection.execute(
                        "select name, mode, sequence, bytes_total, left_at from sink"
                    )
                )
            }

    @property
    def waiting(self) -> list[str]:
        """Sinks that hold batches and have not joined: no longer configured, it seems."""
        return sorted(sink.name for sink in self._absent.values() if sink.waits)

    def join(self, name: str, mode: str, max_lag: int, head: Head) -> SinkRow:
        """Give a sink its place: where it stood, or behind the newest batch when it is new."""
        start = (head.sequence, head.samples, head.size)
        with self._file.lock:
            with self._file.transaction("position open") as connection:
                if self.trimmed < self._lost:  # it may be one of those whose position damage took
                    start = connection.execute(
                        "select (select value from meta where key = 'anchor_sequence'),"
                        " (select value from meta where key = 'anchor_samples'),"
                        " (select value from meta where key = 'anchor_bytes')"
                    ).get
                connection.execute(
                    "insert or ignore into sink(name, mode, sequence, joined, bytes_total, state)"
                    " values (?, ?, ?, ?, ?, x'7b7d')",
                    (name, mode, *start),
                )
                connection.execute("update sink set mode = ?, left_at = null where name = ?", (mode, name))
                sequence, size, state = connection.execute(
                    "select sequence, bytes_total, state from sink where name = ?", (name,)
                ).get
            with explained(self._file.path):
                sink = SinkRow(name, mode, max_lag, sequence, size, msgspec.json.decode(state))
            self._absent.pop(name, None)
            self._sinks[name] = sink
            return sink

    def leave(self, name: str, head: Head) -> None:
        """Note that a sink is no longer configured: what waits for one that holds is kept.

        :raises Unavailable: when it could not be written; the sink is configured then
        """
        with self._file.lock:
            sink = self._sinks.get(name)
            if sink is None:
                return
            with self._file.transaction("position open") as connection:
                connection.execute("update sink set left_at = ? where name = ?", (head.sequence, name))
            sink.left_at = head.sequence
            self._absent[name] = self._sinks.pop(name)

    def _row(self, name: str) -> SinkRow:
        """The row of a sink that joined, or of one that has left: it may still end what it was at."""
        return self._sinks.get(name) or self._absent[name]

    def pending(self, head: Head) -> tuple[int, str]:
        """Bytes that wait for the sink that holds and is furthest behind, and what they wait for."""
        holding = [sink for sink in self._sinks.values() if sink.mode == "hold"]
        holding.extend(sink for sink in self._absent.values() if sink.waits)
        if holding:
            furthest = min(holding, key=lambda sink: sink.size)
            return head.size - furthest.size, f"sink {furthest.name}"
        return (0, "") if self._sinks else (head.size - self._trimmed_size, "a sink, none is configured")

    def detach(self, connection: apsw.Connection, head: Head, size: int) -> Moves:
        """Let each sink that may not hold and would lag by more than it may lose its claim.

        A batch in flight counts as missed, although it may have arrived.

        :returns: what to ``note`` once it is committed
        """
        late = [
            sink
            for sink in self._sinks.values()
            if sink.mode == "detach"
            and sink.sequence < head.sequence
            and head.size - sink.size + size > sink.max_lag
        ]
        moves = Moves()
        for sink in late:
            self._skip(connection, moves, sink, head.sequence, f"lag over {sink.max_lag} bytes")
        if late:
            self._trim(connection, moves)
        return moves

    def _skip(self, connection: apsw.Connection, moves: Moves, sink: SinkRow, last: int, reason: str) -> None:
        """Move a sink on without its samples, and write down which it missed."""
        samples, size = connection.execute(
            f"select max(0, batch.samples_total - joined - ({' + '.join(COUNTS)})), batch.bytes_total"
            " from sink, batch where name = ? and batch.sequence = ?",
            (sink.name, last),
        ).get or self._missing(last)
        now = self._clock.wall()
        connection.execute(
            "update sink set detached = detached + ?, sequence = ?, bytes_total = ? where name = ?",
            (samples, last, size, sink.name),
        )
        connection.execute(
            "update detached set last = ?, samples = samples + ?, at = ?"
            " where sink = ? and last = ? and reason = ?",
            (last, samples, now, sink.name, sink.sequence, reason),
        )
        if not connection.changes():
            connection.execute(  # one that begins there is from before damage took the sink's position
                "insert or replace into detached values (?, ?, ?, ?, ?, ?)",
                (sink.name, sink.sequence + 1, last, samples, now, reason),
            )
            connection.execute(
                "delete from detached where sink = ?1 and first <="
                " (select first from detached where sink = ?1 order by first desc limit 1 offset ?2)",
                (sink.name, DETACHED),
            )
        moves.places[sink.name] = (last, size)
        moves.missed[sink.name] = reason

    def move(
        self,
        name: str,
        batch: Batch,
        counts: Mapping[str, int],
        state: dict[str, Any],
        refusals: Sequence[Refusal] = (),
        damage: tuple[int, str, bytes] | None = None,
    ) -> bool:
        """Note that a sink is done with a batch, and trim what nobody needs any more.

        Not synced: were it lost, the batch would be delivered once more and counted as before.

        :param counts: samples by line of account
        :param state: what its publishers keep with the position
        :param damage: samples, reason and head of a batch that could not be read
        :returns: False when the sink was detached from this batch meanwhile
        :raises Unavailable: when it could not be written; nothing has moved then
        """
        refused = aside.of_refusals(name, batch, refusals)
        if damage is not None:
            refused.append(aside.of_damage(name, batch.sequence, *damage))
        with self._file.lock:
            sink = self._row(name)
            if sink.sequence >= batch.sequence:
                return False
            if refused:
                self._file.make_room_aside(sum(each.cost for each in refused))
            with self._file.transaction_unsynced("position open") as connection:
                size = connection.execute(
                    "select bytes_total from batch where sequence = ?", (batch.sequence,)
                ).get
                if size is None:
                    self._missing(batch.sequence)
                assignments = "".join(f", {count} = {count} + {int(n)}" for count, n in counts.items())
                connection.execute(
                    f"update sink set sequence = ?, bytes_total = ?, state = ?{assignments} where name = ?",
                    (batch.sequence, size, msgspec.json.encode(state), name),
                )
                aside.add(connection, refused, self._clock.wall())
                moves = Moves({name: (batch.sequence, size)})
                self._trim(connection, moves)
            sink.state = state
            self.note(moves)
            reach("position committed")
            return True

    def keep(self, name: str, state: dict[str, Any]) -> None:
        """Keep what a sink's publishers must know after a crash, before its position moves.

        :raises Unavailable: when it could not be written
        """
        with self._file.lock:
            with self._file.transaction("position open") as connection:
                connection.execute(
                    "update sink set state = ? where name = ?", (msgspec.json.encode(state), name)
                )
            self._row(name).state = state

    def replays(self, name: str, after: int = 0, most: int = -1) -> list[quarantine.Entry]:
        """What a person asked to be offered to this sink again, in the order asked for.

        :param after: serial of the one to go on behind
        :param most: how many at the most; below 0 for all
        :raises Unavailable: when it cannot be read now
        """
        connection = self._file.connection
        with self._file.lock, explained(self._file.path):
            state = connection.execute("pragma data_version").get
            if self._unmarked.get(name) == state:  # only another process marks them
                return []
            entries = quarantine.marked(connection, name, after, most)
            if not entries and not after:
                self._unmarked[name] = state
            return entries

    def settle(self, entry: quarantine.Entry, into: str, state: dict[str, Any], reason: str = "") -> None:
        """Note what became of a replay.

        :param into: the line of account that its samples now stand in; its own when refused again
        :param state: what the sink's publishers keep with its position
        :raises Unavailable: when it could not be written
        """
        with self._file.lock:
            with self._file.transaction("position open") as connection:
                connection.execute(
                    "update sink set state = ? where name = ?", (msgspec.json.encode(state), entry.sink)
                )
                if into == entry.category:
                    quarantine.keep(connection, entry, reason)
                else:
                    quarantine.remove(connection, entry, into)
            self._row(entry.sink).state = state

    def _trim(self, connection: apsw.Connection, moves: Moves) -> None:
        """Delete what nobody needs, keeping the last digest as anchor; who is left behind moves on, too."""
        claiming = [*self._sinks.values(), *(sink for sink in self._absent.values() if sink.waits)]
        claims = (moves.places.get(sink.name, (sink.sequence,))[0] for sink in claiming)
        lowest = min(claims, default=self.trimmed)
        if lowest <= self.trimmed:
            return
        reach("trim open")
        anchor = connection.execute(
            "select digest, samples_total, bytes_total from batch where sequence = ?", (lowest,)
        ).fetchone() or self._missing(lowest)
        for sink in self._absent.values():
            if sink.sequence < lowest:
                self._skip(connection, moves, sink, lowest, "not configured")
        connection.executemany(
            "update meta set value = ? where key = ?",
            zip(
                (lowest, *anchor),
                ("anchor_sequence", "anchor_digest", "anchor_samples", "anchor_bytes"),
                strict=True,
            ),
        )
        connection.execute("delete from batch where sequence <= ?", (lowest,))
        moves.trimmed = (lowest, anchor[2])

    def note(self, moves: Moves) -> None:
        """Remember what has been committed, and tell once of each run of batches that a sink misses."""
        for name, reason in moves.missed.items():
            now, told = self._clock.monotonic(), self._told.get(name)
            if told is None or (name in self._sinks and now - told > QUIET):
                LOG.warning(
                    "sink %s misses batches from %d on: %s; meteragent sink show lists them",
                    name, self._row(name).sequence + 1, reason,
                )  # fmt: skip
            self._told[name] = now
        for name, place in moves.places.items():
            sink = self._row(name)
            sink.sequence, sink.size = place
        if moves.trimmed is not None:
            self.trimmed, self._trimmed_size = moves.trimmed

    def _missing(self, sequence: int) -> Any:
        raise Unavailable(f"{self._file.path}: batch {sequence} is missing, the next start mends that")
