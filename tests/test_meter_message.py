"""The meter message of a sample: what the ancestor sends, and enough to know the sample again."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meteragent.clock import instant
from meteragent.meter_message import meter_message
from meteragent.sample import Metadata, Sample, accepted, identifier
from meteragent.signing import verify

KEYS = {
    "source", "counter_name", "counter_type", "counter_unit", "counter_volume", "user_id", "user_name",
    "project_id", "project_name", "resource_id", "timestamp", "resource_metadata", "message_id",
    "monotonic_time", "message_signature",
}  # fmt: skip
AT = instant("2026-03-01T10:00:00.000001Z")
TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
SAMPLES = st.builds(
    Sample,
    name=TEXT,
    type=st.sampled_from(("gauge", "delta", "cumulative")),
    unit=TEXT,
    volume=st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False),
    user_id=st.none() | TEXT,
    project_id=st.none() | TEXT,
    resource_id=TEXT,
    resource_metadata=st.dictionaries(TEXT, st.integers() | TEXT | st.lists(TEXT | st.floats()), max_size=3),
    monotonic_time=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    user_name=st.none() | TEXT,
    project_name=st.none() | TEXT,
)
ORIGINS = st.just(0) | st.integers(1, 2**63 - 1)


def cpu(**changed: Any) -> Sample:
    """A sample as a poll makes it."""
    fields: dict[str, Any] = {
        "name": "cpu",
        "type": "cumulative",
        "unit": "ns",
        "volume": 10,
        "resource_id": "r",
    }
    return accepted(Sample(**{**fields, **changed}), AT, "openstack")


def over_json(message: dict[str, Any]) -> dict[str, Any]:
    """The message as it arrives from a bus."""
    arrived: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(message))
    return arrived


def test_a_polled_sample_is_the_message_of_the_ancestor() -> None:
    """Its 15 keys and no other, the time naive, the id derived from the identity."""
    message = meter_message(cpu(resource_metadata={"host": "h"}, project_id="p"), "s")
    assert set(message) == KEYS
    assert message["timestamp"] == "2026-03-01T10:00:00.000001"
    assert message["message_id"] == identifier("openstack", "r", "cpu", AT, 0)
    assert message["resource_metadata"] == {"host": "h"}
    assert (message["counter_name"], message["counter_volume"], message["project_id"]) == ("cpu", 10, "p")


def test_the_origin_of_a_sample_that_was_not_polled_is_told_and_signed() -> None:
    """Who changes it fails verification, which is the ancestor's over all keys."""
    message = meter_message(msgspec.structs.replace(cpu(), origin=2**63 - 1), "s")
    assert set(message) == KEYS | {"origin"}
    assert verify(over_json(message), ["s"])
    assert not verify({**message, "origin": 1}, ["s"])
    assert not verify({key: value for key, value in message.items() if key != "origin"}, ["s"])


def test_a_publisher_may_tell_its_name() -> None:
    """It is signed too."""
    message = meter_message(cpu(), "s", "host-1")
    assert message["publisher_id"] == "host-1"
    assert set(message) == KEYS | {"publisher_id"}
    assert not verify({**message, "publisher_id": "host-2"}, ["s"])


def test_without_a_secret_nothing_is_signed() -> None:
    """The key stays, empty."""
    assert meter_message(cpu(), "")["message_signature"] == ""


def test_a_sample_that_has_an_id_keeps_it() -> None:
    """One that was not accepted yet has what it was given, and no time if it has none."""
    message = meter_message(Sample("cpu", "gauge", "%", 1, resource_id="r", id="own"), "s")
    assert (message["message_id"], message["timestamp"]) == ("own", None)
    assert message["resource_metadata"] == {}


def test_metadata_of_another_agents_sample_may_be_a_dict() -> None:
    """It goes out as it is."""
    metadata = {"list": [1, {"b": (2,)}]}
    assert (
        meter_message(Sample("m", "gauge", "", 1, resource_metadata=metadata, id="i"), "")[
            "resource_metadata"
        ]
        == metadata
    )


@pytest.mark.parametrize(
    ("volume", "text"), [(10, b"10"), (10.0, b"10.0"), (2**64 - 1, b"18446744073709551615")]
)
def test_an_integer_and_a_float_stay_apart(volume: float, text: bytes) -> None:
    """On the wire, and so in the signature."""
    message = meter_message(cpu(volume=volume), "s")
    assert b'"counter_volume":%s,' % text in msgspec.json.encode(message)
    assert verify(over_json(message), ["s"])


@given(SAMPLES, ORIGINS, st.integers(0, 2**52))
def test_a_message_tells_everything_of_an_accepted_sample(sample: Sample, origin: int, at: int) -> None:
    """All fields but the id can be read from it, unchanged, after a bus that verifies it."""
    sent = msgspec.structs.replace(accepted(sample, at, "src"), origin=origin)
    message = over_json(meter_message(sent, "s"))
    assert verify(message, ["s"])
    back = Sample(
        name=message["counter_name"],
        type=message["counter_type"],
        unit=message["counter_unit"],
        volume=message["counter_volume"],
        user_id=message["user_id"],
        project_id=message["project_id"],
        resource_id=message["resource_id"],
        timestamp=instant(message["timestamp"] + "Z"),
        resource_metadata=Metadata.of(message["resource_metadata"]),
        source=message["source"],
        monotonic_time=message["monotonic_time"],
        user_name=message["user_name"],
        project_name=message["project_name"],
        origin=message.get("origin", 0),
    )
    assert back == sent
    assert type(back.volume) is type(sent.volume)
    assert back.identifier == message["message_id"]


@given(SAMPLES, ORIGINS, st.integers(0, 2**52))
def test_the_id_tells_whether_an_untold_origin_is_0(sample: Sample, origin: int, at: int) -> None:
    """It is the identity's with origin 0 exactly when the sample was polled."""
    sent = msgspec.structs.replace(accepted(sample, at, "src"), origin=origin)
    message = meter_message(sent, "s")
    of_0 = identifier("src", sent.resource_id, sent.name, at, 0)
    assert (message["message_id"] == of_0) == (origin == 0) == ("origin" not in message)
