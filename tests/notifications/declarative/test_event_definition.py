"""What event_definitions.yaml may say, what it means, and how its faults are told."""

import fnmatch
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from meteragent.errors import ConfigError
from meteragent.event import DATETIME, FLOAT, INTEGER, NONE, TEXT
from meteragent.notifications.declarative.event_definition import (
    DEFAULT_TRAITS,
    EventDefinition,
    EventTypes,
    catch_all,
    load,
    read,
)

TWO = """\
- event_type: server.*
  traits: &server
    id: {fields: payload.id}
    size: {fields: payload.size, type: int}
- event_type: ["server.delete.*", "!server.delete.start"]
  traits:
    <<: *server
    gone_at: {fields: payload.gone_at, type: datetime}
"""

globs = st.lists(st.text("ab.*?[!]^-", max_size=6), max_size=4)
names = st.text("ab.[]!^-\n", max_size=6)
words = st.sampled_from(["event_type", "traits", "fields", "type", "plugin", "x"])
documents = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | words,
    lambda each: st.lists(each, max_size=4) | st.dictionaries(words, each),
)


def definition(**changed: Any) -> str:
    """A document of one definition: with these keys changed, without those given as ``...``."""
    entry = {"event_type": "a", "traits": {"t": "payload.t"}} | changed
    return yaml.safe_dump([{key: value for key, value in entry.items() if value is not ...}], sort_keys=False)


def of(text: str) -> list[EventDefinition]:
    """The definitions of a text that is taken without warning."""
    definitions, warnings = load(text, "e.yaml", {})
    assert warnings == []
    return definitions


def own(definition: EventDefinition) -> list[tuple[str, int]]:
    """Name and type of its traits beside the default ones."""
    return [(trait.name, trait.kind) for trait in definition.traits if trait.name not in DEFAULT_TRAITS]


def refusal(text: str) -> str:
    """How a text is refused."""
    with pytest.raises(ConfigError) as caught:
        load(text, "e.yaml", {})
    return str(caught.value)


def warning(text: str) -> str:
    """The one warning that a text gives."""
    (told,) = load(text, "e.yaml", {})[1]
    return told


def test_definitions_come_in_their_order_with_their_traits_behind_the_default_ones() -> None:
    """A plain file, anchors and merges included, is taken as it is."""
    first, second = of(TWO)
    assert first.event_types.match("server.create")
    assert own(first) == [("id", TEXT), ("size", INTEGER)]
    assert sorted(own(second)) == [("gone_at", DATETIME), ("id", TEXT), ("size", INTEGER)]
    assert [trait.name for trait in first.traits][:5] == list(DEFAULT_TRAITS)


def test_a_default_trait_given_anew_keeps_its_place() -> None:
    """The order of traits is that of the default ones, whoever defines them."""
    (one,) = of(definition(traits={"z": "payload.z", "user_id": {"fields": "payload.u", "type": "int"}}))
    assert [trait.name for trait in one.traits] == [*DEFAULT_TRAITS, "z"]
    assert {trait.name: trait.kind for trait in one.traits}["user_id"] == INTEGER


@pytest.mark.parametrize(
    ("name", "kind"),
    [("text", TEXT), ("Int", INTEGER), ("FLOAT", FLOAT), ("datetime", DATETIME), ("none", NONE)],
)
def test_capitals_of_a_type_do_not_count(name: str, kind: int) -> None:
    """All five types are known, however they are written."""
    assert own(of(definition(traits={"t": {"fields": "payload.t", "type": name}}))[0]) == [("t", kind)]


def test_a_trait_without_a_type_is_text() -> None:
    """A bare path, several, a number and a mapping without type are text."""
    traits = {"a": "payload.a", "b": ["payload.b", "payload.c"], "c": 5, "d": {"fields": "payload.d"}}
    assert own(of(definition(traits=traits))[0]) == [(name, TEXT) for name in traits]


def test_names_of_traits_are_text() -> None:
    """A name that YAML reads as something else becomes text."""
    (one,) = of("- {event_type: a, traits: {5: payload.a, yes: payload.b, null: payload.c}}")
    assert [name for name, _ in own(one)] == ["5", "True", "None"]


def test_of_names_that_read_the_same_the_last_counts() -> None:
    """No event has two traits of one name."""
    (one,) = of("- {event_type: a, traits: {5: payload.a, '5': {fields: payload.b, type: int}}}")
    assert own(one) == [("5", INTEGER)]


def test_a_glob_for_everything_may_stand_above_the_others() -> None:
    """It is what holds where nothing below matches."""
    (one,) = of(definition(event_type="*"))
    assert one.event_types.is_catch_all


@given(globs, names)
def test_excluded_comes_before_included_and_only_exclusions_mean_all_others(
    patterns: list[str], name: str
) -> None:
    """A name is meant when a glob fits it and no exclusion does."""
    excluded = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    included = [pattern for pattern in patterns if not pattern.startswith("!")]
    fits = any(fnmatch.fnmatchcase(name, pattern) for pattern in included or ["*"] if patterns)
    event_types = EventTypes(patterns)
    assert event_types.match(name) is (fits and not any(fnmatch.fnmatchcase(name, one) for one in excluded))
    assert event_types.is_catch_all is ("*" in patterns and not excluded)
    if event_types.is_catch_all:
        assert event_types.match(name)


def test_one_glob_may_stand_without_a_list() -> None:
    """Text means the same as a list of it."""
    assert EventTypes("a.*").match("a.b")
    assert not EventTypes("!a.*").match("a.b")
    assert not EventTypes([]).match("")


def test_the_catch_all_has_the_default_traits_alone() -> None:
    """It matches whatever there is."""
    assert catch_all().event_types.match("any thing\n")
    assert [trait.name for trait in catch_all().traits] == list(DEFAULT_TRAITS)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (definition(event_type=...), "e.yaml:1: definition 1: event_type: missing; every definition needs"),
        (definition(traits=...), "e.yaml:1: definition 1 ('a'): traits: missing; every definition needs"),
        ("- {event_typ: a, traits: {}}", "perhaps: event_type instead of event_typ"),
        (definition(event_type=5), "event_type: 5 is no list; allowed are text or a list"),
        (definition(event_type=["a", None]), "event_type: None is no text; allowed are"),
        (definition(event_type={5: 1}), "event_type: 5 is no text"),
        (definition(traits=None), "e.yaml:2: definition 1 ('a'): traits: None is no mapping"),
        (definition(traits=["x"]), "traits: ['x'] is no mapping"),
        (definition(traits="payload.x"), "traits: 'payload.x' is no mapping"),
        (definition(traits={"t": None}), "e.yaml:3: definition 1 ('a'): trait t: "),
        (definition(traits={"t": {"type": "int"}}), "trait t: fields: missing"),
        (definition(traits={"t": {"fields": "payload.["}}), "trait t: "),
        (
            definition(traits={"t": {"fields": "a", "type": "inte"}}),
            "e.yaml:5: definition 1 ('a'): trait t: type: 'inte' is none of "
            "text, int, float, datetime, none; perhaps: int",
        ),
        (definition(traits={"t": {"fields": "a", "type": None}}), "type: None is none of text"),
        (definition(traits={"t": {"fields": "a", "plugin": "nope"}}), "trait t: plugin: 'nope'"),
        (f"{TWO}- a", "e.yaml:9: definition 3: 'a' is no mapping"),
        ("metric: []", "e.yaml:1: {'metric': []} is no list; allowed is a list of definitions"),
        ("null", "None is no list"),
        ("", "empty"),
        ("- a: [", "not YAML"),
    ],
)
def test_each_fault_is_told_with_file_line_entry_and_value(text: str, told: str) -> None:
    """One bad definition makes the file unusable, and is told so that it is found."""
    assert told in refusal(text)
    assert refusal(text).startswith("e.yaml:")


def test_the_first_fault_in_the_text_is_the_one_told() -> None:
    """Faults do not hide each other from who asks for all of them."""
    text = "- {event_type: 5, traits: {}}\n- {event_type: a, traits: {}}\n- b\n"
    definitions, document = read(text, "e.yaml", {})
    assert [fault.line for fault in document.faults] == [1, 3]
    assert len(definitions) == 1
    assert refusal(text).startswith("e.yaml:1:")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (definition(event_type=[]), "event_type: [] matches no event type"),
        (definition(event_type={"a": 1}), "event_type: {'a': 1} is a dict, read as its keys; write a list"),
        (definition(traits=[]), "traits: [] is no mapping"),
        (definition(publisher="x"), "'publisher' has no effect; known are event_type, traits"),
        (
            definition(traits={"t": {"field": "a", "fields": "payload.a"}}),
            "e.yaml:4: definition 1 ('a'): trait t: 'field' has no effect; known are type, fields, plugin",
        ),
        ("{}", "{} defines no event"),
        ("''", "'' defines no event"),
        (
            f"{TWO}- {{event_type: '*', traits: {{}}}}",
            "e.yaml:9: definition 3 ('*'): event_type: '*' matches",
        ),
        ("- {event_type: a, traits: {t: payload.a, t: payload.b}}", "'t' stands twice in one mapping"),
    ],
)
def test_what_is_odd_but_harmless_is_warned_of(text: str, told: str) -> None:
    """The ancestor takes it, so it is taken, with file and line."""
    assert told in warning(text)
    assert warning(text).startswith("e.yaml:")


def test_a_definition_that_merges_itself_is_refused() -> None:
    """Loops of aliases end in an error and not in a loop."""
    assert "e.yaml" in refusal("- &a\n  event_type: [*a]\n  traits: {}\n")
    assert "e.yaml" in refusal("- event_type: a\n  traits: &t\n    x: *t\n")


@given(documents)
def test_any_document_is_taken_or_refused_with_its_file(value: Any) -> None:
    """Whatever stands there, nothing but a ConfigError comes out."""
    text = yaml.safe_dump(value)
    try:
        load(text, "e.yaml", {})
    except ConfigError:
        assert refusal(text).startswith("e.yaml")
