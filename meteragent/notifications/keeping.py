"""What is kept of a message that goes to quarantine: all of it but secrets; apart, as it is rarely needed.

The token that a request was made with opens doors for as long as it is valid, and quarantine is shown to
whoever looks for a fault in definitions.
"""

import json
import re
from typing import Any

import msgspec

from meteragent.errors import Rejected
from meteragent.message import Message, told_of
from meteragent.notification_message import LARGEST
from meteragent.notifications.envelope import SECRET, decoded
from meteragent.plugins.reason import one_line, valid

_decode = msgspec.json.Decoder().decode
_ENVELOPE, _CONTEXT = "oslo.message", "_context_"
_MASK = "***"
_NAMES = tuple(name.encode() for name in SECRET)
_UTF_8 = "utf-8"
_in_text = re.compile(
    rb"""((?:auth_token|password)(["'])\s*:\s*(["']))(?:(?!\3)[^\\]|\\.)++""", re.DOTALL
)  # where the text cannot be read, or is not looked at
_in_envelope = re.compile(
    rb"""((?:auth_token|password)\\"\s*:\s*\\")(?:[^"\\]|\\\\(?:\\.|[^\\])|\\[^"\\])++""", re.DOTALL
)  # the same in a text within it, in which each backslash is doubled


def keepable(message: Message) -> tuple[Message, str, str]:
    """The message without secrets, its id and its event type; empty where they cannot be read."""
    try:
        return _masked(message)
    except Exception as error:  # boundary: whatever is in a message, the others go on
        return _described(message, one_line(error)), "", ""


def _masked(message: Message) -> tuple[Message, str, str]:
    outer = told = None
    try:
        if len(message.body) <= LARGEST:
            outer = _decode(_text(message))
            inner = outer.get(_ENVELOPE) if isinstance(outer, dict) else None
            told = _decode(inner) if isinstance(inner, str) else outer
    except (ValueError, RecursionError, msgspec.MsgspecError):
        told = None
    if not isinstance(outer, dict) or not isinstance(told, dict):
        return _unread(message), "", ""
    metadata = told.get("metadata")
    known = metadata if isinstance(metadata, dict) and "message_id" not in told else told
    message_id, event_type = _label(known.get("message_id")), _label(told.get("event_type"))
    hidden = [_hide(told), told is not outer and _hide(outer)]
    if not any(hidden):
        return message, message_id, event_type
    text = json.dumps(told)
    if told is not outer:
        text = json.dumps({**outer, _ENVELOPE: text})
    return _with(message, text.encode(), _UTF_8), message_id, event_type


def _unread(message: Message) -> Message:
    """A message that cannot be read, secrets masked by their names, or described where that is not enough."""
    body = message.body
    bare = body.replace(b"\0", b"").lower()  # ASCII of UTF-16 and UTF-32, too
    plain = len(bare) == len(body) and _is_utf_8(message)
    if not plain and any(name in bare for name in _NAMES):
        return _described(message, "it is no text in UTF-8 and may hold secrets")
    return _with(message, _in_envelope.sub(rb"\1***", _in_text.sub(rb"\1***", body)))


def _text(message: Message) -> bytes | str:
    """What its sender says that it is, or perhaps UTF-8 all the same."""
    try:
        return decoded(message.body, message.content_encoding)
    except Rejected:
        return message.body


def _is_utf_8(message: Message) -> bool:
    """Whether that is what its sender says."""
    try:
        return isinstance(decoded(b"", message.content_encoding), bytes)
    except Rejected:
        return False


def _described(message: Message, why: str) -> Message:
    """In place of a message that cannot be kept, by what it is known again."""
    text = f"{told_of(message.body)}, is not kept: {why}"
    return Message(text.encode(), message.routing_key, "text/plain", _UTF_8)


def _with(message: Message, body: bytes, encoding: str | None = None) -> Message:
    if body == message.body:
        return message
    return msgspec.structs.replace(message, body=body, content_encoding=encoding or message.content_encoding)


def _label(told: Any) -> str:
    return valid(told) if isinstance(told, str) else ""


def _hide(told: dict[str, Any]) -> bool:
    """Put a mask in the place of each secret of a context; whether there was one."""
    context = told.get("ctxt")
    places = [(told, f"{_CONTEXT}{name}") for name in SECRET]
    if isinstance(context, dict):
        places += [(context, name) for name in SECRET]
    found = [(where, name) for where, name in places if where.get(name)]
    for where, name in found:
        where[name] = _MASK
    return bool(found)
