"""A sink: takes the journal's batches in order and at its own pace through its publishers."""

import itertools
import logging
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from meteragent.batch import Batch, Position, Provenance, Published, Refusal
from meteragent.errors import Rejected, Unavailable
from meteragent.failpoints import reach
from meteragent.journal.journal import Journal, Record
from meteragent.journal.quarantine import category, samples_of
from meteragent.plugins.reason import one_line, valid
from meteragent.publishers.base import State

LOG = logging.getLogger(__name__)

QUEUE = 4
"""Batches that a sink at the head is handed before it has to read the journal."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between two tries of what is unavailable; doubled from the first to the longest."""
DRAIN = 0.5
"""Seconds after it was asked to stop in which a sink that gets on publishes what waits."""
REPLAY_PAUSE = 30.0
"""Seconds between two looks for replays."""
REMEMBERED = 4096
"""Names of meters that a sink remembers to take."""


class _Broken(Unavailable):
    """A publisher failed as it may not; tried again like what it cannot do now."""


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
        self._taken: set[str] = set()
        self._next_replay = self._drained_by = 0.0
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
            self._changed.wait_for(
                lambda: len(self._queue) < QUEUE or self.trouble or self._stopping, seconds
            )

    def stop(self) -> None:
        """Ask it to stop: at once when it is in trouble, else when nothing waits or a moment later."""
        with self._changed:
            self._stopping, self._drained_by = True, time.monotonic() + DRAIN
            self._changed.notify_all()

    def join(self, seconds: float) -> bool:
        """Wait for it; whether it has stopped and let go of what its publishers hold."""
        if self._thread.ident is None:
            self._close()
            return True
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        pauses = self._pauses()
        try:
            while self._goes_on():
                try:
                    self._step()
                except Unavailable as error:
                    self._tell(error)
                    self._pause(next(pauses))
                else:
                    if self.trouble:
                        LOG.warning("sink %s goes on", self.name)
                        self.trouble, pauses = "", self._pauses()
        finally:
            if not self._stopping:
                self.trouble = "it has ended by a fault of the agent, see the log"
            self._close()

    def _goes_on(self) -> bool:
        if not self._stopping:
            return True
        return self.pending > 0 and not self.trouble and time.monotonic() < self._drained_by

    def _step(self) -> None:
        """Publish the next batch, or wait for one; now and then see to replays, too."""
        now = time.monotonic()
        if now >= self._next_replay:
            self._next_replay = now + REPLAY_PAUSE
            self._replay()
        record = self._next()
        if record is not None:
            self._deliver(record)
        else:
            self._wait(self._next_replay - time.monotonic())

    def _close(self) -> None:
        for target in self._targets:
            try:
                target.close()
            except Exception:  # foreign code
                LOG.exception("publisher %s failed to close", target.url)

    @staticmethod
    def _pauses() -> "itertools.chain[float]":
        doubling = (FIRST_PAUSE * 2**n for n in range(6))
        return itertools.chain(
            (min(pause, LONGEST_PAUSE) * random.uniform(0.5, 1) for pause in doubling),
            itertools.repeat(LONGEST_PAUSE),
        )

    def _tell(self, error: Unavailable) -> None:
        """Say once why it waits, where from when a publisher is to blame."""
        if not self.trouble:
            origin = error.__cause__ if isinstance(error, _Broken) else None
            LOG.warning("sink %s waits: %s", self.name, error, exc_info=origin)
        self.trouble = str(error)

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.notify_all()  # who waits for room need not wait for a sink in trouble
            self._changed.wait_for(lambda: self._stopping, seconds)

    def _wait(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._stopping, max(0.0, seconds))

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
        outcome, state = Published(0), self._row.state
        if matched.samples or matched.polls or matched.missed:
            outcome, state = self._publish(self._targets, matched, self._position(batch.sequence))
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

    def _publish(
        self, targets: Iterable[Target], batch: Batch, position: Position
    ) -> tuple[Published, dict[str, Any]]:
        """Through publishers in turn: what became of the samples, and what all publishers keep then."""
        state = dict(self._row.state)
        outcomes = []
        for target in targets:
            outcome, state[target.url] = self._call(target, batch, position)
            outcomes.append(outcome)
        return _combined(len(batch.samples), outcomes), state

    def _call(self, target: Target, batch: Batch, position: Position) -> tuple[Published, dict[str, Any]]:
        """One publisher, foreign code, and what it keeps."""
        total = len(batch.samples)
        state = State(_as_json(self._row.state.get(target.url, {})), partial(self._keep, target.url))
        try:
            told = target.publish(
                {"samples": batch.samples, "batch": batch, "position": position, "state": state}
            )
            outcome = _checked(told, total)
            after = _as_json(state)
        except Unavailable:
            raise
        except Rejected as error:
            if not total:
                LOG.error("publisher %s rejects the account of polls: %s", target.url, error)
            outcome = Published(0, refused=[Refusal(index, str(error)) for index in range(total)])
            after = self._row.state.get(target.url, {})
        except BaseException as error:
            raise _Broken(f"publisher {target.url} failed: {one_line(error)}") from error
        refused = [
            Refusal(each.index, valid(each.reason), valid(each.detail), target.url)
            for each in outcome.refused
        ]
        return msgspec.structs.replace(outcome, refused=refused), after

    def _keep(self, url: str, state: Mapping[str, Any]) -> None:
        self._journal.positions.keep(self.name, {**self._row.state, url: _as_json(state)})

    def _replay(self) -> None:
        """Offer what a person took out of quarantine for this sink, to those that refused it."""
        for entry in self._journal.positions.replays(self.name):
            try:
                samples = samples_of(entry)
            except Rejected as error:
                self._journal.positions.settle(entry, entry.category, self._row.state, str(error))
                continue
            urls = entry.publisher.split("\n")
            targets = [target for target in self._targets if target.url in urls] or self._targets
            batch = Batch(samples=samples, sequence=entry.serial)
            outcome, state = self._publish(targets, batch, self._position(entry.serial, "/replay"))
            into, reason = "delivered", ""
            if outcome.refused:
                into, reason = entry.category, outcome.refused[0].reason
            elif outcome.duplicate or outcome.superseded:
                into = "duplicate" if outcome.duplicate else "superseded"
            self._journal.positions.settle(entry, into, state, reason)


def _as_json(state: Mapping[str, Any]) -> dict[str, Any]:
    """A copy, as it would be read back."""
    return msgspec.json.decode(msgspec.json.encode(dict(state)), type=dict[str, Any]) if state else {}


def _checked(told: Any, total: int) -> Published:
    """What a publisher says became of so many samples.

    :raises ValueError: when its parts do not add up to the whole
    """
    outcome = Published(total) if told is None else told
    if not isinstance(outcome, Published):
        raise ValueError(f"publish returned {told!r:.60}, allowed are None and Published")
    outcome = msgspec.convert(msgspec.to_builtins(outcome), Published)
    indices = {each.index for each in outcome.refused if 0 <= each.index < total}
    counts = (outcome.delivered, outcome.duplicate, outcome.superseded)
    if len(indices) < len(outcome.refused) or min(counts) < 0 or sum(counts) + len(indices) != total:
        raise ValueError(f"of {total} samples it tells {outcome!r:.200}")
    return outcome


def _combined(total: int, outcomes: Sequence[Published]) -> Published:
    """What became of each sample with all publishers: the worst that one of them tells."""
    refused: dict[int, Refusal] = {}
    for each in itertools.chain.from_iterable(outcome.refused for outcome in outcomes):
        first = refused.setdefault(each.index, each)
        if first is not each:
            refused[each.index] = msgspec.structs.replace(
                first, publisher=f"{first.publisher}\n{each.publisher}"
            )
    left = total - len(refused)
    duplicate = min(left, max((outcome.duplicate for outcome in outcomes), default=0))
    superseded = min(left - duplicate, max((outcome.superseded for outcome in outcomes), default=0))
    return Published(
        left - duplicate - superseded, duplicate, superseded, [refused[index] for index in sorted(refused)]
    )
