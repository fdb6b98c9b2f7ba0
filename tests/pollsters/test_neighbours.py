"""Bad neighbours: whatever one pollster does, the others poll as ever."""

import gc
import socket
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from meteragent.pollsters.limits import Limits
from meteragent.sample import Sample
from meteragent.testing.fakes import CallPollster, ListDiscovery, ListPollster, sample
from tests.pollsters.polling import Polling

QUICK = Limits(timeout=0.15, max_abandoned=2)


def spin(_: list[Any]) -> Iterator[Sample]:
    """A loop of Python code, after one sample."""
    yield sample(name="first")
    while True:
        pass


class Stubborn:
    """A loop that takes no notice of what is thrown into it, until it is released."""

    def __init__(self) -> None:
        self.release = threading.Event()

    def get_samples(self) -> Iterator[Sample]:
        """Loop, then yield what nobody waits for any more."""
        while not self.release.is_set():
            try:
                while not self.release.is_set():
                    time.sleep(0.001)
            except BaseException:
                continue
        yield sample(name="late")
        yield sample(name="later")


def test_a_loop_is_ended_and_its_samples_kept() -> None:
    """A pure-Python loop times out, keeps what it yielded, ends, and is polled again at the next tick."""
    polling = Polling({"spin": CallPollster(spin), "good": ListPollster(sample())}, limits=QUICK)

    for _ in range(3):
        polling.poll()
        assert polling.row("good").outcome == "complete"
        row = polling.row("spin")
        assert (row.outcome, row.samples, row.reason[:12]) == ("timed out", 1, "not finished")
        assert polling.settled()


def test_a_sleep_and_a_read_hold_up_nobody() -> None:
    """Calls that block in the kernel time out beside others that are complete."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        polling = Polling(
            {
                "sleeps": CallPollster(lambda _: [threading.Event().wait(0.6)]),
                "reads": CallPollster(lambda _: [ours.recv(1)]),
                "good": ListPollster(sample()),
            },
            limits=QUICK,
        )
        began = time.monotonic()
        polling.poll()

        assert time.monotonic() - began < 0.5
        assert {row.pollster: row.outcome for row in polling.rows} == {
            "sleeps": "timed out", "reads": "timed out", "good": "complete",
        }  # fmt: skip
        theirs.send(b"x")
        assert polling.settled()


def test_one_that_cannot_be_ended_is_disabled_and_shown() -> None:
    """With too many abandoned calls it is not called, until one ends; late samples are told of."""
    stubborn = Stubborn()
    polling = Polling({"stubborn": stubborn, "good": ListPollster(sample())}, limits=QUICK)

    for _ in range(2):
        polling.poll()
    polling.poll()
    row = polling.row("stubborn")
    assert (row.outcome, row.reason) == ("failed", "disabled as long as 2 abandoned calls are still running")
    assert polling.row("good").outcome == "complete"

    stubborn.release.set()
    assert polling.settled()
    polling.poll()
    row = polling.row("stubborn")
    assert (row.outcome, row.samples, row.reason) == ("complete", 2, "4 late samples let go")
    polling.poll()
    assert polling.row("stubborn").reason == ""


def test_abandoned_calls_are_not_kept() -> None:
    """A call that ended after it was abandoned takes no memory any more once the next tick has begun."""
    kept: list[weakref.ref[Any]] = []

    class Slow:
        def get_samples(self, cache: dict[Any, Any]) -> list[Sample]:
            cache["large"] = threading.Event()  # lives as long as its tick
            kept.append(weakref.ref(cache["large"]))
            time.sleep(0.1 if len(kept) < 4 else 0)
            return []

    polling = Polling({"slow": Slow()}, limits=Limits(timeout=0.05))
    for _ in range(4):
        polling.poll()
        assert polling.settled()
    assert polling.row("slow").outcome == "complete"
    gc.collect()

    assert [each() for each in kept[:3]] == [None] * 3


@pytest.mark.parametrize(
    "error",
    [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), BaseException("x"), MemoryError(), ValueError("x")],
)  # fmt: skip
def test_what_one_raises_stays_with_it(error: BaseException) -> None:
    """Also exceptions that end programs: what came before is kept, the row has the reason."""
    polling = Polling(
        {
            "early": ListPollster(error),
            "late": ListPollster(sample(name="kept"), error),
            "good": ListPollster(sample()),
        }
    )

    polling.poll()

    assert sorted(each.name for each in polling.samples) == ["kept", "m"]
    rows = {row.pollster: row for row in polling.rows}
    assert {name: row.outcome for name, row in rows.items()} == {
        "early": "failed", "late": "partial", "good": "complete",
    }  # fmt: skip
    assert rows["early"].reason.startswith(type(error).__name__)
    assert "\n" not in rows["late"].reason


def test_one_that_calls_exit_leaves_us_running() -> None:
    """``sys.exit`` in a pollster ends its call and no more."""
    polling = Polling({"leaves": CallPollster(lambda _: sys.exit("bye")), "good": ListPollster(sample())})

    for _ in range(2):
        polling.poll()

    assert polling.row("leaves").reason == "SystemExit: bye"
    assert len(polling.samples) == 1


def test_a_deep_recursion_stays_with_its_pollster() -> None:
    """One that recurses too deep has failed, and the next tick is as ever."""

    def deep(resources: list[Any]) -> Any:
        return deep(resources)

    polling = Polling({"deep": CallPollster(deep), "good": ListPollster(sample())})
    polling.poll()

    assert polling.row("deep").reason.startswith("RecursionError: ")
    assert polling.row("good").outcome == "complete"


def test_a_hanging_discovery_fails_those_who_need_it() -> None:
    """A pollster whose resources cannot be found in time has failed; the others are complete."""

    class Hangs(ListDiscovery):
        def discover(self, param: str | None = None) -> Iterator[Any]:
            time.sleep(0.5)
            return super().discover(param)

    polling = Polling(
        {"needs": ListPollster(sample(), discovery="hangs"), "good": ListPollster(sample())},
        discoveries={"hangs": Hangs()},
        limits=QUICK,
    )
    polling.poll()

    assert polling.row("needs").outcome == "failed"
    assert polling.row("needs").reason.startswith("NotFound: discovery 'hangs': no answer within 0.1")
    assert polling.row("good").outcome == "complete"


def test_an_agent_does_not_wait_for_them_at_its_end() -> None:
    """All threads of pollsters are daemons."""
    stubborn = Stubborn()
    polling = Polling({"stubborn": stubborn}, name="daemons", limits=QUICK)
    polling.poll()

    threads = [thread for thread in threading.enumerate() if thread.name.startswith("daemons/")]
    assert threads
    assert all(thread.daemon for thread in threads)
    stubborn.release.set()
    assert polling.settled()
