"""Bodies from the bus, and signatures, mean here what they mean to Ceilometer."""

import json
from datetime import datetime
from typing import Any

from meteragent.clock import SECOND, instant
from meteragent.meter_message import meter_message
from meteragent.notifications.envelope import unpack
from meteragent.sample import Sample
from meteragent.signing import sign, verify
from tests.conformance import cases, plain


def given(value: Any) -> Any:
    """What a recorded value stands for."""
    if isinstance(value, list):
        return [given(one) for one in value]
    if not isinstance(value, dict):
        return value
    for mark, read in READINGS.items():
        if list(value) == [mark]:
            return read(value[mark])
    return {key: given(one) for key, one in value.items()}


READINGS: dict[str, Any] = {
    "$bytes": bytes.fromhex,
    "$float": float,
    "$datetime": datetime.fromisoformat,
    "$tuple": lambda parts: tuple(given(parts)),
    "$set": lambda parts: set(given(parts)),
    "$pairs": lambda pairs: {given(key): given(one) for key, one in pairs},
}


def sample(fields: dict[str, Any]) -> Sample:
    """The sample of a case, its naive time read as UTC."""
    at = instant(f"{fields['timestamp']}Z")
    assert at % SECOND == 0
    return Sample(**{**given(fields), "timestamp": at})


def told_of_a_sample(case: dict[str, Any]) -> dict[str, Any]:
    """The meter message of a case and what becomes of it on a JSON bus, in the words of the recording."""
    secret = given(case["secret"])
    message = meter_message(sample(case["sample"]), secret, case["publisher_id"])
    arrived = json.loads(json.dumps(message))
    return {
        "message": plain(message),
        "signature": message["message_signature"],
        "verify_after_json": verify(arrived, [secret]),
        "signature_after_json": sign(arrived, secret),
        "verify_other_secret": verify(message, [f"{secret}x"]),
    }


def of_kind(kind: str) -> list[dict[str, Any]]:
    """Signed cases of a kind, at least one."""
    found = [case for case in cases("signing.jsonl") if case["kind"] == kind]
    assert found
    return found


def test_a_sample_becomes_the_message_that_the_ancestor_publishes() -> None:
    """Keys, values and signature agree, and what each side makes of it after a JSON bus."""
    for case in of_kind("sample"):
        assert told_of_a_sample(case) == case["expected"], case["id"]


def test_any_message_is_signed_as_by_the_ancestor() -> None:
    """Nothing but names and values in order counts, of whatever types they are."""
    for case in of_kind("raw"):
        assert sign(given(case["message"]), given(case["secret"])) == case["expected"]["signature"], case[
            "id"
        ]


def test_messages_of_events_are_signed_as_by_the_ancestor() -> None:
    """Traits are lists of lists, whose texts are signed as bytes."""
    for case in of_kind("event"):
        message = given(case["expected"]["message"])
        assert sign(message, given(case["secret"])) == case["expected"]["signature"], case["id"]
        assert verify(message, [given(case["secret"])])


def test_bodies_are_delivered_as_by_the_listener_of_the_ancestor() -> None:
    """Context, payload, priority and the rest agree for enveloped and for bare messages."""
    for case in cases("wire.jsonl"):
        properties, body = case["amqp"]["properties"], case["amqp"]["body"].encode()
        found = unpack(body, properties["content_type"], properties["content_encoding"], case["queue"])
        assert found.document == case["expected"]["delivered"], case["id"]
        assert found.priority == case["expected"]["endpoint_method"]
        message = json.loads(body)
        message = json.loads(message["oslo.message"]) if "oslo.message" in message else message
        del message["priority"]
        by_routing_key = unpack(json.dumps(message).encode(), None, None, case["amqp"]["routing_key"])
        assert by_routing_key == found
