"""Gives the result of a call again for a while, as where asking is dear and answers change slowly."""

import inspect
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from functools import wraps
from typing import Any

from meteragent.middleware.base import Middleware, meant
from meteragent.plugins.bind import Context
from meteragent.plugins.iteration import lazy
from meteragent.plugins.option import Option

ASKED = ("resources", "param")
"""Arguments that tell one question from another."""


class Cache(Middleware):
    """What a plugin gave for the same resources; a result that failed or is too large is not kept.

    Samples that are given again bear the tick of their poll like any others. A plugin that keeps a state
    is left alone, as its state would not go along.
    """

    name = "cache"
    options = (
        Option("seconds", 60.0, minimum=0.0, unit="s", help="Seconds that a result is given again."),
        Option("largest", 10_000, minimum=0, help="Things that a result which is kept may have at most."),
        Option(
            "plugins",
            ["pollster:*", "discovery:*"],
            help="Patterns of the plugins that it is put around, as pollster:host.*, separated by commas.",
        ),
    )

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, ...], tuple[float, list[Any]]] = {}

    def apply(self, callback: Callable[..., Any], context: Context) -> Callable[..., Any]:
        """The callback where nothing is kept of it."""
        if not meant(context) or _keeps_state(context.callback):
            return callback
        function = inspect.unwrap(callback)
        if inspect.isasyncgenfunction(function):
            return self._yielding(callback, context)
        if inspect.iscoroutinefunction(function):
            return self._awaited(callback, context)

        @wraps(callback)
        def called(*args: Any, **kwargs: Any) -> Any:
            key = _key(context, kwargs)
            kept = self._found(key)
            if kept is not None:
                return kept
            result = callback(*args, **kwargs)
            return self._iterated(result, key, context) if lazy(result) else self._whole(result, key, context)

        return called

    def _yielding(self, callback: Callable[..., Any], context: Context) -> Callable[..., Any]:
        @wraps(callback)
        async def called(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            key = _key(context, kwargs)
            kept = self._found(key)
            if kept is not None:
                for each in kept:
                    yield each
                return
            found: list[Any] | None = []
            async for each in callback(*args, **kwargs):
                found = self._grown(found, each, context)
                yield each
            self._keep(key, found, context)

        return called

    def _awaited(self, callback: Callable[..., Any], context: Context) -> Callable[..., Any]:
        @wraps(callback)
        async def called(*args: Any, **kwargs: Any) -> Any:
            key = _key(context, kwargs)
            kept = self._found(key)
            if kept is not None:
                return kept
            return self._whole(await callback(*args, **kwargs), key, context)

        return called

    def _iterated(self, result: Iterable[Any], key: tuple[str, ...], context: Context) -> Iterator[Any]:
        found: list[Any] | None = []
        for each in result:
            found = self._grown(found, each, context)
            yield each
        self._keep(key, found, context)

    def _whole(self, result: Any, key: tuple[str, ...], context: Context) -> Any:
        """A result that is there at once, kept where it is a list."""
        if isinstance(result, list | tuple):
            self._keep(key, [*result] if len(result) <= context.options["largest"] else None, context)
        return result

    @staticmethod
    def _grown(found: list[Any] | None, each: Any, context: Context) -> list[Any] | None:
        """What is to be kept; None when it is too large."""
        if found is None or len(found) >= context.options["largest"]:
            return None
        found.append(each)
        return found

    def _found(self, key: tuple[str, ...]) -> list[Any] | None:
        with self._lock:
            until, kept = self._kept.get(key, (0.0, []))
        return [*kept] if time.monotonic() < until else None

    def _keep(self, key: tuple[str, ...], found: list[Any] | None, context: Context) -> None:
        now = time.monotonic()
        with self._lock:
            self._kept = {each: told for each, told in self._kept.items() if told[0] > now}
            if found is not None:
                self._kept[key] = now + context.options["seconds"], found


def _key(context: Context, told: Mapping[str, Any]) -> tuple[str, ...]:
    return context.label, context.source, *(repr(told.get(name)) for name in ASKED)


def _keeps_state(callback: Any) -> bool:
    return "state" in inspect.signature(callback).parameters
