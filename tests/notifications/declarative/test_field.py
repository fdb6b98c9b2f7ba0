"""Fields of definitions: where the values of a key come from."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meteragent.errors import ConfigError, Rejected
from meteragent.notifications.declarative.field import Field
from meteragent.notifications.traits.base import TraitPlugin
from meteragent.notifications.traits.bitfield import BitfieldTraitPlugin
from meteragent.notifications.traits.map import MapTraitPlugin
from meteragent.notifications.traits.split import SplitTraitPlugin
from meteragent.notifications.traits.timedelta import TimedeltaTraitPlugin


class Failing(TraitPlugin):
    """Raises what no plugin should."""

    support_return_all_values = True

    def __init__(self, at_once: object = None) -> None:
        if at_once:
            raise LookupError("a plugin\nof others")

    def trait_values(self, match_list: Sequence[tuple[str, Any]]) -> list[Any]:
        raise OSError(f"a plugin\nof others, given {len(match_list)}")


TRAITS: dict[str, type[TraitPlugin]] = {
    "split": SplitTraitPlugin,
    "bitfield": BitfieldTraitPlugin,
    "timedelta": TimedeltaTraitPlugin,
    "map": MapTraitPlugin,
    "failing": Failing,
}
DOCUMENT: dict[str, Any] = {
    "payload": {
        "a": 3,
        "n": None,
        "z": 0,
        "e": "",
        "no": False,
        "host": "compute.host-1",
        "state": "ACTIVE",
        "list": [None, "x", None, "y"],
        "start": "2026-03-01T10:00:00Z",
        "end": "2026-03-01T09:59:30",
    }
}


def of(name: Any, **parameters: Any) -> dict[str, Any]:
    """A trait plugin as a definition file has it."""
    return {"name": name, "parameters": parameters}


def field(definition: Any) -> Field:
    """A field as a definition file has it."""
    return Field("volume", definition, TRAITS)


@pytest.mark.parametrize(
    ("definition", "first", "every"),
    [
        ("payload.a", 3, [3]),
        ("payload.missing", None, []),
        ("payload.n", None, []),
        ("payload.z", 0, [0]),
        ("payload.e", "", [""]),
        ("payload.no", False, [False]),
        ("payload.list[*]", "x", ["x", "y"]),
        (["payload.a"], 3, [3]),
        (["payload.n", "payload.missing", "payload.z", "payload.a"], 0, [0, 3]),
        (["payload.list[*]", "payload.a"], "x", ["x", "y", 3]),
        (5, 5, [5]),
        (0, 0, [0]),
        ([7], 7, [7]),
        (True, True, [True]),
        ({"fields": "payload.a"}, 3, [3]),
        ({"fields": 5}, 5, [5]),
        ({"fields": ["payload.n", "payload.a"], "type": "int"}, 3, [3]),
        ({"fields": "payload.host", "plugin": "split"}, "compute", ["compute"]),
        ({"fields": "payload.host", "plugin": {"name": "split", "parameters": None}}, "compute", ["compute"]),
        (
            {"fields": "payload.host", "plugin": of("split", segment=1)},
            "host-1",
            ["host-1"],
        ),
        ({"fields": "payload.host", "plugin": of("split", segment=9)}, None, []),
        ({"fields": "payload.list[*]", "plugin": "split"}, "x", ["x", "y"]),
        ({"fields": 5, "plugin": "timedelta"}, 5, [5]),
    ],
)
def test_a_field_finds_the_first_value_or_all(definition: Any, first: Any, every: list[Any]) -> None:
    """Nulls are passed over, zero, false and empty text are values; an integer stands for itself."""
    assert repr(field(definition).first(DOCUMENT)) == repr(first)
    assert repr(field(definition).every(DOCUMENT)) == repr(every)


@pytest.mark.parametrize(
    ("definition", "first"),
    [
        ({"fields": ["payload.start", "payload.end"], "plugin": "timedelta"}, 30.0),
        ({"fields": ["payload.start", "payload.missing"], "plugin": "timedelta"}, None),
        ({"fields": "payload.state", "plugin": of("map", values={"ACTIVE": 1})}, 1),
        (
            {
                "fields": ["payload.list[*]", "payload.a"],
                "plugin": {"name": "bitfield", "parameters": {"flags": [
                    {"path": "payload.list.[3]", "bit": 0},
                    {"path": "payload.a", "bit": 2, "value": 3},
                    {"path": "payload.list.[0]", "bit": 4},
                ]}},
            },
            5,
        ),
    ],
)  # fmt: skip
def test_a_trait_plugin_makes_the_value_of_all_that_is_found(definition: Any, first: Any) -> None:
    """It is given path and value of everything but nulls; asked for all, one that makes one is rejected."""
    assert field(definition).first(DOCUMENT) == first
    with pytest.raises(Rejected, match="makes one value only"):
        field(definition).every(DOCUMENT)


@pytest.mark.parametrize(
    ("definition", "told"),
    [
        (None, "None is no path"),
        (1.5, "1.5 is no path"),
        ("", "'' is no path"),
        ("payload.[", r"'payload.\[' is no path"),
        ([], "an empty list"),
        ([None], "None is no path"),
        (["payload.a", 5], "5 is no path"),
        (["payload.a", None], "None is no path"),
        ([["payload.a"]], "is no path"),
        (["payload.a", "payload.["], r"'payload.\[' is no path"),
        ({}, "fields: missing"),
        ({"plugin": "split"}, "fields: missing"),
        ({"fields": None}, "None is no path"),
        ({"fields": {"fields": "payload.a"}}, "is no path"),
        ({"fields": "payload.a", "plugin": None}, "plugin: None is no name"),
        ({"fields": "payload.a", "plugin": 5}, "plugin: 5 is no name"),
        ({"fields": "payload.a", "plugin": ["split"]}, "plugin: .* is no name"),
        ({"fields": "payload.a", "plugin": {}}, "plugin: name: missing"),
        ({"fields": "payload.a", "plugin": {"name": ["split"]}}, "is no name"),
        (
            {"fields": "payload.a", "plugin": "spilt"},
            "not installed; installed are .* perhaps: split",
        ),
        (
            {"fields": "payload.a", "plugin": {"name": "split", "parameters": [1]}},
            "parameters: .* is no mapping",
        ),
        (
            {"fields": "payload.a", "plugin": {"name": "split", "parameters": {1: 2}}},
            "is no mapping with names",
        ),
        (
            {"fields": "payload.a", "plugin": of("map", values=[1])},
            "plugin map: .*values",
        ),
        ({"fields": "payload.a", "plugin": "map"}, "plugin map: .*values"),
        (
            {"fields": "payload.a", "plugin": of("failing", at_once=1)},
            "plugin of others",
        ),
        ({"fields": "payload.a", "plugin": of("failing", x=1)}, "TypeError"),
    ],
)
def test_a_definition_that_is_no_good_is_refused(definition: Any, told: str) -> None:
    """The message names the key and what is wrong, in one line."""
    with pytest.raises(ConfigError, match=f"^volume: .*{told}") as caught:
        field(definition)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("definition", "told"),
    [
        ("payload.a[0]", r"^path 'payload.a\[0\]' does not fit"),
        ({"fields": "payload.a", "plugin": "failing"}, "plugin failing .*: a plugin of others, given 1$"),
        ({"fields": "payload.list", "plugin": of("map", values={1: 2})}, "plugin map .*unhashable"),
    ],
)
def test_what_does_not_fit_is_rejected_with_its_reason(definition: Any, told: str) -> None:
    """A path into a wrong type and a trait plugin that fails are told in one line."""
    with pytest.raises(Rejected, match=told):
        field(definition).first(DOCUMENT)
    with pytest.raises(Rejected):
        field(definition).every(DOCUMENT)


def test_a_later_path_is_not_followed_once_there_is_a_value() -> None:
    """What stands first counts, though what stands behind it would not fit."""
    assert field(["payload.a", "payload.a[0]"]).first(DOCUMENT) == 3
    with pytest.raises(Rejected):
        field(["payload.missing", "payload.a[0]"]).first(DOCUMENT)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3)
    ),
    max_leaves=10,
)
PARAMETERS = st.dictionaries(
    st.sampled_from(
        ["separator", "segment", "max_split", "values", "default", "case_sensitive", "flags", "x"]
    ),
    VALUES
    | st.lists(st.fixed_dictionaries({"path": st.just("a"), "bit": st.integers(-2, 2000)}), max_size=2),
    max_size=3,
)
DEFINITIONS = VALUES | st.fixed_dictionaries(
    {
        "fields": st.sampled_from(["a", "a.b", "a[*]", "b[0].c"])
        | st.lists(st.sampled_from(["a", "b[*]"]), max_size=3)
    },
    optional={
        "plugin": st.sampled_from(sorted(TRAITS))
        | st.fixed_dictionaries({"name": st.sampled_from(sorted(TRAITS)), "parameters": PARAMETERS})
        | VALUES
    },
)


@settings(max_examples=400, deadline=None)
@given(DEFINITIONS, VALUES)
def test_any_definition_is_refused_or_works_on_any_document(definition: Any, document: Any) -> None:
    """Reading raises ConfigError only, looking up Rejected only, and the first is the first of all."""
    try:
        read = field(definition)
    except ConfigError:
        return
    try:
        every = read.every(document)
    except Rejected:
        return
    assert None not in every
    assert repr(read.first(document)) == repr(next(iter(every), None))
