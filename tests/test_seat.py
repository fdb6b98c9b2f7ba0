"""Tests of a seat: what runs under a name ends before its successor begins."""

import threading

import pytest

from meteragent import seat as seat_module
from meteragent.errors import Unavailable
from meteragent.seat import Seat
from tests import threads


class Running:
    """Runs until it is asked to end and then let go."""

    def __init__(self, log: list[str], name: str) -> None:
        self._log, self.name = log, name
        self.asked, self.let_go = threading.Event(), threading.Event()

    def start(self) -> None:
        """Begin."""
        self._log.append(f"{self.name} begins")

    def stop(self) -> None:
        """Ask it."""
        self.asked.set()

    def wait_for_end(self, seconds: float) -> bool:
        """Whether it was let go."""
        ended = self.let_go.wait(seconds)
        if ended:
            self._log.append(f"{self.name} ended")
        return ended


class Next:
    """Begins what it was given, or nothing."""

    def __init__(self, log: list[str], runner: Running | None, failures: int = 0) -> None:
        self._log, self._runner, self._failures = log, runner, failures

    def begin(self, former: Running | None) -> Running | None:
        """After its failures."""
        assert former is None or former.let_go.is_set()
        if self._failures:
            self._failures -= 1
            raise Unavailable("not yet")
        if self._runner is not None:
            self._runner.start()
        return self._runner

    def discard(self) -> None:
        """Note it."""
        self._log.append(f"{self._runner.name if self._runner else 'nothing'} discarded")


def follow(seat: Seat[Running], successor: Next) -> None:
    """Let it follow in the seat."""
    seat.replace(successor.begin, successor.discard)


@pytest.fixture
def log() -> list[str]:
    """What happened."""
    return []


def test_a_successor_waits_for_the_end_of_the_former(log: list[str]) -> None:
    """However long that takes, and only the last of several comes."""
    former, second, third = (Running(log, name) for name in ("former", "second", "third"))
    seat = Seat("s", former)
    follow(seat, Next(log, second))
    assert former.asked.wait(5)
    follow(seat, Next(log, third))
    assert not seat.wait(0.05)
    assert seat.runner is former
    former.let_go.set()
    assert seat.wait(5)
    assert log == ["second discarded", "former ended", "third begins"]
    assert seat.runner is third


def test_what_cannot_begin_is_tried_again(
    log: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once why."""
    monkeypatch.setattr(seat_module, "RETRY", 0.01)
    runner = Running(log, "late")
    seat: Seat[Running] = Seat("sink s")
    follow(seat, Next(log, runner, failures=3))
    assert seat.wait(5)
    assert seat.runner is runner
    assert [record.getMessage() for record in caplog.records] == [
        "sink s cannot begin and is tried again: not yet"
    ]


def test_a_seat_is_vacant_when_nothing_follows(log: list[str]) -> None:
    """And not before the former has ended."""
    former = Running(log, "former")
    seat = Seat("s", former)
    follow(seat, Next(log, None))
    assert not seat.vacant
    former.let_go.set()
    assert seat.wait(5)
    assert seat.vacant


def test_a_successor_for_which_there_is_no_thread_is_discarded(log: list[str]) -> None:
    """What runs goes on, nothing waits in the seat, and the next that comes follows."""
    former, second, third = (Running(log, name) for name in ("former", "second", "third"))
    seat = Seat("s", former)
    with threads.exhausted(), pytest.raises(RuntimeError):
        follow(seat, Next(log, second))
    assert log == ["second discarded"]
    assert seat.runner is former
    assert not former.asked.is_set()
    former.let_go.set()
    follow(seat, Next(log, third))
    assert seat.wait(5)
    assert log == ["second discarded", "former ended", "third begins"]


def test_a_successor_that_hangs_when_it_is_discarded_holds_up_no_end(log: list[str]) -> None:
    """What runs is asked to end all the same."""
    former, hangs, let_go = Running(log, "former"), threading.Event(), threading.Event()

    class Hanging(Next):
        def discard(self) -> None:
            hangs.set()
            let_go.wait(10)

    seat = Seat("s", former)
    follow(seat, Hanging(log, Running(log, "second")))
    replacing = threading.Thread(
        target=follow,
        args=(
            seat,
            Next(log, Running(log, "third")),
        ),
    )
    replacing.start()
    assert hangs.wait(5)
    closing = threading.Thread(target=seat.close)
    closing.start()
    closing.join(5)
    assert not closing.is_alive()
    assert replacing.is_alive()
    assert former.asked.is_set()
    let_go.set()
    former.let_go.set()
    replacing.join(5)
    assert seat.wait(5)


def test_when_it_is_closed_nothing_follows(log: list[str]) -> None:
    """What waited is discarded, what comes later, too, and what runs is asked to end."""
    former = Running(log, "former")
    seat = Seat("s", former)
    follow(seat, Next(log, Running(log, "second")))
    seat.close()
    follow(seat, Next(log, Running(log, "third")))
    assert former.asked.is_set()
    former.let_go.set()
    assert seat.wait_for_end(5)
    assert seat.wait(5)
    assert sorted(log)[-2:] == ["second discarded", "third discarded"]
    assert seat.runner is former


class Slow(Next):
    """Begins when it is let."""

    def __init__(self, log: list[str], runner: Running, failures: int = 0) -> None:
        super().__init__(log, runner, failures)
        self.begins, self.let_begin = threading.Event(), threading.Event()

    def begin(self, former: Running | None) -> Running | None:
        """Wait first."""
        self.begins.set()
        assert self.let_begin.wait(10)
        return super().begin(former)


def test_what_hangs_as_it_begins_holds_up_no_end(log: list[str]) -> None:
    """It is told not to have ended, and asked to end as soon as it has begun."""
    runner = Running(log, "slow")
    seat: Seat[Running] = Seat("s")
    slow = Slow(log, runner)
    follow(seat, slow)
    assert slow.begins.wait(5)
    closing = threading.Thread(target=seat.close)
    closing.start()
    closing.join(5)
    assert not closing.is_alive()
    assert not seat.wait_for_end(0.01)
    slow.let_begin.set()
    assert runner.asked.wait(5)
    assert not seat.wait_for_end(0.01)
    runner.let_go.set()
    assert seat.wait_for_end(5)


@pytest.mark.parametrize("closed", [False, True])
def test_what_could_not_begin_is_discarded_when_its_turn_is_over(log: list[str], closed: bool) -> None:
    """As another one has come meanwhile, or the end."""
    third = Running(log, "third")
    seat: Seat[Running] = Seat("s")
    slow = Slow(log, Running(log, "second"), failures=1)
    follow(seat, slow)
    assert slow.begins.wait(5)
    if closed:
        seat.close()
    else:
        follow(seat, Next(log, third))
    slow.let_begin.set()
    assert seat.wait(5)
    assert log == (["second discarded"] if closed else ["second discarded", "third begins"])
    assert seat.runner is (None if closed else third)


def test_one_that_comes_while_another_begins_follows_it(log: list[str]) -> None:
    """The one that has just begun is asked to end."""
    second, third = Running(log, "second"), Running(log, "third")
    seat: Seat[Running] = Seat("s")
    slow = Slow(log, second)
    follow(seat, slow)
    assert slow.begins.wait(5)
    follow(seat, Next(log, third))
    slow.let_begin.set()
    assert second.asked.wait(5)
    second.let_go.set()
    assert seat.wait(5)
    assert log == ["second begins", "second ended", "third begins"]
    assert seat.runner is third
