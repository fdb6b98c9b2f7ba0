"""Calls in threads that may be abandoned."""

import threading
import time
from queue import SimpleQueue

import pytest

from meteragent.errors import PluginUnavailable
from meteragent.plugins.isolation import Abandoned, Isolation, Running


def stubborn(release: threading.Event) -> None:
    """Run on, whatever is thrown into it."""
    while not release.is_set():
        try:
            while not release.is_set():
                time.sleep(0.001)
        except Abandoned:
            continue


def gone(isolation: Isolation) -> bool:
    """Whether no abandoned call is left, soon."""
    end = time.monotonic() + 5
    while isolation.abandoned() and time.monotonic() < end:
        time.sleep(0.005)
    return not isolation.abandoned()


def test_returns_what_came_out() -> None:
    """The result of a call, or its error with a line about it, is handed back."""
    isolation = Isolation("test")

    assert isolation.call(lambda: 7, 5).result == 7
    failed = isolation.call(lambda: 1 // 0, 5)
    assert (type(failed.error), failed.reason) == (
        ZeroDivisionError, "ZeroDivisionError: integer division or modulo by zero",
    )  # fmt: skip
    isolation.close()


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, BaseException])
def test_nothing_leaves_the_thread(kind: type[BaseException]) -> None:
    """Also what is meant to end a program only ends the call."""

    def leave() -> None:
        raise kind("bye")

    isolation = Isolation("test")
    assert isolation.call(leave, 5).reason == f"{kind.__name__}: bye"
    isolation.close()


def test_keeps_its_thread() -> None:
    """Calls that end share one thread."""
    isolation = Isolation("test")

    assert len({isolation.call(threading.get_ident, 5).result for _ in range(5)}) == 1
    isolation.close()


def test_does_not_wait_longer_than_it_may() -> None:
    """A call that takes too long is abandoned, and a loop of Python code ended."""

    def loop() -> None:
        while True:
            pass

    isolation = Isolation("test")
    with pytest.raises(TimeoutError, match=r"no answer within 0\.05 s"):
        isolation.call(loop, 0.05)

    assert gone(isolation)
    assert isolation.call(lambda: 1, 5).result == 1
    isolation.close()


def test_starts_no_more_when_too_many_run_on() -> None:
    """A plugin whose calls cannot be ended is disabled until one of them ends."""
    release = threading.Event()
    isolation = Isolation("test", 2)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            isolation.call(lambda: stubborn(release), 0.02)

    with pytest.raises(PluginUnavailable, match="2 abandoned calls"):
        isolation.call(lambda: 1, 5)
    release.set()

    assert gone(isolation)
    assert isolation.call(lambda: 1, 5).result == 1
    isolation.close()


def test_throws_into_abandoned_calls_only() -> None:
    """Throwing into many loops at once hits none of the threads that come after them."""
    isolation = Isolation("test", 100)
    done: SimpleQueue[Running] = SimpleQueue()

    def loop() -> None:
        while True:
            pass

    for _ in range(20):
        running = isolation.start(loop, done.put)
        isolation.abandon(running)
        for _ in range(3):
            running.interrupt()
            assert isolation.call(lambda: 5, 5).result == 5
    assert gone(isolation)
    isolation.close()


def test_close_ends_the_idle_threads() -> None:
    """After close none of the kept threads is left."""
    isolation = Isolation("to be closed")
    isolation.call(lambda: None, 5)
    isolation.close()

    end = time.monotonic() + 5
    while any(thread.name == "to be closed" for thread in threading.enumerate()):
        assert time.monotonic() < end
        time.sleep(0.005)
