"""What event_definitions.yaml says, checked; apart from the handler, as it is read once."""

import fnmatch
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from meteragent import documents
from meteragent.documents import Document, as_text, near, shown
from meteragent.errors import ConfigError
from meteragent.event import DATETIME, FLOAT, INTEGER, NONE, TEXT, Kind
from meteragent.notifications.declarative.field import Field
from meteragent.notifications.traits.base import TraitPlugin

TYPES: Mapping[str, Kind] = {
    "TEXT": TEXT,
    "INT": INTEGER,
    "FLOAT": FLOAT,
    "DATETIME": DATETIME,
    "NONE": NONE,
}
"""The types of traits; in a definition, capitals do not count."""

DEFAULT_TRAITS: Mapping[str, Any] = {
    "service": "publisher_id",
    "request_id": "ctxt.request_id",
    "project_id": ["payload.tenant_id", "ctxt.project_id"],
    "user_id": ["payload.user_id", "ctxt.user_id"],
    "tenant_id": ["payload.tenant_id", "ctxt.project_id"],
}
"""What every event has where the message has it, in this order, unless its definition says otherwise."""

_KEYS = ("event_type", "traits")
_TRAIT_KEYS = ("type", "fields", "plugin")
_ALLOWED_TYPES = "allowed are text or a list of texts, with *, ? and […] as wildcards and ! for exclusions"


class EventTypes:
    """The event types that globs mean; one that begins with ``!`` excludes.

    Exclusions come first. Where there are only exclusions, everything else is meant; an empty list means
    nothing. Capitals count.

    :param written: text, or several
    :raises ValueError: telling what is wrong and what is allowed
    """

    def __init__(self, written: Any) -> None:
        patterns = [written] if isinstance(written, str) else _patterns(written)
        excluded = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
        included = [pattern for pattern in patterns if not pattern.startswith("!")]
        if excluded and not included:
            included = ["*"]
        self.is_catch_all = "*" in included and not excluded
        unless = f"(?!{_any_of(excluded)})" if excluded else ""
        self.expression = re.compile(unless + _any_of(included))
        """Matches exactly those."""

    def match(self, event_type: str) -> bool:
        """Whether an event type is meant."""
        return self.expression.match(event_type) is not None


class TraitDefinition(msgspec.Struct, frozen=True):
    """Where a trait comes from, and of which type it is."""

    name: str
    kind: Kind
    field: Field


class EventDefinition(msgspec.Struct, frozen=True):
    """How an event is made of the notifications of some types."""

    event_types: EventTypes
    traits: tuple[TraitDefinition, ...]
    """The default ones first, then the others as they are written."""


def load(
    text: str | bytes, file: str, traits: Mapping[str, type[TraitPlugin]]
) -> tuple[list[EventDefinition], list[str]]:
    """All definitions in their order, of which the last that matches counts, and warnings with file and line.

    Takes what the ancestor takes. As there, one bad definition makes the whole file unusable.

    :param traits: the trait plugins by name
    :raises ConfigError: naming file, line, definition, value and what is allowed
    """
    definitions, document = read(text, file, traits)
    document.raise_fault()
    return definitions, [str(remark) for remark in document.remarks]


def read(
    text: str | bytes, file: str, traits: Mapping[str, type[TraitPlugin]]
) -> tuple[list[EventDefinition], Document]:
    """The definitions that can be used, and the document, which says what is wrong with the others.

    :raises ConfigError: when nothing can be said of definitions
    """
    document = documents.load(text, file)
    for key, line in document.duplicates:
        told = f"{shown(key)} stands twice in one mapping; the last one counts"
        document.remarks.append(ConfigError(told, file=file, line=line, key=as_text(key)))
    definitions = []
    for index, written in enumerate(_listed(document)):
        try:
            definitions.append(_Reader(document, index, traits).definition(written))
        except ConfigError as error:
            document.faults.append(error)
    return definitions, document


@cache
def catch_all() -> EventDefinition:
    """The one for notifications that no other matches: an event with the default traits alone."""
    return EventDefinition(EventTypes("*"), tuple(_default_traits().values()))


@cache
def _default_traits() -> dict[str, TraitDefinition]:
    return {
        name: TraitDefinition(name, TEXT, Field(name, fields, {})) for name, fields in DEFAULT_TRAITS.items()
    }


def _listed(document: Document) -> list[Any]:
    found = document.value
    if isinstance(found, list):
        return found
    allowed = "allowed is a list of definitions with event_type and traits"
    if found in ({}, "", b""):  # the ancestor goes through it and finds nothing
        document.remarks.append(document.error(f"{shown(found)} defines no event; {allowed}"))
        return []
    raise document.error(f"{shown(found)} is no list; {allowed}")


class _Reader:
    """Reads one definition; knows where it stands, for messages."""

    def __init__(self, document: Document, index: int, plugins: Mapping[str, type[TraitPlugin]]) -> None:
        self._document, self._index, self._plugins = document, index, plugins
        self._label = f"definition {index + 1}"

    def definition(self, written: Any) -> EventDefinition:
        """What is written.

        :raises ConfigError: when it cannot be used
        """
        if not isinstance(written, dict):
            raise self._error(f"{shown(written)} is no mapping; allowed is one with event_type and traits")
        if isinstance(written.get("event_type"), str):
            self._label += f" ({shown(written['event_type'])})"
        for key in _KEYS:
            if key not in written:
                alike = near(key, [each for each in written if isinstance(each, str) and each not in _KEYS])
                raise self._error(
                    f"{key}: missing; every definition needs event_type and traits",
                    suggestion=f"{key} instead of {alike}" if alike else "",
                )
        self._warn_unknown(written, _KEYS)
        event_types = self._event_types(written["event_type"])
        if event_types.is_catch_all and self._index:
            self._warn("event_type: '*' matches everything, so no definition above is used", "event_type")
        return EventDefinition(event_types, self._traits(written["traits"]))

    def _event_types(self, written: Any) -> EventTypes:
        try:
            event_types = EventTypes(written)
        except ValueError as error:
            raise self._error(f"event_type: {error}", "event_type") from None
        if not isinstance(written, str | list):
            told = f"{shown(written)} is a {type(written).__name__}, read as its keys; write a list"
            self._warn(f"event_type: {told}", "event_type")
        elif not written:
            self._warn(f"event_type: {shown(written)} matches no event type", "event_type")
        return event_types

    def _traits(self, written: Any) -> tuple[TraitDefinition, ...]:
        try:
            pairs = [(name, written[name]) for name in written]
        except (TypeError, LookupError):
            told = f"{shown(written)} is no mapping; allowed is one of names to paths or to mappings"
            raise self._error(f"traits: {told}", "traits") from None
        if not isinstance(written, dict):
            self._warn(f"traits: {shown(written)} is no mapping, and an odd way to name none", "traits")
        found = dict(_default_traits())
        for name, how in pairs:
            found[as_text(name)] = self._trait(name, how)
        return tuple(found.values())

    def _trait(self, name: Any, written: Any) -> TraitDefinition:
        label = f"trait {as_text(name)}"
        kind: Kind = TEXT
        if isinstance(written, dict):
            self._warn_unknown(written, _TRAIT_KEYS, "traits", name)
            kind = self._kind(name, written.get("type", "text"))
        try:
            return TraitDefinition(as_text(name), kind, Field(label, written, self._plugins))
        except ConfigError as error:
            raise self._error(error.problem, "traits", name) from None

    def _kind(self, name: Any, told: Any) -> Kind:
        kind = TYPES.get(told.upper()) if isinstance(told, str) else None
        if kind is None:
            allowed = [each.lower() for each in TYPES]
            raise self._error(
                f"trait {as_text(name)}: type: {shown(told)} is none of {', '.join(allowed)}",
                "traits", name, "type",
                suggestion=near(told, allowed) if isinstance(told, str) else "",
            )  # fmt: skip
        return kind

    def _warn_unknown(self, written: dict[Any, Any], known: tuple[str, ...], *path: Any) -> None:
        for key in written:
            if key not in known:
                left = [each for each in known if each not in written]
                label = f"trait {as_text(path[-1])}: " if path else ""
                told = f"{label}{shown(key)} has no effect; known are {', '.join(known)}"
                self._warn(told, *path, key, suggestion=near(key, left))

    def _error(self, told: str, *path: Any, suggestion: str = "") -> ConfigError:
        return self._document.error(f"{self._label}: {told}", self._index, *path, suggestion=suggestion)

    def _warn(self, told: str, *path: Any, suggestion: str = "") -> None:
        self._document.remarks.append(self._error(told, *path, suggestion=suggestion))


def _patterns(written: Any) -> list[str]:
    try:
        patterns = list(written)
    except TypeError:
        raise ValueError(f"{shown(written)} is no list; {_ALLOWED_TYPES}") from None
    odd = [pattern for pattern in patterns if not isinstance(pattern, str)]
    if odd:
        raise ValueError(f"{shown(odd[0])} is no text; {_ALLOWED_TYPES}")
    return patterns


def _any_of(globs: list[str]) -> str:
    """The expression that any of them matches; of none, it matches nothing."""
    return f"(?:{'|'.join(map(fnmatch.translate, globs))})" if globs else "(?!)"
