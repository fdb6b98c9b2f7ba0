"""A sink: takes the journal's batches in order and at its own pace through its publishers."""

import itertools
import logging
import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from meteragent.batch import Batch, Position, Provenance, Published, Refusal
from meteragent.errors import Rejected, Unavailable
from meteragent.failpoints import reach
from meteragent.journal.journal import Journal, Record
from meteragent.journal.quarantine import Entry, category, samples_of
from meteragent.sample import Sample

LOG = logging.getLogger(__name__)

QUEUE = 4
"""Batches that a sink at the head is handed before it has to read the journal."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 30.0
"""Seconds between two tries of what is unavailable; doubled from the first to the longest."""
REPLAY_PAUSE = 5.0
"""Seconds between two looks for replays while nothing else is to do."""


class Target(msgspec.Struct, frozen=True):
    """A publisher of a sink, with its arguments bound by name."""

    url: str
    publish: Callable[[Mapping[str, Any]], Published | None]
    close: Callable[[], None]


class Sink:
    """Runs one sink in its own thread.

    Life: constructed, ``start``, ``offer`` by the journal, ``stop`` and ``join`` once.
    """

    def __init__(
        self,
        name: str,
        targets: Sequence[Target],
        supports: Callable[[str], bool],
        journal: Journal,
        agent: str,
        *,
        mode: str,
        max_lag: int,
    ) -> None:
        self.name, self.mode = name, mode
        self.trouble = ""
        """Why it does not get on at present; empty when it does."""
        self._targets, self._supports = targets, supports
        self._journal, self._agent = journal, agent
        self._row = journal.join(name, mode, max_lag)
        self._queue: deque[Batch] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"sink {name}", daemon=True)

    @property
    def pending(self) -> int:
        """Batches that it has not published yet."""
        return self._journal.last - self._row.sequence

    def start(self) -> None:
        """Begin to publish."""
        self._thread.start()

    def offer(self, batch: Batch) -> None:
        """Hand over a batch that was just journaled; when too many wait, it is read back later."""
        with self._changed:
            if len(self._queue) < QUEUE:
                self._queue.append(batch)
            self._changed.notify_all()

    def wait_for_room(self, seconds: float) -> None:
        """Let a source that is faster than this sink wait a little, so that the sink stays at the head."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._queue) < QUEUE or self._stopping, seconds)

    def stop(self) -> None:
        """Ask it to stop after the batch in flight."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def join(self, seconds: float) -> bool:
        """Wait for it; whether it has stopped and let go of what its publishers hold."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        pauses = self._pauses()
        while not self._stopping:
            try:
                record = self._next()
                if record is not None:
                    self._deliver(record)
                elif self._wait(REPLAY_PAUSE):
                    self._replay()
            except Unavailable as error:
                self._tell(str(error))
                self._pause(next(pauses))
            else:
                if self.trouble:
                    LOG.warning("sink %s goes on", self.name)
                    self.trouble, pauses = "", self._pauses()
        for target in self._targets:
            target.close()

    @staticmethod
    def _pauses() -> "itertools.chain[float]":
        doubling = (FIRST_PAUSE * 2**n for n in range(9))
        return itertools.chain(
            (min(pause, LONGEST_PAUSE) * random.uniform(0.5, 1) for pause in doubling),
            itertools.repeat(LONGEST_PAUSE),
        )

    def _tell(self, trouble: str) -> None:
        """Say once why it waits."""
        if not self.trouble:
            LOG.warning("sink %s waits: %s", self.name, trouble)
        self.trouble = trouble

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping, seconds)

    def _wait(self, seconds: float) -> bool:
        """Wait for a batch; True when none came in that time."""
        with self._changed:
            return not self._changed.wait_for(lambda: self._queue or self._stopping, seconds)

    def _next(self) -> Record | None:
        """The batch after the position: as handed over at the head, else from the journal."""
        position = self._row.sequence
        with self._changed:
            while self._queue and self._queue[0].sequence <= position:
                self._queue.popleft()
            if self._queue and self._queue[0].sequence == position + 1:
                batch = self._queue.popleft()
                self._changed.notify_all()
                return Record(batch, len(batch.samples))
        return self._journal.read(position) if self._journal.last > position else None

    def _deliver(self, record: Record) -> None:
        if record.damage:
            LOG.error("sink %s passes over %d samples: %s", self.name, record.samples, record.damage)
            damage = (record.samples, record.damage, record.head)
            counts = {"quarantined": record.samples}
            self._journal.positions.move(self.name, record.batch, counts, self._row.state, damage=damage)
            return
        batch = record.batch
        matched, indices = self._match(batch)
        state = msgspec.json.decode(msgspec.json.encode(self._row.state))
        outcome = Published(0)
        if matched.samples or matched.polls or matched.missed:
            outcome = self._publish(matched, self._position(batch.sequence), state)
        refusals = [msgspec.structs.replace(each, index=indices[each.index]) for each in outcome.refused]
        counts = Counter(category(each) for each in refusals)
        counts.update(
            delivered=outcome.delivered,
            duplicate=outcome.duplicate,
            superseded=outcome.superseded,
            unmatched=len(batch.samples) - len(matched.samples),
        )
        self._journal.positions.move(self.name, batch, counts, state, refusals)
        reach("idle")

    def _position(self, sequence: int, part: str = "") -> Position:
        return Position(self._agent, self._journal.epoch, self.name + part, sequence)

    def _match(self, batch: Batch) -> tuple[Batch, Sequence[int]]:
        """The batch without the samples that this sink does not take, and where the others stood."""
        samples = batch.samples
        names = {sample.name for sample in samples}
        taken = {name for name in names if self._supports(name)}
        if taken == names:
            return batch, range(len(samples))
        indices = [index for index, sample in enumerate(samples) if sample.name in taken]
        provenance, start = [], 0
        for each in batch.provenance:
            end = start + each.samples
            count = sum(sample.name in taken for sample in samples[start:end])
            provenance.append(Provenance(each.polling_source, each.pollster, count))
            start = end
        matched = msgspec.structs.replace(
            batch, samples=[samples[index] for index in indices], provenance=provenance
        )
        return matched, indices

    def _publish(self, batch: Batch, position: Position, state: dict[str, Any]) -> Published:
        """Through all publishers in turn; the first that tells samples apart tells what became of them."""
        told = Published(len(batch.samples))
        for target in self._targets:
            outcome = self._call(target, batch, position, state.setdefault(target.url, {}))
            if told.delivered == len(batch.samples):
                told = outcome
        return told

    def _call(self, target: Target, batch: Batch, position: Position, state: dict[str, Any]) -> Published:
        """One publisher, foreign code: what it throws unasked is tried again like what it cannot do now."""
        values = {"samples": batch.samples, "batch": batch, "position": position, "state": state}
        try:
            outcome = target.publish(values)
        except Unavailable:
            raise
        except Rejected as error:
            refused = [Refusal(index, str(error)) for index in range(len(batch.samples))]
            return Published(0, refused=refused)
        except Exception as error:
            if not self.trouble:
                LOG.exception("publisher %s failed", target.url)
            raise Unavailable(f"publisher {target.url} failed: {type(error).__name__}: {error}") from error
        return outcome if outcome is not None else Published(len(batch.samples))

    def _replay(self) -> None:
        """Offer what a person took out of quarantine for this sink."""
        for entry in self._journal.positions.replays(self.name):
            try:
                samples = samples_of(entry)
            except Rejected as error:
                self._journal.positions.settle(entry, entry.category, self._row.state, str(error))
                continue
            self._settle(entry, samples)

    def _settle(self, entry: Entry, samples: list[Sample]) -> None:
        state = msgspec.json.decode(msgspec.json.encode(self._row.state))
        batch = Batch(samples=samples, sequence=entry.id)
        outcome = self._publish(batch, self._position(entry.id, "/replay"), state)
        into, reason = "delivered", ""
        if outcome.refused:
            into, reason = entry.category, outcome.refused[0].reason
        elif outcome.duplicate or outcome.superseded:
            into = "duplicate" if outcome.duplicate else "superseded"
        self._journal.positions.settle(entry, into, state, reason)
