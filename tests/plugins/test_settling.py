"""What a method of a plugin gives, awaitable or not."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any

import pytest

from meteragent.batch import Published
from meteragent.plugins.isolation import Isolation
from meteragent.plugins.settling import settled


def test_what_is_there_is_given_as_it_is() -> None:
    """None, a list, a generator, anything that nobody has to wait for."""
    generator: Iterator[int] = (each for each in [1])
    things = [None, Published(3), [1], generator, object()]
    assert all(settled(each) is each for each in things)


def test_a_coroutine_is_waited_for() -> None:
    """What it comes to counts."""

    async def publish() -> Published:
        await asyncio.sleep(0)
        return Published(3)

    assert settled(publish()) == Published(3)


def test_what_is_yielded_asynchronously_becomes_a_list() -> None:
    """All of it, or so many."""

    async def discover() -> AsyncIterator[int]:
        for each in range(5):
            await asyncio.sleep(0)
            yield each

    async def later() -> Any:
        return discover()

    assert settled(discover()) == [0, 1, 2, 3, 4]
    assert settled(later(), most=2) == [0, 1]


def test_any_awaitable_will_do() -> None:
    """One with ``__await__`` of its own."""

    class Answer(Awaitable[int]):
        def __await__(self) -> Any:
            yield from asyncio.sleep(0).__await__()
            return 7

    assert settled(Answer()) == 7


def test_what_it_raises_comes_out() -> None:
    """As of a plain method."""

    async def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match=r"^no$"):
        settled(fails())


def test_one_that_waits_for_ever_can_be_abandoned() -> None:
    """The exception that is thrown into its thread arrives."""
    ended = threading.Event()

    async def hangs() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    isolation = Isolation("hangs")
    with pytest.raises(TimeoutError):
        isolation.call(lambda: settled(hangs()), 0.1)
    assert ended.wait(5)
    until = time.monotonic() + 5
    while isolation.abandoned() and time.monotonic() < until:
        time.sleep(0.01)
    assert not isolation.abandoned()


def test_one_of_which_no_more_is_wanted_cleans_up() -> None:
    """Before its things are given, where it was begun."""
    told: list[Any] = []

    async def discover() -> AsyncIterator[int]:
        try:
            for each in range(5):
                yield each
        finally:
            await asyncio.sleep(0)
            told.append(asyncio.current_task())

    async def later() -> Any:
        told.append(asyncio.current_task())
        return discover()

    assert settled(later(), most=2) == [0, 1]
    begun, cleaned_up = told
    assert cleaned_up is begun
