"""Batches as bytes: whole they come back exactly, damaged they are refused."""

import math
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meteragent import wire
from meteragent.batch import Batch, Begun, Missed, Outcome, Poll, Provenance
from meteragent.errors import Rejected
from meteragent.sample import Metadata, Sample
from meteragent.testing.fakes import sample

TEXT = st.text(max_size=20)
INSTANTS = st.integers(-(2**63), 2**63 - 1)
COUNTS = st.integers(0, 2**64 - 1)
VOLUMES = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
EDGES = (-(2**63), 2**64 - 1, 2**53 + 1, 10, 10.0, -0.0, 0.0, 0, 5e-324, -2.2e-308, 1.7976931348623157e308)
SAMPLES = st.builds(
    Sample,
    name=TEXT,
    type=st.sampled_from(("gauge", "delta", "cumulative")),
    unit=TEXT,
    volume=VOLUMES,
    user_id=st.none() | TEXT,
    project_id=st.none() | TEXT,
    resource_id=TEXT,
    timestamp=st.none() | INSTANTS,
    resource_metadata=st.builds(Metadata.of, st.dictionaries(TEXT, TEXT, max_size=3)),
    source=st.none() | TEXT,
    id=st.none() | TEXT,
    monotonic_time=st.none() | st.floats(allow_nan=False),
    user_name=st.none() | TEXT,
    project_name=st.none() | TEXT,
    origin=st.integers(0, 2**63 - 1),
)
POLLS = st.builds(
    Poll,
    TEXT, INSTANTS, TEXT, INSTANTS, INSTANTS, COUNTS, COUNTS,
    st.sampled_from(get_args(Outcome)), TEXT, st.lists(TEXT, max_size=3),
)  # fmt: skip
BATCHES = st.builds(
    Batch,
    samples=st.lists(SAMPLES, max_size=4),
    provenance=st.lists(st.builds(Provenance, TEXT, TEXT, COUNTS), max_size=2),
    begun=st.lists(st.builds(Begun, TEXT, INSTANTS, TEXT, INSTANTS), max_size=2),
    polls=st.lists(POLLS, max_size=2),
    missed=st.lists(st.builds(Missed, TEXT, INSTANTS, INSTANTS, COUNTS, TEXT), max_size=2),
    sequence=st.integers(0, 2**63 - 1),
)


@given(BATCHES)
def test_a_batch_comes_back_as_it_was(batch: Batch) -> None:
    """Every field of every part, with the sequence that the journal gave."""
    assert wire.decode(wire.encode(batch), batch.sequence) == batch
    assert wire.decode(wire.encode(batch), 7).sequence == 7


@given(st.lists(VOLUMES))
@example(list(EDGES))
def test_volumes_come_back_to_the_last_bit(volumes: list[float]) -> None:
    """An int as an int, a float as a float, minus zero and subnormals included."""
    batch = Batch(samples=[sample(volume=volume) for volume in volumes])
    back = [each.volume for each in wire.decode(wire.encode(batch), 1).samples]
    assert [type(volume) for volume in back] == [type(volume) for volume in volumes]
    assert back == volumes
    assert [math.copysign(1, volume) for volume in back] == [math.copysign(1, volume) for volume in volumes]


def decoded(payload: bytes) -> Batch | str:
    """The batch, or why it is refused."""
    try:
        return wire.decode(payload, 1)
    except Rejected as error:
        return str(error)


def attempt(payload: bytes) -> bool:
    """Decode, where being refused is fine; whether it is a batch, which then comes back as it is."""
    batch = decoded(payload)
    if isinstance(batch, str):
        known = payload[:1] == bytes((wire.VERSION,))
        assert batch.startswith("damaged: " if known else "format version ")
        return False
    again = wire.encode(batch)  # bytes are compared, since what was not made by us may hold a NaN
    assert wire.encode(wire.decode(again, 1)) == again
    assert batch.sequence == 1
    return True


PARTS = st.recursive(
    st.none() | st.integers(-(2**63), 2**64 - 1) | st.floats() | TEXT | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=12,
)


@given(st.binary() | st.lists(PARTS, max_size=7).map(msgspec.msgpack.encode))
@example(b"\x90")
@example(b"\x91\x90\xc1")
def test_any_bytes_are_a_batch_or_refused(payload: bytes) -> None:
    """What is read says the same when it is written again; bytes that say nothing else are refused."""
    assert payload[:1] == bytes((wire.VERSION,)) or not attempt(payload)
    read = attempt(bytes((wire.VERSION,)) + payload)
    assert not (read and attempt(bytes((wire.VERSION,)) + payload + b"\xc0"))
    assert read or payload != b"\x90"


@given(BATCHES, st.data())
def test_a_damaged_batch_is_another_or_refused(batch: Batch, data: Any) -> None:
    """One byte changed, the tail lost, or something behind it."""
    payload = bytearray(wire.encode(batch))
    where = data.draw(st.integers(0, len(payload) - 1))
    with pytest.raises(Rejected):
        wire.decode(bytes(payload[:where]), 1)
    with pytest.raises(Rejected):
        wire.decode(bytes(payload) + b"\x00", 1)
    payload[where] = data.draw(st.integers(0, 255))
    attempt(bytes(payload))


@pytest.mark.parametrize(
    "payload",
    [
        b"\xdd\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\x91" * 100_000,
        b"\x81" * 100_000,
    ],
    ids=["huge array", "huge bytes", "huge map", "deep arrays", "deep maps"],
)
def test_a_length_or_depth_that_lies_costs_nothing(payload: bytes) -> None:
    """No memory is taken for what is only announced."""
    for start in (b"", b"\x91", b"\x91\x91", b"\x91\x91\x99\xa1m\xa5gauge\xa0\x01\xc0\xc0\xa1r\xc0"):
        with pytest.raises(Rejected):
            wire.decode(bytes((wire.VERSION,)) + start + payload, 1)


@pytest.mark.parametrize(("payload", "version"), [(b"", "none"), (b"\x02\x90", "02"), (b"\xff", "ff")])
def test_an_unknown_version_is_named(payload: bytes, version: str) -> None:
    """So that a newer agent's journal is not called damaged."""
    with pytest.raises(Rejected, match=f"^format version {version}, known is 01$"):
        wire.decode(payload, 1)


def test_text_that_is_no_unicode_is_a_value_error() -> None:
    """Half a surrogate cannot be written; who encodes finds out before anything is journaled."""
    with pytest.raises(ValueError, match="surrogates not allowed"):
        wire.encode(Batch(samples=[sample(name="\ud800")]))


def test_an_older_batch_may_lack_the_newest_fields() -> None:
    """Fields are only ever added at the end, each with a default."""
    assert wire.decode(b"\x01\x90", 3) == Batch(sequence=3)
    short = b"\x01\x91\x91\x97\xa1m\xa5gauge\xa0\x01\xc0\xc0\xa1r"
    assert wire.decode(short, 3) == Batch(samples=[sample()], sequence=3)
