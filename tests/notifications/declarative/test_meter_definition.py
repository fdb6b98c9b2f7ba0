"""Files of meters.d, read."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from meteragent.documents import as_text
from meteragent.errors import ConfigError
from meteragent.notifications.declarative.meter import MeterDefinition
from meteragent.notifications.declarative.meter_definition import load
from meteragent.notifications.reserved import Reserved
from meteragent.notifications.traits.base import TraitPlugin

GOOD: dict[str, Any] = {
    "name": "size",
    "event_type": "image.upload",
    "type": "gauge",
    "unit": "B",
    "volume": "$.payload.size",
    "resource_id": "$.payload.id",
}


class First(TraitPlugin):
    """The first value, and no other."""

    def __init__(self, letters: int = 3) -> None:
        if letters < 1:
            raise ValueError("letters: below 1")
        self.letters = letters

    def trait_values(self, match_list: Sequence[tuple[str, Any]]) -> list[Any]:
        """Beginnings of the values."""
        return [str(value)[: self.letters] for _, value in match_list]


class Each(First):
    """The same of each value."""

    support_return_all_values = True


TRAITS: dict[str, type[TraitPlugin]] = {"first": First, "each": Each}


def read(*texts: str) -> tuple[list[MeterDefinition], list[str]]:
    """The definitions of files ``0.yaml``, ``1.yaml`` and so on."""
    return load(((f"{number}.yaml", text) for number, text in enumerate(texts)), TRAITS, Reserved())


def names(*documents: list[Any]) -> list[str]:
    """The names of the definitions that are kept of these files, in their order."""
    found, _ = read(*(yaml.safe_dump({"metric": document}) for document in documents))
    return [definition.name for definition in found]


def changed(**changes: Any) -> dict[str, Any]:
    """A good definition but for some keys; one that is Ellipsis is left out."""
    return {key: value for key, value in {**GOOD, **changes}.items() if value is not ...}


def problem(**changes: Any) -> str:
    """Why the definition is skipped, the one before it kept."""
    found, problems = read(yaml.safe_dump({"metric": [changed(name="other"), changed(**changes)]}))
    assert [definition.name for definition in found] == ["other"]
    return problems[0]


def refused(**changes: Any) -> str:
    """Why no definition of the file is used."""
    with pytest.raises(ConfigError) as caught:
        read(yaml.safe_dump({"metric": [GOOD, changed(name="bad", **changes)]}))
    assert caught.value.file == "0.yaml"
    assert caught.value.line is not None
    return str(caught.value)


def test_the_last_of_a_file_and_the_first_of_the_files_counts() -> None:
    """So a file in front overrides what stands in those behind it."""
    one, two = changed(name="a", unit="first"), changed(name="a", unit="second")
    (found,), problems = read(yaml.safe_dump({"metric": [one, two]}), yaml.safe_dump({"metric": [one]}))
    assert found.place == "0.yaml:8"
    assert [line.partition(" ")[0] for line in problems] == ["0.yaml:3:", "1.yaml:3:"]


def test_definitions_are_asked_from_the_last_to_the_first() -> None:
    """File by file."""
    assert names([changed(name=each) for each in "ab"], [changed(name=each) for each in "cd"]) == list("badc")


@pytest.mark.parametrize("key", GOOD)
@pytest.mark.parametrize("value", [..., None, "", 0, [], {}, False])
def test_what_is_required_has_to_say_something(key: str, value: Any) -> None:
    """A definition that lacks it is skipped, but for a name that is no text."""
    if key == "name" and value in ([], {}):
        with pytest.raises(ConfigError, match="name: "):
            read(yaml.safe_dump({"metric": [changed(name=value)]}))
    else:
        assert f"{key}: " in problem(**{key: value})


def test_a_skipped_definition_leaves_its_name_to_another() -> None:
    """The one before it counts."""
    (found,), problems = read(yaml.safe_dump({"metric": [GOOD, changed(type="bogus")]}, sort_keys=False))
    assert found.place == "0.yaml:2"
    assert problems == [
        "0.yaml:10: meter 'size': type: 'bogus' is none; allowed are cumulative, delta, gauge, "
        "or a path where lookup names type"
    ]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"type": "Gauge"}, "type: 'Gauge' is none"),
        ({"type": ["gauge"]}, "type: ['gauge'] is none"),
        ({"volume": "$.["}, "volume: '$.[' is no path"),
        ({"volume": 1.5}, "volume: 1.5 is no path"),
        ({"volume": {"plugin": "first"}}, "volume: fields: missing"),
        ({"volume": {"fields": "a", "plugin": "nope"}}, "volume: plugin: 'nope' is not installed"),
        ({"volume": {"fields": "a", "plugin": {"parameters": {}}}}, "volume: plugin"),
        ({"metadata": {"k": "$.["}}, "k: '$.[' is no path"),
        ({"user_metadata": "$.["}, "user_metadata: '$.[' is no path"),
        ({"timestamp": "$.["}, "timestamp: '$.[' is no path"),
    ],
)
def test_a_definition_that_is_no_good_is_skipped(changes: dict[str, Any], told: str) -> None:
    """File, line, meter and value are named."""
    line = problem(**changes)
    assert line.startswith("0.yaml:")
    assert f" meter 'size': {told}" in line


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"event_type": "("}, "event_type: '(' is no regular expression"),
        ({"event_type": ["a", 5]}, "event_type: 5 is no text"),
        ({"event_type": True}, "event_type: True is no text"),
        ({"metadata": ["a"]}, "metadata: ['a'] is no mapping"),
        ({"metadata": None}, "metadata: None is no mapping"),
        ({"lookup": None}, "lookup: None is no list"),
        ({"volume": {"fields": "a", "plugin": 5}}, "volume: plugin: 5 is no name"),
        ({"volume": {"fields": "a", "plugin": None}}, "volume: plugin: None is no name"),
        ({"volume": {"fields": "a", "plugin": {"name": "first", "parameters": [1]}}}, "parameters: [1]"),
        (
            {"volume": {"fields": "a", "plugin": {"name": "first", "parameters": {"letters": 0}}}},
            "letters: below 1",
        ),
        ({"volume": {"fields": "a", "plugin": {"name": "first", "parameters": {"words": 1}}}}, "words"),
        ({"metadata": {"k": {"fields": "a", "plugin": {"name": []}}}}, "k: plugin: [] is no name"),
    ],
)
def test_with_some_faults_no_definition_of_the_file_is_used(changes: dict[str, Any], told: str) -> None:
    """Those with which the ancestor does not start."""
    assert f"meter 'bad': {told}" in refused(**changes) or told in refused(**changes)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "metric:",
        "metric: abc",
        "metric: [5]",
        "metric: {a: 1}",
        "- a",
        "other: []",
        "metric: [",
        "\0",
        "5",
    ],
)
def test_a_document_that_is_no_list_of_meters_is_refused(text: str) -> None:
    """File and line are named."""
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert str(caught.value).startswith("0.yaml:")


@pytest.mark.parametrize("text", ["metric: []", "metric: {}", "metric: ''"])
def test_a_document_may_define_nothing(text: str) -> None:
    """What the ancestor goes through without finding anything."""
    assert read(text) == ([], [])


def test_what_is_not_known_is_told_and_has_no_effect() -> None:
    """With what was perhaps meant."""
    (found,), (line,) = read(yaml.safe_dump({"metric": [changed(user_di="x")]}))
    assert found.name == "size"
    assert "'user_di' has no effect" in line
    assert line.endswith("perhaps: user_id")


@pytest.mark.parametrize("name", [5, True, 1.5, "a b"])
def test_a_name_that_is_no_text_is_known_as_its_text(name: Any) -> None:
    """If it can be a path or a number at all."""
    assert names([changed(name=name)]) == (
        [] if isinstance(name, float) or name == "a b" else [as_text(name)]
    )


def test_of_two_definitions_with_equal_attributes_these_are_found_once() -> None:
    """An anchor, or the same text."""
    text = yaml.safe_dump(
        {
            "metric": [
                changed(name=each, metadata={"k": "payload.k"}, user_metadata="payload.m") for each in "ab"
            ]
        }
    )
    one, two = read(text)[0]
    assert one.attributes is two.attributes
    other = changed(metadata={"k": "payload.k"}, user_metadata="payload.n")
    three, four = read(yaml.safe_dump({"metric": [changed(name="x", metadata={"k": "payload.k"}), other]}))[0]
    assert three.attributes is not four.attributes


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(("fields", "plugin", "name", "parameters")), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = st.sampled_from((*GOOD, "user_id", "timestamp", "lookup", "metadata", "user_metadata", "other"))


@given(st.dictionaries(KEYS, VALUES, max_size=3))
def test_whatever_is_written_is_taken_skipped_or_refused(changes: dict[str, Any]) -> None:
    """Nothing else is raised."""
    text = yaml.safe_dump({"metric": [changed(**changes)]})
    with suppress(ConfigError):
        found, problems = read(text)
        assert found or problems
