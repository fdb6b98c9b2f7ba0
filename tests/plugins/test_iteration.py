"""Something is open from a call to the end of what it yields, whatever kind of callback it is."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import pytest

from meteragent.middleware.cache import Cache
from meteragent.middleware.circuit_breaker import CircuitBreaker
from meteragent.middleware.retry import Retry
from meteragent.middleware.stopwatch import Stopwatch
from meteragent.plugins.bind import Context
from meteragent.plugins.catalog import POLLSTER
from meteragent.plugins.iteration import during, ending


class Watched:
    """Notes what is opened and closed."""

    def __init__(self) -> None:
        self.told: list[str] = []

    @contextmanager
    def opened(self, told: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Gives a further argument."""
        self.told.append(f"open for {told['at']}")
        try:
            yield {"db": "a handle"}
        except BaseException as error:
            self.told.append(type(error).__name__)
            raise
        finally:
            self.told.append("closed")


def plain(at: int, db: str) -> list[Any]:
    """Whole at once."""
    return [at, db]


def generator(at: int, db: str) -> Iterator[Any]:
    """One after the other."""
    yield at
    yield db


async def coroutine(at: int, db: str) -> list[Any]:
    """Whole, later."""
    await asyncio.sleep(0)
    return [at, db]


async def asynchronous(at: int, db: str) -> AsyncIterator[Any]:
    """One after the other, later."""
    yield at
    await asyncio.sleep(0)
    yield db


async def later(at: int, db: str) -> AsyncIterator[Any]:
    """What yields, later."""
    await asyncio.sleep(0)
    return asynchronous(at, db)


def hidden(at: int, db: str) -> Awaitable[list[Any]]:
    """A function that does not show that it is asynchronous."""
    return coroutine(at, db)


async def gathered(result: Any) -> list[Any]:
    """All of it."""
    if isinstance(result, Awaitable):
        result = await result
    return [each async for each in result] if hasattr(result, "__aiter__") else list(result)


@pytest.mark.parametrize("callback", [plain, generator, coroutine, asynchronous, later, hidden])
def test_it_is_open_during_the_whole_iteration(callback: Callable[..., Any]) -> None:
    """Opened before, closed behind the last; the further argument is passed."""
    watched = Watched()
    found = asyncio.run(gathered(during(callback, watched.opened)(at=7)))
    assert found == [7, "a handle"]
    assert watched.told == ["open for 7", "closed"]


def test_it_is_closed_when_the_callback_fails() -> None:
    """The exception passes through it."""
    watched = Watched()

    def fails(at: int, db: str) -> None:
        raise ValueError(at, db)

    with pytest.raises(ValueError, match="7"):
        during(fails, watched.opened)(at=7)
    assert watched.told == ["open for 7", "ValueError", "closed"]


def test_it_is_closed_when_the_iteration_fails() -> None:
    """Behind what was yielded before."""
    watched = Watched()

    def fails(at: int, db: str) -> Iterator[Any]:
        yield at
        raise ValueError(db)

    result = during(fails, watched.opened)(at=7)
    assert next(result) == 7
    assert watched.told == ["open for 7"]
    with pytest.raises(ValueError, match="a handle"):
        next(result)
    assert watched.told == ["open for 7", "ValueError", "closed"]


@pytest.mark.parametrize("taken", [0, 1])
def test_it_is_closed_when_the_iteration_is_given_up(taken: int) -> None:
    """After some, and even when nobody took anything."""
    watched = Watched()
    result = during(generator, watched.opened)(at=7)
    for _ in range(taken):
        next(result)
    result.close()
    assert watched.told == ["open for 7", "GeneratorExit", "closed"]


def test_it_is_closed_when_an_asynchronous_one_fails() -> None:
    """Within its loop."""
    watched = Watched()

    async def fails(at: int, db: str) -> AsyncIterator[Any]:
        yield at
        raise ValueError(db)

    with pytest.raises(ValueError, match="a handle"):
        asyncio.run(gathered(during(fails, watched.opened)(at=7)))
    assert watched.told == ["open for 7", "ValueError", "closed"]


def around(middleware: Any, callback: Callable[..., Any]) -> Callable[..., Any]:
    """The callback with a middleware around it."""
    options = {each.name: each.default for each in middleware.options}
    context = Context(POLLSTER, "p", "pollster:host.p", "s", callback=callback, options=options)
    return cast(Callable[..., Any], middleware.apply(callback, context))


@pytest.mark.parametrize("middleware", [Retry(), Cache(), CircuitBreaker(), Stopwatch(logging.getLogger())])
@pytest.mark.parametrize("hiding", [False, True])
def test_one_that_is_given_up_cleans_up_before_it_is_closed(middleware: Any, hiding: bool) -> None:
    """Its own clean-up, which may wait, still has what was opened, whatever is around it."""
    watched = Watched()

    async def cleans_up(at: int, db: str) -> AsyncIterator[Any]:
        try:
            yield at
            yield db
        finally:
            await asyncio.sleep(0)
            watched.told.append("cleaned up")

    def hides(at: int, db: str) -> AsyncIterator[Any]:
        return cleans_up(at, db)

    async def first(result: AsyncIterator[Any]) -> Any:
        async with ending(result):
            return await anext(result)

    inside = around(middleware, during(hides if hiding else cleans_up, watched.opened))
    assert asyncio.run(first(inside(at=7))) == 7
    assert watched.told == ["open for 7", "cleaned up", "GeneratorExit", "closed"]
