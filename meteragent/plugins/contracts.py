"""What a plugin of each kind must have, and its check; apart from loading, which is the same for all."""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from meteragent.discovery.base import Discovery
from meteragent.errors import PluginError
from meteragent.notifications.base import PRIORITIES, Handler
from meteragent.plugins.bind import bind
from meteragent.plugins.catalog import DISCOVERY, NOTIFICATION, POLLSTER, PUBLISHER, STORAGE
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
    if inspect.iscoroutinefunction(plugin.convert) or inspect.isasyncgenfunction(plugin.convert):
        raise PluginError("wanted convert: a function or generator; found an asynchronous one")


class Contract(msgspec.Struct, frozen=True):
    """What plugins of a kind are checked against: the base class, or an object with its methods."""

    base: type
    offers: Mapping[str, tuple[str, ...]]
    """The arguments that are injected by name, of each method that is called so."""
    further: Callable[[Any], None] = _nothing

    def check(self, plugin: Any) -> None:
        """See whether an object keeps it.

        :raises PluginError: with what is wanted and what was found
        """
        version = getattr(plugin, "api_version", API)
        if version != API:
            raise PluginError(f"wanted api_version {API}; found {version!r:.60}")
        missing = [name for name in self._methods() if not callable(getattr(plugin, name, None))]
        if missing:
            wanted = ", ".join(
                f"{name}({', '.join(self.offers.get(name, ('…',)))})" for name in self._methods()
            )
            raise PluginError(
                f"wanted {self.base.__module__}.{self.base.__qualname__} or an object with {wanted}; "
                f"found {_described(plugin)} without {', '.join(missing)}"
            )
        for name, offers in self.offers.items():
            bind(getattr(plugin, name), offers)
        self.further(plugin)

    def _methods(self) -> list[str]:
        return [name for name, _ in inspect.getmembers(self.base, inspect.isfunction) if name[0] != "_"]


def _described(plugin: Any) -> str:
    kind = plugin if isinstance(plugin, type) else type(plugin)
    return f"{'the class' if kind is plugin else 'a'} {kind.__module__}.{kind.__qualname__}"


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
}
