"""Where each sink stands in the journal, what became of its samples, and what may be trimmed."""

from collections.abc import Mapping, Sequence
from typing import Any

import apsw
import msgspec

from meteragent.batch import Batch, Refusal
from meteragent.clock import Clock
from meteragent.errors import Unavailable
from meteragent.failpoints import reach
from meteragent.journal import quarantine
from meteragent.journal.file import JournalFile
from meteragent.journal.schema import COUNTS


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


class Positions:
    """The sinks' rows; every method is called with the file's lock held or takes it."""

    def __init__(self, file: JournalFile, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        self._sinks: dict[str, SinkRow] = {}
        rows = file.connection.execute("select value from meta where key = 'anchor_sequence'")
        self.trimmed: int = rows.get
        """Sequence of the newest batch that was deleted."""
        self._waiting = self._left_behind()

    def _left_behind(self) -> dict[str, SinkRow]:
        """Sinks that hold and have batches pending: these are kept until the sink joins again."""
        rows = self._file.connection.execute(
            "select name, sequence, bytes_total from sink where mode = 'hold'"
            " and exists (select 1 from batch where batch.sequence > sink.sequence)"
        )
        return {name: SinkRow(name, "hold", 0, sequence, size, {}) for name, sequence, size in rows}

    @property
    def waiting(self) -> list[str]:
        """Sinks with batches pending that have not joined: no longer configured, it seems."""
        return sorted(self._waiting)

    def join(self, name: str, mode: str, max_lag: int, head: Head) -> SinkRow:
        """Give a sink its place: where it stood, or behind the newest batch when it is new.

        What was trimmed while it was not configured is written down as detached.
        """
        with self._file.transaction("position open") as connection:
            connection.execute(
                "insert or ignore into sink(name, mode, sequence, joined, bytes_total, state)"
                " values (?, ?, ?, ?, ?, x'7b7d')",
                (name, mode, head.sequence, head.samples, head.size),
            )
            connection.execute("update sink set mode = ? where name = ?", (mode, name))
            sequence, size, state = connection.execute(
                "select sequence, bytes_total, state from sink where name = ?", (name,)
            ).get
        sink = SinkRow(name, mode, max_lag, sequence, size, msgspec.json.decode(state))
        if sink.sequence < self.trimmed:
            self._skip(sink, self.trimmed, "trimmed while it was not configured")
        self._waiting.pop(name, None)
        self._sinks[name] = sink
        return sink

    def pending(self, head: Head) -> tuple[int, str]:
        """Bytes that wait for the sink that holds and is furthest behind, and its name."""
        holding = [sink for sink in self._sinks.values() if sink.mode == "hold"]
        holding.extend(self._waiting.values())
        if not holding:
            return 0, ""
        furthest = min(holding, key=lambda sink: sink.size)
        return head.size - furthest.size, furthest.name

    def detach(self, head: Head, size: int) -> None:
        """Let each sink that may not hold and would lag by more than it may lose its claim."""
        for sink in self._sinks.values():
            lag = head.size - sink.size + size
            if sink.mode == "detach" and sink.sequence < head.sequence and lag > sink.max_lag:
                self._skip(sink, head.sequence, f"lagged by {lag} bytes, {sink.max_lag} allowed")

    def _skip(self, sink: SinkRow, last: int, reason: str) -> None:
        """Move a sink on without its samples, and write down which it missed.

        A batch in flight counts as missed, although it may have arrived.
        """
        with self._file.transaction("position open") as connection:
            connection.execute(
                "insert into detached select ?1, ?2 + 1, ?3,"
                " coalesce((select samples_total from batch where sequence = ?3),"
                "   (select value from meta where key = 'anchor_samples')) - joined - "
                f"  ({' + '.join(COUNTS)}), ?4, ?5 from sink where name = ?1",
                (sink.name, sink.sequence, last, self._clock.wall(), reason),
            )
            connection.execute(
                "update sink set sequence = ?2,"
                " detached = detached + (select samples from detached where sink = ?1 and first = ?3),"
                " bytes_total = coalesce((select bytes_total from batch where sequence = ?2),"
                "   (select value from meta where key = 'anchor_bytes')) where name = ?1",
                (sink.name, last, sink.sequence + 1),
            )
            size = connection.execute("select bytes_total from sink where name = ?", (sink.name,)).get
        sink.sequence, sink.size = last, size

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
        :param damage: samples, reason and head of a record that could not be read
        :returns: False when the sink was detached from this batch meanwhile
        :raises Unavailable: when it could not be written; nothing has moved then
        """
        with self._file.lock:
            sink = self._sinks[name]
            if sink.sequence >= batch.sequence:
                return False
            with self._file.transaction("position open", synced=False) as connection:
                size = connection.execute(
                    "select bytes_total from batch where sequence = ?", (batch.sequence,)
                ).get
                assignments = "".join(f", {count} = {count} + {int(n)}" for count, n in counts.items())
                connection.execute(
                    f"update sink set sequence = ?, bytes_total = ?, state = ?{assignments} where name = ?",
                    (batch.sequence, size, msgspec.json.encode(state), name),
                )
                now = self._clock.wall()
                quarantine.add_refusals(connection, name, batch, refusals, now)
                if damage is not None:
                    quarantine.add_damaged(connection, name, batch.sequence, *damage, now)
                trimmed = self._trim(connection, name, batch.sequence)
            sink.sequence, sink.size, sink.state = batch.sequence, size, state
            self.trimmed = trimmed
            reach("position committed")
            return True

    def replays(self, name: str) -> list[quarantine.Entry]:
        """What a person asked to be offered to this sink again."""
        with self._file.lock:
            return quarantine.marked(self._file.connection, name)

    def settle(self, entry: quarantine.Entry, into: str, state: dict[str, Any], reason: str = "") -> None:
        """Note what became of a replay.

        :param into: the line of account that its samples now stand in; its own when refused again
        :param state: what the sink's publishers keep with its position
        """
        with self._file.transaction("position open") as connection:
            connection.execute(
                "update sink set state = ? where name = ?", (msgspec.json.encode(state), entry.sink)
            )
            self._sinks[entry.sink].state = state
            if into == entry.category:
                quarantine.keep(connection, entry, reason)
            else:
                quarantine.remove(connection, entry, into)

    def _trim(self, connection: apsw.Connection, mover: str, sequence: int) -> int:
        """Delete what all sinks have, keeping the last digest as anchor; the newest deleted."""
        others = [sink.sequence for sink in self._sinks.values() if sink.name != mover]
        others.extend(sink.sequence for sink in self._waiting.values())
        lowest = min([*others, sequence])
        if lowest <= self.trimmed:
            return self.trimmed
        reach("trim open")
        anchor = connection.execute(
            "select digest, samples_total, bytes_total from batch where sequence = ?", (lowest,)
        ).fetchone()
        if anchor is None:
            raise Unavailable(f"{self._file.path}: batch {lowest} is missing")
        connection.executemany(
            "update meta set value = ? where key = ?",
            zip(
                (lowest, *anchor),
                ("anchor_sequence", "anchor_digest", "anchor_samples", "anchor_bytes"),
                strict=True,
            ),
        )
        connection.execute("delete from batch where sequence <= ?", (lowest,))
        return lowest
