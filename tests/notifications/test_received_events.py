"""Events that other agents made."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meteragent.clock import EARLIEST, LATEST, SECOND, instant
from meteragent.errors import Rejected
from meteragent.event import DATETIME, FLOAT, INTEGER, TEXT, Event, Trait
from meteragent.event_message import event_message
from meteragent.notifications.base import Notification
from meteragent.notifications.dispatcher import Dispatcher
from meteragent.notifications.received_events import ReceivedEvents
from meteragent.signing import verify
from tests.notifications.test_polled import JSON

MESSAGE: dict[str, Any] = {
    "message_id": "m1",
    "event_type": "compute.instance.create.end",
    "generated": "2026-03-01T10:00:00.5",
    "traits": [
        ["service", 1, "compute.h"],
        ["size", 2, 7],
        ["ratio", 3, 0.5],
        ["at", 4, "2026-03-01T09:00:00"],
    ],
    "raw": {"payload": {"a": 1}},
    "message_signature": "x",
}
EVENT = Event(
    "m1",
    "compute.instance.create.end",
    instant("2026-03-01T10:00:00.5Z"),
    [
        Trait("service", TEXT, "compute.h"),
        Trait("size", INTEGER, 7),
        Trait("ratio", FLOAT, 0.5),
        Trait("at", DATETIME, instant("2026-03-01T09:00:00Z")),
    ],
    {"payload": {"a": 1}},
)
TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
TIMES = st.integers(EARLIEST // SECOND + 1, LATEST // SECOND - 1).map(lambda second: second * SECOND + 1)
TRAITS = (
    st.builds(Trait, TEXTS, st.just(TEXT), TEXTS)
    | st.builds(Trait, TEXTS, st.just(INTEGER), st.integers(-(2**63), 2**64 - 1))
    | st.builds(Trait, TEXTS, st.just(FLOAT), st.floats(allow_nan=False, allow_infinity=False))
    | st.builds(Trait, TEXTS, st.just(DATETIME), TIMES)
)
RAW = st.dictionaries(TEXTS, st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.lists(TEXTS))
EVENTS = st.builds(Event, TEXTS, TEXTS, TIMES, st.lists(TRAITS, max_size=4), RAW)


def notification(payload: Any) -> Notification:
    """What another agent published."""
    return Notification({"event_type": "event", "payload": payload}, "sample")


def events(*messages: Any, handler: ReceivedEvents | None = None) -> tuple[list[Event], list[str]]:
    """What becomes of them, and the problems."""
    problems: list[str] = []
    return list((handler or ReceivedEvents()).convert(notification(list(messages)), problems)), problems


def test_an_event_arrives_with_all_that_it_had() -> None:
    """Its traits with their types and times, and the notification that it was made of."""
    assert events(MESSAGE) == ([EVENT], [])


def test_the_dispatcher_lets_it_convert_what_a_publisher_sends() -> None:
    """Which has the priority sample."""
    found = Dispatcher({"received": ReceivedEvents()}).dispatch(notification([MESSAGE]))
    assert (found.events, found.problems) == ([EVENT], [])


@given(st.lists(EVENTS, max_size=4))
def test_what_is_sent_is_what_arrives(sent: list[Event]) -> None:
    """Signed, over JSON, also when it is sent on."""
    for _ in range(2):
        messages = msgspec.json.decode(msgspec.json.encode([event_message(each, "s") for each in sent]))
        handler = ReceivedEvents(lambda message: verify(message, ["s"]))
        assert events(*messages, handler=handler) == (sent, [])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"message_id": None}, "message_id: None is no text of 1 to 4096 characters"),
        ({"message_id": ""}, "message_id: '' is no text"),
        ({"generated": "soon"}, "generated: 'soon' is no time"),
        ({"generated": None}, "generated: missing"),
        (
            {"generated": "0001-01-01T00:00:00+05:00"},
            "generated: '0001-01-01T00:00:00+05:00' is in UTC before",
        ),
        ({"traits": None}, "traits: None is no list"),
        ({"traits": [1] * 10_001}, "traits: 10001, at most 10000 allowed"),
        ({"traits": [["a", 1]]}, "traits: ['a', 1] is no list of name, type and value"),
        ({"traits": [[None, 1, "x"]]}, "traits: the name None is no text"),
        ({"traits": [["a", 5, "x"]]}, "trait 'a': the type 5 is none of 0 to 4"),
        ({"traits": [["a", True, "x"]]}, "trait 'a': the type True is none of 0 to 4"),
        ({"traits": [["a", 1, 7]]}, "trait 'a': 7 is no text of at most 65536 characters"),
        ({"traits": [["a", 2, 2**64]]}, "trait 'a': 18446744073709551616 is no integer within 64 bits"),
        ({"traits": [["a", 2, True]]}, "trait 'a': True is no integer"),
        ({"traits": [["a", 3, "1"]]}, "trait 'a': '1' is no finite number"),
        ({"traits": [["a", 3, 10**400]]}, "trait 'a': "),
        ({"traits": [["a", 4, "x"]]}, "trait 'a': value: 'x' is no time"),
        ({"raw": 5}, "raw: 5 is no mapping"),
        ({"raw": {"a": 2**64}}, "raw: cannot be kept: OverflowError"),
    ],
)
def test_an_event_that_is_no_good_harms_no_other(change: dict[str, Any], problem: str) -> None:
    """It is told which it was and why, and the ones around it arrive."""
    found, problems = events(MESSAGE, {**MESSAGE, **change}, MESSAGE)
    assert found == [EVENT, EVENT]
    assert len(problems) == 1
    assert problems[0].startswith(f"event 2, type 'compute.instance.create.end': {problem}")


def test_a_signature_that_does_not_fit_refuses_the_event() -> None:
    """Where signatures are verified."""
    good = event_message(EVENT, "s")
    handler = ReceivedEvents(lambda message: verify(message, ["s"]))
    found, problems = events(good, {**good, "event_type": "other"}, MESSAGE, handler=handler)
    assert found == [EVENT]
    assert [line.partition(": ")[2] for line in problems] == ["message_signature: does not fit the event"] * 2


def test_raw_may_be_missing() -> None:
    """Most agents keep none."""
    assert events({**MESSAGE, "raw": None})[0] == events({**MESSAGE, "raw": {}})[0]


@pytest.mark.parametrize("payload", [None, 5, {}, {"samples": []}, "x"])
def test_a_message_without_a_list_of_events_is_refused(payload: Any) -> None:
    """An empty list is none at all."""
    with pytest.raises(Rejected, match="is no list of events"):
        list(ReceivedEvents().convert(notification(payload), []))
    assert events() == ([], [])


@given(st.lists(JSON | st.dictionaries(st.sampled_from(sorted(MESSAGE)), JSON).map({**MESSAGE}.__or__)))
def test_whatever_is_sent_is_an_event_or_a_problem(messages: list[Any]) -> None:
    """Each is one of both, and nothing is raised."""
    found, problems = events(*messages)
    assert len(found) + len(problems) == len(messages)
