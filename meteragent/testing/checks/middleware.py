"""What the agent needs of a middleware."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec

from meteragent.errors import PluginError
from meteragent.plugins import option
from meteragent.plugins.bind import Context
from meteragent.plugins.catalog import POLLSTER
from meteragent.plugins.layers import Used
from meteragent.plugins.settling import settled
from meteragent.testing.fakes import agent
from meteragent.testing.subject import Subject
from meteragent.testing.verdict import Breach, Check, Undecided, check


class _OfTest(Exception):
    """What a callback raises."""


def use(subject: Subject) -> None:
    """Set it up, wrap a callback, call it."""
    plugin = subject.make()
    _set_up(subject, plugin)
    _result(_applied(subject, plugin, _plain)(resources=[1]))
    _close(plugin)


@check("sets up", "raise PluginError in setup when it cannot be used")
def sets_up(subject: Subject) -> None:
    """Where there is no other."""
    plugin = subject.plugin()
    try:
        _set_up(subject, plugin)
    except PluginError as error:
        raise Undecided(f"it cannot be used here: {error}") from None
    finally:
        _close(plugin)


@check("lets through", "return what the callback gives, and let what it raises come out")
def lets_through(subject: Subject) -> None:
    """What a callback gives comes out, whatever it is: a list, a generator, something awaitable."""
    plugin = subject.plugin()
    _set_up(subject, plugin)
    for callback, wanted in _CALLBACKS.items():
        wrapped = _applied(subject, plugin, callback)
        place = subject.place(getattr(plugin, "apply", plugin))
        if not callable(wrapped):
            raise Breach(
                f"apply gave {wrapped!r:.60}", place=place,
                mend="return what to call in the place of the callback; the callback itself changes nothing",
            )  # fmt: skip
        found = _result(wrapped(resources=[1, 2]))
        if found != wanted:
            raise Breach(
                f"{_NAMES[callback]} gave {wanted!r} and came out as {found!r:.80}", place=place,
                mend="use meteragent.plugins.iteration.during: it knows them all",
            )  # fmt: skip
    _close(plugin)


@check("lets errors through", "let what the callback raises come out, or another error made from it")
def errors(subject: Subject) -> None:
    """What a callback raises is not lost."""
    plugin = subject.plugin()
    _set_up(subject, plugin)
    for callback in (_failing, _failing_later):
        try:
            _result(_applied(subject, plugin, callback)(resources=[1]))
        except Exception:  # boundary: it may be another that is made from it
            continue
        raise Breach(
            "what the callback raised is lost", place=subject.place(getattr(plugin, "apply", plugin)),
            mend="raise it again: the agent would take the poll for complete",
        )  # fmt: skip
    _close(plugin)


@check("closes", "let close be safe twice and without use")
def closes(subject: Subject) -> None:
    """Twice, and without having been used."""
    plugin = subject.plugin()
    for which in ("close without use", "close for the second time"):
        try:
            _close(plugin)
        except Exception as error:  # boundary: middleware is foreign code
            raise subject.told(error, which, "let go of what is there, and of nothing twice") from None


CHECKS: tuple[Check, ...] = (sets_up, lets_through, errors, closes)


def _plain(resources: list[Any]) -> list[Any]:
    return list(resources)


def _generator(resources: list[Any]) -> Iterator[Any]:
    yield from resources


async def _awaited(resources: list[Any]) -> list[Any]:
    await asyncio.sleep(0)
    return list(resources)


async def _asynchronous(resources: list[Any]) -> AsyncIterator[Any]:
    for each in resources:
        yield each


def _failing(resources: list[Any]) -> list[Any]:
    raise _OfTest(resources)


def _failing_later(resources: list[Any]) -> Iterator[Any]:
    raise _OfTest(resources)
    yield


_CALLBACKS: dict[Callable[..., Any], list[Any]] = {
    _plain: [1, 2], _generator: [1, 2], _awaited: [1, 2], _asynchronous: [1, 2],
}  # fmt: skip
_NAMES = {
    _plain: "a function", _generator: "a generator", _awaited: "async def",
    _asynchronous: "an asynchronous generator",
}  # fmt: skip


def _result(found: Any) -> list[Any]:
    return list(settled(found))


def _set_up(subject: Subject, plugin: Any) -> None:
    setup = getattr(plugin, "setup", None)
    if callable(setup):
        settled(setup(agent(conf=subject.conf)))


def _applied(subject: Subject, plugin: Any, callback: Callable[..., Any]) -> Any:
    one, context = subject.one, subject.context(plugin)
    declared = option.check(one.label, getattr(plugin, "options", None) or ())
    used = Used(one.name, one.label, plugin, declared, option.values(subject.conf, one, declared))
    told = Context(
        POLLSTER, "checked", "pollster:host.checked", "checked", callback=callback, options=used.values
    )
    return used.applied(callback, msgspec.structs.replace(told, given=context.given))


def _close(plugin: Any) -> None:
    close = getattr(plugin, "close", None)
    if callable(close):
        settled(close())
