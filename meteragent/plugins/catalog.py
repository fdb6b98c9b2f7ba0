"""Which plugins there are; apart from loading, because a listing must not run foreign code."""

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from stevedore.named import NamedExtensionManager

from meteragent.errors import PluginError
from meteragent.plugins.choice import EVERYTHING, Choice
from meteragent.plugins.dropin_source import DropIn
from meteragent.plugins.installed import Distribution, Entry
from meteragent.plugins.reading import Told
from meteragent.plugins.survey import Broken, Survey, survey

POLLSTER, DISCOVERY, PUBLISHER, STORAGE = "pollster", "discovery", "publisher", "storage"
NOTIFICATION, TRAIT = "notification", "trait"
MIDDLEWARE, PROVIDER, COMMAND = "middleware", "provider", "command"
GROUPS = {
    POLLSTER: "meteragent.poll",
    DISCOVERY: "meteragent.discover",
    PUBLISHER: "meteragent.publisher",
    STORAGE: "meteragent.storage",
    NOTIFICATION: "meteragent.notification",
    TRAIT: "meteragent.trait",
    MIDDLEWARE: "meteragent.middleware",
    PROVIDER: "meteragent.provide",
    COMMAND: "meteragent.cli",
}
"""The entry-point group of each kind; that of a pollster goes on with its namespace."""
POLL, DISCOVER = ".poll.", ".discover."
"""What groups of the ancestor's pollsters have in their names, and in its place those of its discoveries."""
BUILT_IN = "meteragent.cli."
"""How the modules begin of the commands that are no plugins."""


class Found(msgspec.Struct, frozen=True, eq=False):
    """A plugin that a distribution or a drop-in brings; its code was not touched yet."""

    kind: str
    namespace: str
    """Group of the entry point, as ``meteragent.poll.host``."""
    name: str
    value: str
    """Where the object is, as ``package.module:attribute``."""
    distribution: str = ""
    """Of a drop-in the name of its file."""
    version: str = ""
    """Of a drop-in the beginning of its content's digest."""
    file: str = ""
    """The path of the drop-in; empty for an entry point."""
    told: Told = Told()
    """What its source says of it; no part of what it is."""

    @property
    def label(self) -> str:
        """How it is called in messages and in the config: ``pollster:host.cpu``, ``publisher:file``."""
        if self.ancestral and self.kind == POLLSTER:  # whose name is whole
            return f"{self.kind}:{self.name}"
        inner = self.namespace.removeprefix(GROUPS[self.kind]).removeprefix(".")
        return f"{self.kind}:{inner}.{self.name}" if inner else f"{self.kind}:{self.name}"

    @property
    def ancestral(self) -> bool:
        """Whether it is written for the ancestor, and found in a group of its."""
        return not self.namespace.startswith(GROUPS[self.kind])

    def load(self) -> Any:
        """Import the module of an entry point and get the object; foreign code, raises what it likes."""
        if importlib.metadata.EntryPoint.pattern.match(self.value) is None:
            raise PluginError(
                f"wanted package.module:attribute as its entry point; found {self.value!r:.100}"
            )
        return importlib.metadata.EntryPoint(self.name, self.value, self.namespace).load()

    def _key(self) -> tuple[str, ...]:
        return (
            self.kind, self.namespace, self.name, self.value, self.distribution, self.version, self.file,
        )  # fmt: skip

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Found) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __lt__(self, other: "Found") -> bool:
        return self._key() < other._key()


class _Group(NamedExtensionManager[Any]):
    """stevedore's list of a group, of which nothing is loaded.

    What is in it comes from the survey: stevedore's own cache compares times as 32-bit floats, so that it
    does not see a distribution that is installed again within two minutes, and it forgets which
    distribution an entry point is of.
    """

    def __init__(self, group: str, there: Survey) -> None:
        self.found = [
            (entry, distribution)
            for distribution in there.distributions
            for entry in distribution.entries
            if entry.group == group
        ]
        super().__init__(group, names=[], on_missing_entrypoints_callback=None)

    def list_entry_points(self) -> list[importlib.metadata.EntryPoint]:
        return [importlib.metadata.EntryPoint(each.name, each.value, each.group) for each, _ in self.found]


def namespaces() -> list[str]:
    """Those for which pollsters are installed."""
    prefix = f"{GROUPS[POLLSTER]}."
    groups = {entry.group for each in survey(()).distributions for entry in each.entries}
    return sorted(group.removeprefix(prefix) for group in groups if group.startswith(prefix))


def find(kind: str, choice: Choice = EVERYTHING) -> list[Found]:
    """The plugins of a kind that are there now, by name, none of them imported.

    :param kind: one of GROUPS
    :param choice: says the namespaces of pollsters and the folders of drop-ins
    """
    there = survey(choice.directories)
    found = {
        _of_entry(kind, entry, distribution): None
        for group in _groups(kind, choice)
        for entry, distribution in _Group(group, there).found
        if kind != COMMAND or not entry.value.startswith(BUILT_IN)
    }
    found |= dict.fromkeys(each for each in _of_dropins(there.dropins) if each.kind == kind)
    return sorted(found)


def _groups(kind: str, choice: Choice) -> list[str]:
    """Where plugins of a kind are; a namespace such as ``ceilometer.poll.compute`` is a group in itself."""
    namespaces = [*dict.fromkeys(choice.namespaces)]
    if kind == POLLSTER:
        return [each if POLL in each else f"{GROUPS[kind]}.{each}" for each in namespaces]
    if kind == DISCOVERY:
        return [GROUPS[kind], *(each.replace(POLL, DISCOVER) for each in namespaces if POLL in each)]
    return [GROUPS[kind]]


def broken(choice: Choice = EVERYTHING) -> list[Broken]:
    """Distributions and drop-ins of which it cannot be told which plugins they bring."""
    there = survey(choice.directories)
    found = list(there.broken)
    for file, each in there.dropins.items():
        reason = each.module.problem or _foreign(file, each)
        if reason:
            found.append(Broken(file, reason))
    return sorted(found)


def left_out(choice: Choice = EVERYTHING) -> list[Broken]:
    """What in drop-ins that hold plugins only running them could tell, each with its line."""
    dropins = survey(choice.directories).dropins
    return [
        Broken(file, told)
        for file, each in dropins.items()
        if each.module.plugins
        for told in each.module.remarks
    ]


def _of_entry(kind: str, entry: Entry, distribution: Distribution) -> Found:
    # the ancestor has a cpu and a memory, too
    name = (
        f"{entry.group}.{entry.name}"
        if kind == POLLSTER and not entry.group.startswith(GROUPS[kind])
        else entry.name
    )
    return Found(
        kind, entry.group, name, entry.value, distribution.name, distribution.version, "", entry.told
    )  # fmt: skip


def _of_dropins(dropins: dict[str, DropIn]) -> Iterator[Found]:
    """The plugins in drop-ins; pollsters have their namespace in the label."""
    for file, each in dropins.items():
        path = Path(file)
        for label, attribute in each.module.plugins.items():
            kind, _, name = label.partition(":")
            if kind not in GROUPS:
                continue
            namespace, dot, last = name.rpartition(".") if kind == POLLSTER else ("", "", name)
            told = each.module.told.get(attribute, Told())
            group = f"{GROUPS[kind]}{dot}{namespace}"
            yield Found(kind, group, last, f"{path.stem}:{attribute}", path.name, each.version, file, told)


def _foreign(file: str, each: DropIn) -> str:
    """What in a drop-in is no plugin that anybody could use; empty when there is nothing."""
    unknown = [label for label in each.module.plugins if label.partition(":")[0] not in GROUPS]
    if unknown:
        return f"{file}: PLUGINS: {', '.join(unknown):.100}: no kind of plugin; allowed: {', '.join(GROUPS)}"
    if each.module.plugins:
        return ""
    told = f"{file}: no plugin in it; PLUGINS names them, or a class has the method of a contract"
    return "; ".join((told, *each.module.remarks))
