"""Finds the handlers for a notification and lets them convert it; apart from the bus."""

import copy
import fnmatch
import marshal
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

import msgspec
from msgspec.structs import force_setattr

from meteragent.clock import EARLIEST, LATEST
from meteragent.documents import as_text, shown
from meteragent.errors import MeteragentError, Rejected
from meteragent.event import Event
from meteragent.notifications.base import Notification, Refused, RefusedSample
from meteragent.notifications.instant import instant_of
from meteragent.notifications.origin import checked, notified, received
from meteragent.plugins.bind import NOWHERE, Bound, Context, bind
from meteragent.plugins.contracts import CONVERT
from meteragent.plugins.isolation import Abandoned
from meteragent.plugins.reason import one_line, shortened, valid
from meteragent.plugins.settling import settled
from meteragent.sample import LONGEST_TEXT, Metadata, Sample, accepted

MOST_YIELDED = 100_000
"""Samples and events that one handler may make of one notification."""
MOST_BYTES = 64 << 20
"""Bytes of metadata that the samples of one notification may have together."""
MOST_TOLD = 1000
"""Problems of one notification that are told; the others are counted."""
_REMEMBERED = 4096
"""Event types whose handlers are remembered."""
_OWN = "meteragent."
"""Modules of handlers that leave notifications as they are and yield events that are sound."""
_Seat = tuple[str, Bound, bool]
"""A handler's name, its callback, and whether it is of others."""
Contexts = Callable[[str, Any], Context]
"""What is told of the callback of a handler, by its name and itself."""
_written = msgspec.msgpack.Encoder().encode
_event = msgspec.msgpack.Decoder(Event).decode


class Conversion(msgspec.Struct):
    """What became of a notification."""

    samples: list[Sample] = []
    events: list[Event] = []
    problems: list[str] = []
    """A line for each thing that it does not tell, or that was refused."""
    refused: int = 0
    """Samples that were there and are refused."""
    incomplete: bool = False
    """Whether something else could not be made: an event, or what a definition or a handler makes."""
    handled: bool = True
    """Whether there is a handler for it at all."""
    weight: int = 0
    """About how many bytes its samples and events have together."""


class Asked:
    """Which handler is asked; seen, and told to stop, from other threads."""

    __slots__ = ("barred", "handler", "stopped")

    def __init__(self, barred: Mapping[str, str] | None = None) -> None:
        """
        :param barred: by name why a handler is not to be asked
        """
        self.handler, self.stopped, self.barred = "", False, barred or {}


class _Problems(list[str]):
    """Lines of which only so many are kept, however many a message brings about."""

    def __init__(self) -> None:
        super().__init__()
        self.more = self.refused = 0
        self.incomplete = False

    def append(self, told: str) -> None:
        if isinstance(told, Refused):
            self.refused += told.samples
            self.incomplete = self.incomplete or not told.samples
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

    def __init__(
        self,
        handlers: Mapping[str, Any],
        sample_source: str = "openstack",
        context: Contexts | None = None,
    ) -> None:
        """
        :param handlers: by name, in the order in which they are asked
        :param sample_source: the source of samples that name none
        :param context: gives what middleware is told of a handler, and where that is found
        :raises PluginError: when a handler needs an argument that is not offered
        """
        self._source = sample_source
        self._handlers = [
            (name, handler, bind(handler.convert, CONVERT, context(name, handler) if context else NOWHERE))
            for name, handler in handlers.items()
        ]
        self._known: dict[tuple[str, str], list[_Seat]] = {}

    def handles(self, notification: Notification) -> bool:
        """Whether there is a handler for it at all."""
        return bool(self._handlers_of(notification))

    def dispatch(self, notification: Notification, asked: Asked | None = None) -> Conversion:
        """Let each of its handlers convert it; never raises for what a notification says.

        :raises Abandoned: when it was told to stop
        """
        handlers, asked = self._handlers_of(notification), asked or Asked()
        intake = _Intake(notification, self._source)
        problems = intake.problems
        for name, convert, foreign in handlers:
            asked.handler = intake.maker = name
            if name in asked.barred:
                problems.append(Refused(asked.barred[name]))
                continue
            try:
                self._convert(convert, notification, foreign, intake)
            except BaseException as error:  # boundary: handlers are plugins; what was yielded before is kept
                if isinstance(error, Abandoned) or (isinstance(error, KeyboardInterrupt) and _of_user()):
                    raise
                reason = str(error) if isinstance(error, MeteragentError) else one_line(error)
                problems.append(Refused(f"handler {name}: {reason}"))
            if asked.stopped:  # whatever was thrown into the handler, it may have caught
                raise Abandoned
        return Conversion(
            intake.samples, intake.events, problems.told(), problems.refused, problems.incomplete,
            bool(handlers), intake.weight,
        )  # fmt: skip

    def _convert(self, convert: Bound, notification: Notification, foreign: bool, intake: "_Intake") -> None:
        given = _copied(notification) if foreign else notification
        found = settled(convert({"notification": given, "problems": intake.problems}), MOST_YIELDED + 1)
        yielded = iter(found or ())
        for each in islice(yielded, MOST_YIELDED):
            intake.take(each, foreign)
        if next(yielded, None) is not None:
            told = f"the limit of {MOST_YIELDED} samples and events is reached"
            intake.problems.append(RefusedSample(told))

    def _handlers_of(self, notification: Notification) -> "list[_Seat]":
        key = (notification.event_type, notification.priority)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[key] = [
                (name, convert, not type(handler).__module__.startswith(_OWN))
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
        self.weight = 0

    def take(self, each: Any, foreign: bool) -> None:
        """Take a sample or an event."""
        if isinstance(each, Event):
            self._take_event(each, foreign)
            return
        try:
            self.samples.append(self._accepted(each))
        except Exception as error:  # boundary: what a plugin yields may raise when it is looked at
            reason = str(error) if isinstance(error, Rejected) else one_line(error)
            self.problems.append(RefusedSample(f"meter {_read(each, 'name')}: refused: {reason}"))

    def _take_event(self, event: Event, foreign: bool) -> None:
        """Take an event; a handler of others may have put anything into it, and may change it later."""
        if foreign:
            try:
                event, size = _reread(event)
                self._weigh(size)
            except Rejected as error:
                told = f"event {_read(event, 'event_type')}: refused: {error}"
                self.problems.append(Refused(told))
                return
        self.events.append(event)

    def _weigh(self, size: int) -> None:
        """Count bytes of what is taken.

        :raises Rejected: when they are too many
        """
        self.weight += size
        if self.weight > MOST_BYTES:
            raise Rejected(f"resource_metadata: one notification may have {MOST_BYTES} bytes of it at most")

    def _accepted(self, each: Any) -> Sample:
        own = each if type(each) is Sample else None  # the ancestor's has an id made at random
        ordinal = 0
        if own is None or (own.id is None and not own.origin):
            ordinal = self._ordinal(each)  # before it can be refused, as the next delivery may accept it
        source = self._source if own is None or own.source is None else _source(own.source)
        sample = accepted(each, self._instant(getattr(each, "timestamp", None)), source)
        self._weigh(len(Metadata.of(sample.resource_metadata).json))
        if own is not None and own.origin:
            origin = checked(own.origin)
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


def _of_user() -> bool:
    """Whether a KeyboardInterrupt may be the user's: other threads get none."""
    return threading.current_thread() is threading.main_thread()


def _copied(notification: Notification) -> Notification:
    """One that a handler of others may change as it likes."""
    document = notification.document
    try:
        return Notification(marshal.loads(marshal.dumps(document)), notification.priority)
    except ValueError:  # it was not read from JSON, but made by hand
        return Notification(copy.deepcopy(document), notification.priority)


def _reread(event: Event) -> tuple[Event, int]:
    """The event as it is read again from the journal, and its bytes.

    :raises Rejected: when it cannot be written or read
    """
    try:
        written = _written(event)
        found = _event(written)
    except Exception as error:  # boundary: what a plugin put into it may be of any type
        raise Rejected(one_line(error)) from None
    if not EARLIEST <= found.generated <= LATEST:
        raise Rejected(f"generated: {found.generated} is in no calendar")
    for field in ("message_id", "event_type"):
        if not 0 < len(getattr(found, field)) <= LONGEST_TEXT:
            raise Rejected(
                f"{field}: {len(getattr(found, field))} characters, allowed are 1 to {LONGEST_TEXT}"
            )
    return found, len(written)


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


def matches(pattern: str | re.Pattern[str], event_type: str) -> bool:
    """Whether an event type is meant by a name, a glob, or an expression for its beginning."""
    if isinstance(pattern, str):
        return pattern == event_type or fnmatch.fnmatchcase(event_type, pattern)
    return pattern.match(event_type) is not None
