"""Bytes from the bus to a notification; apart, so that no handler ever meets what cannot be read."""

import re
from typing import Any

import msgspec

from meteragent.documents import shown
from meteragent.errors import Rejected
from meteragent.notification_message import LARGEST, LEVELS, deeper
from meteragent.notifications.base import PRIORITIES, Notification
from meteragent.sample import LONGEST_TEXT

ENCODINGS = frozenset(
    ("ascii", "us-ascii", "iso-8859-1", "latin-1", "utf-8", "utf8", "utf-16", "utf-16-be", "utf-16-le")
)
"""What a body may be written in."""

_VERSION, _MESSAGE, _CONTEXT = "oslo.version", "oslo.message", "_context_"
_NOT_CONTEXT = ("msg_id", "reply_q")
"""Belong to calls that await an answer; the ancestor's listener takes them away."""
SECRET = ("auth_token", "auth_token_info", "password", "service_catalog")
"""What a request was allowed with, and where it leads. No sample or event needs it, and a whole notification
may be kept with its event or shown to whom it does not belong, while the token still opens doors."""
_AS_IT_IS = frozenset((None, "", "utf-8", "UTF-8", "utf8", "binary"))
_decode = msgspec.json.Decoder().decode
_at_byte = re.compile(r" \(byte (\d+)\)$")
_no_number = re.compile(rb"Infinity|NaN")


def unpack(
    body: bytes, content_type: str | None, content_encoding: str | None, priority: str | None
) -> Notification:
    """The notification that a body from the bus tells, in an envelope or bare.

    It is read as JSON whatever type it is said to have. Of a key given twice the last one counts.

    :param content_type: what the sender says it is; shown where it cannot be read
    :param content_encoding: None for UTF-8
    :param priority: or the routing key that ends in it; for messages that tell none of their own
    :raises Rejected: with the reason, when it can never be read
    """
    if len(body) > LARGEST:
        raise Rejected(f"message: {len(body)} bytes, at most {LARGEST} allowed")
    text = decoded(body, content_encoding)
    label = f" (sent as {shown(content_type)})" if content_type else ""
    message = _mapping(text, "message", label)
    if _MESSAGE in message or _VERSION in message:
        text = _inside(message)
        message = _mapping(text, _MESSAGE, "")
    if _opened(text) > LEVELS and deeper(message, LEVELS):
        raise Rejected(f"message: nested deeper than {LEVELS} levels")
    return Notification(_document(message), _priority(message.get("priority"), priority))


def _document(message: dict[str, Any]) -> dict[str, Any]:
    """As the ancestor's listener delivers it, and as it may be written down for trying it out."""
    event_type, delivered = _required(message, "event_type"), message.get("metadata")
    if isinstance(delivered, dict) and "message_id" not in message:
        known = {"message_id": _required(delivered, "message_id"), "timestamp": delivered.get("timestamp")}
        told = {name: message.get(name) for name in ("publisher_id", "payload")}
        context = _without_secrets(message.get("ctxt"))
        return {"ctxt": context, **told, "event_type": event_type, "metadata": known}
    message_id = _required(message, "message_id")
    context = {name[9:]: value for name, value in message.items() if name[:9] == _CONTEXT}
    for name in _NOT_CONTEXT:
        context.pop(name, None)
    context["client_timeout"] = message.get("_timeout")
    return {
        "ctxt": _without_secrets(context),
        "publisher_id": message.get("publisher_id"),
        "event_type": event_type,
        "payload": message.get("payload"),
        "metadata": {"message_id": message_id, "timestamp": message.get("timestamp")},
    }


def _without_secrets(context: Any) -> Any:
    """The context with nothing told of the secrets in it, so that they are gone before anything is kept."""
    if isinstance(context, dict):
        for name in SECRET:
            if context.get(name):
                context[name] = None
    return context


def _required(message: dict[str, Any], name: str) -> str:
    found = message.get(name)
    if isinstance(found, str) and 0 < len(found) <= LONGEST_TEXT:
        return found
    if found is None or found == "":
        raise Rejected(f"{name}: missing")
    if isinstance(found, str):
        raise Rejected(f"{name}: {len(found)} characters, at most {LONGEST_TEXT} allowed")
    raise Rejected(f"{name}: {shown(found)} is no text")


def _priority(told: Any, routing_key: str | None) -> str:
    if told is None or told == "":
        told = (routing_key or "").rpartition(".")[2]
    if isinstance(told, str) and (lower := told.lower()) in PRIORITIES:
        return lower
    if told == "":
        raise Rejected("priority: missing, in the message and in its routing key")
    raise Rejected(f"priority: {shown(told)} is none of {', '.join(PRIORITIES)}")


def decoded(body: bytes, encoding: str | None) -> bytes | str:
    """The text of a body, or the body where that is UTF-8 as it is.

    :raises Rejected: when the encoding is none of ``ENCODINGS``, or not that of the body
    """
    if encoding is None or encoding in _AS_IT_IS:
        return body
    name = encoding.lower().replace("_", "-")
    if name not in ENCODINGS:
        raise Rejected(f"content encoding: {shown(encoding)} is none of {', '.join(sorted(ENCODINGS))}")
    try:
        return body.decode(name)
    except UnicodeError as error:
        raise Rejected(f"message: {error}") from None


def _mapping(text: bytes | str, name: str, label: str) -> dict[str, Any]:
    try:
        found = _decode(text)
    except RecursionError:
        raise Rejected(f"{name}: nested deeper than {LEVELS} levels") from None
    except UnicodeError as error:
        raise Rejected(f"{name}: {error}{label}") from None
    except msgspec.DecodeError as error:
        raise Rejected(f"{name}: not JSON: {_fault(str(error), text)}{label}") from None
    if not isinstance(found, dict):
        raise Rejected(f"{name}: {shown(found)} is no mapping{label}")
    return found


def _fault(told: str, text: bytes | str) -> str:
    """What the decoder found, with the literal named that JSON does not have."""
    place = _at_byte.search(told)
    if place is None:
        return told
    data = text.encode() if isinstance(text, str) else text
    literal = _no_number.match(data, int(place[1]))
    return f"{literal[0].decode()} is no number of JSON{place[0]}" if literal else told


def _inside(envelope: dict[str, Any]) -> str:
    """The message in an envelope of version 2.0, the only one that there is."""
    version, message = envelope.get(_VERSION), envelope.get(_MESSAGE)
    for name, found in ((_VERSION, version), (_MESSAGE, message)):
        if found is None:
            raise Rejected(f"{name}: missing")
    if version != "2.0":
        raise Rejected(f"{_VERSION}: {shown(version)} is unknown, known is '2.0'")
    if not isinstance(message, str):
        raise Rejected(f"{_MESSAGE}: {shown(message)} is no text")
    return message


def _opened(text: bytes | str) -> int:
    """No fewer than the levels: brackets and braces, those in texts too."""
    if isinstance(text, str):
        return text.count("[") + text.count("{")
    return text.count(b"[") + text.count(b"{")
