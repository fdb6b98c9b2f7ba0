"""Names that plugins provide to the callbacks of others, opened and closed around each call."""

import contextlib
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from meteragent.errors import MeteragentError, PluginError
from meteragent.plugins import option
from meteragent.plugins.bind import Bound, Context, bind
from meteragent.plugins.catalog import Found
from meteragent.plugins.reason import one_line

_T = TypeVar("_T", bound=Callable[..., Any])

OFFERS = ("conf", "context", "host", "log", "options", "state_dir")
"""What a provider may name as arguments, beside other provided names."""


def provides(name: str, options: Sequence[option.Option] = ()) -> Callable[[_T], _T]:
    """Mark what provides a name: a generator function that yields it once, or what makes context managers.

    Its entry point, in the group ``meteragent.provide``, has the same name. Both may be asynchronous.
    """

    def mark(factory: _T) -> _T:
        factory.provides = name  # type: ignore[attr-defined]
        factory.options = tuple(options)  # type: ignore[attr-defined]
        return factory

    return mark


def check(factory: Any) -> None:
    """See that something provides a name.

    :raises PluginError: with what is wanted
    """
    name = getattr(factory, "provides", None)
    if not callable(factory) or not isinstance(name, str) or not name.isidentifier():
        raise PluginError(
            "wanted a function or class marked by @provides with the name of an argument; "
            f"found {factory!r:.80}"
        )


class Provided(msgspec.Struct, frozen=True):
    """What provides a name, ready to be opened."""

    name: str
    label: str
    make: Bound
    values: Mapping[str, Any]
    """What it is given at each opening, beside the context and other provided names."""


class Providers:
    """What is installed to provide names; imported when the first callback names one."""

    def __init__(
        self, found: Iterable[Found], values: Mapping[str, Any], load: Callable[[Found], Any]
    ) -> None:
        """
        :param values: conf, host and state_dir
        :param load: gives what an entry point leads to
        :raises PluginError: when one cannot be loaded
        """
        self.found = {_name(each): each for each in found}
        self._values, self._load = values, load
        self._made: dict[str, Provided] = {}

    def around(self, names: Sequence[str], context: Context) -> "Callable[[Mapping[str, Any]], Opening]":
        """What opens these names for a call, and those that they need first.

        :raises PluginError: when one cannot be used, or needs itself
        """
        chain: dict[str, Provided] = {}
        for name in names:
            self._add(name, chain, ())
        return lambda _: Opening([*chain.values()], names, context)

    def _add(self, name: str, chain: dict[str, Provided], before: tuple[str, ...]) -> None:
        if name in before:
            raise PluginError(f"provided names need each other in a circle: {' → '.join((*before, name))}")
        if name not in self._made:
            self._made[name] = self._provided(name)
        for needed in sorted(self._made[name].make.names & self.found.keys() - {*OFFERS}):
            self._add(needed, chain, (*before, name))
        chain.setdefault(name, self._made[name])

    def _provided(self, name: str) -> Provided:
        found = self.found[name]
        factory = self._load(found)
        if factory.provides != name:
            raise PluginError(f"{found.label}: wanted @provides({name!r}); found {factory.provides!r:.60}")
        values = {
            **{each: self._values.get(each) for each in ("conf", "host", "state_dir")},
            "log": logging.getLogger(f"meteragent.provider.{name}"),
            "options": option.values(self._values.get("conf"), found, getattr(factory, "options", None)),
        }
        if inspect.isgeneratorfunction(factory):
            factory = contextlib.contextmanager(factory)
        elif inspect.isasyncgenfunction(factory):
            factory = contextlib.asynccontextmanager(factory)
        return Provided(name, found.label, bind(factory, {*OFFERS, *self.found}), values)


def _name(found: Found) -> str:
    """What it provides: the name of an entry point says so, of a file its source."""
    return (found.told.provides if found.file else "") or found.name


class Opening:
    """Names that are provided to one call; entered once, gives them as a mapping."""

    def __init__(self, chain: Sequence[Provided], names: Sequence[str], context: Context) -> None:
        self._chain, self._names, self._context = chain, names, context
        self._stack = contextlib.ExitStack()
        self._waiting = contextlib.AsyncExitStack()

    def __enter__(self) -> Mapping[str, Any]:
        given: dict[str, Any] = {}
        with self._stack:
            for each in self._chain:
                with _named(each, "opened"):
                    made = self._made(each, given)
                    given[each.name] = (
                        self._stack.enter_context(_Waited(made))
                        if _waits(made)
                        else self._stack.enter_context(_closed(made))
                    )
            self._stack = self._stack.pop_all()
        return {name: given[name] for name in self._names}

    def __exit__(self, *fault: Any) -> None:
        self._stack.__exit__(*fault)

    async def __aenter__(self) -> Mapping[str, Any]:
        given: dict[str, Any] = {}
        async with self._waiting:
            for each in self._chain:
                with _named(each, "opened"):
                    made = self._made(each, given)
                    given[each.name] = (
                        await self._waiting.enter_async_context(_awaited(made))
                        if _waits(made)
                        else self._waiting.enter_context(_closed(made))
                    )
            self._waiting = self._waiting.pop_all()
        return {name: given[name] for name in self._names}

    async def __aexit__(self, *fault: Any) -> None:
        await self._waiting.__aexit__(*fault)

    def _made(self, each: Provided, given: Mapping[str, Any]) -> Any:
        return each.make({**each.values, "context": self._context, **given})


@contextlib.contextmanager
def _named(provided: Provided, what: str) -> Any:
    """Tell whose fault it is that something cannot be opened."""
    try:
        yield
    except Exception as error:  # boundary: providers are plugins
        reason = str(error) if isinstance(error, MeteragentError) else one_line(error)
        raise PluginError(f"{provided.label} cannot be {what}: {reason}") from error


def _waits(made: Any) -> bool:
    return inspect.isawaitable(made) or (
        hasattr(type(made), "__aenter__") and not hasattr(type(made), "__enter__")
    )


def _closed(made: Any) -> Any:
    """A context manager of whatever was made."""
    if hasattr(type(made), "__enter__"):
        return made
    return contextlib.closing(made) if hasattr(made, "close") else contextlib.nullcontext(made)


@contextlib.asynccontextmanager
async def _awaited(made: Any) -> Any:
    if inspect.isawaitable(made):
        made = await made
    if hasattr(type(made), "__aenter__"):
        async with made as value:
            yield value
    else:
        with _closed(made) as value:
            yield value


class _Waited:
    """What is opened asynchronously, for a callback that is not: in an event loop of its own."""

    def __init__(self, made: Any) -> None:
        self._manager = _awaited(made)

    def __enter__(self) -> Any:
        import asyncio  # big, and few providers need it

        self._runner = asyncio.Runner()
        try:
            return self._runner.run(_coroutine(self._manager.__aenter__()))
        except BaseException:
            self._runner.close()
            raise

    def __exit__(self, *fault: Any) -> None:
        with self._runner:
            self._runner.run(_coroutine(self._manager.__aexit__(*fault)))


async def _coroutine(awaitable: Any) -> Any:
    return await awaitable
