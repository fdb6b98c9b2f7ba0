"""The agent: builds, starts and stops everything; the one place that knows every stage.

polling source ─ Ticker ─▶ Poller ─▶ accept ─▶ Journal ─offer─▶ Sink ─▶ publishers ─▶ store, file …
 (a thread each)   tick     batches   (fsync)           read    (a thread each, its own position)
"""

import contextlib
import gc
import logging
import os
import shlex
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import msgspec

from meteragent import state_folder
from meteragent.assembly import Pollsters, Source, make_sources, make_targets, plan_sinks
from meteragent.batch import Batch, Missed, Poll, Refused
from meteragent.clock import Clock
from meteragent.config import Settings
from meteragent.errors import Unavailable
from meteragent.failpoints import reach
from meteragent.journal import journal
from meteragent.journal.salvage import salvage
from meteragent.journal.schema import COUNTS
from meteragent.pipeline.definition import SinkDefinition
from meteragent.pipeline.sink import Sink, Target
from meteragent.plain import printable, without_password

LOG = logging.getLogger(__name__)

SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread that computes lets others run, so that a pollster's loop delays no tick."""
JOURNAL = "journal.db"
"""Name of the journal in the state folder."""
COLLECT_AFTER = 20_000
"""Objects made before Python looks for garbage in cycles: samples hold none, and each look costs a quiet
host as much as a tick."""
QUIET = 10.0
"""Seconds without a refusal after which accepting is said to go on: a small batch may fit where a big
one does not."""
ROOM = 1.0
"""Seconds that a source waits at the most for a sink at the head to have room for one more batch."""


class Agent:
    """Polls, journals and publishes until it is stopped.

    Life: constructed with the settings, ``start`` once, ``stop`` once.
    """

    def __init__(self, settings: Settings, clock: Clock | None = None, quiet: float = QUIET) -> None:
        self._settings, self._quiet = settings, quiet
        self._clock = clock or Clock()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._sources: list[Source] = []
        self._sinks: list[Sink] = []
        self._interrupted: list[Poll] = []
        self._holding, self._held = "", 0.0
        self._lock: int | None = None
        self._plans: list[SinkDefinition] = []
        self._new = False

    def start(self) -> None:
        """Build everything and begin to poll.

        :raises ConfigError: when the configuration cannot be used
        :raises MeteragentError: when the state folder or a needed plugin cannot
        """
        sys.setswitchinterval(SWITCH_INTERVAL)
        folder = self._settings.make_state_dir()
        self._lock = state_folder.lock(folder)
        plugins = Pollsters(self._settings)
        self._plans = plan_sinks(self._settings, plugins)
        targets = make_targets(self._settings, self._clock, self._plans)
        self._new = not (folder / JOURNAL).exists()
        self._journal = self._open_journal(folder / JOURNAL)
        self._path = str(folder / JOURNAL)
        self._made = os.stat(self._path)
        self._sinks = self._make_sinks(targets)
        self._head = [sink for sink in self._sinks if sink.mode == "hold"]
        self._journal.listeners.extend(sink.offer for sink in self._sinks)
        self._interrupted = self._find_interrupted()
        ticks = self._journal.last_ticks()
        self._sources = make_sources(
            self._settings, self._clock, plugins, ticks, self.accept, self._miss
        )  # fmt: skip
        gc.collect()
        gc.freeze()  # what is there now stays
        gc.set_threshold(COLLECT_AFTER, 50, 50)
        for sink in self._sinks:
            sink.start()
        with contextlib.suppress(Unavailable):  # then it goes before the next batch
            self._tell_interrupted()
        for source in self._sources:
            thread = threading.Thread(
                target=source.ticker.run, args=(self._stopping.wait,), name=f"poll {source.name}", daemon=True
            )
            self._threads.append(thread)
            thread.start()
        reach("idle")

    def _open_journal(self, path: Path) -> journal.Journal:
        salvage(path, self._clock)
        options = self._settings.conf.journal
        settings = journal.Settings(options.max_size, options.reserve, options.quarantine_max_size)
        return journal.Journal(path, settings, self._clock)

    def _make_sinks(self, targets: Sequence[list[Target]]) -> list[Sink]:
        """All sinks, each where it stood."""
        agent = self._journal.agent(self._settings.conf.agent.id, lambda: uuid.uuid4().hex)
        half = self._settings.conf.journal.max_size // 2
        sinks = [
            Sink(
                plan.name, its, plan.supports, self._journal, agent,
                mode=plan.when_full, max_lag=plan.max_lag or half,
            )
            for plan, its in zip(self._plans, targets, strict=True)
        ]  # fmt: skip
        for name in self._journal.positions.waiting:
            LOG.warning(
                "sink %s is no longer configured, but batches are kept for it; configure it again", name
            )
        return sinks

    def _find_interrupted(self) -> list[Poll]:
        """Rows for the polls that an earlier run began and did not end."""
        return [
            Poll(
                each.polling_source, each.tick, each.pollster, each.began, each.began,
                0, each.samples, "partial", "interrupted",
            )
            for each in self._journal.open_polls()
        ]  # fmt: skip

    def _tell_interrupted(self) -> None:
        if self._interrupted:
            self._journal.append(Batch(polls=self._interrupted, host=self._settings.host))
            self._interrupted = []

    def accept(self, batch: Batch, refused: Sequence[Refused] = (), read: int | None = None) -> Batch:
        """Journal a batch and hand it to the sinks; what sources are given to call.

        :raises Unavailable: when nothing is accepted now
        :raises ValueError: when a text in it is no valid Unicode
        """
        if not batch.host:
            batch = msgspec.structs.replace(batch, host=self._settings.host)
        try:
            self._check_journal()
            self._tell_interrupted()
            journaled = self._journal.append(batch, refused, read)
        except Unavailable as error:
            if not self._holding:
                LOG.warning("not everything can be accepted now, ticks become gaps: %s", error)
            self._holding, self._held = str(error), self._clock.monotonic()
            raise
        if self._holding and self._clock.monotonic() - self._held > self._quiet:
            LOG.warning("accepting again")
            self._holding = ""
        for sink in self._head:
            sink.wait_for_room(ROOM)
        return journaled

    def _check_journal(self) -> None:
        """See that the journal's file still has its name: what is written to one without is lost at the end.

        :raises Unavailable: when it has not; what waits in it goes on to the sinks all the same
        """
        try:
            found: os.stat_result | None = os.stat(self._path)
        except OSError:
            found = None
        if found is None or not os.path.samestat(found, self._made):
            raise Unavailable(
                f"journal {self._path} was removed or replaced while in use; start the agent again"
            )

    def _miss(self, missed: Missed) -> None:
        """Journal a run of ticks that were not polled."""
        self.accept(Batch(missed=[missed]))

    def stop(self, seconds: float = 1.8) -> None:
        """Stop polling, let the sinks end the batch in flight, and close everything in that time."""
        deadline = time.monotonic() + seconds
        self._stopping.set()
        for thread in self._threads:
            thread.join(max(0.0, (deadline - time.monotonic()) / 2))
        for sink in self._sinks:
            sink.stop()
        ended = [sink.join(max(0.1, deadline - time.monotonic())) for sink in self._sinks]
        if all(ended) and not any(thread.is_alive() for thread in self._threads):
            self._journal.close()  # else a thread may still be in it, and ending the process closes it
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def greeting(self) -> str:
        """What is metered, where it is kept, how to ask."""
        meters = sorted(set().union(*(source.meters for source in self._sources)))
        example = shlex.quote(meters[0]) if meters else "METER"
        every = ", ".join(f"{source.name} every {source.interval} s" for source in self._sources) or "nothing"
        folder, store = self._settings.state_dir, shown_store(self._settings)
        journal = f"the journal in {folder}{', which is new,' if self._new else ''}"
        sinks = ", ".join(f"{plan.name} ({', '.join(plan.publishers)})" for plan in self._plans) or "no sink"
        lines = [
            f"meteragent polls {len(meters)} meters: {every}",
            f"sends them through {journal} to {without_password(sinks)}; store: is {store}",
            f"ask with: meteragent --state-dir {shlex.quote(str(folder))} meter list"
            f" | sample list -m {example} | gap list",
        ]
        return "\n".join(map(printable, lines))

    def account_line(self) -> str:
        """The account in one line, and what is wrong at present."""
        try:
            account = self._journal.status()
        except Unavailable as error:
            return f"the account cannot be read now: {error}"
        parts = [f"read {account.read:,} = journaled {account.journaled:,} + refused {account.refused:,}"]
        if account.discarded:
            parts[0] += f" + discarded {account.discarded:,}"
        for sink in account.sinks:
            told = [f"{sink.delivered:,} delivered"]
            told += [
                f"{count:,} {name}" for name in (*COUNTS[1:], "pending") if (count := getattr(sink, name))
            ]
            parts.append(f"{sink.name}: " + ", ".join(told))
        parts += [f"{sink.name} waits: {sink.trouble}" for sink in self._sinks if sink.trouble]
        parts += [
            f"{source.name} waits: {source.ticker.waiting}"
            for source in self._sources
            if source.ticker.waiting
        ]
        if self._holding:
            parts.append(f"not everything is accepted: {self._holding}")
        if not account.balanced:
            parts.append("THE ACCOUNT DOES NOT BALANCE")
        return printable("; ".join(parts))


def shown_store(settings: Settings) -> str:
    """The URL of the store without a password in it."""
    return without_password(settings.conf.storage.connection)
