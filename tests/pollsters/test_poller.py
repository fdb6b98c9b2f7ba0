"""Polls: what reaches the journal, in which batches, with which rows."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from meteragent.batch import Batch, Begun, Poll, Provenance, Refused
from meteragent.clock import SECOND
from meteragent.errors import PluginError
from meteragent.pollsters.limits import Limits
from meteragent.pollsters.poller import Poller, matching
from meteragent.pollsters.round import PATIENCE
from meteragent.sample import Sample
from meteragent.testing.fakes import NOON, CallPollster, FakeClock, ListDiscovery, ListPollster, sample
from tests import threads
from tests.pollsters.polling import Polling, source


def test_a_quick_tick_is_one_batch() -> None:
    """Samples, provenance and poll rows of all pollsters go to the journal in one call."""
    polling = Polling(
        {"one": ListPollster(sample(name="a"), sample(name="b")), "two": ListPollster(sample(name="c"))},
        clock=FakeClock(),
    )

    polling.poll(NOON)

    (batch,) = polling.batches
    assert {each.name for each in batch.samples} == {"a", "b", "c"}
    assert all((each.timestamp, each.source) == (NOON, "test") for each in batch.samples)
    assert sorted(batch.provenance, key=str) == [Provenance("s", "one", 2), Provenance("s", "two", 1)]
    assert batch.begun == []
    assert polling.row("one") == Poll("s", NOON, "one", NOON, NOON, 0, 2, "complete")
    assert polling.collected.read == 3


@pytest.mark.parametrize(("count", "outcome"), [(5, "complete"), (6, "partial")])
@pytest.mark.parametrize("volume", [1, None])
def test_as_many_samples_as_allowed_are_not_too_many(count: int, outcome: str, volume: int | None) -> None:
    """Only the sample beyond the limit ends a poll, be it good or bad; those not selected do not."""
    pollster = ListPollster(*[sample(volume=volume)] * count, *[sample(name="other")] * 3)
    polling = Polling({"p": pollster}, "meters: [m]", limits=Limits(max_samples=5))

    polling.poll()

    assert polling.row("p").outcome == outcome
    assert polling.collected.read == 5
    assert ("the limit of 5 samples is reached" in polling.row("p").reason) == (outcome == "partial")


def test_a_pollster_that_yields_for_ever_fills_no_memory() -> None:
    """While the journal is slow a pollster is a few blocks ahead at most, and the limit ends it."""
    yielded = 0
    furthest = 0
    taken = 0

    def endless(_: list[Any]) -> Iterator[Sample]:
        nonlocal yielded
        while True:
            yielded += 1
            yield sample(volume=yielded)

    def journal(batch: Batch, refused: list[Refused], read: int) -> Batch:
        nonlocal furthest, taken
        time.sleep(0.005)
        furthest = max(furthest, yielded - taken)
        taken += len(batch.samples)
        return polling.collected(batch, refused, read)

    limits = Limits(batch_size=1000, max_samples=50_000)
    polling = Polling({"endless": CallPollster(endless)}, limits=limits, journal=journal)

    polling.poll()

    row = polling.row("endless")
    assert (row.outcome, row.samples, row.reason) == (
        "partial",
        50_000,
        "the limit of 50000 samples is reached",
    )
    assert len(polling.samples) == yielded - 1 == 50_000
    assert furthest < 10_000


def test_a_pollster_yields_the_next_batch_while_one_is_written() -> None:
    """Else it would stand still whenever the journal waits for the disk."""
    yielded = 0
    seen: list[int] = []

    def many(_: list[Any]) -> Iterator[Sample]:
        nonlocal yielded
        for number in range(18_000):
            yielded += 1
            yield sample(volume=number)

    def journal(batch: Batch, refused: list[Refused], read: int) -> Batch:
        until = time.monotonic() + 5
        while yielded < min(6000 * (len(seen) + 2), 18_000) and time.monotonic() < until:
            time.sleep(0.001)
        seen.append(yielded)
        return polling.collected(batch, refused, read)

    polling = Polling({"many": CallPollster(many)}, limits=Limits(batch_size=6000), journal=journal)

    polling.poll()

    assert [taken >= least for taken, least in zip(seen, (12_000, 18_000, 18_000), strict=True)] == [True] * 3


def test_a_pollster_is_not_far_ahead_with_large_metadata() -> None:
    """What waits for the journal is bounded by its bytes, too, whatever a batch may hold."""
    yielded = taken = furthest = 0

    def heavy(_: list[Any]) -> Iterator[Sample]:
        nonlocal yielded
        for number in range(60):
            yielded += 1
            yield sample(volume=number, resource_metadata={"text": "x" * (1 << 19), "number": number})

    def journal(batch: Batch, refused: list[Refused], read: int) -> Batch:
        nonlocal furthest, taken
        time.sleep(0.02)
        furthest = max(furthest, yielded - taken)
        taken += len(batch.samples)
        return polling.collected(batch, refused, read)

    limits = Limits(batch_size=1_000_000, batch_bytes=4 << 20)
    polling = Polling({"heavy": CallPollster(heavy)}, limits=limits, journal=journal)

    polling.poll()

    assert (polling.row("heavy").outcome, taken) == ("complete", 60)
    assert furthest <= 8 + 2 * 6, "those of a batch, and of the blocks that it may be ahead"


def test_what_a_slow_pollster_yields_is_journaled_meanwhile() -> None:
    """Half a second after it came, a sample is journaled although its pollster goes on."""
    seen: list[tuple[int, list[Begun]]] = []
    go_on = threading.Event()

    def slow(_: list[Any]) -> Iterator[Sample]:
        yield sample(name="early")
        go_on.wait(5)
        yield sample(name="late")

    def journal(batch: Batch, refused: list[Refused], read: int) -> Batch:
        seen.append((len(batch.samples), batch.begun))
        go_on.set()
        return polling.collected(batch, refused, read)

    polling = Polling({"slow": CallPollster(slow), "quick": ListPollster(sample())}, journal=journal)
    polling.poll(NOON)

    assert [count for count, _ in seen] == [2, 1]
    assert [each.pollster for each in seen[0][1]] == ["slow"]
    assert [row.pollster for row in polling.rows] == ["quick", "slow"]


def test_samples_of_other_meters_are_dropped() -> None:
    """A sample whose meter the source does not select is not counted, good or bad."""
    pollster = ListPollster(
        sample(name="cpu.a"), sample(name="mem"),
        sample(name="cpu.b", volume=None), sample(name="mem", volume=None),
        meters=("cpu.a", "mem"),
    )  # fmt: skip
    polling = Polling({"p": pollster}, "meters: ['cpu.*']")

    polling.poll()

    assert [each.name for each in polling.samples] == ["cpu.a"]
    assert [(each.reason, each.samples) for each in polling.refused] == [("volume: None is no number", 1)]
    assert polling.row("p").reason == "1 samples refused"


def test_a_pollster_without_meters_is_selected_whole() -> None:
    """Its entry-point name is matched, and whatever it yields is kept."""
    pollsters = {"cpu": ListPollster(sample(name="anything"), meters=()), "disk": ListPollster(meters=())}
    polling = Polling(pollsters, "meters: ['cpu']")

    polling.poll()

    assert [each.name for each in polling.samples] == ["anything"]
    assert polling.poller.pollsters == ["cpu"]


def test_pollsters_are_matched_by_the_meters_they_declare() -> None:
    """A pattern selects each pollster that declares a meter which fits."""
    pollsters = {"x": ListPollster(meters=("a.b", "c")), "a.b": ListPollster(meters=("d",))}

    assert list(matching(source("meters: ['a.*']"), pollsters)) == ["x"]
    assert list(matching(source("meters: ['!c']"), pollsters)) == ["x", "a.b"]


def test_arguments_that_nobody_offers_are_refused_at_once() -> None:
    """A pollster that needs what there is not is no pollster."""

    class Needy:
        def get_samples(self, hosst: str) -> None:
            del hosst

    with pytest.raises(PluginError, match="hosst"):
        Polling({"needy": Needy()})


def test_a_poll_is_timed_from_its_tick() -> None:
    """A poll that begins late has less time, so that it is over before the next tick."""
    polling = Polling(
        {"p": CallPollster(lambda _: iter(lambda: time.sleep(5), 1))}, limits=Limits(timeout=0.5)
    )

    began = time.monotonic()
    polling.poll(polling.clock.wall() - 200_000)

    assert 0.25 < time.monotonic() - began < 0.45
    assert polling.row("p").outcome == "timed out"


@pytest.mark.parametrize("late", [0.3, 20.0])
def test_a_poll_that_begins_late_has_half_its_time_at_least(late: float) -> None:
    """However late it is, as after an overrun, it has neither more time than that nor none."""
    polling = Polling(
        {"p": CallPollster(lambda _: iter(lambda: time.sleep(5), 1))}, limits=Limits(timeout=0.4)
    )

    polling.poll(polling.clock.wall() - round(late * SECOND))

    assert polling.row("p").reason == "not finished after 0.2 s"


def test_no_poll_may_take_longer_than_a_day() -> None:
    """A huge interval does not lead to a time that no lock can wait for."""
    pollster = ListPollster(sample(), discovery="d")
    polling = Polling({"p": pollster}, discoveries={"d": ListDiscovery("r")}, interval=10**12)

    polling.poll()

    assert Limits().seconds(10**12) == Limits(timeout=1e12).seconds(1) == 86400
    assert polling.row("p").outcome == "complete"


def test_news_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """A failure is logged when it begins, when it changes and when it is over."""
    pollster = ListPollster(ValueError("x"))
    polling = Polling({"p": pollster})
    caplog.set_level("INFO")

    polling.poll()
    polling.poll()
    pollster.yielded = ()
    polling.poll()
    polling.poll()

    assert [record.getMessage() for record in caplog.records] == [
        "polling source s: pollster p: failed after 0 samples: ValueError: x",
        "polling source s: pollster p is complete again",
    ]


def test_close_lets_the_threads_end() -> None:
    """After close no thread of the poller is left."""
    polling = Polling({"p": ListPollster(sample())}, name="to-be-closed")
    polling.poll()
    polling.poller.close()

    end = time.monotonic() + 5
    while any(thread.name.startswith("to-be-closed/") for thread in threading.enumerate()):
        assert time.monotonic() < end
        time.sleep(0.005)


def test_nothing_to_poll_is_no_batch() -> None:
    """A source that selects no pollster journals nothing."""
    polling = Polling({}, "meters: ['x']")
    polling.poll()
    assert polling.batches == []
    assert isinstance(polling.poller, Poller)


def test_without_a_thread_every_poll_fails_and_the_next_tick_is_polled() -> None:
    """It is no end of the source, and quick."""
    polling = Polling({name: ListPollster(sample()) for name in "abc"})
    began = time.monotonic()
    with threads.exhausted():
        polling.poll()

    assert [(row.outcome, row.reason) for row in polling.rows] == [
        ("failed", "no thread for it: can't start new thread")
    ] * 3
    assert time.monotonic() - began < 2
    polling.poll()
    assert [row.outcome for row in polling.rows] == ["complete"] * 3
    assert polling.settled()


def test_without_a_second_thread_pollsters_wait_for_the_first() -> None:
    """One that is slow holds up the others, which are polled all the same."""

    def slow(_: list[Any]) -> Iterator[Sample]:
        with threads.exhausted():
            time.sleep(5 * PATIENCE)
        yield sample()

    polling = Polling({"slow": CallPollster(slow), "b": ListPollster(sample()), "c": ListPollster(sample())})
    polling.poll()
    assert {row.pollster: row.outcome for row in polling.rows} == dict.fromkeys(
        ("slow", "b", "c"), "complete"
    )
    assert polling.settled()
