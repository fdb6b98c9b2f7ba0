"""Keeps a batch in one transaction and tells what became of each of its samples."""

import logging
from collections.abc import Sequence
from itertools import chain, repeat
from operator import attrgetter
from typing import Any

import apsw
import msgspec

from meteragent import errors, failpoints
from meteragent.batch import CONFLICT, Batch, Poll, Position, Published, Refusal
from meteragent.clock import SECOND, Clock, iso
from meteragent.sample import Sample
from meteragent.storage.base import EXPIRED
from meteragent.storage.delivery import (
    EARLIER,
    Earlier,
    parts,
    place_of,
    recorded,
    said_of_former_journal,
    said_of_new_agent,
    sides,
)
from meteragent.storage.event_row import EventRows
from meteragent.storage.sqlite import volume as volumes
from meteragent.storage.sqlite.answer import one, rows
from meteragent.storage.sqlite.connection import Store
from meteragent.storage.sqlite.events import MOST_BYTES, StagedEvents
from meteragent.storage.sqlite.known import NEVER, Known, Staged, Stale
from meteragent.storage.sqlite.presence import Presence
from meteragent.storage.sqlite.schema import HOUR, SLOT, SLOTS

LOG = logging.getLogger(__name__)

Row = tuple[int, int, int, int, int, int | float, str | None, int, int]
"""(slot, series, at, origin), the index in the batch, volume, digits, attributes, batch."""

TOGETHER = 100
"""Rows that one statement inserts. Between two statements SQLite lets other threads run, and then
has to wait for them: row by row, a busy pollster would slow the store down to a fraction."""


def _insert(count: int) -> str:
    # The index makes equal keys sort in the order of the batch, the first of them being the one that stays.
    values = (
        f"({', '.join(f'?{9 * row + column}' for column in (1, 2, 3, 4, 6, 7, 8, 9))})"
        for row in range(count)
    )
    return f"insert into sample values {', '.join(values)} on conflict (slot, series, at, origin) do nothing"


_ID, _ORIGIN = attrgetter("id"), attrgetter("origin")
_INSERT, _INSERT_TOGETHER = _insert(1), _insert(TOGETHER)
_STORED = (
    "select volume, digits, attributes, batch from sample"
    " where slot = ? and series = ? and at = ? and origin = ?"
)
_RANK = "case {}.outcome when 'complete' then 2 when 'partial' then 1 else 0 end"
_POLL = (
    "insert into poll values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " on conflict (host, polling_source, pollster, tick) do update set began = excluded.began,"
    " ended = excluded.ended, resources = excluded.resources, samples = excluded.samples,"
    " outcome = excluded.outcome, reason = excluded.reason, failed = excluded.failed"
    f" where {_RANK.format('excluded')} > {_RANK.format('poll')}"
)
_BATCH = (
    "insert or replace into batch (id, agent, sink, sequence, recorded_at, last_hour, digest, selection,"
    " delivered, duplicate, superseded, refused, refusals) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class Recorder:
    """Writes batches; one thread at a time."""

    def __init__(self, store: Store, retention: float | None, clock: Clock, known: Known) -> None:
        self._store, self._retention, self._clock, self._known = store, retention, clock, known
        self._presence = Presence(store.path)
        self._remarks: list[str] = []
        """What is to be said once the transaction is committed."""

    def record(self, batch: Batch, position: Position) -> Published:
        """See ``StorageDriver.record``."""
        return recorded(self._record, batch, position)

    def _record(self, batch: Batch, position: Position) -> Published:
        staged = events = None
        self._remarks.clear()
        try:
            with self._store.writing() as connection:
                failpoints.reach("store open")
                agent = self._agent(connection, position)
                before = _before(connection, agent, position)
                if before is not None and before.is_of_another(position):
                    agent, before = self._renewed(connection, agent, position), None
                if before is not None and before.tells(batch, position):
                    published = before.published
                else:
                    self._known.believe(connection, self._store.opened)
                    staged = Staged(self._known, connection, batch)
                    number = _next(connection) if before is None else before.number
                    last_hour, published = self._write(connection, batch, staged, number)
                    if batch.events:
                        events = StagedEvents(self._known, connection)
                        events.write(self._events(batch), number)
                    connection.execute(
                        _BATCH,
                        (
                            number, agent, position.sink, position.sequence, self._clock.wall(), last_hour,
                            position.digest, position.selection, published.delivered, published.duplicate,
                            published.superseded, len(published.refused),
                            msgspec.msgpack.encode(published.refused) if published.refused else None,
                        ),
                    )  # fmt: skip
        except (OverflowError, UnicodeError) as error:
            raise errors.Rejected(f"storage {self._store.path}: can never be kept: {error}") from None
        failpoints.reach("store committed")
        for remark in self._remarks:
            LOG.warning("storage %s: %s", self._store.path, remark)
        if staged is not None:
            self._known.keep(staged)
        if events is not None:
            events.keep()
        return published

    def release(self) -> None:
        """The agents that recorded here do so no more: their ids are free."""
        self._presence.end()

    def _agent(self, connection: apsw.Connection, position: Position) -> int:
        """Number of the agent; in a transaction, so that of two at once the second sees the first."""
        number: int | None = None
        known = rows(connection, "select number, epoch from agent where id = ?", (position.agent,))
        for found, epoch in known:
            if epoch == position.epoch:
                number = found
            elif self._presence.of_another(position.agent, epoch):
                raise errors.Unavailable(
                    f"storage {self._store.path}: agent id {position.agent} is in use by another agent"
                    f" that runs (its journal is {epoch}); each agent needs an [agent] id of its own,"
                    " this one is free as soon as the other has ended"
                )
        self._presence.show(position.agent, position.epoch)
        if number is None:
            number = _insert_agent(connection, position)
            if position.sequence > 1:
                self._remarks.append(said_of_new_agent(position))
        return number

    def _renewed(self, connection: apsw.Connection, agent: int, position: Position) -> int:
        """A new number for an agent whose journal went back in time, as one does that a backup replaces.

        What it recorded is kept under another name of the epoch, so that positions may come a second
        time; samples that do are known by their identity.
        """
        if self._presence.of_another_process(position.agent, position.epoch):
            raise errors.Unavailable(
                f"storage {self._store.path}: {place_of(position)} holds another batch, and another process"
                " records under this agent's id and journal: a copy of its state folder is in use; this one"
                " goes on when the other has ended"
            )
        connection.execute("update agent set epoch = epoch || '/' || number where number = ?", (agent,))
        self._remarks.append(said_of_former_journal(position))
        return _insert_agent(connection, position)

    def _write(
        self, connection: apsw.Connection, batch: Batch, staged: Staged, number: int
    ) -> tuple[int, Published]:
        """Newest hour, and what became of the samples; those that this batch brought before are its own."""
        given, stale, refused = self._rows(batch, staged, number)
        given.sort()
        before = connection.total_changes()
        whole = len(given) - len(given) % TOGETHER
        connection.executemany(
            _INSERT_TOGETHER,
            (tuple(chain.from_iterable(given[i : i + TOGETHER])) for i in range(0, whole, TOGETHER)),
        )
        connection.executemany(_INSERT, given[whole:])
        delivered, duplicate, superseded = connection.total_changes() - before, 0, 0
        ignored: set[int] = set()
        if delivered < len(given):
            duplicate, superseded, conflicts, ignored = _ignored(connection, given, number, batch.samples)
            refused = sorted(refused + conflicts, key=lambda refusal: refusal.index)
            delivered = len(given) - len(ignored)
            staged.drop_unused({row[7] for row in given if row[4] not in ignored})
        staged.use(stale, ignored)
        connection.executemany(_POLL, ((batch.host, *_poll(poll)) for poll in batch.polls))
        connection.executemany(
            "insert into missed values (?, ?, ?, ?, ?, ?) on conflict do nothing",
            (
                (batch.host, run.polling_source, run.start, run.end, run.ticks, run.reason)
                for run in batch.missed
            ),
        )
        last_hour = max(given[-1][0] // SLOTS if given else NEVER, self._clock.wall() // HOUR)
        return last_hour, Published(delivered, duplicate, superseded, refused)

    def _events(self, batch: Batch) -> EventRows:
        given = EventRows.of(batch.events, self._oldest(), MOST_BYTES)
        self._remarks += given.remarks
        return given

    def _oldest(self) -> int:
        """The first instant that is within the retention."""
        return NEVER if self._retention is None else self._clock.wall() - int(self._retention * SECOND)

    def _rows(
        self, batch: Batch, staged: Staged, number: int
    ) -> tuple[list[Row], list[Stale], list[Refusal]]:
        made: list[Row] = []
        stale: list[Stale] = []
        refused: list[Refusal] = []
        oldest = self._oldest()
        for part, first, last in parts(batch):
            indices: Sequence[int] = range(first, last)
            samples: Sequence[Sample] = batch.samples[first:last]
            times = [sample.timestamp or 0 for sample in samples]
            if min(times, default=oldest) < oldest:
                refused += (
                    Refusal(index, EXPIRED, f"{iso(at)} is before {iso(oldest)}")
                    for index, at in zip(indices, times, strict=True)
                    if at < oldest
                )
                indices = [index for index, at in zip(indices, times, strict=True) if at >= oldest]
                samples = [batch.samples[index] for index in indices]
                times = [sample.timestamp or 0 for sample in samples]
            # a poll has one instant for all
            hours = _of_each(times, HOUR)
            series = staged.series_of(part, samples, hours)
            attributes = staged.attributes_of(part, samples, hours)
            stale += (
                (index, hour, part, one, other)
                for index, hour, one, other in zip(indices, hours, series, attributes, strict=True)
                if one.hour != hour or other.hour != hour or one.kind is not other.kind
            )
            lie, digits = volumes.columns([sample.volume for sample in samples])
            made += zip(
                _of_each(times, SLOT), map(_ID, series), times, map(_ORIGIN, samples), indices,
                lie, digits, map(_ID, attributes), repeat(number),
            )  # fmt: skip
        return made, stale, refused


def _of_each(times: Sequence[int], length: int) -> list[int]:
    """Which hour, or slot, each instant is in; there are fewer instants than samples."""
    of = {at: at // length for at in set(times)}
    return [of[at] for at in times]


def _insert_agent(connection: apsw.Connection, position: Position) -> int:
    """The number of an agent with its journal, which is new here."""
    (number,) = one(
        connection,
        "insert into agent (id, epoch) values (?, ?) returning number",
        (position.agent, position.epoch),
    )
    return int(number)


def _next(connection: apsw.Connection) -> int:
    """The number of a batch that comes for the first time."""
    return int(one(connection, "select coalesce(max(id), 0) + 1 from batch")[0])


def _before(connection: apsw.Connection, agent: int, position: Position) -> Earlier | None:
    found = rows(
        connection,
        f"select {EARLIER} from batch where agent = ? and sink = ? and sequence = ?",
        (agent, position.sink, position.sequence),
    )
    return Earlier.of(found[0]) if found else None


def _ignored(
    connection: apsw.Connection, given: list[Row], number: int, samples: list[Sample]
) -> tuple[int, int, list[Refusal], set[int]]:
    """Why rows were not inserted: duplicates, superseded ones, conflicts, and the indices of all these."""
    duplicate = superseded = 0
    conflicts: list[Refusal] = []
    ignored: set[int] = set()
    previous: tuple[int, ...] = ()
    stored: list[Any] = []
    own = False
    for row in given:
        key, index, content = row[:4], row[4], row[5:8]
        if key != previous:
            previous = key
            *stored, batch = one(connection, _STORED, key)
            own = batch == number  # one of them; an equal one in this batch is a duplicate of it
        same = content == tuple(stored) and type(content[0]) is type(stored[0])
        if own and same:
            own = False
            continue
        ignored.add(index)
        if same:
            duplicate += 1
        elif key[3] == 0:
            superseded += 1
        else:
            conflicts.append(Refusal(index, CONFLICT, _sides(connection, stored, samples[index])))
    return duplicate, superseded, conflicts, ignored


def _sides(connection: apsw.Connection, stored: list[Any], sample: Sample) -> str:
    volume, digits, attributes = stored
    told = one(
        connection,
        "select type, unit, project_id, user_id, metadata from attributes where id = ?",
        (attributes,),
    )
    return sides(volumes.read(volume, digits), told, sample)


def _poll(poll: Poll) -> tuple[Any, ...]:
    return (
        poll.polling_source, poll.tick, poll.pollster, poll.began, poll.ended, poll.resources,
        poll.samples, poll.outcome, poll.reason, msgspec.json.encode(poll.failed).decode(),
    )  # fmt: skip
