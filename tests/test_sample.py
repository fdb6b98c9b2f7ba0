"""Samples: what is accepted, in which form, and under which identity."""

import json
import math
import uuid
from types import MappingProxyType, SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meteragent.errors import Rejected
from meteragent.sample import (
    LARGEST_METADATA,
    LONGEST_TEXT,
    NO_METADATA,
    Metadata,
    Sample,
    accepted,
    identifier,
    number,
)
from meteragent.testing.fakes import NOON, sample

INTEGERS = st.integers(-(2**63), 2**64 - 1)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
IDENTITIES = st.tuples(
    st.text(max_size=5), st.text(max_size=5), st.text(max_size=5), st.integers(), st.integers(0, 2**63 - 1)
)
JSON = st.recursive(
    st.none() | st.booleans() | INTEGERS | FINITE | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
    lambda inner: (
        st.lists(inner)
        | st.sets(st.integers() | st.text())
        | st.dictionaries(st.text() | st.integers(), inner)
    ),
    max_leaves=5,
)


class Hostile:
    """A value that refuses everything."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


class Name(str):
    """Text that is more than text, as a translated message is."""

    def __str__(self) -> str:
        return self


HOSTILE: list[Any] = [Hostile(), 10**5000, -(10**5000), object(), Name, "\ud800", b"\xff", {1, "a"}, 1 + 2j]


def kind_of(value: Any) -> str:
    """What a test of it is called."""
    return type(value).__name__


def same(one: float, other: float) -> bool:
    """Equal in kind and in every bit."""
    return type(one) is type(other) and (one, math.copysign(1, one)) == (other, math.copysign(1, other))


@given(INTEGERS | FINITE)
def test_a_number_stays_what_it_is(value: float) -> None:
    """An int stays an int, exact to 64 bits, a float a float, and so do their texts."""
    assert same(number(value), value)
    assert same(number(repr(value)), value)
    assert same(accepted(sample(volume=value), NOON, "o").volume, value)


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, str(2**64), 10**5000, "9" * 4000], ids=kind_of)
def test_an_integer_beyond_64_bits_is_refused(value: Any) -> None:
    """It would not be exact any more."""
    with pytest.raises(Rejected, match=r"^volume: .* is beyond 64 bits$"):
        number(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "nan", " -inf ", "1e400"], ids=kind_of)
def test_a_volume_that_is_not_finite_is_refused(value: Any) -> None:
    """It would poison every sum."""
    with pytest.raises(Rejected, match=r"^volume: .* is not finite$"):
        accepted(sample(volume=value), NOON, "o")


@pytest.mark.parametrize(
    "value", [True, None, "", "ten", "0" * 5000 + "5", b"1", [], {}, Hostile(), 1j], ids=kind_of
)
def test_what_is_no_number_is_refused(value: Any) -> None:
    """The message shows its head."""
    with pytest.raises(Rejected, match=r"^volume: .{1,80} is no number$"):
        accepted(sample(volume=value), NOON, "o")


@given(IDENTITIES, IDENTITIES)
def test_the_identifier_tells_identities_apart(
    one: tuple[str, str, str, int, int], other: tuple[str, str, str, int, int]
) -> None:
    """Equal identities have one id, others have another."""
    assert identifier(*one) == str(uuid.UUID(identifier(*one)))
    assert (identifier(*one) == identifier(*other)) == (one == other)


def test_no_part_of_an_identity_runs_into_the_next() -> None:
    """Text that moves from one part to another changes the id."""
    assert identifier("a", "b", "c", 1, 2) == "b47eb912-be68-d3da-5069-73f38e838021"
    moved = {
        identifier(*parts, 1, 2)
        for parts in (("ab", "", "c"), ("a", "b", "c"), ("", "ab", "c"), ("a", "bc", ""))
    }
    assert len(moved) == 4


def test_the_identity_does_not_depend_on_the_attributes() -> None:
    """Owner, unit, type, volume and metadata are content."""
    one = accepted(sample(), NOON, "here")
    other = accepted(
        sample(type="delta", unit="B", volume=7, project_id="p", resource_metadata={"a": 1}), NOON, "here"
    )
    assert one.identity == other.identity == ("here", "r", "m", NOON, 0)
    assert one.identifier == other.identifier == one.as_dict()["id"]
    assert accepted(sample(), NOON + 1, "here").identifier != one.identifier


def test_an_ancestors_sample_is_accepted_as_it_is() -> None:
    """Any object with its attributes will do; id, source and time are ours."""
    theirs = SimpleNamespace(
        name="cpu", type="cumulative", unit=None, volume="12", user_id=5, project_id=None,
        resource_id=uuid.UUID(int=1), timestamp="2026-01-01",
        resource_metadata={"a": (1, 2)}, source="theirs", id="x", monotonic_time=3,
    )  # fmt: skip
    assert accepted(theirs, NOON, "ours") == Sample(
        "cpu", "cumulative", "", 12, "5", None, "00000000-0000-0000-0000-000000000001", NOON,
        Metadata(b'{"a":[1,2]}'), "ours", None, 3.0,
    )  # fmt: skip


@given(st.sampled_from(Sample.__struct_fields__), ANYTHING | st.sampled_from(HOSTILE))
def test_any_value_is_accepted_or_refused(field: str, value: Any) -> None:
    """What is accepted can be accepted again and changes no more; nothing else than Rejected is raised."""
    try:
        taken = accepted(msgspec.structs.replace(sample(), **{field: value}), NOON, "o")
    except Rejected as error:
        reason = str(error)
    else:
        reason = ""
    if reason:
        assert reason.startswith(f"{field}: ")
        return
    assert accepted(taken, NOON, "o") == taken
    assert all(type(part) in (str, int) for part in taken.identity)
    assert taken.user_id is None or type(taken.user_id) is str


@pytest.mark.parametrize(
    "thing", [None, 5, "text", {}, [], Hostile(), object, SimpleNamespace(name="x")], ids=kind_of
)
def test_what_is_no_sample_is_refused(thing: Any) -> None:
    """Garbage that a pollster yields becomes a reason."""
    with pytest.raises(Rejected, match="is no sample"):
        accepted(thing, NOON, "o")


@pytest.mark.parametrize("field", ["name", "unit", "resource_id", "user_id", "project_id", "user_name"])
def test_a_text_has_a_longest_form(field: str) -> None:
    """At the limit it is taken, beyond it the message names field and length."""
    longest = "ä" * LONGEST_TEXT
    assert getattr(accepted(sample(**{field: longest}), NOON, "o"), field) == longest
    with pytest.raises(Rejected, match=rf"^{field}: .* has 4097 characters, at most 4096 allowed"):
        accepted(sample(**{field: longest + "x"}), NOON, "o")


@pytest.mark.parametrize("field", ["name", "resource_id"])
@pytest.mark.parametrize(("value", "reason"), [("", "empty"), (None, "missing")])
def test_name_and_resource_are_needed(field: str, value: str | None, reason: str) -> None:
    """Without them a sample has no identity."""
    with pytest.raises(Rejected, match=f"^{field}: {reason}$"):
        accepted(sample(**{field: value}), NOON, "o")


@pytest.mark.parametrize("kind", ["", "Gauge", "counter", None, ["gauge"], 10**5000], ids=kind_of)
def test_an_unknown_type_is_refused(kind: Any) -> None:
    """The message names the three."""
    with pytest.raises(Rejected, match=r"^type: .* is none of cumulative, delta, gauge$"):
        accepted(sample(type=kind), NOON, "o")


@given(st.dictionaries(st.text(), JSON), st.randoms())
def test_metadata_is_canonical(attributes: dict[str, Any], random: Any) -> None:
    """It reads as what was put in, and the order of the keys makes no difference."""
    metadata = Metadata.of(attributes)
    assert metadata.as_dict() == json.loads(metadata.json) == attributes
    shuffled = list(attributes.items())
    random.shuffle(shuffled)
    assert Metadata.of(dict(shuffled)) == metadata
    assert hash(metadata) == hash(Metadata.of(metadata.as_dict()))
    assert dict(metadata.items()) == {key: metadata[key] for key in metadata}
    assert len(metadata) == len(attributes)
    assert all(key in metadata and metadata.get(key) == attributes[key] for key in attributes)


@pytest.mark.parametrize(
    ("attributes", "canonical"),
    [
        (None, b"{}"),
        ({}, b"{}"),
        ({"b": (1, 2), "a": math.nan}, b'{"a":null,"b":[1,2]}'),
        ({1: {"y", "x"}, "k": {2.5: None}}, b'{"1":["x","y"],"k":{"2.5":null}}'),
        (MappingProxyType({"a": MappingProxyType({1: 2})}), b'{"a":{"1":2}}'),
        ({Name("k"): Name("v")}, b'{"k":"v"}'),
        ({"a": type("Count", (int,), {})(3), "b": type("Share", (float,), {})(0.5)}, b'{"a":3,"b":0.5}'),
    ],
)
def test_what_json_lacks_has_one_form(attributes: Any, canonical: bytes) -> None:
    """The same in every process, so that it makes no new attributes."""
    assert Metadata.of(attributes).json == canonical


@pytest.mark.parametrize(
    "attributes", [5, "text", [], [("a", 1)], object(), Hostile(), {"a": Hostile()}, {None: 1}], ids=kind_of
)
def test_metadata_that_is_no_mapping_is_refused(attributes: Any) -> None:
    """Or that holds what JSON cannot say."""
    with pytest.raises(Rejected, match=r"^resource_metadata: "):
        Metadata.of(attributes)


def test_metadata_has_a_largest_size_and_no_loops() -> None:
    """Both are refused with a reason."""
    assert len(Metadata.of({"a": "x" * (LARGEST_METADATA - 8)}).json) == LARGEST_METADATA
    with pytest.raises(Rejected, match="1048577 bytes as JSON, at most 1048576 allowed"):
        Metadata.of({"a": "x" * (LARGEST_METADATA - 7)})
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    with pytest.raises(Rejected, match=r"^resource_metadata: "):
        Metadata.of(loop)


def test_a_sample_shows_the_ancestors_keys() -> None:
    """All 14, the time as ISO text with Z, the id derived."""
    shown = accepted(sample(resource_metadata={"a": 1}), NOON, "o").as_dict()
    assert list(shown) == [
        "name", "type", "unit", "volume", "user_id", "project_id", "resource_id", "timestamp",
        "resource_metadata", "source", "id", "monotonic_time", "user_name", "project_name",
    ]  # fmt: skip
    assert shown["timestamp"] == "2027-01-15T08:00:00Z"
    assert shown["resource_metadata"] == {"a": 1}
    assert sample().as_dict()["timestamp"] is None
    assert NO_METADATA.as_dict() == {}
