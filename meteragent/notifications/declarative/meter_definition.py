"""What the files of meters.d say, checked and made ready; apart from what is done for each message."""

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from meteragent import documents
from meteragent.documents import Entry, as_text, shown
from meteragent.errors import ConfigError
from meteragent.notifications.declarative.attributes import Attributes
from meteragent.notifications.declarative.field import Field, PluginFault
from meteragent.notifications.declarative.meter import ALL, ForEach, ForOne, Meant, MeterDefinition
from meteragent.notifications.reserved import Reserved
from meteragent.notifications.traits.base import TraitPlugin
from meteragent.sample import TYPES

Traits = Mapping[str, type[TraitPlugin]]

_REQUIRED = ("name", "event_type", "type", "unit", "volume", "resource_id")
_KNOWN = (*_REQUIRED, "user_id", "project_id", "timestamp", "lookup", "metadata", "user_metadata")
_TYPES = sorted(TYPES)
"""To be compared with what cannot be hashed, too."""
_NOTHING: tuple[Any, ...] = ("", b"", {}, [])
"""What the ancestor goes through and finds no definition in."""


class _Skipped(Exception):
    """This definition is no good, the others of its file are."""

    def __init__(self, error: ConfigError) -> None:
        super().__init__(str(error))


def load(
    files: Iterable[tuple[str, str]], traits: Traits, reserved: Reserved
) -> tuple[list[MeterDefinition], list[str]]:
    """The definitions in the order in which they are asked, and a line for each that is no good.

    Of two with one name the one in the earlier file counts, in one file the later.

    :param files: name and YAML text of each
    :param traits: the trait plugins by name
    :raises ConfigError: for a document, or a definition in it, with which the ancestor ends
    """
    loading = _Loading(traits, reserved)
    for name, text in files:
        loading.read(text, name)
    return list(loading.known.values()), loading.problems


class _Loading:
    """The definitions while file after file is read."""

    def __init__(self, traits: Traits, reserved: Reserved) -> None:
        self._traits, self._reserved = traits, reserved
        self._shared: dict[Hashable, Attributes] = {}
        self.known: dict[Hashable, MeterDefinition] = {}
        self.problems: list[str] = []

    def read(self, text: str, file: str) -> None:
        """Take the definitions of one file.

        :raises ConfigError: naming file and line
        """
        whole = documents.top(documents.load(text, file), ("metric",))
        for entry in reversed(_entries(whole)):
            name = entry.mapping.get("name")
            if not isinstance(name, Hashable):
                raise entry.error(f"name: {shown(name)} is a {type(name).__name__}; allowed is text", "name")
            if name in self.known:
                entry.warn(f"name: stands at {self.known[name].place} already, which counts", "name")
                continue
            try:
                self.known[name] = self._definition(entry)
            except _Skipped as skipped:
                self.problems.append(str(skipped))
        self.problems += map(str, whole.document.remarks)

    def _definition(self, entry: Entry) -> MeterDefinition:
        """
        :raises ConfigError: when no definition of the file can be used
        :raises _Skipped: when this one cannot
        """
        mapping = entry.mapping
        _check_required(entry)
        patterns = _patterns(entry)
        lookup = _lookup(entry)
        if mapping["type"] not in _TYPES and not (lookup is not None and "type" in mapping["lookup"]):
            allowed = "allowed are cumulative, delta, gauge, or a path where lookup names type"
            raise _Skipped(entry.error(f"type: {shown(mapping['type'])} is none; {allowed}", "type"))
        fields = {name: self._field(entry, name, mapping[name], name) for name in ALL if mapping.get(name)}
        attributes = self._attributes(entry)
        entry.warn_unknown(_KNOWN)
        meant = Meant(
            name=as_text(mapping["name"]),
            place=f"{entry.document.file}:{entry.line}",
            patterns=patterns,
            literals={name: mapping[name] for name in ("name", "type", "unit")},
            attributes=attributes,
        )
        return ForOne(meant, fields) if lookup is None else ForEach(meant, fields, lookup)

    def _field(self, entry: Entry, name: str, definition: Any, *place: Any) -> Field:
        """
        :raises ConfigError: for a trait plugin with which the ancestor reads no file
        :raises _Skipped: when the definition is no good otherwise
        """
        try:
            return Field(name, definition, self._traits)
        except PluginFault as error:
            raise entry.error(error.problem, *place, "plugin") from None
        except ConfigError as error:
            raise _Skipped(entry.error(error.problem, *place)) from None

    def _attributes(self, entry: Entry) -> Attributes:
        """Those of the sample; the same for definitions that say the same, so that they are found once."""
        told = _metadata(entry)
        user = entry.mapping.get("user_metadata") or None
        plain = all(isinstance(definition, str) for definition in (*told.values(), user or ""))
        key = (tuple(told.items()), user) if plain else None
        shared = self._shared.get(key)
        if shared is None or key is None:
            fields = {
                name: self._field(entry, as_text(name), definition, "metadata", name)
                for name, definition in told.items()
            }
            of_user = self._field(entry, "user_metadata", user, "user_metadata") if user else None
            shared = self._shared[key] = Attributes(fields, of_user, self._reserved)
        return shared


def _entries(whole: Entry) -> list[Entry]:
    metric = whole.mapping["metric"]
    allowed = "allowed is a list of mappings"
    if not isinstance(metric, list):
        if any(type(metric) is type(nothing) and metric == nothing for nothing in _NOTHING):
            return []
        raise whole.error(f"metric: {shown(metric)} is no list; {allowed}", "metric")
    entries = []
    for index, mapping in enumerate(metric):
        label = f"meter {index + 1}"
        if not isinstance(mapping, dict):
            raise whole.error(f"{label}: {shown(mapping)} is no mapping; {allowed}", "metric", index)
        if mapping.get("name"):
            label = f"meter {shown(mapping['name'])}"
        entries.append(Entry(whole.document, mapping, ("metric", index), label))
    return entries


def _check_required(entry: Entry) -> None:
    for name in _REQUIRED:
        if name not in entry.mapping:
            raise _Skipped(entry.missing(name, f"required are {', '.join(_REQUIRED)}"))
        if not entry.mapping[name]:
            told = f"{name}: {shown(entry.mapping[name])} says nothing; a value is required"
            raise _Skipped(entry.error(told, name))


def _patterns(entry: Entry) -> Sequence[re.Pattern[str]]:
    told = entry.mapping["event_type"]
    allowed = "allowed is a regular expression, or a list of them"
    if not isinstance(told, str | list | dict | set):
        raise entry.error(f"event_type: {shown(told)} is no text; {allowed}", "event_type")
    patterns = []
    for position, text in enumerate([told] if isinstance(told, str) else told):
        place = ("event_type", position) if isinstance(told, list) else ("event_type",)
        if not isinstance(text, str):
            raise entry.error(f"event_type: {shown(text)} is no text; {allowed}", *place)
        try:
            patterns.append(re.compile(text))
        except (re.error, RecursionError, OverflowError) as error:
            told = f"event_type: {shown(text)} is no regular expression: {error}"
            raise entry.error(told, *place) from None
    return patterns


def _lookup(entry: Entry) -> tuple[str, ...] | None:
    """The names in it; None without it."""
    told = entry.mapping.get("lookup", [])
    if isinstance(told, str):
        return (told,)
    if not isinstance(told, list | dict | set):
        allowed = "allowed is text or a list of texts"
        raise entry.error(f"lookup: {shown(told)} is no list; {allowed}", "lookup")
    return tuple(name for name in told if isinstance(name, str)) if told else None


def _metadata(entry: Entry) -> dict[Any, Any]:
    told = entry.mapping.get("metadata", {})
    if isinstance(told, dict):
        return told
    if type(told) in (str, bytes, list) and not told:  # goes through as nothing
        return {}
    allowed = "allowed is a mapping from names to paths"
    raise entry.error(f"metadata: {shown(told)} is no mapping; {allowed}", "metadata")
