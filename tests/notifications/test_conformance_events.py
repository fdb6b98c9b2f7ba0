"""Events and their definitions mean here what they mean to Ceilometer."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
import yaml

from meteragent.clock import instant
from meteragent.errors import ConfigError
from meteragent.event import DATETIME, INTEGER, Event, Trait
from meteragent.notifications.base import Notification
from meteragent.notifications.declarative.event_definition import EventDefinition, EventTypes, load
from meteragent.notifications.declarative.events import DeclarativeEvents
from meteragent.notifications.traits.base import TraitPlugin
from meteragent.notifications.traits.bitfield import BitfieldTraitPlugin
from meteragent.notifications.traits.map import MapTraitPlugin
from meteragent.notifications.traits.split import SplitTraitPlugin
from meteragent.notifications.traits.timedelta import TimedeltaTraitPlugin
from tests.conformance import FOLDER, cases

TRAITS: Mapping[str, type[TraitPlugin]] = {
    "split": SplitTraitPlugin,
    "bitfield": BitfieldTraitPlugin,
    "timedelta": TimedeltaTraitPlugin,
    "map": MapTraitPlugin,
}
MOST_DEVIATIONS = 0.03
KINDS = ("event", "file-events", "unit-event")


def text(case: dict[str, Any]) -> str:
    """The definitions of a case."""
    definitions = case["definitions"]
    if "yaml" in definitions:
        return str(definitions["yaml"])
    return (FOLDER / "definitions" / str(definitions["shipped"])).read_text(encoding="utf-8")


@cache
def read(written: str) -> list[EventDefinition]:
    """The definitions that a text says."""
    return load(written, "event_definitions.yaml", TRAITS)[0]


def told(case: dict[str, Any]) -> dict[str, Any]:
    """What we make of a notification, in the words of the recording."""
    try:
        definitions = read(text(case))
    except ConfigError:
        return {"accepted": False}
    options = {name.removeprefix("event."): value for name, value in case["conf"].items()}
    handler = DeclarativeEvents(definitions, **options)
    notification = Notification(case["notification"], case["priority"])
    problems: list[str] = []
    found = list(handler.convert(notification, problems))
    return {
        "accepted": True,
        "problem": bool(problems),
        "event": said(found[0], notification) if found else None,
    }


def said(event: Event, notification: Notification) -> dict[str, Any]:
    """An event as it is recorded; the whole notification is recorded by this one word."""
    return {
        "message_id": event.message_id,
        "event_type": event.event_type,
        "generated": event.generated,
        "traits": [(trait.name, trait.kind, value(trait)) for trait in event.traits],
        "raw": "notification" if event.raw is notification.document else event.raw,
    }


def value(trait: Trait) -> Any:
    """The value of a trait, with its type: 3 and 3.0 are two."""
    return type(trait.value).__name__, trait.value


def recorded(case: dict[str, Any]) -> dict[str, Any]:
    """What the ancestor made of it, its naive times being UTC; an error loses it the event."""
    expected = case["expected"]
    if "load_error" in expected:
        return {"accepted": False}
    event = expected["event"]
    if event is not None:
        event = {
            "message_id": event["message_id"],
            "event_type": event["event_type"],
            "generated": moment(event["generated"]),
            "traits": [(trait["name"], trait["dtype"], valued(trait)) for trait in event["traits"]],
            "raw": event["raw"],
        }
    return {"accepted": True, "problem": expected["error"] is not None, "event": event}


def valued(trait: dict[str, Any]) -> Any:
    """The recorded value of a trait, with its type."""
    found = moment(trait["value"]) if trait["dtype"] == DATETIME else trait["value"]
    return type(found).__name__, found


def moment(naive: dict[str, str]) -> int:
    """A recorded time."""
    return instant(naive["$datetime"] + "Z")


def has_an_integer_beyond_64_bits(case: dict[str, Any]) -> bool:
    """The deviation of doc/compatibility.rst: such a trait is left out and named."""
    event = case["expected"].get("event")
    return event is not None and any(map(beyond, event["traits"]))


def beyond(trait: dict[str, Any]) -> bool:
    """Whether a recorded trait cannot be written."""
    return bool(trait["dtype"] == INTEGER and not -(2**63) <= trait["value"] < 2**64)


def without(case: dict[str, Any]) -> dict[str, Any]:
    """The case as if it had been recorded without the traits that cannot be written."""
    event = case["expected"]["event"]
    traits = [trait for trait in event["traits"] if not beyond(trait)]
    return {**case, "expected": {**case["expected"], "event": {**event, "traits": traits}, "error": "named"}}


def test_notifications_become_the_events_they_become_with_the_ancestor() -> None:
    """Message, type, time, traits in their order with type and value, and raw agree, but for the rule."""
    found = cases("events.jsonl")
    different = [case for case in found if told(case) != recorded(case)]
    assert [case["id"] for case in different if not has_an_integer_beyond_64_bits(case)] == []
    assert [case["id"] for case in different if told(case) != recorded(without(case))] == []
    assert len(different) <= MOST_DEVIATIONS * len(found)


def test_event_types_match_as_with_the_ancestor() -> None:
    """Globs, exclusions and what counts as a catch-all agree, without deviation."""
    for case in cases("event_match.jsonl"):
        event_types = EventTypes(case["event_type"])
        found = {"match": event_types.match(case["name"]), "is_catchall": event_types.is_catch_all}
        assert found == case["expected"], case["id"]


def bad_definitions() -> list[tuple[dict[str, Any], str]]:
    """The recorded definitions of events, each with its text."""
    return [
        (case, case["yaml"] if "yaml" in case else yaml.safe_dump([case["definition"]], sort_keys=False))
        for case in cases("bad_definitions.jsonl")
        if case["kind"] in KINDS
    ]


def test_definitions_are_accepted_or_refused_as_by_the_ancestor() -> None:
    """Of single definitions and of whole files, without deviation."""
    different = []
    for case, written in bad_definitions():
        try:
            load(written, "event_definitions.yaml", TRAITS)
            accepted = True
        except ConfigError:
            accepted = False
        if accepted is not case["expected"]["accepted"]:
            different.append(case["id"])
    assert different == []


def test_every_refusal_names_file_and_line() -> None:
    """A refused definition is told with its file and a line of it."""
    for case, written in bad_definitions():
        if not case["expected"]["accepted"]:
            with pytest.raises(ConfigError) as caught:
                load(written, "event_definitions.yaml", TRAITS)
            assert caught.value.file == "event_definitions.yaml"
            assert caught.value.line in range(1, written.count("\n") + 2)


def test_what_is_shown_of_an_event_is_what_is_recorded() -> None:
    """Times are told in UTC; nothing else differs from what the ancestor serializes."""
    for case in cases("events.jsonl"):
        event = case["expected"].get("event")
        if event is not None:
            shown = Event("m", "t", 0, [made(trait) for trait in event["traits"]]).as_dict()
            assert shown["traits"] == [
                [name, kind, f"{serialized}Z" if kind == DATETIME else serialized]
                for name, kind, serialized in event["serialized"]
            ], case["id"]


def made(trait: dict[str, Any]) -> Trait:
    """A recorded trait."""
    return Trait(trait["name"], trait["dtype"], valued(trait)[1])
