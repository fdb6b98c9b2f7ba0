"""Calls a plugin again that failed before it gave anything, within the time it has."""

import copy
import inspect
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import wraps
from typing import Any

from meteragent.errors import PluginUnavailable, Rejected
from meteragent.middleware.base import Middleware, meant
from meteragent.plugins.bind import Context
from meteragent.plugins.iteration import ending, lazy
from meteragent.plugins.option import Option

NOTHING = object()
FINAL = (PluginUnavailable, Rejected)
"""What a plugin raises that would raise it again."""


class Retry(Middleware):
    """So many attempts, a delay between them; nothing is called again once it has yielded something.

    Each attempt begins with the state that the first began with.
    """

    name = "retry"
    options = (
        Option("attempts", 3, minimum=1, maximum=100, help="How often a plugin is called at most."),
        Option("delay", 1.0, minimum=0.0, maximum=3600.0, unit="s", help="Seconds before the next attempt."),
        Option(
            "plugins",
            ["pollster:*", "discovery:*"],
            help="Patterns of the plugins that it is put around, as pollster:host.*, separated by commas.",
        ),
    )

    def apply(self, callback: Callable[..., Any], context: Context) -> Callable[..., Any]:
        """The callback, called again where it fails early."""
        if not meant(context) or context.options["attempts"] == 1:
            return callback
        function = inspect.unwrap(callback)
        if inspect.isasyncgenfunction(function):
            return _yielding(callback, context)
        return (_awaited if inspect.iscoroutinefunction(function) else _called)(callback, context)


class _Attempts:
    """The attempts of one call."""

    def __init__(self, context: Context, told: Mapping[str, Any]) -> None:
        """
        :param told: the arguments of the call
        """
        state = told.get("state")
        self._state: dict[str, Any] = state if isinstance(state, dict) else {}
        self._before = copy.deepcopy(self._state)
        self._left, self._delay = context.options["attempts"], context.options["delay"]
        self._until = time.monotonic() + context.timeout

    def wait(self, error: Exception) -> float:
        """Seconds to wait for the next, for which the state is as it was before.

        :raises Exception: the error itself, when there is to be none
        """
        self._left -= 1
        permanent = any(kind.__name__ == "PollsterPermanentError" for kind in type(error).__mro__)
        late = time.monotonic() + self._delay >= self._until
        if permanent or late or self._left < 1 or isinstance(error, FINAL):
            raise error
        self._state.clear()
        self._state.update(copy.deepcopy(self._before))
        return float(self._delay)


def _called(callback: Callable[..., Any], context: Context) -> Callable[..., Any]:
    @wraps(callback)
    def retried(*args: Any, **kwargs: Any) -> Any:
        attempts = _Attempts(context, kwargs)
        while True:
            try:
                result = callback(*args, **kwargs)
                if not lazy(result):
                    return result
                rest = iter(result)
                first = next(rest, NOTHING)
            except Exception as error:  # boundary: whatever a plugin raises may be over the next time
                time.sleep(attempts.wait(error))
            else:
                return () if first is NOTHING else _whole(first, rest)

    return retried


def _whole(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _awaited(callback: Callable[..., Any], context: Context) -> Callable[..., Any]:
    @wraps(callback)
    async def retried(*args: Any, **kwargs: Any) -> Any:
        import asyncio  # whoever calls this has it already

        attempts = _Attempts(context, kwargs)
        while True:
            try:
                return await callback(*args, **kwargs)
            except Exception as error:  # boundary: whatever a plugin raises may be over the next time
                delay = attempts.wait(error)
            await asyncio.sleep(delay)

    return retried


def _yielding(callback: Callable[..., Any], context: Context) -> Callable[..., Any]:
    @wraps(callback)
    async def retried(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        import asyncio  # whoever calls this has it already

        attempts, begun = _Attempts(context, kwargs), False
        while True:
            try:
                async with ending(callback(*args, **kwargs)) as result:
                    async for each in result:
                        begun = True
                        yield each
                return
            except Exception as error:  # boundary: whatever a plugin raises may be over the next time
                if begun:
                    raise
                delay = attempts.wait(error)
            await asyncio.sleep(delay)

    return retried
