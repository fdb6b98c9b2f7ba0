"""A sink: takes the journal's batches in order and at its own pace through its publishers."""

import hashlib
import itertools
import logging
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from meteragent.batch import Batch, Position, Provenance, Published
from meteragent.failpoints import reach
from meteragent.journal.journal import Journal, Journaled
from meteragent.journal.quarantine import category
from meteragent.pipeline.delivery import Delivery
from meteragent.pipeline.replays import Replays
from meteragent.pipeline.target import Target, explained, let_go

LOG = logging.getLogger(__name__)

QUEUE, QUEUED = 4, 20_000
"""Batches, and samples, that wait for a sink at the head before it has to read the journal."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between two tries of what is unavailable; doubled from the first to the longest."""
DRAIN = 0.5
"""Seconds after it was asked to stop in which a sink that gets on publishes what waits."""
REMEMBERED = 4096
"""Names of meters that a sink remembers to take."""


class Sink:
    """Runs one sink in its own thread.

    Life: constructed, ``start``, ``offer`` by the journal, ``stop`` and ``wait_for_end``, safe twice.
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
        self._delivery = Delivery(self._row, journal.positions)
        place = partial(self._position, f"{name}/replay")
        self._replays = Replays(self._row, targets, journal.positions, self._delivery, place)
        self._queue: deque[Journaled] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._taken: set[str] = set()
        self._drained_by = 0.0
        self._told_fault = self._told_refusal = False
        self._thread = threading.Thread(target=self._run, name=f"sink {name}", daemon=True)

    @property
    def pending(self) -> int:
        """Batches that it has not published yet."""
        return self._journal.last - self._row.sequence

    def start(self) -> None:
        """Begin to publish."""
        self._thread.start()

    def offer(self, journaled: Journaled) -> None:
        """Hand over what was just journaled; when too much waits, it is read back later."""
        with self._changed:
            if self._has_room():
                self._queue.append(journaled)
            self._changed.notify_all()

    def wait_for_room(self, seconds: float) -> None:
        """Let a source that is faster than this sink wait a little, so that the sink stays at the head."""
        with self._changed:
            self._changed.wait_for(lambda: self._has_room() or self.trouble or self._stopping, seconds)

    def _has_room(self) -> bool:
        return len(self._queue) < QUEUE and sum(each.samples for each in self._queue) < QUEUED

    def stop(self) -> None:
        """Ask it to stop: at once when it is in trouble, else when nothing waits or a moment later."""
        with self._changed:
            if not self._stopping:
                self._stopping, self._drained_by = True, time.monotonic() + DRAIN
            self._changed.notify_all()

    def wait_for_end(self, seconds: float) -> bool:
        """Wait for it; whether it has stopped and let go of what its publishers hold."""
        if self._thread.ident is None:
            let_go(self._targets)
            return True
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        pauses = self._pauses()
        try:
            while self._goes_on():
                try:
                    self._step()
                except Exception as error:  # boundary: no fault may end a sink while the agent runs
                    self._tell(error)
                    self._pause(next(pauses))
                else:
                    if self.trouble:
                        LOG.warning("sink %s goes on", self.name)
                        self.trouble, self._told_fault, pauses = "", False, self._pauses()
        finally:
            if not self._stopping:
                self.trouble = "it has ended by a fault of the agent, see the log"
            let_go(self._targets)

    def _goes_on(self) -> bool:
        if not self._stopping:
            return True
        return self.pending > 0 and not self.trouble and time.monotonic() < self._drained_by

    def _step(self) -> None:
        """Publish the next batch and then one replay, or wait for either."""
        journaled = self._next()
        if journaled is not None:
            self._deliver(journaled)
        replayed = not self._stopping and self._replays.offer_one()
        if journaled is None and not replayed:
            self._wait(self._replays.next_look - time.monotonic())

    @staticmethod
    def _pauses() -> "itertools.chain[float]":
        doubling = (FIRST_PAUSE * 2**n for n in range(6))
        return itertools.chain(
            (min(pause, LONGEST_PAUSE) * random.uniform(0.5, 1) for pause in doubling),
            itertools.repeat(LONGEST_PAUSE),
        )

    def _tell(self, error: Exception) -> None:
        """Say once why it waits, and once where a fault came from."""
        text, fault = explained(error)
        if not self.trouble or (fault is not None and not self._told_fault):
            LOG.warning("sink %s waits: %s", self.name, text, exc_info=fault)
            self._told_fault = fault is not None
        self.trouble = text

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.notify_all()  # who waits for room need not wait for a sink in trouble
            self._changed.wait_for(lambda: self._stopping, seconds)

    def _wait(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._stopping, max(0.0, seconds))

    def _next(self) -> Journaled | None:
        """The batch after the position: as handed over at the head, else from the journal."""
        position = self._row.sequence
        with self._changed:
            while self._queue and self._queue[0].batch.sequence <= position:
                self._queue.popleft()
            if self._queue and self._queue[0].batch.sequence == position + 1:
                journaled = self._queue.popleft()
                self._changed.notify_all()
                return journaled
        return self._journal.read(position) if self._journal.last > position else None

    def _deliver(self, journaled: Journaled) -> None:
        if journaled.damage:
            LOG.error(
                "sink %s passes over %d samples and the account of polls with them: %s",
                self.name, journaled.samples, journaled.damage,
            )  # fmt: skip
            damage = (journaled.samples, journaled.damage, journaled.head)
            counts = {"quarantined": journaled.samples}
            self._journal.positions.move(self.name, journaled.batch, counts, self._row.state, damage=damage)
            return
        batch = journaled.batch
        matched, indices = self._match(batch)
        outcome, state = Published(0), self._row.state
        if matched.samples or matched.events or matched.polls or matched.missed:
            position = self._position(self.name, batch.sequence, journaled.digest, _selection(batch, indices))
            outcome, state = self._delivery.publish(self._targets, matched, position)
        refusals = [msgspec.structs.replace(each, index=indices[each.index]) for each in outcome.refused]
        counts = Counter(category(each) for each in refusals)
        counts.update(
            delivered=outcome.delivered,
            duplicate=outcome.duplicate,
            superseded=outcome.superseded,
            unmatched=len(batch.samples) - len(matched.samples),
        )
        self._journal.positions.move(self.name, batch, counts, state, refusals)
        if refusals and not self._told_refusal:
            self._told_refusal = True
            LOG.warning(
                "sink %s: %d of %d samples are refused; publisher %s tells of the first: %s; `meteragent"
                " quarantine list` shows these and any later ones", self.name, len(refusals),
                len(batch.samples), refusals[0].publishers.replace("\n", ", "), refusals[0].reason,
            )  # fmt: skip
        reach("idle")

    def _position(self, sink: str, sequence: int, digest: bytes, selection: bytes = b"") -> Position:
        return Position(self._agent, self._journal.epoch, sink, sequence, digest, selection)

    def _match(self, batch: Batch) -> tuple[Batch, Sequence[int]]:
        """The batch without the samples that this sink does not take, and where the others stood."""
        samples = batch.samples
        names = {sample.name for sample in samples}
        if names <= self._taken:
            return batch, range(len(samples))
        taken = {name for name in names if self._supports(name)}
        if len(self._taken) < REMEMBERED:
            self._taken |= taken
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


def _selection(batch: Batch, indices: Sequence[int]) -> bytes:
    """Which samples of a batch are meant; empty for all of them."""
    if len(indices) == len(batch.samples):
        return b""
    return hashlib.blake2b(msgspec.msgpack.encode(indices), digest_size=8).digest()
