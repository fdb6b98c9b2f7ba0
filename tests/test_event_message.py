"""The message of an event: what the ancestor sends."""

import json
from typing import Any

import pytest

from meteragent.clock import instant
from meteragent.event import Event, Trait
from meteragent.event_message import event_message
from meteragent.signing import LEVELS, verify
from tests.conformance import cases

AT = instant("2026-03-01T10:00:00Z")


def recorded(case: dict[str, Any]) -> Event:
    """The event of a case, its naive times read as UTC."""
    told = case["event"]
    traits = [
        Trait(name, kind, instant(f"{value['$datetime']}Z") if isinstance(value, dict) else value)
        for name, kind, value in told["traits"]
    ]
    generated = instant(f"{told['generated']['$datetime']}Z")
    return Event(told["message_id"], told["event_type"], generated, traits, told["raw"])


def test_an_event_becomes_the_message_that_the_ancestor_publishes() -> None:
    """Its keys, values and signature; what it says in tuples is lists in JSON."""
    compared = 0
    for case in cases("signing.jsonl"):
        if case["kind"] == "event":
            message = event_message(recorded(case), case["secret"])
            traits = [trait["$tuple"] for trait in case["expected"]["message"]["traits"]]
            assert message == {**case["expected"]["message"], "traits": traits}, case["id"]
            assert verify(json.loads(json.dumps(message)), [case["secret"]])
            compared += 1
    assert compared


def test_times_keep_their_microseconds() -> None:
    """And are without a zone, as the ancestor writes them."""
    message = event_message(Event("m", "t", AT + 1, [Trait("at", 4, AT + 2)]), "s")
    assert message["generated"] == "2026-03-01T10:00:00.000001"
    assert message["traits"] == [["at", 4, "2026-03-01T10:00:00.000002"]]


def test_an_event_that_is_nested_too_deeply_cannot_be_signed() -> None:
    """It is told; without a secret there is nothing to sign."""
    raw: dict[str, Any] = {}
    for _ in range(LEVELS):
        raw = {"a": raw}
    with pytest.raises(ValueError, match="nested deeper than 100 levels"):
        event_message(Event("m", "t", AT, [], raw), "s")
    assert event_message(Event("m", "t", AT, [], raw), "")["message_signature"] == ""
