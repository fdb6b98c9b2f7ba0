"""The middleware that a configuration names, and what of it is put around a callback."""

import logging
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from meteragent.errors import ConfigError, MeteragentError, PluginError, PluginUnavailable
from meteragent.figures import KINDS, Figure
from meteragent.middleware.base import InUse
from meteragent.plain import near
from meteragent.plugins.bind import Context
from meteragent.plugins.isolation import Isolation
from meteragent.plugins.iteration import Opened, during
from meteragent.plugins.layers import Layers, Used, read
from meteragent.plugins.provider import Providers
from meteragent.plugins.reason import one_line
from meteragent.plugins.settling import settled
from meteragent.plugins.wrapping import Wrapping

LOG = logging.getLogger(__name__)

CLOSING = 1.0
"""Seconds that middleware which is no longer used may take to close, all together."""


class Stack:
    """All middleware in use, and what is provided; the same for all callbacks of an agent."""

    def __init__(
        self,
        used: Sequence[Used] = (),
        providers: Providers | None = None,
        *,
        named: Iterable[str] = (),
        installed: Iterable[str] = (),
        before: "Stack | None" = None,
    ) -> None:
        """
        :param used: outermost first, each set up
        :param named: those that the configuration names, also when they cannot be used
        :param installed: all that there are, which may be skipped
        :param before: one whose callbacks may go on
        """
        self.used, self.providers = tuple(used), providers
        self._named = {*named, *(each.name for each in used)}
        self._installed = {*installed, *self._named}
        self._told: set[tuple[str, str]] = set()
        """What was logged."""
        self._layers: weakref.WeakSet[Layers] = weakref.WeakSet() if before is None else before._layers

    def offered(self, context: Context) -> list[str]:
        """The names that can be provided to a callback, beside what it is offered."""
        names = [name for each in self._around(context.wrapping) for name in _provides(each)]
        return [*names, *(self.providers.found if self.providers is not None else ())]

    def around(
        self, callback: Callable[..., Any], context: Context, provided: Sequence[str]
    ) -> "Layers | None":
        """The callback with its layers; None when nothing is to be put around it.

        Where a name cannot be provided each call fails with the reason.
        """
        used = [*self._around(context.wrapping)]
        given = {name for each in used for name in _provides(each)}
        opened = [name for name in provided if name not in given]
        if not used and not opened:
            return None
        around = self._providing(opened, context) if opened else None
        context = msgspec.structs.replace(context, callback=context.callback or callback)
        layers = Layers(used, context, callback, during(callback, around) if around else callback)
        self._layers.add(layers)
        return layers

    def _providing(self, names: Sequence[str], context: Context) -> Opened | None:
        if self.providers is None:
            return None
        try:
            return self.providers.around(names, context)
        except (ConfigError, PluginError) as error:
            reason = f"{', '.join(names)} cannot be provided: {error}"
        if (context.label, reason) not in self._told:
            LOG.warning("%s: %s", context.label, reason)
            self._told.add((context.label, reason))

        def fail(_: Mapping[str, Any]) -> Any:
            raise PluginError(reason)

        return fail

    def check(self, wrapping: Wrapping) -> None:
        """See that what a source says of middleware can be done.

        :raises ConfigError: naming file, line, value and what is allowed
        """
        for name in wrapping.skip:
            if name not in self._installed:
                raise _unknown(wrapping, ("skip", name), "is not installed; installed", self._installed)
        named = {each.name: each for each in self.used}
        for name in wrapping.options:
            if name not in self._named:
                told = "is not in use; in use, as [plugins] middleware says,"
                raise _unknown(wrapping, ("middleware", name), told, self._named)
        for name, written in wrapping.options.items():
            if name in named:
                read(named[name], written, wrapping)

    def made_of(self, wrapping: Wrapping, provided: Iterable[str] = ()) -> tuple[Any, ...]:
        """What decides on the layers around callbacks, to be compared."""
        found = self.providers.found if self.providers is not None else {}
        used = tuple((each.name, id(each.object), dict(each.values)) for each in self._around(wrapping))
        return used, wrapping.told, [found[name] for name in sorted({*provided} & found.keys())]

    def reset(self, label: str | None = None) -> None:
        """Have middleware applied anew at the next call: to the callbacks of one plugin, or to all."""
        for each in tuple(self._layers):
            if label is None or each.context.label == label:
                each.reset()

    def figures(self) -> list[Figure]:
        """What its middleware tells about itself."""
        told: list[Figure] = []
        for each in self.used:
            figures = getattr(each.object, "figures", None)
            if callable(figures):
                try:
                    told += [one for one in figures() if KINDS.get(one.kind.name) == one.kind]
                except Exception as error:  # boundary: middleware is foreign code
                    LOG.warning("%s tells no figures: %s", each.label, one_line(error))
        return told

    def close(self, after: "Stack | None" = None) -> None:
        """Close its middleware, but for what another stack goes on with; that one fails to is logged."""
        left = {id(each.object) for each in after.used} if after is not None else set()
        ending = [each for each in reversed(self.used) if id(each.object) not in left]
        if ending:
            _close(ending)

    def _around(self, wrapping: Wrapping) -> Iterator[Used]:
        return (each for each in self.used if not wrapping.skips(each.name))


NOTHING = Stack()
"""What holds where no middleware is named and nothing is provided."""


def use(
    made: Sequence[Used],
    agent: Callable[[list[Any]], InUse],
    kept: Iterable[Used] = (),
) -> tuple[list[Used], dict[str, str]]:
    """Set up each that is not in use yet; those that can be used, and by name why others cannot."""
    used: list[Used] = []
    refused: dict[str, str] = {}
    running = {id(each.object) for each in kept}
    for each in made:
        setup = getattr(each.object, "setup", None)
        try:
            if callable(setup) and id(each.object) not in running:
                settled(setup(agent([one.object for one in used])))
        except Exception as error:  # boundary: middleware is foreign code
            refused[each.name] = str(error) if isinstance(error, MeteragentError) else one_line(error)
        else:
            used.append(each)
    return used, refused


def _close(ending: Sequence[Used]) -> None:
    """Close them, one after the other, in a thread, so that one that hangs holds up nobody."""
    isolation, left = Isolation("closing middleware"), [*ending]

    def run() -> None:
        while left:
            used = left[0]
            end = getattr(used.object, "close", None)
            try:
                if callable(end):
                    settled(end())
            except Exception as error:  # boundary: middleware is foreign code
                LOG.warning("%s failed to close: %s", used.label, one_line(error))
            del left[0]

    try:
        isolation.call(run, CLOSING)
    except (TimeoutError, PluginUnavailable) as error:
        LOG.warning("%s failed to close: %s", left[0].label if left else "middleware", error)
    isolation.close()


def _provides(used: Used) -> Sequence[str]:
    found = getattr(used.object, "provides", ())
    return [found] if isinstance(found, str) else found


def _unknown(wrapping: Wrapping, path: tuple[str, str], told: str, known: Iterable[str]) -> ConfigError:
    there = ", ".join(sorted(known)) or "none"
    message = f"{wrapping.label}: {path[0]}: middleware {path[1]!r} {told} are {there}"
    return wrapping.place.error(message, *path, suggestion=near(path[1], {*known}))
