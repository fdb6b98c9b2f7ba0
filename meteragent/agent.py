"""The agent: builds, starts and stops everything; the one place that knows every stage.

polling source ─ Ticker ─▶ Poller ─▶ accept ─▶ Journal ─offer─▶ Sink ─▶ publishers ─▶ store, file …
 (a thread each)   tick     batches   (fsync)           read    (a thread each, its own position)
"""

import contextlib
import gc
import logging
import os
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from meteragent import state_folder, telling
from meteragent.batch import Batch, Missed, Poll, Refused
from meteragent.clock import Clock
from meteragent.config import Settings
from meteragent.errors import Unavailable
from meteragent.failpoints import reach
from meteragent.figures import Figure
from meteragent.journal import journal
from meteragent.journal.salvage import salvage
from meteragent.journal.status import Status
from meteragent.message import Received
from meteragent.plain import printable
from meteragent.plan import Plan, changes, make_plan
from meteragent.plugins.loader import Plugin
from meteragent.running import Running
from meteragent.self_metering import VERSION, SelfMetering
from meteragent.storage.base import StorageDriver

LOG = logging.getLogger(__name__)

SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread that computes lets others run, so that a pollster's loop delays no tick."""
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

    Life: constructed with the settings, ``start`` once, ``reload`` many times, ``stop`` once.
    """

    def __init__(self, settings: Settings, clock: Clock | None = None, quiet: float = QUIET) -> None:
        self._settings, self._quiet = settings, quiet
        self._clock = clock or Clock()
        self.metering = SelfMetering(self._clock)
        self._plan: Plan | None = None
        self._running: Running | None = None
        self._interrupted: list[Poll] = []
        self._holding, self._held = "", 0.0
        self._telling = threading.Lock()
        """Held by the source that says, for all of them, whether the agent accepts."""
        self._lock: int | None = None
        self._new = False

    def start(self) -> None:
        """Build everything and begin to poll.

        :raises ConfigError: when the configuration cannot be used
        :raises MeteragentError: when the state folder or a needed plugin cannot
        """
        sys.setswitchinterval(SWITCH_INTERVAL)
        folder = self._settings.make_state_dir()
        self._lock = state_folder.lock(folder)
        state_folder.check_restored(folder)
        self._plan = plan = make_plan(self._settings, self._clock, self.figures)
        self._new = not (folder / state_folder.JOURNAL).exists()
        self._journal = self._open_journal(folder / state_folder.JOURNAL)
        self._path = str(folder / state_folder.JOURNAL)
        self._made = os.stat(self._path)
        self._running = running = self._make_running(plan)
        self._interrupted = self._find_interrupted()
        gc.collect()
        gc.freeze()  # what is there now stays
        gc.set_threshold(COLLECT_AFTER, 50, 50)
        try:
            running.start_sinks()
            with contextlib.suppress(Unavailable):  # then it goes before the next batch
                self._tell_interrupted()
            running.start_sources(plan)
            running.start_listeners(plan)
        except RuntimeError as error:  # as where a user may have no more threads
            raise Unavailable(f"the agent cannot begin: {error}") from None
        reach("idle")

    @property
    def settings(self) -> Settings:
        """Those in use."""
        return self._settings

    def make_reader(self) -> StorageDriver:
        """A driver of the store for reading, beside the one that records.

        :raises ConfigError: when it cannot be used
        :raises Unavailable: before the agent was started
        """
        if self._plan is None:
            raise Unavailable("the agent does not run")
        driver: StorageDriver = self._plan.make_reader()
        return driver

    def reload(self, settings: Settings) -> list[str]:
        """Go on with another configuration: stop and start only what it changes; what that is, a line each.

        Called by one thread at a time, so that what was read last is what is in use.

        :raises MeteragentError: when it cannot be used; all goes on as before then
        :raises RuntimeError: when there are no threads for what has changed, of which some may be in use
        """
        before, running = self._plan, self._running
        if before is None or running is None:
            raise Unavailable("the agent does not run")
        plan = make_plan(settings, self._clock, self.figures, before)
        found = changes(before, plan)
        plan.close_targets(plan.targets.keys() - {each.name for each in found if each.what == "sink"})
        former, manager = before.plugins.manager.discoverer, plan.plugins.manager
        manager.conf = settings.conf  # also where it is kept, for pollsters that stay as they are
        late = running.change(plan, found)
        if former is not None and former is not manager.discoverer:
            former.close()
        before.plugins.close(plan.plugins)
        told = plan.plugins.remarks(before.plugins)
        self._plan, self._settings = plan, settings
        plan.plugins.let_go()
        del before
        gc.collect()  # else the files that former pollsters had open would stay open for long
        lines = [f"reloaded: {change}" for change in found] or ["reloaded: nothing that runs has changed"]
        lines = [*(f"reloaded: {each}" for each in told), *lines]
        lines += [f"{name} still ends what it was at, and changes after that" for name in late]
        return list(map(printable, lines))

    def _open_journal(self, path: Path) -> journal.Journal:
        salvage(path, self._clock)
        options = self._settings.conf.journal
        settings = journal.Settings(options.max_size, options.reserve, options.quarantine_max_size)
        return journal.Journal(path, settings, self._clock)

    def _make_running(self, plan: Plan) -> Running:
        """All sinks, each where it stood."""
        agent = self._journal.agent(self._settings.conf.agent.id, lambda: uuid.uuid4().hex)
        running = Running(
            self._journal, agent, self._clock, self.metering, self.accept, self._check, self._miss
        )
        running.join(plan)
        for name in self._journal.positions.waiting:
            LOG.warning(
                "sink %s is no longer configured, but batches are kept for it; configure it again", name
            )
        return running

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
            with self._telling:  # two sources may come here at once
                if self._interrupted:
                    self._journal.append(Batch(polls=self._interrupted, host=self._settings.host))
                    self._interrupted = []

    def accept(
        self,
        batch: Batch,
        refused: Sequence[Refused] = (),
        read: int | None = None,
        received: Received | None = None,
    ) -> Batch:
        """Journal a batch and hand it to the sinks; what sources are given to call.

        :raises Unavailable: when nothing is accepted now
        :raises ValueError: when a text in it is no valid Unicode
        :raises NotFound: when it is for a replay that is no longer asked for
        """
        if not batch.host:
            batch = msgspec.structs.replace(batch, host=self._settings.host)
        try:
            self._check_journal()
            self._tell_interrupted()
            journaled = self._journal.append(batch, refused, read, received)
        except Unavailable as error:
            with self._telling:
                if not self._holding:
                    LOG.warning(
                        "not everything can be accepted now, ticks become gaps and messages stay on the"
                        " bus: %s", error,
                    )  # fmt: skip
                self._holding, self._held = str(error), self._clock.monotonic()
            raise
        if self._holding:
            self._tell_accepting()
        self.metering.note(batch)
        for sink in self._running.head if self._running is not None else ():
            sink.wait_for_room(ROOM)
        return journaled

    def _tell_accepting(self) -> None:
        with self._telling:
            if self._holding and self._clock.monotonic() - self._held > self._quiet:
                LOG.warning("accepting again")
                self._holding = ""

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

    def _check(self, share: float) -> None:
        """See whether anything would be accepted.

        :param share: of the journal that has to be free besides
        :raises Unavailable: when it would not
        """
        self._check_journal()
        self._journal.check(share)

    def _miss(self, missed: Missed) -> None:
        """Journal a run of ticks that were not polled."""
        self.accept(Batch(missed=[missed]))

    def stop(self, seconds: float = 1.8) -> None:
        """Stop polling, let the sinks end the batch in flight, and close everything in that time."""
        deadline = time.monotonic() + seconds
        if self._running is not None and self._running.stop(deadline):
            self._journal.close()  # else a thread may still be in it, and ending the process closes it
            if self._plan is not None:
                self._plan.plugins.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def greeting(self) -> str:
        """What is metered, where it is kept, how to ask."""
        return telling.greeting(self._plan, self._running, new=self._new) if self._plan else ""

    def account_line(self) -> str:
        """The account in one line, and what is wrong at present."""
        account, reason = self._account()
        parts = telling.of_account(account) if account else [f"the account cannot be read now: {reason}"]
        parts += telling.waiting(self._running)
        if self._holding:
            parts.append(f"not everything is accepted: {self._holding}")
        if account and not account.balanced:
            parts.append("THE ACCOUNT DOES NOT BALANCE")
        return printable("; ".join(parts))

    def figures(self) -> list[Figure]:
        """What it tells about itself."""
        running = self._running
        told = self.metering.figures(
            self._account()[0],
            running.sinks if running else (),
            self._holding,
            running.listeners if running else (),
        )
        return [*told, *(self._plan.plugins.layers.stack.figures() if self._plan else ())]

    def plugins(self) -> list[Plugin]:
        """The pollsters and discoveries and what is around them, and what became of each."""
        return self._plan.plugins.plugins if self._plan else []

    def status(self) -> dict[str, Any]:
        """What it is doing, as JSON can say it; times are microseconds since the epoch."""
        return {
            "version": VERSION,
            "process": os.getpid(),
            "host": self._settings.host,
            "state_dir": str(self._settings.state_dir),
            "started": self.metering.started,
            "store": telling.shown_store(self._settings),
            "holding": self._holding,
            **telling.running(self._running),
            "account": self._account()[0],
        }

    def _account(self) -> tuple[Status | None, str]:
        """The account; None and why when it cannot be read, as the rest is to be told all the same."""
        try:
            return self._journal.status(), ""
        except Unavailable as error:
            return None, str(error)
