"""Counts what the agent does and gathers what it tells about itself; one place, so that every view agrees.

Counted is once a batch or a tick, under one lock; what the journal counts anyway is read from it.
"""

import importlib.metadata
import os
import resource
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from meteragent.batch import Batch
from meteragent.clock import SECOND, Clock
from meteragent.figures import KINDS, OUTCOMES, Figure
from meteragent.journal.schema import COUNTS, SAMPLE_LINES
from meteragent.journal.status import MessageAccount, SinkAccount, Status

VERSION = importlib.metadata.version("meteragent")


class Waiting(Protocol):
    """What is asked of a sink that runs."""

    name: str
    trouble: str


class Listening(Protocol):
    """What is asked of a listener that runs."""

    label: str

    @property
    def trouble(self) -> str:
        """Why it does not get on."""

    @property
    def received(self) -> int:
        """Messages that came."""

    @property
    def pending(self) -> int:
        """Messages that it holds."""

    @property
    def reconnects(self) -> int:
        """How often it has found its bus again."""


class SelfMetering:
    """The figures of one agent, from its start on; those of the journal from its first start on."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._started = clock, clock.wall()
        self._process_began = _began()
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, tuple[str, ...]]] = Counter()
        self._last: dict[tuple[str, tuple[str, ...]], float] = {}

    @property
    def started(self) -> int:
        """When the agent began, microseconds since the epoch."""
        return self._started

    def note(self, batch: Batch) -> None:
        """Count what a journaled batch tells of polls."""
        if not batch.polls and not batch.missed:
            return
        with self._lock:
            for each in batch.polls:
                owner = (each.polling_source, each.pollster)
                self._counts[f"pollster.{OUTCOMES[each.outcome]}", owner] += 1
                self._counts["pollster.samples", owner] += each.samples
                self._counts["pollster.busy", owner] += each.ended - each.began
            for run in batch.missed:
                self._counts["source.missed", (run.polling_source,)] += run.ticks

    def count(self, name: str) -> None:
        """Count one of a kind that has no labels."""
        with self._lock:
            self._counts[name, ()] += 1

    def timed(self, polling_source: str, poll: Callable[[int], None]) -> Callable[[int], None]:
        """A polling source's callable for ticks, with its time taken."""
        owner = (polling_source,)

        def timed(tick: int) -> None:
            late, began = max(0, self._clock.wall() - tick), self._clock.monotonic()
            poll(tick)
            busy = round((self._clock.monotonic() - began) * SECOND)
            with self._lock:
                self._counts["source.polled", owner] += 1
                self._counts["source.busy", owner] += busy
                self._counts["source.late", owner] += late
                self._last["source.last.duration", owner] = busy / SECOND
                self._last["source.last.lateness", owner] = late / SECOND

        return timed

    def figures(
        self,
        account: Status | None,
        sinks: Iterable[Waiting],
        holding: str,
        listeners: Iterable[Listening] = (),
    ) -> list[Figure]:
        """All that can be told now.

        :param account: the journal's, None where it cannot be read
        :param holding: why nothing is accepted, empty where it is
        """
        figures = [
            Figure(KINDS["journal.holding"], int(bool(holding))),
            *(Figure(KINDS["sink.waiting"], int(bool(sink.trouble)), (sink.name,)) for sink in sinks),
            *(figure for each in listeners for figure in _of_listener(each)),
            *self._counted(),
            *_of_process(),
            Figure(KINDS["process.start.time"], self._process_began),
        ]
        return figures if account is None else [*_of_journal(account, self._clock.wall()), *figures]

    def _counted(self) -> Iterator[Figure]:
        with self._lock:
            counts, last = list(self._counts.items()), list(self._last.items())
        for (name, owner), count in counts:
            kind = KINDS[name]
            yield Figure(kind, count / SECOND if kind.unit == "s" else count, owner)
        for (name, owner), value in last:
            yield Figure(KINDS[name], value, owner)
        counted = {name for (name, _), _ in counts}
        for name in ("reload.accepted", "reload.refused"):
            if name not in counted:
                yield Figure(KINDS[name], 0)


def _of_journal(account: Status, now: int) -> Iterator[Figure]:
    for line in MessageAccount.__struct_fields__:
        yield Figure(KINDS[f"messages.{line}"], getattr(account.messages, line))
    for line in SAMPLE_LINES:
        yield Figure(KINDS[f"samples.{line}"], getattr(account, line))
    yield Figure(KINDS["journal.pending"], account.size)
    yield Figure(KINDS["quarantine"], account.quarantine)
    for sink in account.sinks:
        yield from _of_sink(sink, account.last, now)


def _of_listener(listener: Listening) -> Iterator[Figure]:
    owner = (listener.label,)
    for name in ("received", "pending", "reconnects"):
        yield Figure(KINDS[f"listener.{name}"], getattr(listener, name), owner)
    yield Figure(KINDS["listener.waiting"], int(bool(listener.trouble)), owner)


def _of_sink(sink: SinkAccount, last: int, now: int) -> Iterator[Figure]:
    owner = (sink.name,)
    for line in (*COUNTS, "pending"):
        yield Figure(KINDS[f"sink.{line}"], getattr(sink, line), owner)
    yield Figure(KINDS["sink.lag.batches"], last - sink.sequence, owner)
    age = 0.0 if sink.oldest is None else max(0, now - sink.oldest) / SECOND
    yield Figure(KINDS["sink.lag"], age, owner)


def _of_process() -> Iterator[Figure]:
    yield Figure(KINDS["process.cpu"], time.process_time())
    with open("/proc/self/statm", encoding="ascii") as file:
        yield Figure(KINDS["process.resident"], int(file.read().split()[1]) * resource.getpagesize())
    yield Figure(KINDS["build"], 1, (VERSION,))


def _began() -> float:
    """When the process began, seconds since the epoch."""
    with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])  # since boot
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")
