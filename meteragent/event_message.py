"""An event as the message of the ancestor; apart, as every sink to a bus sends this one form."""

from typing import Any

from meteragent.clock import iso
from meteragent.event import DATETIME, Event
from meteragent.signing import sign


def event_message(event: Event, secret: str | bytes | None) -> dict[str, Any]:
    """The signed message of an event, its times in UTC without a zone.

    :raises ValueError: when the message cannot be signed
    """
    message: dict[str, Any] = {
        "message_id": event.message_id,
        "event_type": event.event_type,
        "generated": _naive(event.generated),
        "traits": [
            [each.name, each.kind, _naive(int(each.value)) if each.kind == DATETIME else each.value]
            for each in event.traits
        ],
        "raw": event.raw,
    }
    message["message_signature"] = sign(message, secret)
    return message


def _naive(at: int) -> str:
    return iso(at).removesuffix("Z")
