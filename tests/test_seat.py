"""Tests of a seat: what runs under a name ends before its successor begins."""

import threading

import pytest

from meteragent import seat as seat_module
from meteragent.errors import Unavailable
from meteragent.seat import Seat


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


@pytest.fixture
def log() -> list[str]:
    """What happened."""
    return []


def test_a_successor_waits_for_the_end_of_the_former(log: list[str]) -> None:
    """However long that takes, and only the last of several comes."""
    former, second, third = (Running(log, name) for name in ("former", "second", "third"))
    seat = Seat("s", former)
    seat.replace(Next(log, second))
    assert former.asked.wait(5)
    seat.replace(Next(log, third))
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
    seat.replace(Next(log, runner, failures=3))
    assert seat.wait(5)
    assert seat.runner is runner
    assert [record.getMessage() for record in caplog.records] == [
        "sink s cannot begin and is tried again: not yet"
    ]


def test_a_seat_is_vacant_when_nothing_follows(log: list[str]) -> None:
    """And not before the former has ended."""
    former = Running(log, "former")
    seat = Seat("s", former)
    seat.replace(Next(log, None))
    assert not seat.vacant
    former.let_go.set()
    assert seat.wait(5)
    assert seat.vacant


def test_a_successor_that_hangs_when_it_is_discarded_holds_up_no_end(log: list[str]) -> None:
    """What runs is asked to end all the same."""
    former, hangs, let_go = Running(log, "former"), threading.Event(), threading.Event()

    class Hanging(Next):
        def discard(self) -> None:
            hangs.set()
            let_go.wait(10)

    seat = Seat("s", former)
    seat.replace(Hanging(log, Running(log, "second")))
    replacing = threading.Thread(target=seat.replace, args=(Next(log, Running(log, "third")),))
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
    seat.replace(Next(log, Running(log, "second")))
    seat.close()
    seat.replace(Next(log, Running(log, "third")))
    assert former.asked.is_set()
    former.let_go.set()
    assert seat.wait_for_end(5)
    assert seat.wait(5)
    assert sorted(log)[-2:] == ["second discarded", "third discarded"]
    assert seat.runner is former
