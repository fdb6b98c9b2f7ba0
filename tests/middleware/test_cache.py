"""The result of a call is given again for a while."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from meteragent.middleware.cache import Cache
from meteragent.sample import Sample
from meteragent.testing.fakes import sample
from tests.middleware.wrapping import Failing, wrapped


class Counting:
    """A callback that yields what it is asked for, with the number of the call."""

    def __init__(self) -> None:
        self.calls = 0

    def get_samples(self, resources: list[str]) -> Iterator[Any]:
        """One of each."""
        self.calls += 1
        for each in resources:
            yield each, self.calls


def test_the_same_question_has_the_same_answer_for_a_while() -> None:
    """Then it is asked anew."""
    counting = Counting()
    call = wrapped(Cache(), counting.get_samples, seconds=0.05)
    answers = [list(call({"resources": ["a", "b"]})) for _ in range(2)]
    time.sleep(0.06)
    answers.append(list(call({"resources": ["a", "b"]})))
    assert answers == [[("a", 1), ("b", 1)], [("a", 1), ("b", 1)], [("a", 2), ("b", 2)]]


def test_other_resources_are_another_question() -> None:
    """So is another source."""
    cache, counting = Cache(), Counting()
    call = wrapped(cache, counting.get_samples)
    other = wrapped(cache, counting.get_samples, source="t")
    told = [
        list(each({"resources": which})) for each, which in ((call, ["a"]), (call, ["b"]), (other, ["a"]))
    ]
    assert told == [[("a", 1)], [("b", 2)], [("a", 3)]]


def test_a_list_is_kept_too() -> None:
    """And who is given it may change it."""
    failing = Failing(0)
    call = wrapped(Cache(), failing)
    call({}).append("changed")
    call({}).append("changed")
    assert call({}) == [1]


def test_an_asynchronous_answer_is_kept() -> None:
    """Of ``async def`` and of an asynchronous generator."""
    failing = Failing(0)

    async def whole() -> list[int]:
        return failing()

    async def yields() -> AsyncIterator[int]:
        for each in failing():
            yield each

    async def gathered() -> list[Any]:
        one, two = wrapped(Cache(), whole), wrapped(Cache(), yields)
        return [
            await one({}), await one({}),
            [each async for each in two({})], [each async for each in two({})],
        ]  # fmt: skip

    assert asyncio.run(gathered()) == [[1], [1], [2], [2]]


def test_what_failed_or_was_given_up_is_not_kept() -> None:
    """A part of an answer is none."""
    counting = Counting()
    call = wrapped(Cache(), counting.get_samples)
    first = call({"resources": ["a", "b"]})
    next(first)
    first.close()
    assert list(call({"resources": ["a", "b"]})) == [("a", 2), ("b", 2)]
    failing = wrapped(Cache(), Failing(1))
    with pytest.raises(OSError, match=r"^away$"):
        failing({})
    assert failing({}) == [2]


def test_what_is_too_large_is_not_kept() -> None:
    """It is passed on all the same."""
    counting = Counting()
    call = wrapped(Cache(), counting.get_samples, largest=1)
    answers = [list(call({"resources": ["a", "b"]})) for _ in range(2)]
    assert answers == [[("a", 1), ("b", 1)], [("a", 2), ("b", 2)]]


def test_one_that_keeps_a_state_is_left_alone() -> None:
    """Its state would not be that of what is given again."""

    def get_samples(state: dict[str, int]) -> list[int]:
        return [*state.values()]

    call = wrapped(Cache(), get_samples)
    call({"state": {}})
    assert call._callback is get_samples


def test_one_that_names_the_instant_is_left_alone() -> None:
    """What it says of it would not be of that of its poll."""

    def get_samples(at: int) -> list[int]:
        return [at]

    call = wrapped(Cache(), get_samples)
    assert [call({"at": 1}), call({"at": 2})] == [[1], [2]]
    assert call._callback is get_samples


def test_one_that_takes_everything_is_left_alone() -> None:
    """It is given the instant as well."""

    def get_samples(**told: Any) -> list[Any]:
        return [told["at"]]

    call = wrapped(Cache(), get_samples)
    assert [call({"resources": [], "state": {}, "at": each}) for each in (1, 2)] == [[1], [2]]


def test_only_pollsters_and_discoveries_are_asked_again_the_same() -> None:
    """What a publisher is given would not be published."""
    failing = Failing(0)
    call = wrapped(Cache(), failing, "publisher:file", plugins=["*"])
    assert [call({}), call({})] == [[1], [2]]


class Machine:
    """A resource that is nothing but itself."""

    def __init__(self, number: int) -> None:
        self.number = number


def test_resources_that_json_cannot_say_are_asked_for_each_time() -> None:
    """The address of one that is gone may be that of the next."""

    def get_samples(resources: list[Machine]) -> list[int]:
        return [each.number for each in resources]

    call = wrapped(Cache(), get_samples)
    assert [call({"resources": [Machine(each)]}) for each in range(50)] == [[each] for each in range(50)]


def test_resources_given_by_position_tell_questions_apart() -> None:
    """As those given by name."""

    def get_samples(resources: list[str], /) -> list[str]:
        return resources

    call = wrapped(Cache(), get_samples)
    assert [call({"resources": [each]}) for each in "ab"] == [["a"], ["b"]]


def test_what_is_kept_is_a_copy() -> None:
    """Neither who is given it nor the plugin changes it."""
    metadata: dict[str, str] = {}
    calls = []

    def get_samples() -> Iterator[Sample]:
        calls.append(1)
        for each in "ab":
            metadata["name"] = each
            yield sample(resource_metadata=metadata)

    def discover() -> list[dict[str, str]]:
        return [{"id": "a"}]

    polled, found = wrapped(Cache(), get_samples), wrapped(Cache(), discover, "discovery:d")
    list(polled({}))
    for _ in range(2):
        found({})[0]["id"] = "changed"
    assert [each.resource_metadata for each in polled({})] == [{"name": "a"}, {"name": "b"}]
    assert found({}) == [{"id": "a"}]
    assert calls == [1]


def test_what_cannot_be_copied_is_not_kept() -> None:
    """It is given on, and asked for again."""
    made: list[Any] = []

    def discover() -> list[Any]:
        made.append(threading.Lock())
        return [made[-1]]

    call = wrapped(Cache(), discover, "discovery:locks")
    assert [call({}), call({})] == [[made[0]], [made[1]]]
