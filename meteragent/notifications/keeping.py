"""What is kept of a message that goes to quarantine: all of it but secrets; apart, as it is rarely needed.

The token that a request was made with opens doors for as long as it is valid, and quarantine is shown to
whoever looks for a fault in definitions.
"""

import json
import re
from typing import Any

import msgspec

from meteragent.message import Message
from meteragent.notifications.envelope import LARGEST, SECRET
from meteragent.plugins.reason import valid

_decode = msgspec.json.Decoder().decode
_ENVELOPE, _CONTEXT = "oslo.message", "_context_"
_MASK = "***"
_in_text = re.compile(
    rb"""((?:auth_token|password)\\?['"]\s*:\s*\\?['"])[^'"\\]+"""
)  # where the text cannot be read, or is not looked at
_UTF_8 = "utf-8"


def keepable(message: Message) -> tuple[Message, str, str]:
    """The message without secrets, its id and its event type; empty where they cannot be read."""
    body = message.body
    told: Any = None
    try:
        if len(body) <= LARGEST:
            outer = _decode(body if message.content_encoding is None else _text(message))
            inner = outer.get(_ENVELOPE) if isinstance(outer, dict) else None
            told = _decode(inner) if isinstance(inner, str) else outer
    except (ValueError, RecursionError, LookupError, msgspec.MsgspecError):
        told = None
    if not isinstance(told, dict):
        return _with(message, _in_text.sub(rb"\1***", body)), "", ""
    metadata = told.get("metadata")
    known = metadata if isinstance(metadata, dict) and "message_id" not in told else told
    message_id, event_type = _label(known.get("message_id")), _label(told.get("event_type"))
    if not _hide(told):
        return message, message_id, event_type
    text = json.dumps(told)
    if told is not outer:
        text = json.dumps({**outer, _ENVELOPE: text})
    return _with(message, text.encode(), _UTF_8), message_id, event_type


def _text(message: Message) -> bytes | str:
    encoding = message.content_encoding or _UTF_8
    return message.body if encoding == "binary" else message.body.decode(encoding)


def _with(message: Message, body: bytes, encoding: str | None = None) -> Message:
    return (
        message
        if body == message.body
        else msgspec.structs.replace(
            message, body=body, content_encoding=encoding or message.content_encoding
        )
    )


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
