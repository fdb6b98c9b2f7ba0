"""Calls in threads that may be abandoned."""

import logging
import subprocess
import sys
import threading
import time
from queue import SimpleQueue

import pytest

from meteragent.errors import PluginUnavailable
from meteragent.plugins.isolation import Abandoned, Isolation, Running
from tests import threads


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


def test_a_call_without_a_thread_is_refused() -> None:
    """Where the system has no more, it is said; the next call is made as soon as there is one."""
    isolation = Isolation("test")
    with threads.exhausted(), pytest.raises(PluginUnavailable, match=r"^no thread for it: can't start new"):
        isolation.call(lambda: 1, 5)

    assert isolation.call(lambda: 1, 5).result == 1
    with threads.exhausted():
        assert isolation.call(lambda: 2, 5).result == 2, "a thread that is kept needs no new one"
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


def test_a_call_under_way_at_the_close_ends_its_thread_itself() -> None:
    """Nobody would close it again, and it would wait for ever for the next call."""
    isolation = Isolation("closed meanwhile")
    isolation.call(isolation.close, 5)

    end = time.monotonic() + 5
    while any(thread.name == "closed meanwhile" for thread in threading.enumerate()):
        assert time.monotonic() < end
        time.sleep(0.005)


def test_throws_nothing_into_a_call_that_logs() -> None:
    """A thread in a delicate place holds locks of others; it is let out of there first."""
    inside, release = threading.Event(), threading.Event()

    class Waits(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            del record
            inside.set()
            while not release.is_set():
                time.sleep(0.001)

    handler, done = Waits(), SimpleQueue[Running]()
    record = logging.makeLogRecord({"msg": "x"})
    isolation = Isolation("test")
    running = isolation.start(lambda: handler.handle(record), done.put)
    assert inside.wait(5)

    running.interrupt()
    time.sleep(0.02)
    release.set()

    assert done.get(timeout=5).error is None
    isolation.settle(running)
    isolation.close()


def test_asks_again_whether_an_abandoned_call_may_end() -> None:
    """One that took no notice the first time is interrupted at each further call."""
    caught = threading.Event()

    def loop() -> None:
        try:
            while True:
                time.sleep(0.001)
        except Abandoned:
            caught.set()
        while True:
            time.sleep(0.001)

    isolation = Isolation("test")
    with pytest.raises(TimeoutError):
        isolation.call(loop, 0.02)
    assert caught.wait(5)
    assert isolation.abandoned()

    isolation.ready()

    assert gone(isolation)
    isolation.close()


def test_what_has_ended_is_not_interrupted() -> None:
    """A call that ends in the moment when it is given up leaves its thread to the next, unharmed."""
    isolation, done = Isolation("test"), SimpleQueue[Running]()
    running = isolation.start(threading.get_ident, done.put)
    done.get(timeout=5)

    isolation.abandon(running)
    running.interrupt()

    assert isolation.call(threading.get_ident, 5).result == running.result
    isolation.close()


def test_a_thread_that_goes_on_is_not_given_another_call() -> None:
    """Who sees the end of a call waits until its thread has found out whether another one follows."""
    isolation, told, gate = Isolation("test"), SimpleQueue[Running](), SimpleQueue[None]()

    def finished(running: Running) -> Running:
        told.put(running)
        time.sleep(0.02)
        return isolation.follow(gate.get, lambda _: None, running)

    isolation.start(lambda: None, finished)
    isolation.settle(told.get(timeout=5))

    assert isolation.call(lambda: 7, 5).result == 7
    gate.put(None)
    isolation.close()


def test_a_traceback_names_the_plugin(caplog: pytest.LogCaptureFixture) -> None:
    """Also when its call runs in a thread that another plugin began."""
    caplog.set_level(logging.DEBUG)
    done = SimpleQueue[Running]()
    first, second = Isolation("first"), Isolation("second")

    def follow(running: Running) -> Running:
        return second.follow(lambda: 1 // 0, lambda last: done.put(last), running)

    first.start(lambda: None, follow)
    done.get(timeout=5)

    assert [record.getMessage() for record in caplog.records] == ["second raised"]


GARBAGE_WHILE_LOOKING = """
import faulthandler, gc, os, sys, threading, time
from meteragent.plugins.isolation import Isolation

class Garbage:
    def __init__(self):
        self.itself = self

    def __del__(self):
        time.sleep(0.0002)
        Garbage()

def begin_and_end_threads():
    while True:
        threading.Thread(target=int).start()

def interrupt():
    running = Isolation("x").start(lambda: time.sleep(60), print)
    for number in range(1000):
        gc.set_threshold(1 + number % 4)
        running.interrupt()
        gc.set_threshold(1000)

faulthandler.dump_traceback_later(20, exit=True)
sys.setswitchinterval(0.0005)
threading.Thread(target=begin_and_end_threads, daemon=True).start()
Garbage()
interrupt()
assert gc.isenabled()
os._exit(0)
"""


def test_a_finalizer_that_runs_meanwhile_stops_nothing() -> None:
    """Garbage that is collected while a thread's place is looked up cannot block all threads for ever."""
    ended = subprocess.run(
        [sys.executable, "-c", GARBAGE_WHILE_LOOKING], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
