"""Bodies from the bus: what can be read is a notification, all else is refused with one reason."""

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meteragent.errors import Rejected
from meteragent.notification_message import LARGEST, LEVELS
from meteragent.notifications.base import PRIORITIES, Notification
from meteragent.notifications.envelope import unpack

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
MINIMAL: dict[str, Any] = {"event_type": "volume.exists", "message_id": "m-1", "priority": "INFO"}


def enveloped(message: Any, **changed: Any) -> bytes:
    """The body with a message in an envelope."""
    return json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(message), **changed}).encode()


def read(body: bytes) -> Notification:
    """The notification, from a queue whose name tells nothing."""
    return unpack(body, "application/json", "utf-8", None)


def refusal(body: bytes, content_type: str | None = None, encoding: str | None = None) -> str:
    """Why a body is refused; in one line that a terminal may show."""
    with pytest.raises(Rejected) as caught:
        unpack(body, content_type, encoding, "notifications.info")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300
    return str(caught.value)


def with_payload(literal: str) -> list[bytes]:
    """Bodies, enveloped and bare, whose payload is this JSON."""
    inner = json.dumps(MINIMAL)[:-1] + f', "payload": {literal}}}'
    return [inner.encode(), json.dumps({"oslo.version": "2.0", "oslo.message": inner}).encode()]


@given(VALUES, st.dictionaries(TEXT, VALUES, max_size=3), st.sampled_from(sorted(PRIORITIES)), VALUES)
def test_enveloped_or_bare_is_the_same(
    payload: Any, context: dict[str, Any], priority: str, publisher: Any
) -> None:
    """Every part arrives unchanged, whatever its type."""
    message = {
        **{f"_context_{name}": value for name, value in context.items()},
        "event_type": "a.b",
        "message_id": "m",
        "timestamp": "2026-03-01 10:00:00.000001",
        "publisher_id": publisher,
        "priority": priority.upper(),
        "payload": payload,
        "_unique_id": "u",
    }
    expected = {
        "ctxt": {**context, "client_timeout": None},
        "publisher_id": publisher,
        "event_type": "a.b",
        "payload": payload,
        "metadata": {"message_id": "m", "timestamp": "2026-03-01 10:00:00.000001"},
    }
    for body in (enveloped(message), json.dumps(message).encode()):
        found = read(body)
        assert found.document == expected
        assert found.priority == priority
        assert repr(found.document["payload"]) == repr(payload)


def test_what_is_missing_and_may_be_is_none() -> None:
    """Only event type, message id and priority must be there."""
    found = read(json.dumps(MINIMAL).encode())
    assert found.document == {
        "ctxt": {"client_timeout": None},
        "publisher_id": None,
        "event_type": "volume.exists",
        "payload": None,
        "metadata": {"message_id": "m-1", "timestamp": None},
    }


def test_what_belongs_to_calls_is_no_context() -> None:
    """As the ancestor's listener: the ids of a call go, its timeout is told."""
    message = {
        **MINIMAL,
        "_context_msg_id": 1,
        "_context_reply_q": 2,
        "_context_client_timeout": 3,
        "_timeout": 4,
        "_msg_id": 5,
    }
    assert read(enveloped(message)).document["ctxt"] == {"client_timeout": 4}


@pytest.mark.parametrize("delivered", [False, True])
def test_what_a_request_was_allowed_with_is_not_taken(delivered: bool) -> None:
    """Its token and the catalog are nowhere in a notification, from the bus or written down; all else is."""
    secret: dict[str, Any] = {"auth_token": "gAAAA-secret", "service_catalog": [{"endpoints": "secret"}]}
    secret |= {"password": "secret", "auth_token_info": {"token": "secret"}}
    context = {**secret, "user_id": "u"}
    if delivered:
        metadata = {"message_id": "m-1", "timestamp": None}
        message = {"event_type": "a", "priority": "info", "ctxt": context, "metadata": metadata}
    else:
        message = {**MINIMAL, **{f"_context_{name}": value for name, value in context.items()}}
    for body in (enveloped(message), json.dumps(message).encode()):
        found = read(body).document
        assert "secret" not in json.dumps(found)
        expected = {**dict.fromkeys(secret), "user_id": "u"}
        assert found["ctxt"] == (expected if delivered else {**expected, "client_timeout": None})


@pytest.mark.parametrize("context", [None, 5, "auth_token", ["auth_token"], {}, {"auth_token": None}])
def test_a_context_of_any_type_is_taken(context: Any) -> None:
    """Of a notification that was written down."""
    message = {"event_type": "a", "priority": "info", "ctxt": context, "metadata": {"message_id": "m"}}
    assert read(enveloped(message)).document["ctxt"] == context


def test_samples_of_another_agent_arrive() -> None:
    """Priority sample, signed messages in the payload, each volume of the type it had."""
    payload = {"samples": [{"counter_volume": 10}, {"counter_volume": 10.0}]}
    body = enveloped({**MINIMAL, "event_type": "telemetry.polling", "priority": "SAMPLE", "payload": payload})
    found = read(body)
    assert (found.event_type, found.priority) == ("telemetry.polling", "sample")
    assert [repr(each["counter_volume"]) for each in found.payload["samples"]] == ["10", "10.0"]


@pytest.mark.parametrize(
    ("told", "routing_key", "priority"),
    [
        ("INFO", "notifications.error", "info"),
        ("Sample", None, "sample"),
        (None, "notifications.error", "error"),
        ("", "notifications.WARN", "warn"),
        (None, "info", "info"),
        (None, "a.b.c.critical", "critical"),
    ],
)
def test_the_message_tells_its_priority_or_else_its_routing_key(
    told: str | None, routing_key: str | None, priority: str
) -> None:
    """In any case of letters; the last word of the key."""
    body = json.dumps({**MINIMAL, "priority": told}).encode()
    assert unpack(body, None, None, routing_key).priority == priority


@pytest.mark.parametrize(
    ("told", "routing_key", "reason"),
    [
        (None, None, "priority: missing"),
        (None, "", "priority: missing"),
        (None, "notifications", "priority: 'notifications' is none of audit, critical, debug, error"),
        ("fatal", "notifications.info", "priority: 'fatal' is none of audit"),
        (5, "notifications.info", "priority: 5 is none of audit"),
        ([], "notifications.info", r"priority: \[\] is none of audit"),
    ],
)
def test_an_unknown_priority_is_refused(told: Any, routing_key: str | None, reason: str) -> None:
    """Whether it is told by the message or its routing key, or by neither."""
    body = json.dumps({**MINIMAL, "priority": told}).encode()
    with pytest.raises(Rejected, match=reason):
        unpack(body, None, None, routing_key)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"event_type": None}, "event_type: missing"),
        ({"event_type": ""}, "event_type: missing"),
        ({"event_type": 5}, "event_type: 5 is no text"),
        ({"event_type": {"a": 1}}, "event_type: {'a': 1} is no text"),
        ({"event_type": "e" * 4097}, "event_type: 4097 characters, at most 4096 allowed"),
        ({"message_id": None}, "message_id: missing"),
        ({"message_id": ""}, "message_id: missing"),
        ({"message_id": ["m"]}, "message_id: ['m'] is no text"),
        ({"message_id": 1.5}, "message_id: 1.5 is no text"),
    ],
)
def test_a_notification_without_what_identifies_it_is_refused(changed: dict[str, Any], reason: str) -> None:
    """Event type and message id must be texts."""
    message = {**MINIMAL, **changed}
    assert refusal(enveloped(message)) == refusal(json.dumps(message).encode()) == reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "message: not JSON: Input data was truncated"),
        (b"\xff", "message: not JSON: JSON is malformed: invalid character (byte 0)"),
        (b'"\xe9"', "message: 'utf-8' codec can't decode byte 0xe9"),
        (b"hello\x1b[31m", "message: not JSON: JSON is malformed: invalid character (byte 0)"),
        (b"[1]", "message: [1] is no mapping"),
        (b"null", "message: None is no mapping"),
        (b'{"a": 1', "message: not JSON: Input data was truncated"),
        (b'{"a": 1} x', "message: not JSON: JSON is malformed: trailing characters"),
        (b"{}", "event_type: missing"),
        (enveloped(MINIMAL, **{"oslo.version": "3.0"}), "oslo.version: '3.0' is unknown, known is '2.0'"),
        (enveloped(MINIMAL, **{"oslo.version": 2.0}), "oslo.version: 2.0 is unknown"),
        (enveloped(MINIMAL, **{"oslo.version": None}), "oslo.version: missing"),
        (b'{"oslo.version": "2.0"}', "oslo.message: missing"),
        (b'{"oslo.message": "{}"}', "oslo.version: missing"),
        (enveloped(MINIMAL, **{"oslo.message": MINIMAL}), "oslo.message: {'event_type': 'volume.exists', "),
        (enveloped(MINIMAL, **{"oslo.message": "x"}), "oslo.message: not JSON: JSON is malformed"),
        (enveloped([MINIMAL]), "oslo.message: [{'event_type': 'volume.exists', "),
        (enveloped(MINIMAL, **{"oslo.message": "\x00"}), "oslo.message: not JSON"),
    ],
)
def test_what_is_no_message_is_refused(body: bytes, reason: str) -> None:
    """With what was found and where."""
    assert refusal(body).startswith(reason)


def test_a_refusal_tells_what_the_body_was_said_to_be() -> None:
    """A body is read as JSON whatever it is said to be, and only a failure tells."""
    body = json.dumps(MINIMAL).encode()
    assert unpack(body, "text/plain", None, None) == unpack(body, "application/octet-stream", "binary", None)
    reason = refusal(b"\x80\x04.", "application/x-python-serialize")
    assert reason.endswith(" (sent as 'application/x-python-serialize')")


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "utf-16", "UTF_16_LE", "Latin-1", "iso-8859-1"])
def test_a_body_may_be_in_another_encoding(encoding: str) -> None:
    """As its sender says."""
    body = json.dumps({**MINIMAL, "payload": "é"}, ensure_ascii=False).encode(encoding)
    assert unpack(body, None, encoding, None).payload == "é"


@pytest.mark.parametrize(
    "encoding", ["gzip", "zlib", "idna", "hex", "no such", "unicode_escape", "a\x00b", "é" * 500]
)
def test_an_encoding_that_is_none_is_refused(encoding: str) -> None:
    """Compression and codecs that change the text too."""
    assert refusal(json.dumps(MINIMAL).encode(), None, encoding).startswith("content encoding: ")


def test_bytes_that_are_not_of_their_encoding_are_refused() -> None:
    """With the byte."""
    assert refusal(b"\xe9", None, "us-ascii").startswith("message: 'ascii' codec can't decode byte 0xe9")
    assert refusal(b"abc", None, "utf-16").startswith("message: 'utf-16-le' codec can't decode")


@pytest.mark.parametrize(
    ("literal", "reason"),
    [
        ("NaN", "NaN is no number of JSON (byte "),
        ('[1, {"é": -Infinity}]', "Infinity is no number of JSON (byte "),
        ("Infinity", "Infinity is no number of JSON (byte "),
        ("1e400", "Number out of range"),
        ("1" * 5000, "Integer value out of range"),
        ('"\\ud800 alone"', "surrogate pair"),
        ("01", "invalid number"),
        ("'a'", "invalid character"),
        ('"a\nb"', "invalid character"),
    ],
)
def test_what_json_cannot_say_is_refused_by_its_name(literal: str, reason: str) -> None:
    """Numbers beyond all bounds, half characters, and what some writers add to JSON."""
    for body in with_payload(literal):
        assert reason in refusal(body)


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("18446744073709551616", 2**64),
        ("-9223372036854775809", -(2**63) - 1),
        ("1" * 300, int("1" * 300)),
        ("10", 10),
        ("10.0", 10.0),
        ("1e2", 100.0),
        ("-0.0", -0.0),
        ("9007199254740993", 2**53 + 1),
        ('{"a": 1, "b": 2, "a": 3}', {"a": 3, "b": 2}),
        ('"\\ud83d\\ude00"', "😀"),
        ('"NaN"', "NaN"),
    ],
)
def test_numbers_keep_their_digits_and_their_type(literal: str, value: Any) -> None:
    """Of a key given twice the last one counts."""
    for body in with_payload(literal):
        found = read(body).payload
        assert (found, type(found)) == (value, type(value))
        assert not isinstance(found, float) or math.copysign(1, found) == math.copysign(1, value)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("levels", [LEVELS + 1, 990, 1_000, 100_000])
def test_nesting_has_a_bound(opening: str, levels: int) -> None:
    """Beyond it a message is refused, at any depth; the message itself is the first level."""
    closing = "]" if opening == "[" else "}"
    for body in with_payload(opening * (levels - 1) + "1" + closing * (levels - 1)):
        assert refusal(body).endswith(f"nested deeper than {LEVELS} levels")
    deepest = opening * (LEVELS - 1) + "1" + closing * (LEVELS - 1)
    for literal in (deepest, f"[{'[],' * 500}{deepest[len(opening) : -1]}]"):
        for body in with_payload(literal):
            assert read(body).event_type == "volume.exists"


def test_many_brackets_are_no_depth() -> None:
    """Side by side, or in a text."""
    payloads: tuple[Any, ...] = ([[]] * 1000, "[" * 1000, {"{" * 200: [{"a": [{}] * 100}] * 10})
    for payload in payloads:
        for body in with_payload(json.dumps(payload)):
            assert read(body).payload == payload


def test_size_has_a_bound() -> None:
    """It is looked at before anything is read."""
    assert refusal(b"x" * (LARGEST + 1)) == f"message: {LARGEST + 1} bytes, at most {LARGEST} allowed"
    body = json.dumps({**MINIMAL, "payload": ""}).encode()
    largest = body.replace(b'""', b'"%s"' % (b"x" * (LARGEST - len(body))))
    assert len(largest) == LARGEST
    assert len(read(largest).payload) == LARGEST - len(body)


@given(st.binary(max_size=40) | VALUES.map(lambda value: msgspec.json.encode(value)))
@example(b"\x00")
def test_no_bytes_make_anything_but_a_notification_or_a_refusal(body: bytes) -> None:
    """Whatever arrives."""
    for each in (body, b'{"oslo.version":"2.0","oslo.message":%s}' % body):
        for encoding in (None, "latin-1", "utf-16"):
            with pytest.raises(Rejected):
                unpack(each, None, encoding, None)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: VALUES | st.sampled_from(("info", "2.0", "a", json.dumps(MINIMAL)))
            for name in (
                *MINIMAL,
                "oslo.version",
                "oslo.message",
                "payload",
                "_timeout",
                "_context_",
                "timestamp",
            )
        },
    )
)
def test_no_mapping_makes_anything_but_a_notification_or_a_refusal(message: dict[str, Any]) -> None:
    """Each part may be of any type or missing."""
    for body in (json.dumps(message).encode(), enveloped(message)):
        try:
            found = read(body)
        except Rejected:
            continue
        assert found.priority in PRIORITIES
        assert found.event_type
        assert found.metadata["message_id"]
