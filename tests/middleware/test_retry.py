"""What fails before it gave anything is called again, within its time."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from meteragent.errors import PluginUnavailable, PollsterPermanentError
from meteragent.middleware.retry import Retry
from tests.middleware.wrapping import Failing, wrapped


def whole(failing: Failing) -> Callable[[], Any]:
    """A function that returns a list."""
    return failing.__call__


def yields(failing: Failing) -> Callable[[], Any]:
    """A generator, which fails when it is gone through."""

    def get_samples() -> Iterator[int]:
        yield from failing()

    return get_samples


def awaited(failing: Failing) -> Callable[[], Any]:
    """``async def``."""

    async def get_samples() -> list[int]:
        await asyncio.sleep(0)
        return failing()

    return get_samples


def asynchronous(failing: Failing) -> Callable[[], Any]:
    """An asynchronous generator."""

    async def get_samples() -> AsyncIterator[int]:
        for each in failing():
            yield each

    return get_samples


KINDS = [whole, yields, awaited, asynchronous]


def result(given: Any) -> list[Any]:
    """All of it."""

    async def gathered() -> list[Any]:
        found = await given if isinstance(given, Awaitable) else given
        return [each async for each in found] if hasattr(found, "__aiter__") else list(found)

    return asyncio.run(gathered())


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_called_again_until_it_gives_something(kind: Callable[[Failing], Any]) -> None:
    """Whatever kind of callback it is, nothing is doubled."""
    failing = Failing(2)
    assert result(wrapped(Retry(), kind(failing), delay=0.0)({})) == [3]
    assert failing.calls == 3


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_attempt_fails_as_the_plugin_does(kind: Callable[[Failing], Any]) -> None:
    """After so many, the error comes out as it is."""
    failing = Failing(9)
    with pytest.raises(OSError, match=r"^away$"):
        result(wrapped(Retry(), kind(failing), attempts=2, delay=0.0)({}))
    assert failing.calls == 2


@pytest.mark.parametrize("error", [PluginUnavailable("none here"), PollsterPermanentError(["r"])])
def test_what_will_not_change_is_not_asked_again(error: Exception) -> None:
    """A pollster that has given up, or has nothing to do here."""
    failing = Failing(1, error)
    with pytest.raises(type(error)):
        wrapped(Retry(), whole(failing), delay=0.0)({})
    assert failing.calls == 1


def test_what_was_yielded_is_not_yielded_again() -> None:
    """A failure behind the first sample is final: the poll is partial, and no sample is doubled."""
    calls = []

    def get_samples() -> Iterator[int]:
        calls.append(1)
        yield 1
        raise OSError("away")

    given = wrapped(Retry(), get_samples, delay=0.0)({})
    assert next(given) == 1
    with pytest.raises(OSError, match=r"^away$"):
        next(given)
    assert calls == [1]


def test_an_asynchronous_one_is_not_begun_again_either() -> None:
    """The same of what yields in a loop."""
    calls = []

    async def get_samples() -> AsyncIterator[int]:
        calls.append(1)
        yield 1
        raise OSError("away")

    with pytest.raises(OSError, match=r"^away$"):
        result(wrapped(Retry(), get_samples, delay=0.0)({}))
    assert calls == [1]


def test_one_that_yields_nothing_has_succeeded() -> None:
    """There may be nothing to tell."""
    assert list(wrapped(Retry(), lambda: iter(()), delay=0.0)({})) == []


def test_it_waits_between_two_attempts() -> None:
    """So many seconds."""
    began = time.monotonic()
    wrapped(Retry(), whole(Failing(2)), delay=0.05)({})
    assert 0.1 <= time.monotonic() - began < 5


def test_there_is_no_attempt_beyond_the_time_of_the_call() -> None:
    """One that would begin too late is not waited for."""
    failing = Failing(2)
    with pytest.raises(OSError, match=r"^away$"):
        wrapped(Retry(), whole(failing), timeout=1.0, delay=2.0)({})
    assert failing.calls == 1


def test_one_attempt_leaves_the_callback_alone() -> None:
    """As for what it is not meant for: a publisher is tried again by its sink."""
    failing = Failing(0)
    for call in (wrapped(Retry(), failing, attempts=1), wrapped(Retry(), failing, "publisher:file")):
        call({})
        assert call._callback is failing


def begins_late(state: dict[str, Any]) -> list[int]:
    """What is new since the last time; fails the first time, when it has noted that it was there."""
    begin = state.get("offset", 0)
    state["offset"], state["list"] = 3, state.get("list", [])
    state["list"].append(1)
    if "failed" not in FAILED:
        FAILED.append("failed")
        raise OSError("away")
    return [*range(begin, 3)]


def by_position(state: dict[str, Any], /) -> list[int]:
    """The same."""
    return begins_late(state)


def yields_late(state: dict[str, Any]) -> Iterator[int]:
    """The same, one after the other."""
    yield from begins_late(state)


async def awaits_late(state: dict[str, Any]) -> list[int]:
    """The same, later."""
    await asyncio.sleep(0)
    return begins_late(state)


async def asynchronous_late(state: dict[str, Any]) -> AsyncIterator[int]:
    """The same, one after the other, later."""
    for each in begins_late(state):
        yield each


FAILED: list[str] = []


@pytest.mark.parametrize(
    "get_samples", [begins_late, by_position, yields_late, awaits_late, asynchronous_late]
)
def test_each_attempt_begins_with_the_state_of_the_first(get_samples: Callable[..., Any]) -> None:
    """What a failed one changed, in whatever depth, is forgotten, and nothing is lost."""
    FAILED.clear()
    state = {"list": [0]}
    assert result(wrapped(Retry(), get_samples, delay=0.0)({"state": state})) == [0, 1, 2]
    assert FAILED == ["failed"]
    assert state == {"list": [0, 1], "offset": 3}
