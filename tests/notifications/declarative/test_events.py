"""What events are made of notifications, and what becomes of those that cannot be told."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from oslo_config import cfg

from meteragent.clock import instant
from meteragent.errors import ConfigError
from meteragent.event import DATETIME, FLOAT, INTEGER, NONE, TEXT, Event, Trait
from meteragent.notifications.base import Notification
from meteragent.notifications.declarative.event_definition import DEFAULT_TRAITS, load
from meteragent.notifications.declarative.events import BUILT_IN, REMEMBERED, DeclarativeEvents, Events
from meteragent.notifications.dispatcher import matches
from meteragent.notifications.options import EVENT_OPTS
from meteragent.notifications.traits.base import TraitPlugin
from meteragent.notifications.traits.bitfield import BitfieldTraitPlugin

AT = "2026-03-01 10:00:20.616624"
ONE = """\
- event_type: server.*
  traits:
    id: {fields: payload.id}
    size: {fields: payload.size, type: int}
    load: {fields: payload.load, type: float}
    began: {fields: payload.began, type: datetime}
    any: {fields: payload.any, type: none}
"""

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=3), each, max_size=3),
    max_leaves=10,
)


def handler(text: str = ONE, **options: Any) -> DeclarativeEvents:
    """A handler of these definitions."""
    return DeclarativeEvents(load(text, "e.yaml", {"failing": Failing, "odd": Odd})[0], **options)


def notification(
    payload: Any = None, event_type: str = "server.create", priority: str = "info", **changed: Any
) -> Notification:
    """A notification with a payload; other keys are changed, those given as ``...`` are missing."""
    document = {
        "ctxt": {},
        "publisher_id": "server.host-1",
        "event_type": event_type,
        "payload": {} if payload is None else payload,
        "metadata": {"message_id": "m-1", "timestamp": AT},
    } | changed
    return Notification({key: value for key, value in document.items() if value is not ...}, priority)


def event(made: DeclarativeEvents, told: Notification) -> Event:
    """The one event of a notification, without problems."""
    problems: list[str] = []
    (found,) = made.convert(told, problems)
    assert problems == []
    return found


def problem(made: DeclarativeEvents, told: Notification) -> str:
    """Why there is no event of a notification."""
    problems: list[str] = []
    assert list(made.convert(told, problems)) == []
    (line,) = problems
    return line


def traits(payload: Any, text: str = ONE) -> dict[str, Any]:
    """The traits of a notification that are no default ones."""
    found = event(handler(text), notification(payload)).traits
    return {trait.name: trait.value for trait in found if trait.name not in DEFAULT_TRAITS}


class Odd(TraitPlugin):
    """Someone's plugin that makes objects with a fault."""

    def trait_values(self, match_list: Sequence[tuple[str, Any]]) -> list[Any]:
        """One that cannot be told as text."""
        return [Untold() for _ in match_list]


class Untold:
    """An object that is no text, and does not become one."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Failing(TraitPlugin):
    """Someone's plugin that has a fault."""

    def trait_values(self, match_list: Sequence[tuple[str, Any]]) -> list[Any]:
        """Fail for whatever was found."""
        raise RuntimeError(f"no idea what to do with {len(match_list)}")


def test_an_event_tells_the_message_its_time_and_its_traits() -> None:
    """Every field of an event comes out in the ancestor's form."""
    payload = {"id": 7, "size": "12", "load": 3, "began": "2026-03-01T12:00:00+02:00", "any": 1.5}
    found = event(handler(), notification(payload))
    assert (found.message_id, found.event_type, found.raw) == ("m-1", "server.create", {})
    assert found.generated == instant("2026-03-01T10:00:20.616624Z")
    assert found.traits == [
        Trait("service", TEXT, "server.host-1"),
        Trait("id", TEXT, "7"),
        Trait("size", INTEGER, 12),
        Trait("load", FLOAT, 3.0),
        Trait("began", DATETIME, instant("2026-03-01T10:00:00Z")),
        Trait("any", NONE, "1.5"),
    ]
    assert found.as_dict()["traits"][4] == ["began", 4, "2026-03-01T10:00:00Z"]


def test_default_traits_come_from_the_payload_before_the_context() -> None:
    """Owner and request are told of every event that knows them."""
    context = {"request_id": "r", "project_id": "cp", "user_id": "cu"}
    of_context = event(handler(), notification({}, ctxt=context))
    assert [(trait.name, trait.value) for trait in of_context.traits] == [
        ("service", "server.host-1"), ("request_id", "r"), ("project_id", "cp"), ("user_id", "cu"),
        ("tenant_id", "cp"),
    ]  # fmt: skip
    of_payload = event(handler(), notification({"tenant_id": "pp", "user_id": "pu"}, ctxt=context))
    assert [trait.value for trait in of_payload.traits] == ["server.host-1", "r", "pp", "pu", "pp"]


def test_null_and_missing_make_no_trait() -> None:
    """Empty text is a trait only where text is wanted: nova says '' for a time that is not yet."""
    assert traits({"id": None}) == {}
    assert traits({"id": "", "size": "", "load": "", "began": "", "any": ""}) == {"id": ""}


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("é" * 300, "é" * 255),
        ([1, "a"], "[1, 'a']"),
        (True, "True"),
        (2**70, str(2**70)),
        ("\ud800", "\\ud800"),
    ],
)
def test_text_is_whatever_str_makes_of_it_up_to_255_characters(value: Any, kept: str) -> None:
    """A value that is no text is told as Python tells it; what no Unicode can say is escaped."""
    assert traits({"id": value}) == {"id": kept}


@pytest.mark.parametrize(
    ("value", "kept"),
    [(0.9, 0), (-7, -7), (" 7 ", 7), (True, 1), (2**64 - 1, 2**64 - 1), (str(-(2**63)), -(2**63))],
)
def test_an_integer_is_what_int_makes_of_it(value: Any, kept: int) -> None:
    """Fractions are cut off."""
    assert traits({"size": value}) == {"size": kept}


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        ({"size": "0x10"}, "event server.create: refused: trait size: '0x10' is no integer"),
        ({"size": [1]}, "trait size: [1] is no integer"),
        ({"size": float("inf")}, "trait size: inf is no integer"),
        ({"size": float("nan")}, "trait size: nan is no integer"),
        ({"load": "much"}, "trait load: 'much' is no number"),
        ({"load": 10**400}, "trait load: 1000"),
        ({"began": 5}, "trait began: timestamp: 5 is no text"),
        ({"began": "soon"}, "trait began: timestamp: 'soon' is no time"),
        ({"began": "0001-01-01T00:00:00+01:00"}, "is in UTC before the year 1"),
        ({"began": "9999-12-31T23:59:59-01:00"}, "is in UTC before the year 1 or after 9999"),
    ],
)
def test_a_value_that_does_not_fit_its_type_refuses_the_event_by_name(payload: Any, told: str) -> None:
    """No event is made that would tell less than its definition promises."""
    assert told in problem(handler(), notification(payload))


@pytest.mark.parametrize("value", ["nan", "-inf", float("nan"), float("inf")])
def test_a_float_that_is_not_finite_is_left_out_and_named(value: Any) -> None:
    """Neither JSON nor stores can say it, so the event goes without this trait."""
    problems: list[str] = []
    (found,) = handler().convert(notification({"load": value, "id": "a"}), problems)
    assert [trait.name for trait in found.traits] == ["service", "id"]
    assert problems == [
        f"event server.create: trait load: {float(value)} is not finite, the trait is left out"
    ]


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, "9" * 40, 1e300])
def test_an_integer_beyond_64_bits_is_left_out_and_named(value: Any) -> None:
    """No event could be written with it, so the event goes without this trait."""
    problems: list[str] = []
    (found,) = handler().convert(notification({"size": value, "id": "a"}), problems)
    assert [trait.name for trait in found.traits] == ["service", "id"]
    (line,) = problems
    assert line.startswith(f"event server.create: trait size: {str(int(value))[:20]}")
    assert line.endswith(" is beyond 64 bits, the trait is left out")
    assert msgspec.msgpack.encode(found)


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1])
def test_a_notification_that_cannot_be_written_is_not_kept(value: int) -> None:
    """The event goes without it, which is told."""
    problems: list[str] = []
    (found,) = handler(store_raw=["info"]).convert(notification({"id": "a", "n": [value]}), problems)
    assert found.raw == {}
    (line,) = problems
    assert line.startswith("event server.create: raw: ")
    assert line.endswith(", the notification is not kept")


def test_no_notification_makes_an_event_that_cannot_be_written() -> None:
    """Whatever bits a plugin sets."""
    flags = [{"path": "payload.id", "bit": bit} for bit in (0, 1023)]
    plugin = {"name": "bitfield", "parameters": {"flags": flags}}
    traits = {"t": {"fields": "payload.id", "type": "int", "plugin": plugin}}
    text = yaml.safe_dump([{"event_type": "*", "traits": traits}])
    made = DeclarativeEvents(load(text, "e.yaml", {"bitfield": BitfieldTraitPlugin})[0])
    problems: list[str] = []
    (found,) = made.convert(notification({"id": 1}), problems)
    assert msgspec.msgpack.encode(found)
    assert "trait t: " in problems[0]


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({"timestamp": AT}, "event server.create: refused: message_id: missing"),
        ({"message_id": "m", "timestamp": "later"}, "refused: timestamp: 'later' is no time"),
        ({"message_id": "m"}, "refused: timestamp: missing"),
        (None, "message_id: missing"),
        ([], "message_id: missing"),
        (..., "message_id: missing"),
    ],
)
def test_a_message_without_id_or_time_makes_no_event(metadata: Any, told: str) -> None:
    """An event is told of a message at a time, or not at all."""
    assert told in problem(handler(), notification(metadata=metadata))


def test_an_id_that_is_no_text_becomes_text() -> None:
    """What other services number is told as text."""
    found = event(handler(), notification(metadata={"message_id": 5, "timestamp": AT}))
    assert found.message_id == "5"


def test_a_plugin_that_fails_refuses_the_event_by_name() -> None:
    """The fault of someone's plugin harms no other event."""
    text = "- event_type: '*'\n  traits:\n    t: {fields: payload.id, plugin: failing}\n"
    told = problem(handler(text), notification({"id": 1}))
    assert told.startswith("event server.create: refused: trait t: ")
    assert told.endswith("RuntimeError: no idea what to do with 1")


def test_a_plugin_that_makes_what_is_no_value_refuses_the_event_by_name() -> None:
    """What it yields is told as text, where it can be."""
    text = "- event_type: '*'\n  traits:\n    t: {fields: payload.id, plugin: odd}\n"
    told = problem(handler(text), notification({"id": 1}))
    assert told == "event server.create: refused: trait t: RuntimeError: no text"


def test_the_last_definition_that_matches_counts_alone() -> None:
    """Definitions of one event type are not merged."""
    text = """\
- {event_type: "server.*", traits: {a: payload.id}}
- {event_type: "server.create", traits: {b: payload.id}}
- {event_type: ["server.*", "!server.create"], traits: {c: payload.id}}
"""
    made = handler(text)
    for event_type, name in (("server.create", "b"), ("server.x", "c"), ("server.create", "b")):
        assert event(made, notification({"id": 1}, event_type)).traits[-1].name == name


def test_what_no_definition_matches_has_the_default_traits_or_is_dropped() -> None:
    """Which of both, an option says; a definition that matches everything leaves nothing to it."""
    told = notification({"id": 1}, "other")
    assert [trait.name for trait in event(handler(), told).traits] == ["service"]
    assert list(handler(drop_unmatched_notifications=True).convert(told, [])) == []
    everything = "- {event_type: '*', traits: {id: payload.id}}"
    for dropped in (True, False):
        made = handler(everything, drop_unmatched_notifications=dropped)
        assert event(made, told).traits[-1].name == "id"
        assert len(made.event_types) == 1


def test_the_handler_is_asked_for_what_it_makes_events_of() -> None:
    """It declares the event types of its definitions, and the priorities info and error."""
    made = handler(drop_unmatched_notifications=True)
    assert made.priorities == ("info", "error")
    assert [matches(each, "server.x") for each in made.event_types] == [True]
    assert [matches(each, "server") for each in made.event_types] == [False]
    assert any(matches(each, "server") for each in handler().event_types)


def test_the_notification_is_kept_for_the_priorities_that_are_named() -> None:
    """Capitals in the option do not count, and another priority keeps nothing."""
    made = handler(store_raw=["INFO", "bogus"])
    told = notification({"id": 1})
    assert event(made, told).raw == told.document
    assert event(made, notification({"id": 1}, priority="error")).raw == {}


def test_more_event_types_than_are_remembered_find_their_definitions() -> None:
    """The memory of a handler is bounded and changes nothing."""
    made = handler()
    for number in [*range(REMEMBERED + 10), 0]:
        kind = f"{'server' if number % 2 else 'other'}.{number}"
        assert event(made, notification({"id": 1}, kind)).traits[-1].name == (
            "id" if number % 2 else "service"
        )
    assert 0 < len(made._known) <= REMEMBERED


@given(st.dictionaries(st.sampled_from(["ctxt", "publisher_id", "payload", "metadata"]), anything), anything)
@example(document={}, payload=2.0**64)
def test_no_notification_raises(document: dict[str, Any], payload: Any) -> None:
    """Whatever it says, it makes an event, or its last problem tells why it was refused."""
    for told in (
        Notification({**document, "event_type": "server.x"}),
        notification(dict.fromkeys(("id", "size", "load", "began", "any"), payload)),
    ):
        problems: list[str] = []
        found = list(handler().convert(told, problems))
        assert len(found) == 1 or "refused" in problems[-1]


def test_a_payload_of_any_depth_raises_nothing() -> None:
    """What is nested too deeply to be told as text is refused by name."""
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert "trait id: RecursionError" in problem(handler(), notification({"id": deep}))


def conf(folder: Path, **changed: Any) -> cfg.ConfigOpts:
    """Options read from a config file in a folder, some of them changed."""
    file = folder / "a.conf"
    file.write_text("")
    made = cfg.ConfigOpts()
    made.register_opts(EVENT_OPTS, group="event")
    made([f"--config-file={file}"], project="meteragent", default_config_files=[])
    for name, value in changed.items():
        made.set_override(name, value, "event")
    return made


def test_the_plugin_reads_the_file_beside_the_config(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A relative name is found in the config folder; what is odd in it is logged."""
    (tmp_path / "event_definitions.yaml").write_text(f"{ONE}  publisher: x\n")
    made = Events(conf(tmp_path, store_raw=["error", "loud"]), {})
    assert event(made, notification({"id": 1}, priority="error")).traits[-1] == Trait("id", TEXT, "1")
    assert event(made, notification(priority="error")).raw != {}
    assert "'publisher' has no effect" in caplog.text
    assert "[event] store_raw: 'loud' keeps nothing" in caplog.text


def test_the_plugin_takes_its_options(tmp_path: Path) -> None:
    """Another file and the dropping of what is unmatched are for the config to say."""
    (tmp_path / "mine.yaml").write_text("[]")
    told = notification({"id": 1})
    made = Events(conf(tmp_path, definitions_cfg_file="mine.yaml"), {})
    assert len(event(made, told).traits) == 1
    dropping = conf(
        tmp_path, definitions_cfg_file=str(tmp_path / "mine.yaml"), drop_unmatched_notifications=True
    )
    assert list(Events(dropping, {}).convert(told, [])) == []


def test_a_file_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """One that is named and missing, a folder, bytes that are no text, and a bad definition."""
    for name, told in (
        ("gone.yaml", "definitions_cfg_file = 'gone.yaml' is not there"),
        (".", "regular file"),
    ):
        with pytest.raises(ConfigError, match=told):
            Events(conf(tmp_path, definitions_cfg_file=name), {})
    for content, told in ((b"\xff", "is not UTF-8"), (b"- a", ":1: definition 1: 'a' is no mapping")):
        (tmp_path / "event_definitions.yaml").write_bytes(content)
        with pytest.raises(ConfigError, match=told):
            Events(conf(tmp_path), {})


def test_without_a_file_the_built_in_one_holds(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is taken without a warning."""
    made = Events(conf(tmp_path), {})
    assert len(made.event_types) == len(load(BUILT_IN.read_bytes(), "b.yaml", {})[0]) + 1
    assert caplog.text == ""
