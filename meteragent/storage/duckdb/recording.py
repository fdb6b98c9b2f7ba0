"""Keeps a batch in one transaction and tells what became of each of its samples."""

import logging
from collections.abc import Sequence
from typing import Any

import duckdb
import msgspec
import numpy as np

from meteragent import errors, failpoints
from meteragent.batch import CONFLICT, Batch, Position, Published, Refusal
from meteragent.clock import SECOND, Clock, iso
from meteragent.sample import Sample
from meteragent.storage.base import EXPIRED
from meteragent.storage.delivery import (
    EARLIER,
    Earlier,
    parts,
    recorded,
    said_of_former_journal,
    said_of_new_agent,
    sides,
)
from meteragent.storage.duckdb import account
from meteragent.storage.duckdb.columns import Columns
from meteragent.storage.duckdb.connection import Store
from meteragent.storage.duckdb.events import StagedEvents, most_bytes
from meteragent.storage.duckdb.known import Staged
from meteragent.storage.duckdb.schema import HOUR, NEVER
from meteragent.storage.event_row import EventRows

LOG = logging.getLogger(__name__)

_TOLD = "select type, unit, project_id, user_id, metadata from attributes where id = ?"


class _Judged(msgspec.Struct):
    """What became of samples that were not all new."""

    taken: list[int] = msgspec.field(default_factory=list)
    """Places of those to be inserted."""
    own: int = 0
    """Those that the same batch brought before."""
    duplicate: int = 0
    superseded: int = 0
    conflicts: list[Refusal] = msgspec.field(default_factory=list)


class Recorder:
    """Writes batches; one thread at a time."""

    def __init__(self, store: Store, retention: float | None, clock: Clock) -> None:
        self._store, self._retention, self._clock = store, retention, clock
        self._remarks: list[str] = []
        """What is to be said once the transaction is committed."""

    def record(self, batch: Batch, position: Position) -> Published:
        """See ``StorageDriver.record``."""
        with self._store.writer:
            return recorded(self._record, batch, position)

    def _record(self, batch: Batch, position: Position) -> Published:
        self._remarks.clear()
        try:
            with self._store.writing() as connection:
                failpoints.reach("store open")
                known = self._store.known
                known.believe(connection, self._store.opened)
                staged = Staged(known, connection)
                agent = self._agent(connection, position, staged)
                before = None
                if position.sequence <= known.sequences.get((agent, position.sink), 0):
                    before = _before(connection, agent, position)
                if before is not None and before.is_of_another(position):
                    agent, before = self._renewed(connection, agent, position, staged), None
                columns = events = None
                if before is not None and before.tells(batch, position):
                    published = before.published
                else:
                    number = staged.next["batch"] if before is None else before.number
                    if before is not None:
                        connection.execute("delete from batch where id = ?", (number,))
                    columns, published = self._write(connection, batch, staged, number)
                    if batch.events:
                        events = StagedEvents(known, connection)
                        events.write(self._events(batch), number)
                    self._note(connection, (number, agent), position, columns, published)
                    staged.next["batch"] = max(staged.next["batch"], number + 1)
        except (OverflowError, UnicodeError) as error:
            raise errors.Rejected(f"storage {self._store.path}: can never be kept: {error}") from None
        failpoints.reach("store committed")
        for remark in self._remarks:
            LOG.warning("storage %s: %s", self._store.path, remark)
        try:
            known.keep(staged)
            if events is not None:
                events.keep()
            place = (agent, position.sink)
            known.sequences[place] = max(position.sequence, known.sequences.get(place, 0))
            if columns is not None:
                known.stored(columns.series, columns.instant, columns.attributes, columns.part)
        except BaseException:
            known.forget()  # what is known would be behind the file, and the batch be taken for a new one
            raise
        return published

    def _agent(self, connection: duckdb.DuckDBPyConnection, position: Position, staged: Staged) -> int:
        """Number of the agent."""
        number = staged.agents.get((position.agent, position.epoch))
        if number is not None:
            return number
        if position.sequence > 1:
            self._remarks.append(said_of_new_agent(position))
        return _insert_agent(connection, position, staged)

    def _renewed(
        self, connection: duckdb.DuckDBPyConnection, agent: int, position: Position, staged: Staged
    ) -> int:
        """A new number for an agent whose journal went back in time, as one does that a backup replaces.

        What it recorded is kept under another name of the epoch, so that positions may come a second
        time; samples that do are known by their identity.
        """
        connection.execute("update agent set epoch = epoch || '/' || number where number = ?", (agent,))
        self._remarks.append(said_of_former_journal(position))
        return _insert_agent(connection, position, staged)

    def _note(
        self,
        connection: duckdb.DuckDBPyConnection,
        numbers: tuple[int, int],
        position: Position,
        columns: Columns,
        published: Published,
    ) -> None:
        now = self._clock.wall()
        newest = max(int(columns.instant.max()) if len(columns) else NEVER, now)
        connection.execute(
            "insert into batch values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *numbers, position.sink, position.sequence, now, newest, position.digest, position.selection,
                published.delivered, published.duplicate, published.superseded, len(published.refused),
                msgspec.msgpack.encode(published.refused) if published.refused else None,
            ),
        )  # fmt: skip

    def _write(
        self, connection: duckdb.DuckDBPyConnection, batch: Batch, staged: Staged, number: int
    ) -> tuple[Columns, Published]:
        """The samples that were stored, and what became of all."""
        given, refused = self._columns(batch, staged)
        judged = None
        looked_for = given.instant <= self._store.known.newest.of(given.series)
        stored = given.where(looked_for).stored(connection) if looked_for.any() else []
        if stored or not given.differ():
            judged = _judged(connection, given, stored, number, batch.samples, staged)
        taken = given if judged is None else given.where(np.array(judged.taken, np.int64))
        kept = (
            [batch.samples[n] for n in taken.index.tolist()]
            if len(taken) < len(batch.samples)
            else batch.samples
        )
        staged.use(kept, taken.series, taken.attributes, taken.part)
        taken.insert(connection, number, self._head(given))
        account.write_polls(connection, batch)
        account.write_missed(connection, batch)
        if judged is None:
            return taken, Published(len(taken), refused=refused)
        return taken, Published(
            len(taken) + judged.own,
            judged.duplicate,
            judged.superseded,
            sorted(refused + judged.conflicts, key=lambda refusal: refusal.index),
        )

    def _events(self, batch: Batch) -> EventRows:
        given = EventRows.of(batch.events, self._oldest(), most_bytes(self._store.memory_limit))
        self._remarks += given.remarks
        return given

    def _oldest(self) -> int:
        """The first instant that is within the retention."""
        return NEVER if self._retention is None else self._clock.wall() - int(self._retention * SECOND)

    def _head(self, given: Columns) -> int:
        """The hour that is recorded now; a clock that is ahead somewhere does not move it on."""
        known, now = self._store.known, self._clock.wall() // HOUR
        if len(given):
            known.head = min(max(known.head, given.middle()), now)
        return known.head

    def _columns(self, batch: Batch, staged: Staged) -> tuple[Columns, list[Refusal]]:
        samples: Sequence[Sample] = batch.samples
        instant = np.array([each.timestamp or 0 for each in samples], np.int64)
        index = np.arange(len(samples))
        refused: list[Refusal] = []
        part = np.concatenate(
            [np.full(last - first, staged.number_part(key), np.int32) for key, first, last in parts(batch)]
        )
        if self._retention is not None:
            oldest = self._oldest()
            late = instant < oldest
            refused = [
                Refusal(n, EXPIRED, f"{iso(int(instant[n]))} is before {iso(oldest)}")
                for n in np.flatnonzero(late).tolist()
            ]
            if refused:
                index, instant, part = index[~late], instant[~late], part[~late]
                samples = [samples[n] for n in index.tolist()]
        numbers = staged.number_series(samples), staged.number_attributes(samples), part
        return Columns.of(samples, index, instant, numbers), refused


def _insert_agent(connection: duckdb.DuckDBPyConnection, position: Position, staged: Staged) -> int:
    """The number of an agent with its journal, which is new here."""
    number = staged.next["agent"]
    staged.next["agent"] += 1
    connection.execute("insert into agent values (?, ?, ?)", (number, position.agent, position.epoch))
    staged.agents[position.agent, position.epoch] = number
    return number


def _before(connection: duckdb.DuckDBPyConnection, agent: int, position: Position) -> Earlier | None:
    found = connection.execute(
        f"select {EARLIER} from batch where agent = ? and sink = ? and sequence = ?",
        (agent, position.sink, position.sequence),
    ).fetchall()
    return Earlier.of(found[0]) if found else None


def _judged(
    connection: duckdb.DuckDBPyConnection,
    given: Columns,
    stored: list[tuple[Any, ...]],
    number: int,
    samples: Sequence[Sample],
    staged: Staged,
) -> _Judged:
    """Sample by sample: against what the store has, and what came before it in the batch."""
    judged = _Judged()
    index, attributes = given.index.tolist(), given.attributes.tolist()
    keys = list(zip(given.series.tolist(), given.instant.tolist(), given.origin.tolist(), strict=True))
    places = {n: place for place, n in enumerate(index)}
    present: dict[tuple[int, int, int], tuple[int | float, int]] = {}
    own: set[tuple[int, int, int]] = set()
    for n, volume, whole, told, batch in stored:
        key = keys[places[n]]
        present[key] = (volume if whole is None else whole, told)
        if batch == number:
            own.add(key)
    for place, key in enumerate(keys):
        sample = samples[index[place]]
        content = (sample.volume, attributes[place])
        first = present.setdefault(key, content)
        if first is content:
            judged.taken.append(place)
        elif first == content and type(first[0]) is type(content[0]):
            if key in own:  # one of them; an equal one in this batch is a duplicate of it
                own.discard(key)
                judged.own += 1
            else:
                judged.duplicate += 1
        elif key[2] == 0:
            judged.superseded += 1
        else:
            detail = _sides(connection, first, sample, staged)
            judged.conflicts.append(Refusal(index[place], CONFLICT, detail))
    return judged


def _sides(
    connection: duckdb.DuckDBPyConnection, stored: tuple[int | float, int], sample: Sample, staged: Staged
) -> str:
    volume, number = stored
    told = staged.added_attributes(number)
    if told is None:
        (told,) = connection.execute(_TOLD, (number,)).fetchall()
    return sides(volume, told, sample)
