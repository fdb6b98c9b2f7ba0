"""Ticks: each instant once at most, each grid instant polled or told as missed, whatever the clock does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meteragent.batch import Missed
from meteragent.clock import SECOND, Clock
from meteragent.errors import Unavailable
from meteragent.scheduler import HELD_RUNS, LONGEST_WAIT, Schedule, Tick, Ticker, Wait, begun_anew, offset
from meteragent.testing.fakes import NOON, FakeClock
from tests.ledger import Ledger, until

MINUTE = 60 * SECOND


def minutely(clock: Clock, last: int | None = None, *, coordinated: bool = False) -> Schedule:
    """Every minute, 10 s past it."""
    return Schedule("all", 60, 10 * SECOND, clock, last, coordinated=coordinated)


def settled(schedule: Schedule) -> list[Tick | Missed]:
    """What is told until it waits."""
    told: list[Tick | Missed] = []
    while not isinstance(step := schedule.advance(), Wait):
        told.append(step)
    return told


def test_the_offset_is_stable_and_lies_in_the_interval() -> None:
    """A source on a host polls at the same second for ever; another host or source at another."""
    assert offset("all", "host-1", 60) == 38_707_618
    assert len({offset(source, host, 60) for source in "abcdef" for host in "abcdef"}) == 36
    assert offset("ab", "c", 60) != offset("a", "bc", 60)
    assert all(0 <= offset("all", str(host), 1) < SECOND for host in range(100))


@pytest.mark.parametrize(
    ("second", "then"),
    [(0, 70), (39, 70), (40, 70), (41, 130), (50, 130), (69, 130)],
)
def test_a_new_source_polls_at_once_and_half_an_interval_later_at_the_earliest(
    second: int, then: int
) -> None:
    """The first instant is the start's own; a grid tick closer than half an interval is passed over."""
    clock = FakeClock(NOON + second * SECOND)
    schedule = minutely(clock)
    assert settled(schedule) == [Tick(NOON + second * SECOND)] or second == 10
    assert schedule.due == NOON + then * SECOND
    clock.advance(71.0 - second)
    assert settled(schedule) == ([Tick(NOON + 70 * SECOND)] if then == 70 else [])


def test_a_source_polled_less_than_an_interval_ago_waits_for_the_grid() -> None:
    """A crash loop polls no faster than the grid."""
    clock = FakeClock(NOON + 30 * SECOND)
    schedule = minutely(clock, NOON + 10 * SECOND)
    assert schedule.advance() == Wait(40.0)
    clock.advance(40.0)
    assert settled(schedule) == [Tick(NOON + 70 * SECOND)]


def test_ticks_missed_while_the_agent_was_down_are_one_run() -> None:
    """The run ends before the poll at start, which is no grid tick."""
    clock = FakeClock(NOON + 10 * MINUTE)
    assert settled(minutely(clock, NOON + 10 * SECOND)) == [
        Missed("all", NOON + 70 * SECOND, NOON + 9 * MINUTE + 10 * SECOND + 1, 9, "agent not running"),
        Tick(NOON + 10 * MINUTE),
    ]


def test_a_source_polled_an_interval_ago_polls_at_once() -> None:
    """And only once, until the grid goes on half an interval later."""
    clock = FakeClock(NOON + 70 * SECOND)
    clock.advance(9.0)
    schedule = minutely(clock, NOON + 19 * SECOND)
    assert settled(schedule) == [
        Missed("all", NOON + 70 * SECOND, NOON + 70 * SECOND + 1, 1, "agent not running"),
        Tick(NOON + 79 * SECOND),
    ]
    clock.advance(1.0)
    assert schedule.advance() == Wait(50.0)


def test_a_coordinated_source_has_grid_ticks_only() -> None:
    """Its first tick is the next of the grid, or the one before where that may still begin."""
    assert minutely(FakeClock(NOON + 50 * SECOND), coordinated=True).advance() == Wait(20.0)
    assert minutely(FakeClock(NOON + 30 * SECOND), coordinated=True).advance() == Tick(NOON + 10 * SECOND)
    clock = FakeClock(NOON + 5 * MINUTE + 45 * SECOND)
    schedule = minutely(clock, NOON + 10 * SECOND, coordinated=True)
    assert settled(schedule) == [
        Missed("all", NOON + 70 * SECOND, NOON + 5 * MINUTE + 10 * SECOND + 1, 5, "agent not running")
    ]
    clock.advance(25.0)
    assert settled(schedule) == [Tick(NOON + 6 * MINUTE + 10 * SECOND)]


@pytest.mark.parametrize(("late", "missed"), [(29.999999, False), (30.0, True)])
def test_a_tick_may_begin_late_until_the_middle_of_its_interval(late: float, missed: bool) -> None:
    """From the middle on it is missed, named as an overrun."""
    clock = FakeClock(NOON + 10 * SECOND)
    schedule = minutely(clock, NOON - 50 * SECOND)
    assert settled(schedule) == [Tick(NOON + 10 * SECOND)]
    clock.advance(180.0 + late)
    told = settled(schedule)
    lost = 3 if missed else 2
    first = NOON + 70 * SECOND
    assert told[0] == Missed("all", first, first + (lost - 1) * MINUTE + 1, lost, "overrun")
    assert told[1:] == ([] if missed else [Tick(NOON + 190 * SECOND)])


def test_ticks_skipped_by_a_step_forward_are_one_run() -> None:
    """The run names the step."""
    clock = FakeClock()
    schedule = minutely(clock, NOON - 50 * SECOND)
    assert schedule.advance() == Wait(10.0)
    clock.step(3600)
    clock.advance(10.0)
    assert settled(schedule) == [
        Missed("all", NOON + 10 * SECOND, NOON + 3550 * SECOND + 1, 60, "clock: stepped forward 3600 s"),
        Tick(NOON + 3610 * SECOND),
    ]


def test_after_a_step_back_the_source_waits_until_its_last_tick_has_passed() -> None:
    """No instant comes twice; the step is told at once, as a run without ticks behind the last one."""
    clock = FakeClock(NOON + 10 * SECOND)
    schedule = minutely(clock, NOON - 50 * SECOND)
    tick = NOON + 10 * SECOND
    assert settled(schedule) == [Tick(tick)]
    clock.advance(5.0)
    clock.step(-3600)
    assert schedule.advance() == Missed("all", tick + 1, tick + 2, 0, "clock: stepped back 3600 s")
    wait = schedule.advance()
    assert isinstance(wait, Wait)
    assert wait.seconds == LONGEST_WAIT
    assert wait.reason == (
        "wall clock 2027-01-15T07:00:15Z is 3595 s behind the last tick 2027-01-15T08:00:10.000001Z"
    )
    clock.advance(3654.0)
    assert schedule.advance() == Wait(1.0)
    clock.advance(1.0)
    assert settled(schedule) == [Tick(tick + MINUTE)]


def test_a_step_back_between_the_missed_run_and_the_poll_at_start_cancels_the_poll() -> None:
    """An instant before what is accounted for is never polled."""
    clock = FakeClock(NOON + 10 * MINUTE)
    schedule = minutely(clock, NOON + 10 * SECOND)
    missed = schedule.advance()
    assert isinstance(missed, Missed)
    clock.step(-100)
    note = schedule.advance()
    assert note == Missed("all", missed.end, missed.end + 1, 0, "clock: stepped back 100 s")
    assert isinstance(schedule.advance(), Wait)


@pytest.mark.parametrize("second", [38, 40])
def test_a_step_back_never_costs_a_tick(second: int) -> None:
    """Half an interval before the next tick there is no room to tell the step, and the tick goes first."""
    clock = FakeClock(NOON + second * SECOND)
    schedule = minutely(clock)
    assert settled(schedule) == [Tick(NOON + second * SECOND)]
    clock.step(-20)
    assert [type(step) for step in settled(schedule)] == ([] if second == 40 else [Missed])
    clock.advance(52.0)
    assert settled(schedule) == [Tick(NOON + 70 * SECOND)]


def test_a_start_with_the_clock_behind_is_told_once() -> None:
    """Restarts during the wait add nothing and poll nothing."""
    clock = FakeClock(NOON)
    ledger = Ledger(60, 10 * SECOND)
    ledger.poll(NOON + 3610 * SECOND)
    for _ in range(3):
        for step in settled(minutely(clock, ledger.last)):
            assert isinstance(step, Missed)
            ledger.miss(step)
        clock.advance(20.0)
    after = NOON + 3610 * SECOND + 1
    assert ledger.missed == [
        Missed("all", after, after + 1, 0, "clock: 3610 s behind the last tick at start")
    ]


@given(st.lists(st.floats(0.001, 86400.0), max_size=20), st.floats(-0.0005, 0.0005))
def test_a_slewed_clock_has_not_stepped(waits: list[float], drift: float) -> None:
    """A kernel that corrects the clock by 500 ppm is no reason for a gap, however long a poll lasts."""
    clock = FakeClock()
    schedule = Schedule("all", 10**9, 0, clock)
    schedule.advance()
    for seconds in waits:
        clock.advance(seconds)
        clock.step(seconds * drift)
        assert isinstance(schedule.advance(), Wait)


@given(
    interval=st.sampled_from((1, 60, 10**12)),
    wall=st.sampled_from((0, -(10**18), NOON, 253_402_300_799 * SECOND, 2**63 - 1)),
    last=st.none() | st.integers(-(2**63), 2**63 - 1),
    coordinated=st.booleans(),
)
def test_no_time_is_too_far(interval: int, wall: int, last: int | None, coordinated: bool) -> None:
    """A clock or interval beyond all sense costs neither time nor an error."""
    clock = FakeClock(wall)
    schedule = Schedule(
        "all", interval, offset("all", "host", interval), clock, last, coordinated=coordinated
    )
    for _ in range(3):
        assert len(settled(schedule)) <= 3
        clock.step(10**9)
    step = schedule.advance()
    while not isinstance(step, Wait):
        step = schedule.advance()
    assert 0 < step.seconds <= LONGEST_WAIT


def test_an_interval_below_a_second_is_refused() -> None:
    """The message names source and value."""
    with pytest.raises(ValueError, match="polling source 'all': interval 0 s, at least 1 allowed"):
        Schedule("all", 0, 0, FakeClock())


def test_ticks_that_cannot_be_journaled_are_held_as_one_run_and_told_before_the_next_poll() -> None:
    """A hold ends with its run journaled first, so that a crash cannot lose it behind a later tick."""
    clock, ledger = FakeClock(NOON + 10 * SECOND), Ledger(60, 10 * SECOND)
    ticker = Ticker(minutely(clock, NOON - 50 * SECOND), ledger.poll, ledger.miss)
    ledger.full = True
    ticker.run(until(clock, 3))
    run = Missed("all", NOON + 10 * SECOND, NOON + 130 * SECOND + 1, 3, "the journal is full")
    assert ticker.pending == (run,)
    assert not ticker.flush()
    ledger.full = False
    ticker.run(until(clock, 1))
    assert not ticker.pending
    assert (ledger.missed, ledger.polled) == ([run], [NOON + 190 * SECOND])


def test_a_held_run_leaves_out_a_tick_that_was_passed_over_after_the_start() -> None:
    """The ticks of a run are those that lie in it."""
    clock, ledger = FakeClock(NOON + 45 * SECOND), Ledger(60, 10 * SECOND)
    ticker = Ticker(minutely(clock), ledger.poll, ledger.miss)
    ledger.full = True
    ticker.run(until(clock, 5))
    assert [(run.start - NOON) // SECOND for run in ticker.pending] == [45, 130]
    assert [run.ticks for run in ticker.pending] == [1, 3]
    ledger.full = False
    assert ticker.flush()
    ledger.verify()


def test_what_is_held_is_bounded() -> None:
    """With a new reason at each tick the newest runs become one, and no tick is forgotten."""
    clock = FakeClock()

    def poll(at: int) -> None:
        raise AssertionError(f"{at} is polled before what was missed is told")

    def miss(run: Missed) -> None:
        raise Unavailable(f"no room at {clock.wall()} for {run}")

    ticker = Ticker(minutely(clock), poll, miss)
    ticker.pending = (Missed("all", NOON - 1, NOON, 1, "agent not running"),)
    ticker.run(until(clock, HELD_RUNS))
    assert len(ticker.pending) == HELD_RUNS
    assert ticker.pending[-1].reason.startswith("no room at")
    ticker.run(until(clock, 5))
    assert len(ticker.pending) == HELD_RUNS
    assert ticker.pending[-1].reason == "several reasons"
    assert sum(run.ticks for run in ticker.pending) == HELD_RUNS + 5


def test_a_source_that_never_waits_can_be_stopped() -> None:
    """Stop is looked for after each poll, and not in waits alone."""
    clock, ledger = FakeClock(NOON + 10 * SECOND), Ledger(60, 10 * SECOND)

    def poll(at: int) -> None:
        ledger.poll(at)
        clock.advance(60.0)

    def wait(seconds: float) -> bool:
        assert seconds == 0
        return len(ledger.polled) == 5

    Ticker(minutely(clock), poll, ledger.miss).run(wait)
    assert ledger.polled == [NOON + (10 + 60 * tick) * SECOND for tick in range(5)]


def test_a_fault_in_a_tick_is_a_gap_and_not_the_end_of_the_source(caplog: pytest.LogCaptureFixture) -> None:
    """What nobody foresaw is logged once, and the next tick is polled."""
    clock, ledger = FakeClock(NOON + 10 * SECOND), Ledger(60, 10 * SECOND)
    faults = [RuntimeError("can't start new thread")]

    def poll(at: int) -> None:
        if faults:
            raise faults.pop()
        ledger.poll(at)

    Ticker(minutely(clock, NOON - 50 * SECOND), poll, ledger.miss).run(until(clock, 2))
    (run,) = ledger.missed
    assert (run.ticks, run.reason) == (1, "RuntimeError: can't start new thread")
    assert ledger.polled == [NOON + 70 * SECOND]
    assert len(caplog.records) == 1
    ledger.verify()


def test_a_fault_that_stays_is_logged_once_until_it_is_another(caplog: pytest.LogCaptureFixture) -> None:
    """One traceback for each outbreak, not one for each tick."""
    clock, ledger = FakeClock(NOON + 10 * SECOND), Ledger(60, 10 * SECOND)
    faults = ["one", "one", "one", "two", "two", "", "two"]

    def poll(at: int) -> None:
        if fault := faults.pop(0):
            raise RuntimeError(fault)
        ledger.poll(at)

    Ticker(minutely(clock, NOON - 50 * SECOND), poll, ledger.miss).run(until(clock, 7))
    told = [record.getMessage().rpartition(" ")[2] for record in caplog.records if record.exc_info]
    assert told == ["one", "two", "two"]
    assert [run.reason[-3:] for run in ledger.missed] == ["one"] * 3 + ["two"] * 3
    ledger.verify()


def test_a_fault_in_telling_a_gap_is_not_the_end_of_the_source(caplog: pytest.LogCaptureFixture) -> None:
    """While it lasts nothing is polled, it is logged once, and then all of it is told."""
    clock, ledger = FakeClock(NOON + 10 * SECOND), Ledger(60, 10 * SECOND)
    faults = [MemoryError("no room")] * 9

    def miss(run: Missed) -> None:
        if faults:
            raise faults.pop()
        ledger.miss(run)

    ledger.full = True
    ticker = Ticker(minutely(clock, NOON - 50 * SECOND), ledger.poll, miss)
    ticker.run(until(clock, 1))
    ledger.full = False
    ticker.run(until(clock, 6))
    assert not faults
    assert not ticker.pending
    assert len(caplog.records) == 1
    assert ledger.missed[0].start == NOON + 10 * SECOND
    assert ledger.polled
    ledger.verify()


def test_the_reason_of_a_gap_is_text_that_can_be_kept() -> None:
    """One that could not be written would stand before all later polls for ever."""
    clock, ledger = FakeClock(NOON + 10 * SECOND), Ledger(60, 10 * SECOND)

    def poll(at: int) -> None:
        raise Unavailable(f"no room in /\udcff at {at}")

    Ticker(minutely(clock, NOON - 50 * SECOND), poll, ledger.miss).run(until(clock, 1))
    (run,) = ledger.missed
    assert run.reason.startswith("no room in /\\udcff at ")


@pytest.mark.parametrize(
    ("last", "first"),
    [
        (None, 100),
        (39, 100),  # an interval ago and more: at once
        (41, 120),  # the next instant of the grid
        (95, 180),  # nearer than half an interval to the next one
        (500, 540),  # the clock stepped back: nothing before the last tick
    ],
)
def test_a_source_that_begins_while_the_agent_runs_owes_nothing(last: int | None, first: int) -> None:
    """No gap for the time before, and no tick sooner than half an interval after the last one."""
    clock = FakeClock(100 * SECOND)
    schedule = begun_anew("s", 60, 0, clock, None if last is None else last * SECOND)
    ticks: list[int] = []
    while not ticks:
        step = schedule.advance()
        if isinstance(step, Tick):
            ticks.append(step.at)
        elif isinstance(step, Missed):
            assert last == 500, "only that the clock stepped back is told"
            assert step.ticks == 0
        else:
            clock.advance(step.seconds)
    assert ticks == [first * SECOND]


def test_a_schedule_that_ends_tells_what_it_owes() -> None:
    """Once, up to the instant at which it was ended; before the first tick it owes nothing."""
    clock = FakeClock(100 * SECOND)
    assert Schedule("s", 60, 0, clock).owed(1_000 * SECOND) is None
    schedule = Schedule("s", 60, 0, clock, 60 * SECOND)
    assert schedule.owed(119 * SECOND) is None
    assert schedule.owed(250 * SECOND) == Missed("s", 120 * SECOND, 240 * SECOND + 1, 3, "reload")
    assert schedule.owed(250 * SECOND) is None


def test_a_ticker_that_ends_keeps_what_it_cannot_tell() -> None:
    """For its successor."""
    clock = FakeClock(100 * SECOND)

    def full(missed: Missed) -> None:
        raise Unavailable(f"full: {missed}")

    ticker = Ticker(Schedule("s", 60, 0, clock, 60 * SECOND), lambda _: None, full)
    ticker.end(130 * SECOND)
    assert [run.ticks for run in ticker.pending] == [1]
