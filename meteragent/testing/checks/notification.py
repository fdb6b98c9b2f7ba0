"""What the agent needs of a handler of notifications."""

import contextlib
import copy
import re
from collections.abc import Sequence
from typing import Any

from meteragent.errors import Rejected
from meteragent.notifications.base import Notification
from meteragent.notifications.dispatcher import Conversion, Dispatcher
from meteragent.plugins.bind import bind
from meteragent.plugins.contracts import CONVERT
from meteragent.plugins.settling import settled
from meteragent.testing.subject import Subject
from meteragent.testing.verdict import Breach, Check, Undecided, check


def use(subject: Subject) -> None:
    """Convert one notification."""
    plugin = subject.make()
    _dispatched(subject, plugin, _given(subject, plugin))


@check("event types", "name in event_types what the handler is to be given")
def event_types(subject: Subject) -> None:
    """It is asked for what it is tried out with."""
    plugin = subject.plugin()
    notification = _given(subject, plugin)
    if not _dispatched(subject, plugin, notification).handled:
        raise Breach(
            f"event type {notification.event_type!r} of priority {notification.priority!r} is not handled",
            place=subject.place(), mend="name it in event_types, and the priority in priorities",
        )  # fmt: skip


@check("converts", "append to problems what a notification lacks, and go on")
def converts(subject: Subject) -> None:
    """The notification becomes samples and events that are acceptable, the same at each delivery."""
    plugin = subject.plugin()
    notification = _given(subject, plugin)
    before = copy.deepcopy(notification.document)
    _converted(subject, plugin, notification)
    place = subject.place(plugin.convert)
    if notification.document != before:
        raise Breach(
            "the notification is changed", place=place,
            mend="copy what is to be changed: other handlers are given the same notification",
        )  # fmt: skip
    first, second = (_dispatched(subject, plugin, notification) for _ in range(2))
    if subject.given.notification is not None and (first.refused or first.incomplete):
        raise Breach(
            f"not all of it is acceptable: {'; '.join(first.problems)}", place=place,
            mend="let samples and events have what is wanted",
        )  # fmt: skip
    if (first.samples, first.events) != (second.samples, second.events):
        raise Breach(
            "another delivery of the same notification becomes something else", place=place,
            mend="make samples of the notification alone: no clock, counter or random number",
        )  # fmt: skip
    if subject.given.notification is not None and not first.samples and not first.events:
        raise Breach(
            f"nothing is made of it: {'; '.join(first.problems) or 'and no problem is told'}", place=place,
            mend="yield a Sample or an Event",
        )  # fmt: skip


@check(
    "empty notification", "look whether the payload has what is needed, and append to problems what it lacks"
)
def empty(subject: Subject) -> None:
    """One without a payload, or with another than expected, raises nothing."""
    plugin = subject.plugin()
    given = _given(subject, plugin)
    payloads: tuple[Any, ...] = (None, {}, [], "text", 5)
    for payload in payloads:
        document = {"event_type": given.event_type, "payload": payload}
        try:
            _converted(subject, plugin, Notification(document, given.priority))
        except Exception as error:  # boundary: handlers are foreign code
            raise subject.told(
                error, f"a notification with the payload {payload!r}",
                "append to problems what it lacks, and return: anybody can put anything on a bus",
            ) from None  # fmt: skip


_METADATA = {"message_id": "checked", "timestamp": "2026-03-01T10:00:20.5Z"}
CHECKS: tuple[Check, ...] = (event_types, converts, empty)


def _converted(subject: Subject, plugin: Any, notification: Notification) -> None:
    """Have it converted; that it refuses all of it is no fault."""
    bound = bind(plugin.convert, CONVERT, subject.context(plugin))
    with contextlib.suppress(Rejected):
        list(settled(bound({"notification": notification, "problems": []})) or ())


def _dispatched(subject: Subject, plugin: Any, notification: Notification) -> Conversion:
    told = Dispatcher({subject.one.name: plugin}, context=lambda _, handler: subject.context(handler))
    return told.dispatch(notification)


def _given(subject: Subject, plugin: Any) -> Notification:
    """The notification that it is tried out with, or one that says nothing but its event type.

    :raises Undecided: when there is none that it surely handles
    """
    if subject.given.notification is not None:
        document = {"metadata": dict(_METADATA), **subject.given.notification}
        return Notification(document, subject.given.priority)
    types: Sequence[Any] = plugin.event_types
    for each in types:
        name = _example(each)
        if name:
            document = {"event_type": name, "payload": {}, "metadata": dict(_METADATA)}
            return Notification(document, [*plugin.priorities, "info"][0])
    raise Undecided("it names expressions only as its event types: try it with a notification")


def _example(event_type: "str | re.Pattern[str]") -> str:
    """An event type that it stands for; empty when none comes to mind."""
    if isinstance(event_type, str):
        return event_type.replace("*", "any").replace("?", "x")
    pattern = event_type.pattern.removeprefix("^").removesuffix("$").replace(".*", "any").replace(".+", "any")
    name = re.sub(r"\\(.)", r"\1", pattern)
    return name if event_type.match(name) else ""
