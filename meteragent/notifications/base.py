"""The contract of a handler, and the notification that it is given."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from meteragent.event import Event
from meteragent.sample import Sample

PRIORITIES = ("audit", "critical", "debug", "error", "info", "sample", "warn")
"""Of notifications, as the ancestor's services give them."""


class Notification(msgspec.Struct, frozen=True):
    """What another service announced, as the ancestor's listener delivers it.

    ``document`` has ``event_type``, ``publisher_id``, ``payload``, ``ctxt`` and ``metadata`` with
    ``message_id`` and ``timestamp``; it is what paths are looked up in. Any of these may be missing
    or of any type but for ``event_type``, which is text.
    """

    document: dict[str, Any]
    priority: str = "info"
    """One of those above."""

    @property
    def event_type(self) -> str:
        """What happened, as ``compute.instance.create.end``."""
        return str(self.document["event_type"])

    @property
    def payload(self) -> Any:
        """What the service tells of it."""
        return self.document.get("payload")

    @property
    def metadata(self) -> dict[str, Any]:
        """The message's own: ``message_id`` and ``timestamp``."""
        found = self.document.get("metadata")
        return found if isinstance(found, dict) else {}


class Refused(str):
    """A line about something that could not be made of a notification, which then waits in quarantine."""

    __slots__ = ()
    samples = 0
    """How many samples it is that were there and are refused."""


class RefusedSample(Refused):
    """A line about one sample that was there and is refused; it counts in the account."""

    __slots__ = ()
    samples = 1


class Handler(ABC):
    """Turns notifications into samples or events.

    Life: constructed once with what it names of ``conf``, ``host``, ``log`` and ``traits``, the trait plugins
    by name; ``convert`` is called in one thread at a time. Deriving from this class is optional; the
    attributes are not.
    """

    event_types: Sequence[str | re.Pattern[str]] = ()
    """Which it is given: exact names, globs with ``*`` or ``?``, or expressions that match the beginning."""
    priorities: Sequence[str] = ("info", "sample")
    """Of which priorities."""

    @abstractmethod
    def convert(self, notification: Notification, problems: list[str]) -> Iterable[Sample | Event]:
        """Yield what the notification says, in the same order at each delivery.

        A sample without a timestamp is of the message's. What cannot be told is named in ``problems``
        and passed over; what was yielded before an exception is kept.

        :param problems: lines for the user, to append to; plain ones are remarks, and a ``RefusedSample``
            or ``Refused`` has the notification kept, to be converted again
        """
