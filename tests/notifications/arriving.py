"""Messages as a bus delivers them, and handlers that do with them what a test wants."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from meteragent.message import Message
from meteragent.notifications.base import Handler, Notification
from meteragent.sample import Sample

AT = "2026-03-01 10:00:20.500000"


def message(number: int = 0, event_type: str = "a.b", **fields: Any) -> Message:
    """A notification in an envelope; fields may replace any part of it."""
    told = {
        "message_id": f"m{number}",
        "publisher_id": "here",
        "event_type": event_type,
        "priority": "INFO",
        "timestamp": AT,
        "payload": {"id": f"r{number}", "size": number},
        **fields,
    }
    text = json.dumps({name: value for name, value in told.items() if value is not ...})
    body = json.dumps({"oslo.version": "2.0", "oslo.message": text}).encode()
    return Message(body, "notifications.info", "application/json", "utf-8")


def sample(notification: Notification, name: str = "size", **fields: Any) -> Sample:
    """The sample that a payload tells."""
    payload = notification.payload
    usual: dict[str, Any] = {"name": name, "type": "gauge", "unit": "B", "volume": payload["size"]}
    return Sample(**{**usual, "resource_id": payload["id"], **fields})


Convert = Callable[[Notification, list[str]], Any]


class Does(Handler):
    """A handler that does what it is made with, by default one sample for each message."""

    def __init__(self, convert: Convert | None = None, event_types: Sequence[str] = ("*",)) -> None:
        self._convert, self.event_types = convert, event_types
        self.asked = 0

    def convert(self, notification: Notification, problems: list[str]) -> Any:
        """Do it."""
        self.asked += 1
        return self._one(notification) if self._convert is None else self._convert(notification, problems)

    def _one(self, notification: Notification) -> Iterator[Sample]:
        yield sample(notification)
