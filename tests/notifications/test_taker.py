"""Tests that messages are taken in by a thread of their own, one handful at a time."""

import threading
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meteragent.errors import Unavailable
from meteragent.message import Message
from meteragent.notifications.taker import Handful, Taker
from tests.servers import eventually


def handful(sizes: Sequence[int]) -> Handful:
    """Messages of these sizes, whose tags are numbers from 1 on."""
    found = Handful("channel", 0.0)
    for number, size in enumerate(sizes, 1):
        found.add(Message(b"x" * size), number)
    return found


@given(st.lists(st.integers(0, 50), max_size=30), st.integers(1, 12), st.integers(0, 100))
def test_a_part_is_within_its_bounds_and_as_large_as_they_allow(
    sizes: list[int], most: int, largest: int
) -> None:
    """In messages and in bytes; but it has one message at least, however large."""
    whole = handful(sizes)
    number = whole.part(most, largest)
    part, rest = whole.only(number), whole.without(number)
    assert part.tags + rest.tags == whole.tags
    assert part.followed_by(rest).size == whole.size
    assert len(part.messages) <= most
    assert part.size <= largest or len(part.messages) == 1
    if rest.messages:
        assert len(part.messages) == most or part.size + len(rest.messages[0].body) > largest


class Hand:
    """Takes when it may, and raises what it is told to."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.error: Exception | None = None
        self.open, self.begun = threading.Event(), threading.Event()

    def take(self, messages: Sequence[Message]) -> None:
        """Wait, then take or raise."""
        self.begun.set()
        assert self.open.wait(10)
        self.taken.append(len(messages))
        if self.error is not None:
            raise self.error


@pytest.fixture
def hand() -> Hand:
    """One that is open."""
    hand = Hand()
    hand.open.set()
    return hand


@pytest.fixture
def taker(hand: Hand) -> Iterator[Taker]:
    """One that has started, and ends."""
    taker = Taker(hand.take, "test")
    taker.start()
    yield taker
    hand.open.set()
    taker.stop()
    assert taker.wait_for_end(5)


def test_the_outcome_says_how_many_are_kept(taker: Taker, hand: Hand) -> None:
    """All, the first of them, or none, with the reason."""
    partly = Unavailable("full")
    partly.taken = 2  # type: ignore[attr-defined]
    too_many = Unavailable("full")
    too_many.taken = 7  # type: ignore[attr-defined]
    for error, taken, reason in (
        (None, 3, ""),
        (partly, 2, "full"),
        (too_many, 3, "full"),
        (Unavailable(""), 0, "not now"),
        (KeyError("x"), 0, "KeyError: 'x'"),
    ):
        hand.error = error
        given_ = handful([1, 1, 1])
        taker.give(given_)
        taker.wait(5)
        outcome = taker.ended()
        assert outcome is not None
        assert (outcome.handful, outcome.taken, outcome.reason) == (given_, taken, reason)
        assert taker.ended() is None
        assert not taker.busy


def test_what_is_given_is_held_until_its_outcome_is_known(taker: Taker, hand: Hand) -> None:
    """It counts, and asking does not wait."""
    hand.open.clear()
    taker.give(handful([1, 1]))
    assert taker.ended() is None
    assert (taker.busy, taker.holds) == (True, 2)
    hand.open.set()
    assert eventually(taker.ended).taken == 2
    assert (taker.busy, taker.holds) == (False, 0)


def test_stopping_ends_what_is_being_taken_and_takes_no_more(taker: Taker, hand: Hand) -> None:
    """It has not ended before."""
    hand.open.clear()
    taker.give(handful([1]))
    assert hand.begun.wait(5)
    taker.stop()
    assert not taker.wait_for_end(0.2)
    hand.open.set()
    assert taker.wait_for_end(5)
    taker.give(handful([1, 1]))
    taker.wait(0.1)
    assert hand.taken == [1]


def test_what_is_given_after_the_end_comes_back(hand: Hand) -> None:
    """Nobody waits for it without end, whether there is a thread or not."""
    for started in (False, True):
        taker = Taker(hand.take, "test")
        if started:
            taker.start()
        else:
            taker.give(handful([1]))
        taker.stop()
        if started:
            taker.give(handful([1]))
        taker.wait(5)
        outcome = taker.ended()
        assert outcome is not None
        assert (outcome.taken, outcome.reason, taker.busy) == (0, "the agent ends", False)
        assert taker.wait_for_end(5)
    assert hand.taken == []


def test_a_fault_that_stays_the_same_is_told_once(
    taker: Taker, hand: Hand, caplog: pytest.LogCaptureFixture
) -> None:
    """With its traceback; again only after something was taken."""
    for error in (KeyError("x"), KeyError("x"), None, KeyError("x")):
        hand.error = error
        taker.give(handful([1]))
        eventually(taker.ended)
    assert len(caplog.records) == 2
    assert all(each.exc_info for each in caplog.records)
