"""One key of a definition: where its values come from; apart, as meters and events share it."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from meteragent.documents import near, shown
from meteragent.errors import ConfigError, Rejected
from meteragent.notifications.declarative.path import Path
from meteragent.notifications.traits.base import TraitPlugin
from meteragent.plugins.reason import one_line

_ALLOWED = "allowed is a path, a list of paths, an integer, or a mapping with fields and plugin"

Traits = Mapping[str, type[TraitPlugin]]


class PluginFault(ConfigError):
    """A trait plugin is written as none can be, or does not take its parameters.

    The ancestor reads no file of meters with such a definition, while it passes over others that are no good.
    """


class Field:
    """What one key of a definition says: a path, several, an integer, or paths and a trait plugin.

    :param name: what messages call it
    :param traits: the trait plugins by name
    :raises ConfigError: where the definition is no good
    """

    __slots__ = ("first", "literal", "name", "paths", "plugin", "plugin_name")

    def __init__(self, name: str, definition: Any, traits: Traits) -> None:
        self.name = name
        self.plugin_name, self.plugin = "", None
        if isinstance(definition, dict):
            if "fields" not in definition:
                raise ConfigError(f"{name}: fields: missing; {_ALLOWED}")
            if "plugin" in definition:
                self.plugin_name, self.plugin = _plugin(name, definition["plugin"], traits)
            definition = definition["fields"]
        told = definition if isinstance(definition, list) else [definition]
        self.literal: list[Any] = []
        self.paths: list[Path] = []
        if len(told) == 1 and isinstance(told[0], int):  # a bool is one, too
            self.literal = told
        else:
            self.paths = _paths(name, told)
        alone = self.plugin is None and not self.literal and len(self.paths) == 1
        self.first: Callable[[Any], Any] = self.paths[0].first if alone else self._first
        """The first value in a document that is not null, or that the trait plugin makes; None when there is
        none. Raises Rejected when a path or the trait plugin does not fit the document."""

    @property
    def makes_all(self) -> bool:
        """Whether it can tell all values; some trait plugins make one of all that is there."""
        return self.plugin is None or bool(getattr(self.plugin, "support_return_all_values", False))

    def _first(self, document: Any) -> Any:
        if self.plugin is not None:
            return next(iter(self._made(self.plugin, document)), None)
        for path in self.paths:
            value = path.first(document)
            if value is not None:
                return value
        return self.literal[0] if self.literal else None

    def is_null(self, document: Any) -> bool:
        """Whether there is something in the document where it points to, and all of it is null.

        :raises Rejected: when a path does not fit the document
        """
        found = [value for path in self.paths for value in path.values(document)]
        return bool(found) and all(value is None for value in found)

    def every(self, document: Any) -> list[Any]:
        """All values in the order of the paths, nulls left out.

        :raises Rejected: when a path or the trait plugin does not fit the document, or the trait plugin
            makes one value only
        """
        if self.plugin is None:
            values = (value for path in self.paths for value in path.values(document) if value is not None)
            return [*self.literal, *values]
        if self.paths and not self.makes_all:
            raise Rejected(f"trait plugin {self.plugin_name} makes one value only")
        return self._made(self.plugin, document)

    def _made(self, plugin: TraitPlugin, document: Any) -> list[Any]:
        if self.literal:  # it stands as it is
            return self.literal
        found = [match for path in self.paths for match in path.find(document) if match[1] is not None]
        try:
            return [value for value in plugin.trait_values(found) if value is not None]
        except Exception as error:  # boundary: a trait plugin is code of others
            told = f"trait plugin {self.plugin_name} does not fit what is there: {one_line(error)}"
            raise Rejected(told) from None


def _paths(name: str, texts: list[Any]) -> list[Path]:
    if not texts:
        raise ConfigError(f"{name}: an empty list; {_ALLOWED}")
    paths = []
    for text in texts:
        if not isinstance(text, str):
            raise ConfigError(f"{name}: {shown(text)} is no path; {_ALLOWED}")
        try:
            paths.append(Path(text))
        except ValueError as error:
            raise ConfigError(f"{name}: {error}") from None
    return paths


def _plugin(name: str, told: Any, traits: Traits) -> tuple[str, TraitPlugin]:
    allowed = "allowed is a name, or a mapping with name and parameters"
    parameters: Any = None
    if isinstance(told, dict):
        if "name" not in told:
            raise ConfigError(f"{name}: plugin: name: missing; {allowed}")
        told, parameters = told["name"], told.get("parameters")
        allowed = "allowed is text"
    elif not isinstance(told, str):
        raise PluginFault(f"{name}: plugin: {shown(told)} is no name; {allowed}")
    if not isinstance(told, str):
        fault = ConfigError if isinstance(told, Hashable) else PluginFault
        raise fault(f"{name}: plugin: {shown(told)} is no name; {allowed}")
    if told not in traits:
        installed = ", ".join(sorted(traits)) or "none"
        unknown = f"{name}: plugin: {shown(told)} is not installed; installed are {installed}"
        raise ConfigError(unknown, suggestion=near(told, traits))
    parameters = {} if parameters is None else parameters
    if not isinstance(parameters, dict) or not all(isinstance(key, str) for key in parameters):
        given = shown(parameters)
        raise PluginFault(f"{name}: plugin {told}: parameters: {given} is no mapping with names")
    try:
        return told, traits[told](**parameters)
    except (TypeError, ValueError) as error:
        raise PluginFault(f"{name}: plugin {told}: {one_line(error)}") from None
    except Exception as error:  # boundary: a trait plugin is code of others
        raise ConfigError(f"{name}: plugin {told}: {one_line(error)}") from None
