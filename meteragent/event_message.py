"""An event as the message of the ancestor; apart, as every sink to a bus sends this one form."""

from typing import Any

from meteragent.clock import iso
from meteragent.event import Event
from meteragent.signing import sign


def event_message(event: Event, secret: str | bytes | None) -> dict[str, Any]:
    """The signed message of an event, its times in UTC without a zone.

    :raises ValueError: when the message cannot be signed
    """
    message = event.as_dict(_naive)
    message["message_signature"] = sign(message, secret)
    return message


def _naive(at: int) -> str:
    return iso(at).removesuffix("Z")
