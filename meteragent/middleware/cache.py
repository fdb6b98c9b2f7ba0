"""Gives the result of a call again for a while, as where asking is dear and answers change slowly."""

import inspect
import pickle
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from functools import wraps
from typing import Any, NamedTuple

import msgspec

from meteragent.middleware.base import Middleware, meant
from meteragent.plugins.bind import Context
from meteragent.plugins.catalog import DISCOVERY, POLLSTER
from meteragent.plugins.iteration import ending, lazy
from meteragent.plugins.option import Option

ASKED = ("resources", "param")
"""Arguments that tell one question from another."""
PASSING = ("at", "state")
"""Arguments whose callbacks are left alone: what they give is of its tick, or of what went before."""
_Copies = list[bytes]
"""Things that were given, each as it was then."""


class _Key(NamedTuple):
    """A question."""

    label: str
    source: str
    asked: bytes
    """As JSON."""


class Cache(Middleware):
    """What a plugin gave for the same resources; a result that failed or is too large is not kept.

    Samples that are given again bear the tick of their poll like any others. A pollster that names ``at``
    or ``state`` is left alone, as is whatever is neither a pollster nor a discovery. Nothing is kept for
    resources that JSON cannot say, nor where something given cannot be copied.
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
        self._kept: dict[_Key, tuple[float, _Copies]] = {}

    def apply(self, callback: Callable[..., Any], context: Context) -> Callable[..., Any]:
        """The callback where nothing is kept of it."""
        if not meant(context) or context.kind not in (POLLSTER, DISCOVERY) or _passing(context):
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
            copies = _begun(key)
            async with ending(callback(*args, **kwargs)) as result:
                async for each in result:
                    copies = _grown(copies, each, context)
                    yield each
            self._keep(key, copies, context)

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

    def _iterated(self, result: Iterable[Any], key: _Key | None, context: Context) -> Iterator[Any]:
        copies = _begun(key)
        for each in result:
            copies = _grown(copies, each, context)
            yield each
        self._keep(key, copies, context)

    def _whole(self, result: Any, key: _Key | None, context: Context) -> Any:
        """A result that is there at once, kept where it is a list."""
        if isinstance(result, list | tuple):
            copies = _begun(key)
            for each in result:
                copies = _grown(copies, each, context)
            self._keep(key, copies, context)
        return result

    def _found(self, key: _Key | None) -> list[Any] | None:
        if key is None:
            return None
        with self._lock:
            until, copies = self._kept.get(key, (0.0, []))
        if time.monotonic() >= until:
            return None
        try:
            return [pickle.loads(each) for each in copies]
        except Exception:  # boundary: what a plugin gave may fail to be made again
            return None

    def _keep(self, key: _Key | None, copies: _Copies | None, context: Context) -> None:
        now = time.monotonic()
        with self._lock:
            self._kept = {each: told for each, told in self._kept.items() if told[0] > now}
            if key is not None and copies is not None:
                self._kept[key] = now + context.options["seconds"], copies


def _begun(key: _Key | None) -> _Copies | None:
    """Where copies are collected; None when nothing is to be kept."""
    return None if key is None else []


def _grown(copies: _Copies | None, each: Any, context: Context) -> _Copies | None:
    """With a copy of one more; None when they are too many, or there can be none of it."""
    if copies is None or len(copies) >= context.options["largest"]:
        return None
    try:
        copies.append(pickle.dumps(each, pickle.HIGHEST_PROTOCOL))
    except Exception:  # boundary: what a plugin gives may be anything
        return None
    return copies


def _key(context: Context, told: Mapping[str, Any]) -> _Key | None:
    """What a call asks for; None when JSON cannot say it, as of objects that have nothing but an address."""
    asked = [told.get(name) for name in ASKED]
    try:
        json = msgspec.json.encode(asked, order="deterministic")
        if msgspec.json.decode(json) != asked:
            return None
    except Exception:  # boundary: a resource may be anything
        return None
    return _Key(context.label, context.source, json)


def _passing(context: Context) -> bool:
    """Whether what it gives is not to be given again."""
    named = {*context.names, *inspect.signature(context.callback).parameters}
    return not named.isdisjoint(PASSING)
