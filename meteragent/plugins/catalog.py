"""Which plugins are installed; apart from loading, because a listing must not run foreign code."""

import importlib.metadata
from collections.abc import Iterable
from typing import Any

import msgspec
from stevedore.named import NamedExtensionManager

from meteragent.errors import PluginError

POLLSTER, DISCOVERY, PUBLISHER, STORAGE = "pollster", "discovery", "publisher", "storage"
NOTIFICATION, TRAIT = "notification", "trait"
GROUPS = {
    POLLSTER: "meteragent.poll",
    DISCOVERY: "meteragent.discover",
    PUBLISHER: "meteragent.publisher",
    STORAGE: "meteragent.storage",
    NOTIFICATION: "meteragent.notification",
    TRAIT: "meteragent.trait",
}
"""The entry-point group of each kind; that of a pollster goes on with its namespace."""


class Found(msgspec.Struct, frozen=True, order=True):
    """An entry point of ours that some distribution brings; its code was not touched yet."""

    kind: str
    namespace: str
    """Group of the entry point, as ``meteragent.poll.host``."""
    name: str
    value: str
    """Where the object is, as ``package.module:attribute``."""
    distribution: str = ""
    version: str = ""

    @property
    def label(self) -> str:
        """How it is called in messages and in the config: ``pollster:host.cpu``, ``publisher:file``."""
        inner = self.namespace.removeprefix(GROUPS[self.kind]).removeprefix(".")
        return f"{self.kind}:{inner}.{self.name}" if inner else f"{self.kind}:{self.name}"

    def load(self) -> Any:
        """Import its module and get the object; foreign code, raises what it likes."""
        if importlib.metadata.EntryPoint.pattern.match(self.value) is None:
            raise PluginError(
                f"wanted package.module:attribute as its entry point; found {self.value!r:.100}"
            )
        return importlib.metadata.EntryPoint(self.name, self.value, self.namespace).load()


class _EntryPoints(NamedExtensionManager[Any]):
    """stevedore's list of a group, read anew.

    Its cache on disk compares times as 32-bit floats, so that it does not see a distribution that
    is installed again within two minutes, and it forgets which distribution an entry point is of.
    """

    def __init__(self, group: str) -> None:
        super().__init__(group, names=[], on_missing_entrypoints_callback=None)

    def list_entry_points(self) -> list[importlib.metadata.EntryPoint]:
        self.found = list(importlib.metadata.entry_points(group=self.namespace))
        return self.found


def namespaces() -> list[str]:
    """Those for which pollsters are installed."""
    prefix = f"{GROUPS[POLLSTER]}."
    groups = importlib.metadata.entry_points().groups
    return sorted(group.removeprefix(prefix) for group in groups if group.startswith(prefix))


def find(kind: str, namespaces: Iterable[str] = ()) -> list[Found]:
    """The installed plugins of a kind by name, none of them imported.

    :param kind: one of GROUPS
    :param namespaces: those of pollsters, as in ``[polling] namespaces``; of no use for other kinds
    """
    group = GROUPS[kind]
    groups = (
        [f"{group}.{namespace}" for namespace in dict.fromkeys(namespaces)] if kind == POLLSTER else [group]
    )
    found = {
        Found(
            kind,
            name,
            entry.name,
            entry.value,
            *_origin(entry),
        )
        for name in groups
        for entry in _EntryPoints(name).found
    }
    return sorted(found)


def _origin(entry: importlib.metadata.EntryPoint) -> tuple[str, str]:
    """Name and version of the distribution that brings it, as far as they can be read."""
    try:
        return (entry.dist.name or "", entry.dist.version or "") if entry.dist else ("", "")
    except (LookupError, OSError, ValueError):  # whatever damage there is in a foreign METADATA
        return "", ""
