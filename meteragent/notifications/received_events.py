"""Takes the events that other agents made of notifications and sent over the bus."""

from collections.abc import Callable, Iterator, Mapping
from math import isfinite
from typing import Any, cast

import msgspec

from meteragent.documents import shown
from meteragent.errors import Rejected
from meteragent.event import DATETIME, FLOAT, INTEGER, NONE, TEXT, Event, Kind, Trait
from meteragent.notifications.base import Handler, Notification, Refused
from meteragent.notifications.declarative.rows import Faults
from meteragent.notifications.instant import dated
from meteragent.plugins.reason import one_line
from meteragent.sample import LONGEST_TEXT
from meteragent.signing import verifier

LONGEST_TRAIT = 65_536
"""Characters that a trait of type text may have."""
MOST_TRAITS = 10_000
"""Of one event."""

_written = msgspec.msgpack.Encoder().encode
_Signed = Callable[[Mapping[Any, Any]], bool]


class ReceivedEvents(Handler):
    """Each keeps its own ``message_id``, by which it is known again however often it is sent."""

    event_types = ("event",)

    def __init__(self, verify: _Signed | None = None, conf: Any = None) -> None:
        """
        :param verify: tells whether the signature of an event as it was sent is right
        :param conf: says how, where ``verify`` does not; without both none is asked for
        """
        self._verify = verify if verify is not None or conf is None else verifier(conf)

    def convert(self, notification: Notification, problems: list[str]) -> Iterator[Event]:
        """Yield the events in their order; one that is no good harms no other."""
        payload = notification.payload
        if not isinstance(payload, list):
            raise Rejected(f"payload: {shown(payload)} is no list of events")
        faults = Faults(problems, Refused)
        for position, message in enumerate(payload):
            try:
                yield self._event(message)
            except Rejected as error:
                event_type = message.get("event_type") if isinstance(message, dict) else None
                faults.add(f"event {position + 1}, type {shown(event_type)}: {error}")

    def _event(self, message: Any) -> Event:
        """
        :raises Rejected: when it is no event
        """
        if not isinstance(message, dict):
            raise Rejected(f"{shown(message)} is no mapping")
        if self._verify is not None and not self._verify(message):
            raise Rejected("message_signature: does not fit the event")
        traits, raw = message.get("traits"), message.get("raw")
        if not isinstance(traits, list):
            raise Rejected(f"traits: {shown(traits)} is no list")
        if len(traits) > MOST_TRAITS:
            raise Rejected(f"traits: {len(traits)}, at most {MOST_TRAITS} allowed")
        if not isinstance(raw, dict | None):
            raise Rejected(f"raw: {shown(raw)} is no mapping")
        event = Event(
            _text(message, "message_id"),
            _text(message, "event_type"),
            _instant("generated", message.get("generated")),
            [_trait(each) for each in traits],
            raw or {},
        )
        try:
            _written(event)
        except (OverflowError, RecursionError, ValueError) as error:
            raise Rejected(f"raw: cannot be kept: {one_line(error)}") from None
        return event


def _text(message: Mapping[str, Any], name: str) -> str:
    found = message.get(name)
    if isinstance(found, str) and 0 < len(found) <= LONGEST_TEXT:
        return found
    raise Rejected(f"{name}: {shown(found)} is no text of 1 to {LONGEST_TEXT} characters")


def _instant(name: str, told: Any) -> int:
    try:
        return dated(told)
    except Rejected as error:
        raise Rejected(str(error).replace("timestamp", name, 1)) from None


def _trait(told: Any) -> Trait:
    if not isinstance(told, list) or len(told) != 3:
        raise Rejected(f"traits: {shown(told)} is no list of name, type and value")
    name, kind, value = told
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_TEXT:
        raise Rejected(f"traits: the name {shown(name)} is no text of 1 to {LONGEST_TEXT} characters")
    if type(kind) is not int or kind not in _CONVERT:
        raise Rejected(f"trait {shown(name)}: the type {shown(kind)} is none of 0 to 4")
    try:
        return Trait(name, cast("Kind", kind), _CONVERT[cast("Kind", kind)](value))
    except Rejected as error:
        raise Rejected(f"trait {shown(name)}: {error}") from None


def _as_text(value: Any) -> str:
    if isinstance(value, str) and len(value) <= LONGEST_TRAIT:
        return value
    raise Rejected(f"{shown(value)} is no text of at most {LONGEST_TRAIT} characters")


def _integer(value: Any) -> int:
    if type(value) is int and -(2**63) <= value < 2**64:
        return value
    raise Rejected(f"{shown(value)} is no integer within 64 bits")


def _float(value: Any) -> float:
    try:
        if type(value) in (int, float) and isfinite(value):
            return float(value)
    except OverflowError:
        pass
    raise Rejected(f"{shown(value)} is no finite number")


_CONVERT: Mapping[Kind, Callable[[Any], str | int | float]] = {
    NONE: _as_text,
    TEXT: _as_text,
    INTEGER: _integer,
    FLOAT: _float,
    DATETIME: lambda value: _instant("value", value),
}
