"""A polling source through everything that may happen to it: at random, and for a year."""

import random
from collections.abc import Callable
from time import perf_counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from meteragent.clock import SECOND
from meteragent.scheduler import LONGEST_WAIT, Schedule, Ticker, offset
from meteragent.testing.fakes import NOON, FakeClock
from tests.ledger import Ledger, until

YEAR = 365 * 24 * 3600
SEED = 20_260_101


class Crash(BaseException):
    """The agent dies in a poll."""


class Life(RuleBasedStateMachine):
    """A source through overruns, clock steps, holds, crashes and restarts."""

    @initialize(
        interval=st.sampled_from((1, 7, 60, 300, 3600)),
        seed=st.text("ab", max_size=3),
        coordinated=st.booleans(),
    )
    def begin(self, interval: int, seed: str, coordinated: bool) -> None:
        """A new source."""
        self.clock = FakeClock()
        self.interval, self.coordinated = interval, coordinated
        self.offset = offset("all", seed, interval)
        self.ledger = Ledger(interval, self.offset)
        self.polls: list[float] = []
        self.starts = 0
        self.start()

    def start(self) -> None:
        """The agent starts with what the journal tells."""
        self.starts += 1
        last, clock = self.ledger.last, self.clock
        schedule = Schedule("all", self.interval, self.offset, clock, last, coordinated=self.coordinated)
        self.ticker = Ticker(schedule, self.poll, self.ledger.miss)

    def wait_for(self, waits: int) -> Callable[[float], bool]:
        """A wait that knows what is due, and refuses to begin too late or to last too long."""
        wait = until(self.clock, waits)

        def wait_for_the_next(seconds: float) -> bool:
            due = self.ticker.schedule.due
            if seconds and due is not None:
                assert min(due - self.clock.wall(), LONGEST_WAIT * SECOND) == round(seconds * SECOND)
            return wait(seconds)

        return wait_for_the_next

    def poll(self, at: int) -> None:
        """Begins in time, and may last."""
        assert at <= self.clock.wall()
        assert self.clock.wall() - at < self.interval * SECOND // 2
        assert self.ledger.on_grid(at) or not self.coordinated
        lasts = self.polls.pop() if self.polls else 0.0
        self.clock.advance(abs(lasts))
        if lasts < 0:
            raise Crash
        self.ledger.poll(at)

    @rule(
        waits=st.integers(1, 6),
        lasting=st.lists(st.sampled_from((0.0, 0.1, 0.4, 0.5, 0.6, 1.0, 1.4, 1.5, 2.6, 50.0)), max_size=5),
    )
    def live(self, waits: int, lasting: list[float]) -> None:
        """Time passes; a poll may take its share of the interval, or many intervals."""
        self.polls = [share * self.interval for share in lasting]
        self.ticker.run(self.wait_for(waits))

    @rule(
        seconds=st.sampled_from((3600, 600, 61, 30, 2, 0.9)) | st.floats(0.0, 4000.0),
        sign=st.sampled_from((1, -1)),
    )
    def step(self, seconds: float, sign: int) -> None:
        """Someone sets the clock."""
        self.clock.step(sign * seconds)

    @rule(down=st.floats(0.0, 4.0))
    def restart(self, down: float) -> None:
        """The agent is killed, and comes back after a time."""
        self.clock.advance(down * self.interval)
        self.start()

    @rule(down=st.floats(0.0, 4.0), after=st.floats(0.0, 2.0))
    def crash_in_poll(self, down: float, after: float) -> None:
        """The agent dies while it polls; nothing of that tick is journaled."""
        self.polls = [-after * self.interval - 0.001]
        try:
            self.ticker.run(self.wait_for(3))
        except Crash:
            self.restart(down)

    @rule(full=st.booleans())
    def hold(self, full: bool) -> None:
        """The journal takes nothing, or takes again."""
        self.ledger.full = full

    @invariant()
    def the_account_is_right(self) -> None:
        """What is journaled keeps the promise at every moment."""
        if hasattr(self, "ledger"):
            self.ledger.verify()
            assert sum(not self.ledger.on_grid(at) for at in self.ledger.polled) <= self.starts

    @invariant()
    def nothing_is_left_out(self) -> None:
        """What the schedule has given out is journaled or pending."""
        if hasattr(self, "ticker"):
            pending = [run.end - 1 for run in self.ticker.pending]
            assert self.ticker.schedule.last == max(pending, default=self.ledger.last)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


class Year:
    """A minutely source whose polls overrun, whose clock is set, whose journal fills, whose agent dies."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.clock = FakeClock()
        self.offset = offset("all", "host", 60)
        self.ledger = Ledger(60, self.offset)
        self.end = NOON + YEAR * SECOND
        self.latest = 0
        self.happened = dict.fromkeys(("overrun", "step", "hold", "crash"), 0)

    def chance(self, what: str, times_a_year: int) -> bool:
        """Whether it happens at this tick."""
        happens = self.random.random() < times_a_year / 525_600
        self.happened[what] += happens
        return happens

    def poll(self, at: int) -> None:
        """Mostly quick."""
        if self.chance("overrun", 1000):
            self.clock.advance(self.random.expovariate(1 / 60))
        if self.chance("crash", 200):
            if self.random.random() < 0.5:
                self.ledger.poll(at)
            raise Crash
        self.ledger.poll(at)

    def wait(self, seconds: float) -> bool:
        """May be where the clock is set, or the journal fills or has room again."""
        if seconds and self.chance("step", 100):
            part = self.random.random()
            self.clock.advance(seconds * part)
            self.clock.step(self.random.choice((3600, -3600, 30, -30)))
            seconds *= 1 - part
        if self.ledger.full or self.chance("hold", 200):
            self.ledger.full = self.random.random() < 0.9
        self.clock.advance(seconds)
        self.latest = max(self.latest, self.clock.wall())
        return self.clock.wall() >= self.end

    def live(self) -> None:
        """One agent after the other, until the year is over."""
        while self.clock.wall() < self.end:
            schedule = Schedule("all", 60, self.offset, self.clock, self.ledger.last)
            try:
                Ticker(schedule, self.poll, self.ledger.miss).run(self.wait)
            except Crash:
                self.clock.advance(self.random.expovariate(1 / 90))


def test_a_year_of_a_minutely_source_is_accounted_for() -> None:
    """Each of 525,600 grid instants is polled or in exactly one run, and none comes twice."""
    began, year = perf_counter(), Year(SEED)
    year.live()
    year.ledger.verify()
    polled, missed = len(year.ledger.polled), sum(run.ticks for run in year.ledger.missed)
    reasons = sorted({run.reason for run in year.ledger.missed})
    print(f"seed {SEED}: {year.happened}, {polled} polled, {missed} missed in {len(year.ledger.missed)} runs")
    print(f"{perf_counter() - began:.1f} s; {reasons}")
    assert min(year.happened.values()) >= 50
    assert year.ledger.last is not None
    assert year.ledger.last >= year.latest - 60 * SECOND
    first = year.ledger.polled[0]
    assert 0 <= polled + missed - (year.ledger.last - first) // (60 * SECOND) <= year.happened["crash"] + 1
    assert missed < 0.02 * polled
