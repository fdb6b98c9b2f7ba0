"""A notification as it lies on a bus, in the envelope of the ancestor; apart from what is told in it."""

import hashlib
import uuid
from collections.abc import Iterator
from typing import Any

import msgspec

from meteragent.clock import iso

LEVELS = 100
"""How deep its lists and mappings may be nested."""
LARGEST = 10_000_000
"""Bytes that it may have."""

CONTENT_TYPE, CONTENT_ENCODING = "application/json", "utf-8"


class _Message(msgspec.Struct):
    message_id: str
    publisher_id: str
    event_type: str
    priority: str
    payload: msgspec.Raw
    timestamp: str
    unique_id: str = msgspec.field(name="_unique_id")


class _Envelope(msgspec.Struct):
    version: str = msgspec.field(name="oslo.version")
    message: str = msgspec.field(name="oslo.message")


_encode = msgspec.json.Encoder().encode


def notification(event_type: str, payload: bytes, *, publisher_id: str, priority: str, at: int) -> bytes:
    """The body of a notification.

    Its id is made of what it says, so that one that is sent twice is known again.

    :param payload: JSON
    :param at: when it is sent, microseconds since the epoch
    """
    digest = hashlib.blake2b(digest_size=16, person=b"notification")
    for part in (publisher_id.encode(), event_type.encode(), payload):
        digest.update(b"%d:%s" % (len(part), part))
    message_id = uuid.UUID(bytes=digest.digest())
    message = _Message(
        str(message_id), publisher_id, event_type, priority.upper(), msgspec.Raw(payload), timestamp(at),
        message_id.hex,
    )  # fmt: skip
    return enveloped(_encode(message))


def enveloped(message: bytes) -> bytes:
    """A message, which is JSON, as text in an envelope."""
    return _encode(_Envelope("2.0", message.decode()))


def timestamp(at: int) -> str:
    """An instant as the ancestor's notifications tell it."""
    text = iso(at).removesuffix("Z").replace("T", " ")
    return text if "." in text else f"{text}.000000"


def nested_deeper(json: bytes, levels: int) -> bool:
    """Whether a JSON text has lists and mappings within each other beyond so many levels."""
    return json.count(b"[") + json.count(b"{") > levels and deeper(msgspec.json.decode(json), levels)


def deeper(document: Any, levels: int) -> bool:
    """Whether a document has lists and mappings within each other beyond so many levels."""
    path: list[Iterator[Any]] = [iter((document,))]
    while path:
        for value in path[-1]:
            if isinstance(value, list | dict):
                path.append(iter(value.values() if isinstance(value, dict) else value))
                break
        else:
            path.pop()
        if len(path) > levels + 1:
            return True
    return False
