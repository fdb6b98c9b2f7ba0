"""Trait plugins: what they make of values."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meteragent.notifications.traits.bitfield import HIGHEST_BIT, BitfieldTraitPlugin
from meteragent.notifications.traits.map import MapTraitPlugin
from meteragent.notifications.traits.split import SplitTraitPlugin
from meteragent.notifications.traits.timedelta import TimedeltaTraitPlugin


def found(*values: Any) -> list[tuple[str, Any]]:
    """As a field hands it over."""
    return [(f"payload.{position}", value) for position, value in enumerate(values)]


@pytest.mark.parametrize(
    ("parameters", "value", "part"),
    [
        ({}, "a.b.c", "a"),
        ({"segment": 1}, "a.b.c", "b"),
        ({"segment": -1}, "a.b.c", "c"),
        ({"segment": 3}, "a.b.c", None),
        ({"segment": -4}, "a.b.c", None),
        ({"segment": 1, "max_split": 1}, "a.b.c", "b.c"),
        ({"segment": 0, "max_split": 0}, "a.b.c", "a.b.c"),
        ({"separator": "-", "segment": 1}, "a-b", "b"),
        ({"separator": None, "segment": 1}, "a \t b", "b"),
        ({"segment": 1}, 5.25, "25"),
        ({"unknown": 1}, "a.b", "a"),
    ],
)
def test_split_takes_one_part_of_each(parameters: dict[str, Any], value: Any, part: str | None) -> None:
    """Values are split as text; where there are fewer parts, there is none."""
    assert SplitTraitPlugin(**parameters).trait_values(found(value, value)) == [part, part]
    assert SplitTraitPlugin(**parameters).trait_values([]) == []
    assert SplitTraitPlugin.support_return_all_values


@given(st.lists(st.text(alphabet="ab", max_size=3), min_size=1), st.sampled_from([".", "-", "::"]))
def test_split_finds_every_part_that_was_joined(parts: list[str], separator: str) -> None:
    """The parts of what was joined are the parts that it was joined from."""
    value = separator.join(parts)
    for position, part in enumerate(parts):
        assert SplitTraitPlugin(separator, position).trait_values(found(value)) == [part]


def test_bitfield_sets_the_bits_of_what_is_there() -> None:
    """A flag counts where its path has a value, or the value it names; bits of the beginning stay."""
    flags: list[dict[str, Any]] = [
        {"path": "payload.0", "bit": 0, "value": 42},
        {"path": "payload.0", "bit": 1, "value": 12},
        {"path": "payload.1", "bit": "4"},
        {"path": "payload.9", "bit": 6},
    ]
    bits = BitfieldTraitPlugin(initial_bitfield=128, flags=flags, unknown=1)
    assert bits.trait_values(found(12, "x")) == [128 | 2 | 16]
    assert bits.trait_values([]) == [128]
    assert BitfieldTraitPlugin().trait_values(found(1)) == [0]


@pytest.mark.parametrize(
    "flags",
    [[{"path": "payload.0"}], [{"bit": 1}], [{"path": "payload.0", "bit": "z"}], [{"path": "x", "bit": -1}],
     [{"path": "x", "bit": HIGHEST_BIT + 1}], [5], 5],
)  # fmt: skip
def test_bitfield_raises_for_flags_that_make_no_sense(flags: Any) -> None:
    """Without path or bit, or with a bit that is no number or too high, there is no value."""
    with pytest.raises((KeyError, ValueError, TypeError)):
        BitfieldTraitPlugin(flags=flags).trait_values(found(1))


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        (("2026-03-01T10:00:00", "2026-03-01T11:00:00"), 3600.0),
        (("2026-03-01T11:00:00Z", "2026-03-01T10:00:00"), 3600.0),
        (("2026-03-01T10:00:00+02:00", "2026-03-01T10:00:00Z"), 7200.0),
        (("2026-03-01T10:00:00.000001", "2026-03-01T10:00:00"), 1e-06),
        (("2026-03-01", "2026-03-02"), 86400.0),
        (("2026-03-01", "2026-03-01"), 0.0),
        (("2026-03-01",), None),
        (("2026-03-01", "2026-03-02", "2026-03-03"), None),
        (("2026-03-01", "no time"), None),
        ((1, 2), None),
        (({}, []), None),
        ((), None),
    ],
)
def test_timedelta_is_the_seconds_between_two_times(values: tuple[Any, ...], seconds: float | None) -> None:
    """Never negative; None where there are not exactly two times."""
    assert TimedeltaTraitPlugin(unknown=1).trait_values(found(*values)) == [seconds]


def test_map_gives_what_stands_for_each_value() -> None:
    """What is not listed becomes the default; capitals count unless they shall not."""
    plain = MapTraitPlugin(values={"ACTIVE": 1, 3: "three"}, default=-1, unknown=1)
    assert plain.trait_values(found("ACTIVE", "active", 3, None)) == [1, -1, "three", -1]
    folded = MapTraitPlugin(values={"ACTIVE": 1, "Straße": 2, 3: 4}, case_sensitive=False)
    assert folded.trait_values(found("active", "STRASSE", 3, "x")) == [1, 2, 4, None]
    assert plain.trait_values([]) == []


@pytest.mark.parametrize("values", [None, {}, [], ["a"], "abc", 5])
def test_map_needs_values(values: Any) -> None:
    """A mapping that is not empty is required."""
    with pytest.raises(ValueError, match="required is a mapping"):
        MapTraitPlugin(values=values)


def test_map_cannot_look_up_a_list() -> None:
    """It raises, for the field to tell."""
    with pytest.raises(TypeError):
        MapTraitPlugin(values={"a": 1}, default=2).trait_values(found(["a"]))
