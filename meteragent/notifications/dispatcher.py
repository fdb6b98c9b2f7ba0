"""Finds the handlers for a notification and lets them convert it; apart from the bus."""

import fnmatch
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import msgspec
from msgspec.structs import force_setattr

from meteragent.clock import EARLIEST, LATEST
from meteragent.documents import as_text, shown
from meteragent.errors import MeteragentError, Rejected
from meteragent.event import Event
from meteragent.notifications.base import Notification
from meteragent.notifications.instant import instant_of
from meteragent.notifications.origin import notified, received
from meteragent.plugins.bind import Bound, bind
from meteragent.plugins.contracts import CONVERT
from meteragent.plugins.reason import one_line, shortened, valid
from meteragent.sample import LONGEST_TEXT, Metadata, Sample, accepted

MOST_YIELDED = 100_000
"""Samples and events that one handler may make of one notification."""
MOST_BYTES = 64 << 20
"""Bytes of metadata that the samples of one notification may have together."""
MOST_TOLD = 1000
"""Problems of one notification that are told; the others are counted."""
_REMEMBERED = 4096
"""Event types whose handlers are remembered."""


class Conversion(msgspec.Struct):
    """What became of a notification."""

    samples: list[Sample] = []
    events: list[Event] = []
    problems: list[str] = []
    """A line for each thing that it does not tell, or that was refused."""


class _Problems(list[str]):
    """Lines of which only so many are kept, however many a message brings about."""

    def __init__(self) -> None:
        super().__init__()
        self.more = 0

    def append(self, told: str) -> None:
        if len(self) < MOST_TOLD:
            super().append(shortened(valid(told)))
        else:
            self.more += 1

    def extend(self, lines: Iterable[str]) -> None:
        for each in lines:
            self.append(each)

    def __iadd__(self, lines: Iterable[str]) -> "_Problems":  # type: ignore[override, misc]
        self.extend(lines)
        return self

    def told(self) -> list[str]:
        """Those that are kept, and how many there were besides."""
        return [*self, f"and {self.more} problems more"] if self.more else list(self)


class Dispatcher:
    """Event type and priority to handlers.

    Life: constructed with all handlers, then ``dispatch`` in one thread at a time.
    """

    def __init__(self, handlers: Mapping[str, Any], sample_source: str = "openstack") -> None:
        """
        :param handlers: by name, in the order in which they are asked
        :param sample_source: the source of samples that name none
        :raises PluginError: when a handler needs an argument that is not offered
        """
        self._source = sample_source
        self._handlers = [
            (name, handler, bind(handler.convert, CONVERT)) for name, handler in handlers.items()
        ]
        self._known: dict[tuple[str, str], list[tuple[str, Bound]]] = {}

    def handles(self, notification: Notification) -> bool:
        """Whether there is a handler for it at all."""
        return bool(self._handlers_of(notification))

    def dispatch(self, notification: Notification) -> Conversion:
        """Let each of its handlers convert it; never raises for what a notification says."""
        intake = _Intake(notification, self._source)
        for name, convert in self._handlers_of(notification):
            intake.maker = name
            try:
                self._convert(convert, notification, intake)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # boundary: handlers are plugins; what was yielded before is kept
                reason = str(error) if isinstance(error, MeteragentError) else one_line(error)
                intake.problems.append(f"handler {name}: {reason}")
        return Conversion(intake.samples, intake.events, intake.problems.told())

    def _convert(self, convert: Bound, notification: Notification, intake: "_Intake") -> None:
        found: Iterable[Any] = convert({"notification": notification, "problems": intake.problems}) or ()
        yielded = iter(found)
        for each in islice(yielded, MOST_YIELDED):
            intake.take(each)
        if next(yielded, None) is not None:
            intake.problems.append(f"the limit of {MOST_YIELDED} samples and events is reached")

    def _handlers_of(self, notification: Notification) -> list[tuple[str, Bound]]:
        key = (notification.event_type, notification.priority)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[key] = [
                (name, convert)
                for name, handler, convert in self._handlers
                if notification.priority in handler.priorities
                and any(matches(pattern, notification.event_type) for pattern in handler.event_types)
            ]
        return found


class _Intake:
    """Takes what handlers yield of one notification, and gives each sample its identity."""

    def __init__(self, notification: Notification, source: str) -> None:
        self._metadata, self._source = notification.metadata, source
        self.maker = ""
        """The handler that is asked."""
        self.samples: list[Sample] = []
        self.events: list[Event] = []
        self.problems = _Problems()
        self._ordinals: Counter[tuple[str, str, str]] = Counter()
        self._at: int | None = None
        self._weight = 0

    def take(self, each: Any) -> None:
        """Take a sample or an event."""
        if isinstance(each, Event):
            self.events.append(each)
            return
        try:
            self.samples.append(self._accepted(each))
        except Rejected as error:
            self.problems.append(f"meter {_read(each, 'name')}: refused: {error}")
        except Exception as error:  # boundary: what a plugin yields may raise when it is looked at
            self.problems.append(f"meter {_read(each, 'name')}: refused: {one_line(error)}")

    def _accepted(self, each: Any) -> Sample:
        own = each if type(each) is Sample else None  # the ancestor's has an id made at random
        ordinal = 0
        if own is None or (own.id is None and not own.origin):
            ordinal = self._ordinal(each)  # before it can be refused, as the next delivery may accept it
        source = self._source if own is None or own.source is None else _source(own.source)
        sample = accepted(each, self._instant(getattr(each, "timestamp", None)), source)
        self._weight += len(Metadata.of(sample.resource_metadata).json)
        if self._weight > MOST_BYTES:
            raise Rejected(f"resource_metadata: one notification may have {MOST_BYTES} bytes of it at most")
        if own is not None and own.origin:
            origin = _origin(own.origin)
        elif own is not None and own.id is not None:
            origin = received(sample, str(own.id))
        else:
            origin = notified(str(self._metadata.get("message_id") or ""), self.maker, ordinal)
        force_setattr(sample, "origin", origin)  # nobody else has it yet
        return sample

    def _ordinal(self, each: Any) -> int:
        """Its place among those of its maker, name and resource, refused or not."""
        key = (self.maker, _read(each, "name"), _read(each, "resource_id"))
        ordinal = self._ordinals[key]
        self._ordinals[key] += 1
        return ordinal

    def _instant(self, told: Any) -> int:
        """Of a sample, as a number or a text, or else of the message.

        :raises Rejected: when it cannot be read
        """
        if type(told) is int:
            if not EARLIEST <= told <= LATEST:
                raise Rejected(f"timestamp: {told} is in no calendar")
            return told
        if told is not None:
            return instant_of(told)
        if self._at is None:
            self._at = instant_of(self._metadata.get("timestamp"))
        return self._at


def _read(each: Any, field: str) -> str:
    """A field of what was yielded, for telling; foreign code."""
    try:
        return as_text(getattr(each, field, None))[:LONGEST_TEXT]
    except Exception as error:  # boundary: attributes of what a plugin yielded
        return one_line(error)


def _source(told: Any) -> str:
    if type(told) is not str or not 0 < len(told) <= LONGEST_TEXT:
        raise Rejected(f"source: {shown(told)} is no text of 1 to {LONGEST_TEXT} characters")
    return told


def _origin(told: Any) -> int:
    if type(told) is not int or not 0 < told < 1 << 63:
        raise Rejected(f"origin: {shown(told)} is no integer from 0 to 2^63 - 1")
    return told


def matches(pattern: str | re.Pattern[str], event_type: str) -> bool:
    """Whether an event type is meant by a name, a glob, or an expression for its beginning."""
    if isinstance(pattern, str):
        return pattern == event_type or fnmatch.fnmatchcase(event_type, pattern)
    return pattern.match(event_type) is not None
