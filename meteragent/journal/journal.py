"""The journal: what was accepted is here, on disk, before anyone is told, until every sink has it."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import apsw
import msgspec
from oslo_config import cfg

from meteragent import wire
from meteragent.batch import Batch, Kept, Refused
from meteragent.clock import Clock
from meteragent.errors import Rejected, Unavailable
from meteragent.failpoints import reach
from meteragent.journal import messages, quarantine, schema
from meteragent.journal.account import count
from meteragent.journal.aside import Aside, add, of_refused
from meteragent.journal.file import JournalFile
from meteragent.journal.polls import note_polls, note_states
from meteragent.journal.positions import Head, Positions, SinkRow
from meteragent.journal.status import Status, read_with
from meteragent.message import Received

OPTS = [
    cfg.IntOpt(
        "max_size",
        default=512 << 20,
        min=1 << 20,
        max=1 << 40,
        help="Bytes of batches that may wait in the journal for a sink that holds. Beyond that the "
        "agent stops accepting until the sink has caught up.",
    ),
    cfg.IntOpt(
        "reserve",
        default=2 << 20,
        min=1 << 20,
        max=1 << 26,
        help="Bytes of the journal's file that are never used for new batches, so that positions can "
        "move and delivered batches can be deleted on a full disk.",
    ),
    cfg.IntOpt(
        "quarantine_max_size",
        default=64 << 20,
        min=1 << 16,
        max=1 << 40,
        help="Bytes of refused samples and messages in quarantine beyond which the agent stops accepting "
        "until some are discarded or replayed. What sinks refuse of batches accepted before is added all "
        "the same.",
    ),
]
"""Group ``[journal]``."""


FREE = 4 << 20
"""Bytes that have to be free at the most before a source that was held begins again."""


class Settings(msgspec.Struct, frozen=True):
    """The options, as plain numbers of bytes."""

    max_size: int = 512 << 20
    reserve: int = 2 << 20
    quarantine_max_size: int = 64 << 20


class OpenPoll(msgspec.Struct, frozen=True):
    """A poll that had begun and not ended when the agent was stopped."""

    polling_source: str
    tick: int
    pollster: str
    began: int
    samples: int


class Journaled(msgspec.Struct, frozen=True):
    """A batch as it lies in the journal; without samples, with the reason and its head, when damaged."""

    batch: Batch
    samples: int
    damage: str = ""
    head: bytes = b""
    digest: bytes = b""
    """Of what is in the journal, blake2b in 16 bytes."""


class Journal:
    """One SQLite file with one writer; every method may be called from any thread.

    Life: constructed, ``join`` for each sink, then ``append`` by sources and ``read`` and ``move``
    by sinks, ``close`` once.
    """

    def __init__(self, path: Path, settings: Settings | None = None, clock: Clock | None = None) -> None:
        self._settings = settings or Settings()
        self._clock = clock or Clock()
        self._file = JournalFile(path, self._settings.reserve)
        try:
            with schema.explained(path):
                meta = schema.read_meta(self._file.connection)
                self._head = _newest(self._file.connection, meta)
            self.positions = Positions(self._file, self._clock, meta, self._head)
        except BaseException:
            self._file.close()
            raise
        self.epoch: str = meta.epoch
        self.listeners: list[Callable[[Journaled], None]] = []
        """Told of every batch in order, with the journal locked: they must return at once."""

    @property
    def last(self) -> int:
        """Sequence of the newest batch; 0 before the first."""
        return self._head.sequence

    def agent(self, wanted: str | None, made: Callable[[], str]) -> str:
        """Id of the agent: the one asked for, else the one this journal had, else a new one."""
        with self._file.transaction("journal open") as connection:
            row = connection.execute("select value from meta where key = 'agent'").fetchone()
            agent = wanted or (row[0] if row else made())
            connection.execute("insert or replace into meta values ('agent', ?)", (agent,))
        return str(agent)

    def last_ticks(self) -> dict[str, int]:
        """By polling source the last tick of which anything is journaled."""
        with self._file.lock, schema.explained(self._file.path):
            return dict(self._file.connection.execute("select polling_source, last from tick"))

    def open_polls(self) -> list[OpenPoll]:
        """Polls that an earlier run began and did not end."""
        with self._file.lock, schema.explained(self._file.path):
            return [OpenPoll(*row) for row in self._file.connection.execute("select * from open_poll")]

    def states(self) -> list[Kept]:
        """What pollsters keep."""
        with self._file.lock, schema.explained(self._file.path):
            return [Kept(*row) for row in self._file.connection.execute("select * from pollster_state")]

    def join(self, name: str, mode: str, max_lag: int) -> SinkRow:
        """Give a sink its place; see ``Positions.join``."""
        with self._file.lock:
            return self.positions.join(name, mode, max_lag, self._head)

    def leave(self, name: str) -> None:
        """Note that a sink is no longer configured; see ``Positions.leave``."""
        with self._file.lock:
            self.positions.leave(name, self._head)

    def append(
        self,
        batch: Batch,
        refused: Sequence[Refused] = (),
        read: int | None = None,
        received: Received | None = None,
    ) -> Batch:
        """Accept a batch: when this returns, it is on disk and counted.

        :param refused: samples that go to quarantine instead, in the same transaction
        :param read: how many samples came out of the plugins; by default what adds up
        :param received: what became of the messages that it is made of; those set aside go to quarantine
        :returns: the batch with its sequence
        :raises Unavailable: when nothing is accepted now
        :raises ValueError: when a text in it is no valid Unicode
        :raises NotFound: when the message came out of quarantine, for a replay that is no longer asked for
        """
        received = received or Received()
        kept = batch.kept
        if kept:
            batch = msgspec.structs.replace(batch, kept=[])
        payload = wire.encode(batch)
        digest = hashlib.blake2b(payload, digest_size=16).digest()
        samples = len(batch.samples), sum(each.samples for each in refused) + received.refused
        with self._file.lock:
            aside = of_refused(refused, self._head.sequence + 1)
            aside += messages.asides(received, self._head.sequence + 1)
            cost = sum(each.cost for each in aside)
            self._admit(len(payload), cost + sum(len(each.state) for each in kept))
            with self._file.transaction("journal open") as connection:
                if received.replayed:  # a full quarantine must not keep what is in it from leaving
                    messages.settle(connection, received, samples[0], self._clock.wall())
                else:
                    self._admit_aside(connection, cost)
                    self._note(connection, aside, received, samples, sum(samples) if read is None else read)
                moves = self.positions.detach(connection, self._head, len(payload))
                head = self._insert(connection, batch, payload, digest)
                note_polls(connection, batch)
                if kept:
                    note_states(connection, kept)
            self._head = head
            self.positions.note(moves)
            reach("journal committed")
            accepted = msgspec.structs.replace(batch, sequence=head.sequence)
            journaled = Journaled(accepted, len(accepted.samples), digest=digest)
            for listener in self.listeners:
                listener(journaled)
        return accepted

    def check(self, share: float = 0.0) -> None:
        """See whether a batch would be accepted, were it small.

        :param share: of the journal, and of quarantine, that has to be free besides, up to ``FREE`` bytes
        :raises Unavailable: when it would not
        """
        with self._file.lock:
            self._admit(min(int(self._settings.max_size * share), FREE), 0)
            with schema.explained(self._file.path):
                aside = min(int(self._settings.quarantine_max_size * share), FREE)
                self._admit_aside(self._file.connection, aside)

    def replays(self, after: int = 0, most: int = -1) -> list[quarantine.Entry]:
        """The messages that a person asked to be converted again, in the order asked for.

        :param after: serial of the one to go on behind
        :param most: how many at the most; below 0 for all
        :raises Unavailable: when they cannot be read now
        """
        return self.positions.replays("", after, most)

    def _admit(self, size: int, aside: int) -> None:
        """Refuse what would pass the bound of the journal."""
        pending, whom = self.positions.pending(self._head)
        if pending and pending + size > self._settings.max_size:
            raise Unavailable(f"journal full: {pending} of {self._settings.max_size} bytes wait for {whom}")
        self._file.make_room(size + aside)

    def _admit_aside(self, connection: apsw.Connection, size: int) -> None:
        """Refuse what would pass the bound of quarantine."""
        bound = self._settings.quarantine_max_size
        quarantined = quarantine.size(connection)
        if quarantined and quarantined + size > bound:
            raise Unavailable(
                f"quarantine full: {quarantined} of {bound} bytes; "
                "`meteragent quarantine list` shows what is in it, replay or discard some"
            )

    def _note(
        self,
        connection: apsw.Connection,
        aside: Sequence[Aside],
        received: Received,
        samples: tuple[int, int],
        read: int,
    ) -> None:
        """Put aside what goes to quarantine, and count everything."""
        add(connection, aside, self._clock.wall())
        messages.count(connection, received)
        journaled, refused = samples
        count(connection, read=read, journaled=journaled, refused=refused)

    def _insert(self, connection: apsw.Connection, batch: Batch, payload: bytes, digest: bytes) -> Head:
        head = self._head
        following = Head(
            head.sequence + 1,
            head.samples + len(batch.samples),
            head.size + len(payload),
            chained(head.digest, head.sequence + 1, len(batch.samples), digest),
        )
        connection.execute(
            "insert into batch values (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                following.sequence,
                self._clock.wall(),
                len(batch.samples),
                following.samples,
                following.size,
                digest,
                following.digest,
                payload,
            ),
        )
        return following

    def read(self, after: int) -> Journaled | None:
        """The batch that follows a sequence; None at the head.

        :raises Unavailable: when it cannot be read now
        """
        with self._file.reading() as connection:
            row = connection.execute(
                "select sequence, samples, hash, payload from batch where sequence > ?"
                " order by sequence limit 1",
                (after,),
            ).fetchone()
        if row is None:
            return None
        sequence, samples, digest, payload = row
        try:
            return Journaled(sound(payload, digest, sequence), samples, digest=digest)
        except Rejected as error:
            damage = f"batch {sequence}: {error}"
            return Journaled(Batch(sequence=sequence), samples, damage, payload)

    def status(self) -> Status:
        """The account at this instant.

        :raises Unavailable: when it cannot be read now
        """
        with self._file.reading() as connection:
            return read_with(connection, self._file.path)

    def close(self) -> None:
        """Let go of the file; what was appended stays."""
        self._file.close()


def _newest(connection: apsw.Connection, meta: schema.Meta) -> Head:
    row = connection.execute(
        "select sequence, samples_total, bytes_total, digest from batch order by sequence desc limit 1"
    ).fetchone()
    return Head(*(row or (meta.anchor_sequence, meta.anchor_samples, meta.anchor_bytes, meta.anchor_digest)))


def sound(payload: bytes, digest: bytes, sequence: int) -> Batch:
    """The batch in a payload.

    :raises Rejected: when it is damaged
    """
    if not digest:
        raise Rejected("lost when the file was damaged")
    if hashlib.blake2b(payload, digest_size=16).digest() != digest:
        raise Rejected("damaged: the payload differs from its digest")
    return wire.decode(payload, sequence)


def chained(previous: bytes, sequence: int, samples: int, digest: bytes) -> bytes:
    """The digest of a batch in the chain: of the one before it, its place and its payload's digest."""
    return hashlib.blake2b(b"%s:%d:%d:%s" % (previous, sequence, samples, digest), digest_size=16).digest()
