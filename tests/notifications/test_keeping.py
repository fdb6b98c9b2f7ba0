"""What is kept of a message has none of the secrets that came with it."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meteragent.message import Message, told_of
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


def escaped(told: dict[str, Any]) -> bytes:
    """In an envelope that is cut off."""
    return wrapped(told)[:-9]


@pytest.mark.parametrize("write", [escaped, lambda told: json.dumps(told).encode()[:-1]])
@pytest.mark.parametrize("before", ['ab"cd', "ab\\", 'ab\\"', "ab\n'ü", "ab'\\\\", '"', "\\n\\"])
def test_a_secret_does_not_end_at_a_quote_in_it(write: Any, before: str) -> None:
    """Nor at a backslash; what follows it is kept."""
    kept, _, _ = keepable(
        Message(write({"_context_auth_token": before + SECRET, "x": "kept", "y": "z" * 20}))
    )
    assert SECRET.encode() not in kept.body
    assert b"***" in kept.body
    assert b"kept" in kept.body


def test_secrets_in_the_envelope_are_masked_too() -> None:
    """Beside the message, whether there are some in it or not."""
    for inner in (BARE, {"message_id": "m", "event_type": "a.b"}):
        outer = {
            "oslo.version": "2.0", "oslo.message": json.dumps(inner), "_context_auth_token": SECRET,
            "ctxt": {"password": SECRET},
        }  # fmt: skip
        kept, message_id, _ = keepable(Message(json.dumps(outer).encode()))
        assert message_id == "m"
        assert SECRET.encode() not in kept.body
        assert json.loads(kept.body)["_context_auth_token"] == "***"


@pytest.mark.parametrize(
    "message",
    [
        Message(json.dumps(PLAIN).encode("utf-16")[:-2], "n.info", None, "utf-16"),
        Message(json.dumps(PLAIN).encode("utf-16"), "n.info"),
        Message(json.dumps(PLAIN).encode("utf-16")[:-1], "n.info", None, "punycode"),
        Message(json.dumps(PLAIN).encode()[:-1], "n.info", None, "latin-1"),
        Message(json.dumps(PLAIN).encode()[:-1], "n.info", None, ["utf-8"]),  # type: ignore[arg-type]
    ],
)
def test_of_what_cannot_be_masked_size_and_hash_are_kept(message: Message) -> None:
    """A secret may be written in it in any way."""
    kept, message_id, event_type = keepable(message)
    assert kept.body.startswith(f"{told_of(message.body)}, is not kept: ".encode())
    assert SECRET.encode() not in kept.body
    assert (kept.routing_key, kept.content_encoding) == ("n.info", "utf-8")
    assert (message_id, event_type) == ("", "")


def test_a_message_may_be_nested_as_deep_as_it_likes() -> None:
    """Some can be read, but not written again."""
    begun = b'{"_context_auth_token": "%s", "x": ' % SECRET.encode()
    bodies = [begun + b"[" * depth + b"]" * depth + b"}" for depth in range(1, 1100)]
    kept = [keepable(Message(body, "n.info"))[0].body for body in bodies]
    assert not [each for each in kept if SECRET.encode() in each]
    assert [each for each in kept if b"is not kept: RecursionError: " in each]
    assert [each for each in kept if b"***" in each]


def test_no_codec_is_used_that_notifications_are_not_written_in() -> None:
    """Some take hours for a message."""
    began = time.monotonic()
    keepable(Message(b"x" * 200_000 + b"-" + b"a" * 200_000, "n.info", None, "punycode"))
    assert time.monotonic() - began < 2
