"""Notifications as they lie on a bus: what is written is what is read."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meteragent.clock import instant
from meteragent.errors import Rejected
from meteragent.notification_message import (
    LARGEST,
    LEVELS,
    enveloped,
    nested_deeper,
    notification,
    timestamp,
)
from meteragent.notifications import envelope

AT = instant("2026-03-01T10:00:00.5Z")
TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=10)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | TEXTS
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


def written(payload: Any, event_type: str = "metering", publisher_id: str = "p") -> bytes:
    """A notification with that payload."""
    json_text = msgspec.json.encode(payload)
    return notification(event_type, json_text, publisher_id=publisher_id, priority="sample", at=AT)


@given(JSON, TEXTS, TEXTS)
def test_what_is_written_is_what_is_read(payload: Any, event_type: str, publisher_id: str) -> None:
    """By the listener, through the envelope."""
    found = envelope.unpack(written(payload, event_type, publisher_id), "application/json", "utf-8", None)
    assert (found.event_type, found.payload, found.priority) == (event_type, payload, "sample")
    assert found.document["publisher_id"] == publisher_id
    assert found.metadata["timestamp"] == "2026-03-01 10:00:00.500000"


def test_it_has_the_keys_of_the_ancestor_in_their_order() -> None:
    """Inside an envelope of version 2.0."""
    outer = json.loads(written([]))
    assert list(outer) == ["oslo.version", "oslo.message"]
    assert outer["oslo.version"] == "2.0"
    message = json.loads(outer["oslo.message"])
    assert list(message) == [
        "message_id", "publisher_id", "event_type", "priority", "payload", "timestamp", "_unique_id",
    ]  # fmt: skip
    assert message["priority"] == "SAMPLE"
    assert message["_unique_id"] == message["message_id"].replace("-", "")


def message_id(body: bytes) -> str:
    """Of a notification."""
    return str(envelope.unpack(body, None, None, None).metadata["message_id"])


def test_its_id_is_made_of_what_it_says() -> None:
    """So that one that is sent again is known again, whenever that is; any other one has another."""
    later = notification("metering", b"[1]", publisher_id="p", priority="sample", at=AT + 1)
    assert message_id(later) == message_id(written([1]))
    others = [written([1]), written([2]), written([1], "other"), written([1], "metering", "other")]
    assert len(set(map(message_id, others))) == 4


def test_a_timestamp_has_microseconds_always() -> None:
    """As the ancestor's."""
    assert timestamp(instant("2026-03-01T10:00:00Z")) == "2026-03-01 10:00:00.000000"
    assert timestamp(instant("2026-03-01T10:00:00.000001Z")) == "2026-03-01 10:00:00.000001"


def nested(levels: int) -> Any:
    """So many lists and mappings within each other."""
    inner: Any = 1
    for level in range(levels):
        inner = [inner] if level % 2 else {"a": inner}
    return inner


@given(st.integers(0, 40), st.integers(0, 40))
def test_levels_are_counted(levels: int, allowed: int) -> None:
    """And brackets in texts are none."""
    text = msgspec.json.encode([nested(levels), "[{" * 50])
    assert nested_deeper(text, allowed) == (levels + 1 > allowed)


def test_what_is_as_large_or_as_deep_as_may_be_can_be_read() -> None:
    """One level, or one byte, more cannot."""
    envelope.unpack(written([nested(LEVELS - 2)]), None, None, None)
    with pytest.raises(Rejected, match="nested deeper than 100 levels"):
        envelope.unpack(written([nested(LEVELS - 1)]), None, None, None)
    largest = "x" * (LARGEST - len(written([""])))
    assert len(written([largest])) == LARGEST
    assert envelope.unpack(written([largest]), None, None, None).payload == [largest]
    with pytest.raises(Rejected, match=f"at most {LARGEST} allowed"):
        envelope.unpack(written([f"{largest}x"]), None, None, None)


def test_any_message_can_be_put_in_an_envelope() -> None:
    """As it is."""
    message = {"event_type": "x", "message_id": "m", "priority": "info", "_context_user": 'ü\n"'}
    found = envelope.unpack(enveloped(json.dumps(message).encode()), None, None, None)
    assert found.document["ctxt"]["user"] == 'ü\n"'
