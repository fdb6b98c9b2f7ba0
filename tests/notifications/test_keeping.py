"""What is kept of a message has none of the secrets that came with it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meteragent.message import Message
from meteragent.notifications.envelope import unpack
from meteragent.notifications.keeping import keepable

SECRET = "gAAAA-secret"
BARE = {
    "event_type": "a.b", "message_id": "m", "priority": "info", "timestamp": "2026-03-01 10:00:00",
    "_context_auth_token": SECRET, "_context_auth_token_info": {"token": SECRET}, "_context_user_id": "ann",
    "payload": {"x": 1 << 80},
}  # fmt: skip
PLAIN = {name: value for name, value in BARE.items() if name != "_context_auth_token_info"}
DELIVERED = {
    "event_type": "a.b", "metadata": {"message_id": "m"}, "priority": "info",
    "ctxt": {"auth_token": SECRET, "user_id": "ann"},
}  # fmt: skip


def wrapped(told: dict[str, Any]) -> bytes:
    """In an envelope."""
    return json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(told)}).encode()


@pytest.mark.parametrize("told", [BARE, DELIVERED, {**BARE, "_context_password": SECRET}])
@pytest.mark.parametrize("encoding", [None, "utf-8", "utf-16", "binary"])
@pytest.mark.parametrize("envelope", [True, False])
def test_secrets_of_a_request_are_masked(told: dict[str, Any], encoding: str | None, envelope: bool) -> None:
    """All else is as it was, and what becomes of the message is the same."""
    body = wrapped(told) if envelope else json.dumps(told).encode()
    if encoding == "utf-16":
        body = body.decode().encode("utf-16")
    message = Message(body, "n.info", "application/json", encoding)
    kept, message_id, event_type = keepable(message)
    assert (message_id, event_type) == ("m", "a.b")
    assert SECRET.encode() not in kept.body.replace(b"\0", b"")
    assert unpack(kept.body, None, kept.content_encoding, "info") == unpack(body, None, encoding, "info")
    assert (kept.routing_key, kept.content_type) == ("n.info", "application/json")


@pytest.mark.parametrize(
    "body",
    [
        wrapped(PLAIN)[:-1], json.dumps(PLAIN).encode()[:-1], repr(PLAIN).encode(), b"\xff" + wrapped(PLAIN),
        b"[" * 2000 + wrapped(PLAIN), wrapped({**PLAIN, "padding": "x" * 10_000_000}),
    ],
)  # fmt: skip
def test_secrets_are_masked_where_the_message_cannot_be_read(body: bytes) -> None:
    """By their names; text that is cut off or too long may hold them all the same."""
    kept, message_id, event_type = keepable(Message(body))
    assert SECRET.encode() in body
    assert SECRET.encode() not in kept.body
    assert b"***" in kept.body
    assert (message_id, event_type) == ("", "")


def test_a_message_without_secrets_is_kept_to_the_byte() -> None:
    """However it is written."""
    for body in (b' {"a" :1}\n', wrapped({"message_id": 5, "event_type": []}), b"{", b"", b"[1]", b"\xff"):
        message = Message(body)
        assert keepable(message) == (message, "", "")


@given(st.binary(max_size=60), st.none() | st.text(max_size=6))
def test_whatever_comes_can_be_kept(body: bytes, encoding: str | None) -> None:
    """Nothing is raised."""
    kept, _, _ = keepable(Message(body, "", None, encoding))
    assert isinstance(kept.body, bytes)
