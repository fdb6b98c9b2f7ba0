"""Keeps something open from a call to the end of what it yields, whatever it gives; middleware and
providers need it alike.
"""

import inspect
import sys
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    aclosing,
    nullcontext,
)
from functools import wraps
from typing import Any

Opened = Callable[[Mapping[str, Any]], AbstractContextManager[Any]]
"""Given the keywords of a call, what is to be open during it; a mapping is given to the call, too."""


def during(callback: Callable[..., Any], opened: Opened) -> Callable[..., Any]:
    """The callback with a context manager open from each call to the end of its whole iteration.

    It is closed as well when the iteration failed or was given up. What the callback is makes no
    difference: a function, a generator, ``async def``, an asynchronous generator. A context manager
    that is asynchronous as well is used so by the latter two.
    """
    function = inspect.unwrap(callback)
    if inspect.isasyncgenfunction(function):

        @wraps(callback)
        async def yielding(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            async with AsyncExitStack() as stack:
                further = await _enter(stack, opened(kwargs))
                async with ending(callback(*args, **kwargs, **further)) as result:
                    async for each in result:
                        yield each

        return yielding
    if inspect.iscoroutinefunction(function):

        @wraps(callback)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            async with AsyncExitStack() as stack:
                further = await _enter(stack, opened(kwargs))
                result = await callback(*args, **kwargs, **further)
                if hasattr(type(result), "__aiter__"):
                    return _asynchronously(result, stack.pop_all())
                return list(result) if lazy(result) else result

        return awaited

    @wraps(callback)
    def called(*args: Any, **kwargs: Any) -> Any:
        manager = opened(kwargs)
        further = manager.__enter__()
        try:
            result = callback(*args, **kwargs, **_given(further))
        except BaseException:
            if manager.__exit__(*sys.exc_info()):
                return ()
            raise
        return _held(result, manager)

    return called


async def _enter(stack: AsyncExitStack, manager: Any) -> Mapping[str, Any]:
    if hasattr(type(manager), "__aenter__"):
        return _given(await stack.enter_async_context(manager))
    return _given(stack.enter_context(manager))


def _given(further: Any) -> Mapping[str, Any]:
    return further if isinstance(further, Mapping) else {}


def lazy(result: Any) -> bool:
    """Whether there is more to come of it."""
    return isinstance(result, Iterable) and not isinstance(result, Collection)


def ending(result: Any) -> AbstractAsyncContextManager[Any]:
    """What is yielded asynchronously, with its own clean-up done at the end, however early that comes.

    Without it an iteration that is given up is ended by the event loop, later and from within.
    """
    return aclosing(result) if hasattr(result, "aclose") else nullcontext(result)


def _held(result: Any, manager: AbstractContextManager[Any]) -> Any:
    """A result whose end closes a context manager that is open; one that is whole closes it at once."""
    if inspect.isawaitable(result):
        return _awaited(result, manager)
    if hasattr(type(result), "__aiter__"):
        return _asynchronously(result, _Entered(manager))
    if lazy(result):
        generator = _iterated(result, manager)
        next(generator)  # begun, so that its end closes it even if nobody goes through it
        return generator
    manager.__exit__(None, None, None)
    return result


def _iterated(result: Iterable[Any], manager: AbstractContextManager[Any]) -> Iterator[Any]:
    with _Entered(manager):
        yield
        yield from result


async def _asynchronously(result: Any, manager: Any) -> AsyncIterator[Any]:
    async with manager, ending(result):
        async for each in result:
            yield each


async def _awaited(result: Any, manager: AbstractContextManager[Any]) -> Any:
    try:
        found = await result
    except BaseException:
        if manager.__exit__(*sys.exc_info()):
            return ()
        raise
    return _held(found, manager)


class _Entered:
    """A context manager that was entered before, in whatever way it is entered now."""

    def __init__(self, manager: AbstractContextManager[Any]) -> None:
        self._manager = manager

    def __enter__(self) -> None:
        """Nothing is left to do."""

    def __exit__(self, *fault: Any) -> bool | None:
        return self._manager.__exit__(*fault)

    async def __aenter__(self) -> None:
        """Nothing is left to do."""

    async def __aexit__(self, *fault: Any) -> bool | None:
        return self._manager.__exit__(*fault)
