"""What a plugin of each kind must have, and its check; apart from loading, which is the same for all."""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from meteragent.discovery.base import Discovery
from meteragent.errors import PluginError
from meteragent.middleware.base import SUPPORTED, Middleware
from meteragent.notifications.base import PRIORITIES, Handler
from meteragent.plugins import breach, provider
from meteragent.plugins.catalog import (
    DISCOVERY,
    MIDDLEWARE,
    NOTIFICATION,
    POLLSTER,
    PROVIDER,
    PUBLISHER,
    STORAGE,
)
from meteragent.pollsters.base import Pollster
from meteragent.publishers.base import Publisher
from meteragent.storage.base import StorageDriver

API = 1
"""Version of all contracts; a plugin that was written for another says so in ``api_version``."""


def _nothing(plugin: Any) -> None:
    del plugin


def _meters(plugin: Any) -> None:
    """What a pollster says of itself.

    :raises PluginError: naming the attribute
    """
    meters = getattr(plugin, "meters", None)
    if meters is not None and (
        not isinstance(meters, list | tuple | set | frozenset)
        or not all(isinstance(meter, str) for meter in meters)
    ):
        raise PluginError(f"wanted meters: a list or tuple of text; found {meters!r:.100}")
    lacking = getattr(plugin, "lacking", None)
    if lacking is not None and (
        not isinstance(lacking, Mapping)
        or not all(isinstance(text, str) for pair in lacking.items() for text in pair)
    ):
        raise PluginError(f"wanted lacking: a dict of text to text; found {lacking!r:.100}")
    discovery = getattr(plugin, "default_discovery", None)
    if discovery is not None and not isinstance(discovery, str):
        raise PluginError(f"wanted default_discovery: text or None; found {discovery!r:.100}")


def _event_types(plugin: Any) -> None:
    """What a handler says of itself.

    :raises PluginError: naming the attribute
    """
    types, priorities = (getattr(plugin, name, None) for name in ("event_types", "priorities"))
    if not isinstance(types, list | tuple) or not all(isinstance(each, str | re.Pattern) for each in types):
        raise PluginError(
            f"wanted event_types: a list or tuple of text and regular expressions; found {types!r:.100}"
        )
    if not isinstance(priorities, list | tuple) or not all(each in PRIORITIES for each in priorities):
        raise PluginError(
            f"wanted priorities: a list or tuple, of {', '.join(PRIORITIES)}; found {priorities!r:.100}"
        )


class Contract(msgspec.Struct, frozen=True):
    """What plugins of a kind are checked against: the base class, or an object with its methods."""

    base: type
    offers: Mapping[str, tuple[str, ...]]
    """The arguments that are injected by name, of each method that is called so."""
    further: Callable[[Any], None] = _nothing

    def check(self, plugin: Any, provided: Iterable[str] = ()) -> None:
        """See whether an object keeps it.

        :param provided: names that other plugins offer beside
        :raises PluginError: with what is wanted and what was found
        """
        version = getattr(plugin, "api_version", API)
        if version != API:
            raise PluginError(f"wanted api_version {API}; found {version!r:.60}")
        missing = self.missing(plugin)
        if missing:
            raise PluginError(
                f"wanted {self.wanted()}; found {breach.described(plugin)} without {', '.join(missing)}"
            )
        for name in self._methods():
            if name in self.offers:
                offers = dict.fromkeys((*self.offers[name], *GIVEN, *provided))
                breach.check_injected(getattr(plugin, name), name, offers)
            else:
                breach.check_called(getattr(plugin, name), getattr(self.base, name))
        self.further(plugin)

    def is_one(self, loaded: Any) -> bool:
        """Whether what an entry point leads to is the plugin itself, and not what makes it."""
        return not isinstance(loaded, type) and not inspect.isroutine(loaded) and not self.missing(loaded)

    def missing(self, plugin: Any) -> list[str]:
        """The methods that it lacks."""
        return [name for name in self._methods() if not callable(getattr(plugin, name, None))]

    def wanted(self) -> str:
        """What keeps it, in words."""
        methods = ", ".join(
            breach.injected(name, self.offers[name]) if name in self.offers
            else breach.called(getattr(self.base, name))
            for name in self._methods()
        )  # fmt: skip
        return f"{self.base.__module__}.{self.base.__qualname__} or an object with {methods}"

    def check_class(self, made_from: Any) -> None:
        """See that a class leaves nothing abstract, so that it can be made.

        :raises PluginError: with what is wanted and what was found
        """
        if isinstance(made_from, type) and inspect.isabstract(made_from):
            left = ", ".join(sorted(getattr(made_from, "__abstractmethods__", ())))
            raise PluginError(
                f"wanted {self.wanted()}; found {breach.described(made_from)}, which leaves {left} abstract"
            )

    def _methods(self) -> list[str]:
        return [name for name, _ in inspect.getmembers(self.base, inspect.isfunction) if name[0] != "_"]


class _OfMiddleware(Contract, frozen=True):
    """A plain decorator is a middleware, too."""

    def check(self, plugin: Any, provided: Iterable[str] = ()) -> None:
        """See whether it is a middleware for this version."""
        del provided
        version = getattr(plugin, "api", 1)
        if version not in SUPPORTED:
            supported = ", ".join(map(str, SUPPORTED))
            raise PluginError(f"was written for api {version!r:.60} of middleware; supported: {supported}")
        if not callable(getattr(plugin, "apply", None)) and not callable(plugin):
            raise PluginError(
                "wanted an object with apply(callback, context), or a decorator; "
                f"found {breach.described(plugin)}"
            )
        self.further(plugin)

    def missing(self, plugin: Any) -> list[str]:
        """All but one of its methods are optional, and a decorator needs none."""
        return [] if callable(getattr(plugin, "apply", None)) or callable(plugin) else ["apply"]

    def is_one(self, loaded: Any) -> bool:
        """A function is a decorator."""
        return not isinstance(loaded, type)


class _OfProvider(Contract, frozen=True):
    """What makes what is provided is the plugin."""

    def check(self, plugin: Any, provided: Iterable[str] = ()) -> None:
        """See whether it provides a name."""
        del provided
        provider.check(plugin)

    def is_one(self, loaded: Any) -> bool:
        """Whatever it is, it is called at each call of a callback."""
        del loaded
        return True


def _provides(plugin: Any) -> None:
    """What a middleware says that it adds to calls.

    :raises PluginError: naming the attribute
    """
    names = getattr(plugin, "provides", ())
    if not isinstance(names, str | list | tuple) or not all(isinstance(name, str) for name in names):
        raise PluginError(f"wanted provides: a list or tuple of names; found {names!r:.100}")


GIVEN = ("conf", "host", "log", "options")
"""Arguments that any of these methods may name; what the others are is told by the call."""
GET_SAMPLES = ("resources", "cache", "at", "conf", "host", "log", "manager", "state")
DISCOVER = ("param", "cache", "conf", "host", "log", "manager")
CONVERT = ("notification", "problems")
PUBLISH = ("samples", "batch", "position", "state")

CONTRACTS = {
    POLLSTER: Contract(Pollster, {"get_samples": GET_SAMPLES}, _meters),
    DISCOVERY: Contract(Discovery, {"discover": DISCOVER}),
    PUBLISHER: Contract(Publisher, {"publish": PUBLISH}),
    STORAGE: Contract(StorageDriver, {}),
    NOTIFICATION: Contract(Handler, {"convert": CONVERT}, _event_types),
    MIDDLEWARE: _OfMiddleware(Middleware, {}, _provides),
    PROVIDER: _OfProvider(object, {}),
}
