"""Makes events of notifications by definitions; apart from these, as it runs for each notification."""

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import msgspec

from meteragent.documents import as_text, shown
from meteragent.errors import ConfigError, Rejected
from meteragent.event import DATETIME, FLOAT, INTEGER, NONE, TEXT, Event, Kind, Trait
from meteragent.notifications.base import Handler, Notification, Refused
from meteragent.notifications.declarative import files
from meteragent.notifications.declarative.event_definition import (
    EventDefinition,
    TraitDefinition,
    catch_all,
    load,
)
from meteragent.notifications.instant import dated
from meteragent.notifications.options import EVENT_DEFINITIONS
from meteragent.notifications.traits.base import TraitPlugin
from meteragent.plugins.reason import one_line, valid

LOG = logging.getLogger(__name__)

LONGEST_TRAIT = 255
"""Characters that are kept of a trait of type text; the ancestor's stores hold no more."""
REMEMBERED = 4096
"""Event types whose definition a handler remembers."""

PRIORITIES = ("info", "error")
"""Of which notifications events are made."""

Step = tuple[str, Kind, Callable[[Any], Any], Callable[[Any], str | int | float]]
"""Name and type of a trait, how its value is found, and how it is made of that type."""
_written = msgspec.msgpack.Encoder().encode

BUILT_IN = Path(__file__).parent.parent / "definitions" / EVENT_DEFINITIONS
"""Holds where no config folder has a file of this name."""


class DeclarativeEvents(Handler):
    """Makes one event of each notification, as the last definition that matches its event type says.

    A notification with a value that does not fit the type of its trait makes no event; trait and value
    are named.

    :param definitions: in the order of their file
    :param drop_unmatched_notifications: as the option says it
    :param store_raw: priorities of which the notification is kept with the event
    """

    priorities: Sequence[str] = PRIORITIES

    def __init__(
        self,
        definitions: Sequence[EventDefinition],
        *,
        drop_unmatched_notifications: bool = False,
        store_raw: Iterable[str] = (),
    ) -> None:
        self._definitions = list(reversed(definitions))
        if not drop_unmatched_notifications and not any(
            definition.event_types.is_catch_all for definition in definitions
        ):
            self._definitions.append(catch_all())
        self.event_types = tuple(definition.event_types.expression for definition in self._definitions)
        self._kept = frozenset(priority.lower() for priority in store_raw)
        self._known: dict[str, list[Step] | None] = {}

    def convert(self, notification: Notification, problems: list[str]) -> Sequence[Event]:
        """The event, or none."""
        event_type = notification.event_type
        steps = self._steps_of(event_type)
        if steps is None:
            return ()
        raw = self._raw(notification, problems)
        try:
            return (_event(_unicode(event_type), notification, steps, raw, problems),)
        except Rejected as error:
            problems.append(Refused(f"event {_unicode(event_type)}: refused: {error}"))
            return ()

    def _raw(self, notification: Notification, problems: list[str]) -> dict[str, Any]:
        """The whole notification where it is kept and can be written: an integer may be beyond 64 bits."""
        if notification.priority not in self._kept:
            return {}
        try:
            _written(notification.document)
        except (OverflowError, RecursionError, TypeError, ValueError) as error:
            told = f"{one_line(error)}, the notification is not kept"
            problems.append(f"event {_unicode(notification.event_type)}: raw: {told}")
            return {}
        return notification.document

    def _steps_of(self, event_type: str) -> "list[Step] | None":
        try:
            return self._known[event_type]
        except KeyError:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            found = next((each for each in self._definitions if each.event_types.match(event_type)), None)
            steps = None if found is None else [*map(_step, found.traits)]
            self._known[event_type] = steps
            return steps


class Events(DeclarativeEvents):
    """Makes the events that the file named in ``[event] definitions_cfg_file`` defines.

    Where the option has its default and there is no such file, the built-in one holds.

    :param traits: the trait plugins by name
    :raises ConfigError: when the file cannot be used
    """

    def __init__(self, conf: Any, traits: Mapping[str, type[TraitPlugin]]) -> None:
        options = conf.event
        text, file = document(conf)
        definitions, problems = load(text, file, traits)
        for problem in problems:
            LOG.warning("%s", problem)
        for priority in options.store_raw:
            if priority.lower() not in PRIORITIES:
                allowed = " and ".join(PRIORITIES)
                LOG.warning("[event] store_raw: %s keeps nothing; allowed are %s", shown(priority), allowed)
        super().__init__(
            definitions,
            drop_unmatched_notifications=options.drop_unmatched_notifications,
            store_raw=options.store_raw,
        )


def _event(
    event_type: str,
    notification: Notification,
    steps: Iterable[Step],
    raw: dict[str, Any],
    problems: list[str],
) -> Event:
    """The event that a notification tells.

    :raises Rejected: naming what it lacks or what does not fit
    """
    metadata, document = notification.metadata, notification.document
    message_id = metadata.get("message_id")
    if message_id is None:
        raise Rejected("message_id: missing")
    generated = dated(metadata.get("timestamp"))
    traits = []
    for name, kind, first, convert in steps:
        try:
            value = first(document)
            if type(value) is str and kind == TEXT and len(value) <= LONGEST_TRAIT and value.isascii():
                traits.append(Trait(name, TEXT, value))  # as most are
                continue
            # nova says '' for a time that is not yet
            if value is None or (value == "" and kind != TEXT):
                continue
            converted = convert(value)
        except Rejected as error:
            raise Rejected(f"trait {name}: {error}") from None
        except Exception as error:  # boundary: a trait plugin is code of others, and so is what it makes
            raise Rejected(f"trait {name}: {one_line(error)}") from None
        if not isinstance(converted, str) and (fault := _beyond(converted)):
            told = f"{shown(converted)} {fault}, the trait is left out"
            problems.append(f"event {event_type}: trait {name}: {told}")
            continue
        traits.append(Trait(name, kind, converted))
    return Event(as_text(message_id), event_type, generated, traits, raw)


def _step(definition: TraitDefinition) -> Step:
    """All that is needed of it for each notification."""
    return definition.name, definition.kind, definition.field.first, _CONVERT[definition.kind]


def _beyond(value: int | float) -> str:
    """Why no store can hold it; empty where one can."""
    if isinstance(value, float):
        return "" if isfinite(value) else "is not finite"
    return "" if -(2**63) <= value < 2**64 else "is beyond 64 bits"


def _text(value: Any) -> str:
    if type(value) is not str:
        value = value.decode() if isinstance(value, bytes) else str(value)
    elif len(value) <= LONGEST_TRAIT and value.isascii():
        return value
    return _unicode(value[:LONGEST_TRAIT])


def _unicode(text: str) -> str:
    """What can be stored of a text: a lone surrogate is written as an escape."""
    return text if text.isascii() else valid(text)


def _integer(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):  # infinite is the OverflowError
        raise Rejected(f"{shown(value)} is no integer") from None


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise Rejected(f"{shown(value)} is no number") from None


_CONVERT: Mapping[Kind, Callable[[Any], str | int | float]] = {
    NONE: _text,
    TEXT: _text,
    INTEGER: _integer,
    FLOAT: _float,
    DATETIME: dated,
}


def document(conf: Any) -> tuple[bytes, str]:
    """What the file of definitions says, and where it is; a relative name is looked for in config folders.

    :raises ConfigError: when it is missing, though named by the user, or cannot be read
    """
    name: str = conf.event.definitions_cfg_file
    path = conf.find_file(os.path.expanduser(name))
    if path is None:
        if name == EVENT_DEFINITIONS:
            return BUILT_IN.read_bytes(), f"built-in {name}"
        where = "" if os.path.isabs(name) else "; looked for in the config folders"
        raise ConfigError(f"[event] definitions_cfg_file = {name!r} is not there{where}")
    return files.content(path), path
