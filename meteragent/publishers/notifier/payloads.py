"""Samples or events as the payloads of messages; apart from the bus that they are sent over."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from meteragent.notification_message import LARGEST, LEVELS, nested_deeper
from meteragent.plugins.reason import shortened, valid

MOST_BYTES = 63 << 10
"""Bytes of samples or events in one message, as they are in the envelope; one that is larger goes alone.

The quarantine of the agent that reads it keeps messages of up to 64 KiB whole, so that what is refused there,
as for a secret that is missing, can be replayed.
"""

_AROUND = 64 << 10
"""Bytes that stand around a payload, at most."""

_Item = TypeVar("_Item")
_encode = msgspec.json.Encoder().encode


def payloads(
    items: Iterable[_Item], message: Callable[[_Item], dict[str, Any]], refused: dict[int, str]
) -> Iterator[bytes]:
    """Lists of their messages, in JSON and in their order.

    :param message: makes the message of one
    :param refused: where those that cannot be sent are noted, by index with the reason
    """
    return _lists(_written(items, message, refused))


def _written(
    items: Iterable[_Item], message: Callable[[_Item], dict[str, Any]], refused: dict[int, str]
) -> Iterator[tuple[bytes, int]]:
    """The messages as JSON, and their bytes in the envelope; what the other end could not read is noted."""
    for index, each in enumerate(items):
        try:
            json = _encode(message(each))
        except (ValueError, OverflowError, TypeError, RecursionError) as error:
            refused[index] = f"cannot be sent: {shortened(valid(str(error)))}"
            continue
        size = len(json) + json.count(b'"') + json.count(b"\\") + 1  # which are escaped, and a comma
        if nested_deeper(json, LEVELS - 2):
            refused[index] = f"cannot be sent: nested deeper than {LEVELS - 2} levels"
        elif size + _AROUND > LARGEST:
            refused[index] = f"cannot be sent: a message of more than {LARGEST} bytes"
        else:
            yield json, size


def _lists(written: Iterable[tuple[bytes, int]]) -> Iterator[bytes]:
    """Lists of them, in JSON."""
    parts: list[bytes] = []
    total = 0
    for json, size in written:
        if parts and total + size > MOST_BYTES:
            yield b"[%s]" % b",".join(parts)
            parts, total = [], 0
        parts.append(json)
        total += size
    if parts:
        yield b"[%s]" % b",".join(parts)
