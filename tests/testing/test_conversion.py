"""The public face for trying notifications out."""

from pathlib import Path
from typing import Any

import pytest

from meteragent.errors import ConfigError
from meteragent.testing import Conversion, convert

METERS = """
metric:
- {name: size, event_type: "image.*", type: gauge, unit: B, volume: $.payload.size, resource_id: $.payload.id}
"""
EVENTS = "- {event_type: 'image.*', traits: {size: {fields: payload.size, type: int}}}"


def upload(**fields: Any) -> dict[str, Any]:
    """The notification of an image."""
    return {
        "event_type": "image.upload",
        "publisher_id": "image.host",
        "payload": {"id": "i", "size": 7, "owner": "p"},
        "ctxt": {"user_id": "u"},
        "metadata": {"message_id": "m", "timestamp": "2026-03-01 10:00:20.5"},
    } | fields


def told(conversion: Conversion) -> tuple[list[str], list[str]]:
    """Names of meters and types of events."""
    return [each.name for each in conversion.samples], [each.event_type for each in conversion.events]


def test_with_neither_all_handlers_are_asked() -> None:
    """With the definitions that come with them."""
    conversion = convert(upload())
    assert told(conversion) == (["image.size"], ["image.upload"])
    assert not conversion.problems
    (sample,) = conversion.samples
    assert sample.as_dict() | {"id": "", "resource_metadata": {}} == {
        "name": "image.size", "type": "gauge", "unit": "B", "volume": 7, "user_id": None, "user_name": None,
        "project_id": "p", "project_name": None, "resource_id": "i", "source": "openstack", "id": "",
        "timestamp": "2026-03-01T10:00:20.500000Z", "resource_metadata": {}, "monotonic_time": None,
    }  # fmt: skip


def test_with_either_only_that_kind_is_made() -> None:
    """Also with none of them."""
    assert told(convert(upload(), meter_definitions=METERS)) == (["size"], [])
    assert told(convert(upload(), event_definitions=EVENTS)) == ([], ["image.upload"])
    assert told(convert(upload(), "info", METERS, EVENTS)) == (["size"], ["image.upload"])
    assert told(convert(upload(), meter_definitions="metric: []")) == ([], [])


def test_definitions_are_text_a_file_a_folder_or_texts_in_order(tmp_path: Path) -> None:
    """Of texts, the first that defines a name counts."""
    file = tmp_path / "a.yaml"
    file.write_text(METERS)
    (tmp_path / "b.yaml").write_text(METERS.replace("unit: B", "unit: b"))
    (tmp_path / "c.yml").write_text("no file of definitions")
    for definitions in (file, tmp_path, [METERS, METERS.replace("unit: B", "unit: b")]):
        (sample,) = convert(upload(), meter_definitions=definitions).samples
        assert sample.unit == "B"


@pytest.mark.parametrize("priority", ["INFO", "error", "Critical", "nonsense"])
def test_given_definitions_are_asked_whatever_the_priority(priority: str) -> None:
    """In any case; all handlers that are installed ask for what they name."""
    expected = [] if priority == "nonsense" else ["size"]
    assert told(convert(upload(), priority, METERS))[0] == expected
    assert told(convert(upload(), priority))[0] == (["image.size"] if priority == "INFO" else [])


@pytest.mark.parametrize(
    "notification",
    [None, 5, [], {}, "text", {"event_type": None}, {"event_type": 5}, {"event_type": "image.upload"},
     upload(payload=None), upload(metadata=None), upload(metadata=[]), upload(payload=[1])],
)  # fmt: skip
def test_no_notification_raises(notification: Any) -> None:
    """What is wrong with it is told."""
    conversion = convert(notification)
    assert not conversion.samples
    assert all(isinstance(each, str) for each in conversion.problems)
    if not isinstance(notification, dict) or not isinstance(notification.get("event_type"), str):
        assert "event_type" in conversion.problems[0]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"meter_definitions": "metric: {"}, "not YAML"),
        ({"event_definitions": "- {event_type: 5, traits: 5}"}, "definitions:1"),
        ({"meter_definitions": Path("/nowhere.yaml")}, "/nowhere.yaml: cannot be read: no such file"),
        ({"conf": {"event.store_rawe": []}}, "'event.store_rawe' is no option; perhaps: event.store_raw"),
        ({"conf": {"reserved_metadata_length": "long"}}, "conf: reserved_metadata_length: "),
    ],
)
def test_what_cannot_be_used_is_refused(arguments: dict[str, Any], told: str) -> None:
    """A document as a whole, a file, an option."""
    with pytest.raises(ConfigError, match=told.replace("/", r"\/")):
        convert(upload(), **arguments)


def test_a_definition_that_cannot_be_used_is_a_problem() -> None:
    """The others count."""
    bad = "- {name: bad, event_type: x, type: odd, unit: B, volume: 1, resource_id: r}"
    conversion = convert(upload(), meter_definitions=METERS + bad)
    assert told(conversion) == (["size"], [])
    assert "bad" in conversion.problems[0]


def test_options_are_those_of_the_agent() -> None:
    """By group and name."""
    conf = {"sample_source": "here", "event.store_raw": ["info"]}
    conversion = convert(upload(), "info", METERS, EVENTS, conf)
    assert conversion.samples[0].source == "here"
    assert conversion.events[0].raw == upload()
    dropped = {"event.drop_unmatched_notifications": True}
    assert not convert(upload(event_type="x"), "info", None, EVENTS, dropped).events
    assert convert(upload(event_type="x"), "info", None, EVENTS).events
