"""What runs in an agent: each polling source and each sink in its seat, replaced when its definition changes.

Apart from the agent, which opens what all of them share.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from meteragent.assembly import Source, make_source
from meteragent.batch import Missed
from meteragent.clock import Clock
from meteragent.journal.journal import Journal
from meteragent.pipeline.sink import Sink
from meteragent.plan import Change, Plan
from meteragent.pollsters.sharing import Sharing
from meteragent.pollsters.states import States
from meteragent.scheduler import Schedule, Ticker, begun_anew, offset
from meteragent.seat import Seat
from meteragent.self_metering import SelfMetering

if TYPE_CHECKING:
    from meteragent.listening import Listening
    from meteragent.notifications.intake import Accept, Check, Intake
    from meteragent.notifications.listener import Listener

LOG = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds in which a reload waits for what it replaces to end."""


class Polling:
    """A polling source with its thread."""

    def __init__(self, source: Source, ticker: Ticker, clock: Clock) -> None:
        self.source, self.ticker, self._clock = source, ticker, clock
        self.stopped_at = 0
        """When it was asked to end, microseconds since the epoch; 0 before."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"poll {source.name}", daemon=True)

    def start(self) -> None:
        """Begin to poll.

        :raises RuntimeError: when there is no thread for it
        """
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end with its tick."""
        if not self._stopping.is_set():
            self.stopped_at = self._clock.wall()
            self._stopping.set()

    def wait_for_end(self, seconds: float) -> bool:
        """Whether it has ended."""
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        self.ticker.run(self._stopping.wait)
        self.source.poller.close()


class Running:
    """The seats.

    Life: constructed, ``join``, ``start_sinks`` and ``start_sources`` once, ``change`` for each reload,
    ``stop`` once.
    """

    def __init__(
        self,
        journal: Journal,
        agent: str,
        clock: Clock,
        metering: SelfMetering,
        accept: "Accept",
        check: "Check",
        miss: Callable[[Missed], None],
    ) -> None:
        self._journal, self._agent, self._clock, self._metering = journal, agent, clock, metering
        self._accept, self._check, self._miss = accept, check, miss
        self._sharing, self._states = Sharing(), States(journal.states())
        self._changing, self._stopped = threading.Lock(), False
        self._sources: dict[str, Seat[Polling]] = {}
        self._sinks: dict[str, Seat[Sink]] = {}
        self._listeners: dict[str, Seat[Listener]] = {}
        self._intake: Intake | None = None
        """What all listeners give their messages to; there from the first one on."""
        self._offering = threading.Lock()
        self._offered: list[Sink] = []
        self.head: list[Sink] = []
        """Sinks that hold, for which a source waits a little."""

    @property
    def sources(self) -> list[Polling]:
        """Polling sources that run."""
        return [seat.runner for seat in list(self._sources.values()) if seat.runner is not None]

    @property
    def sinks(self) -> list[Sink]:
        """Sinks that run."""
        return [seat.runner for seat in list(self._sinks.values()) if seat.runner is not None]

    @property
    def listeners(self) -> "list[Listener]":
        """Listeners that run."""
        return [seat.runner for seat in list(self._listeners.values()) if seat.runner is not None]

    def join(self, plan: Plan) -> None:
        """Give each sink its place in the journal; none publishes yet."""
        for name in plan.sinks:
            self._sinks[name] = Seat(f"sink {name}", self._sink(plan, name))
            self._offer_to(added=self._sinks[name].runner)

    def start_sinks(self) -> None:
        """Let the sinks publish.

        :raises RuntimeError: when there are no threads for them
        """
        for sink in self.sinks:
            sink.start()

    def start_sources(self, plan: Plan) -> None:
        """Let the sources poll, each on from where an earlier run left it.

        :raises RuntimeError: when there are no threads for them
        """
        ticks = self._journal.last_ticks()
        for name, definition in plan.sources.items():
            shift = offset(name, plan.settings.host, definition.interval)
            schedule = Schedule(name, definition.interval, shift, self._clock, ticks.get(name))
            polling = self._polling(plan, name, schedule)
            self._sources[name] = Seat(f"polling source {name}", polling)
            polling.start()

    def start_listeners(self, plan: Plan) -> None:
        """Let the listeners listen, where a bus is named.

        :raises RuntimeError: when there are no threads for them
        """
        if plan.listening is not None:
            self._convert_with(plan.listening)
            for label in plan.listening.urls:
                self._listeners[label] = Seat(f"listener {label}", self._begin_listener(plan, label, None))

    def change(self, plan: Plan, changes: Iterable[Change]) -> list[str]:
        """Stop and start what has changed; what still ends with its former definition after a while.

        :raises RuntimeError: when there were no threads for some of it; the rest is changed
        """
        seats: list[Seat[Any]] = []
        failed: RuntimeError | None = None
        with self._changing:
            for change in () if self._stopped else changes:
                try:
                    seats += self._replace(plan, change)
                except RuntimeError as error:
                    failed = error
        end = time.monotonic() + PATIENCE
        late = [seat.name for seat in seats if not seat.wait(end - time.monotonic())]
        self._sources = {name: seat for name, seat in self._sources.items() if not seat.vacant}
        self._sinks = {name: seat for name, seat in self._sinks.items() if not seat.vacant}
        self._listeners = {name: seat for name, seat in self._listeners.items() if not seat.vacant}
        if failed is not None:
            raise failed
        return late

    def _replace(self, plan: Plan, change: Change) -> list[Seat[Any]]:
        """Let what has changed be followed by what is to run now; where, unless nothing has to end for it."""
        name = f"{change.what} {change.name}"
        if change.what == "handlers":
            if plan.listening is not None:
                self._convert_with(plan.listening)
            return []
        if change.what == "listener":
            listener = self._listeners.setdefault(change.name, Seat(name))
            listener.replace(partial(self._begin_listener, plan, change.name))
            return [listener]
        if change.what == "sink":
            sink = self._sinks.setdefault(change.name, Seat(name))
            sink.replace(
                partial(self._begin_sink, plan, change.name), partial(plan.close_targets, [change.name])
            )
            return [sink]
        source = self._sources.setdefault(change.name, Seat(name))
        source.replace(partial(self._begin_polling, plan, change.name))
        return [source]

    def stop(self, deadline: float) -> bool:
        """Stop the sources, then let the sinks end the batch in flight; whether all has ended by then."""
        # a change may hang in what it closes, which is foreign: it is not waited for without end
        held = self._changing.acquire(timeout=max(0.0, (deadline - time.monotonic()) / 4))
        self._stopped = True
        if held:
            self._changing.release()
        sources: list[Seat[Any]] = [*self._sources.values(), *self._listeners.values()]
        sinks = [*self._sinks.values()]
        for source in sources:
            source.close()
        polled = [seat.wait_for_end(max(0.0, (deadline - time.monotonic()) / 2)) for seat in sources]
        if self._intake is not None:
            self._intake.stop()
            polled.append(self._intake.wait_for_end(max(0.0, (deadline - time.monotonic()) / 2)))
        for sink in sinks:
            sink.close()
        ended = [seat.wait_for_end(max(0.1, deadline - time.monotonic())) for seat in sinks]
        return all(polled) and all(ended)

    def _begin_polling(self, plan: Plan, name: str, former: Polling | None) -> Polling | None:
        """A polling source as a plan has it, or its end.

        It goes on with the former's schedule where its interval is the same.
        """
        definition = plan.sources.get(name)
        if former is not None and (
            definition is None or definition.interval != former.source.interval
        ):  # fmt: skip
            # one that goes is over when it is asked to end, one that goes on when its successor begins
            former.ticker.end(former.stopped_at if definition is None else self._clock.wall())
        if definition is None:
            for run in former.ticker.pending if former is not None else ():
                LOG.warning("polling source %s ended, and %d missed ticks could not be told", name, run.ticks)
            return None
        if former is not None and definition.interval == former.source.interval:
            schedule = former.ticker.schedule
        else:
            last = self._journal.last_ticks().get(name)
            if former is not None and former.ticker.schedule.last is not None:
                last = max(former.ticker.schedule.last, last or 0)
            shift = offset(name, plan.settings.host, definition.interval)
            schedule = begun_anew(name, definition.interval, shift, self._clock, last)
        polling = self._polling(plan, name, schedule)
        if former is not None:
            polling.ticker.pending = former.ticker.pending
            polling.source.poller.owed += former.source.poller.owed
        polling.start()
        return polling

    def _begin_listener(self, plan: Plan, label: str, former: "Listener | None") -> "Listener | None":
        """A listener as a plan has it, or its end."""
        del former  # what it held has gone back to the bus
        if plan.listening is None or label not in plan.listening.urls:
            return None
        if self._intake is None:
            return None  # the agent has ended before it could begin
        listener = plan.listening.listener(label, self._intake)
        listener.start()
        return listener

    def _convert_with(self, listening: "Listening") -> None:
        """Have the messages of all buses converted so from now on.

        :raises RuntimeError: when there is no thread for the replays
        """
        if self._intake is not None:
            self._intake.change(listening.converter)
            return
        intake = listening.intake(self._accept, self._check, self._journal.replays)
        intake.start()
        self._intake = intake

    def _begin_sink(self, plan: Plan, name: str, former: Sink | None) -> Sink | None:
        """A sink as a plan has it, from the position of the former, or its end."""
        if name not in plan.sinks:
            self._journal.leave(name)
            self._offer_to(gone=former)
            return None
        sink = self._sink(plan, name)
        self._offer_to(added=sink, gone=former)
        try:
            sink.start()
        except RuntimeError:  # no more threads: another one is made, and nobody may wait for this one
            self._offer_to(gone=sink)
            raise
        return sink

    def _polling(self, plan: Plan, name: str, schedule: Schedule) -> Polling:
        source = make_source(
            plan.settings, self._clock, plan.plugins, plan.sources[name], self._accept,
            self._sharing, self._states,
        )  # fmt: skip
        poll = self._metering.timed(name, source.poller.poll)
        return Polling(source, Ticker(schedule, poll, self._miss), self._clock)

    def _sink(self, plan: Plan, name: str) -> Sink:
        definition = plan.sinks[name]
        half = plan.settings.conf.journal.max_size // 2
        return Sink(
            name, plan.targets[name], definition.supports, self._journal, self._agent,
            mode=definition.when_full, max_lag=definition.max_lag or half,
        )  # fmt: skip

    def _offer_to(self, added: Sink | None = None, gone: Sink | None = None) -> None:
        """Have the journal hand batches to the sinks that run."""
        with self._offering:  # several sinks may be replaced at once
            self._offered = [sink for sink in self._offered if sink is not gone]
            if added is not None:
                self._offered.append(added)
            self._journal.listeners = [sink.offer for sink in self._offered]
            self.head = [sink for sink in self._offered if sink.mode == "hold"]
