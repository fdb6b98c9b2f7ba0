"""Keys of samples, and what became of a batch earlier."""

import hashlib

import msgspec

from meteragent.batch import Batch, Position, Provenance, Published, Refusal
from meteragent.sample import Metadata
from meteragent.storage.delivery import (
    Earlier,
    attributes_key,
    attributes_keys,
    parts,
    series_key,
    series_keys,
)
from meteragent.testing.storage_given import a_sample


def test_the_fast_keys_are_the_keys() -> None:
    """Whether metadata is in canonical form already or a plain mapping."""
    samples = [a_sample(resource_metadata=Metadata.of({"b": 1, "a": 2})), a_sample(user_id="other")]
    assert list(series_keys(samples)) == list(map(series_key, samples))
    assert attributes_keys(samples) == list(map(attributes_key, samples))
    samples.append(a_sample(resource_metadata={"b": 1, "a": 2}))
    assert attributes_keys(samples) == list(map(attributes_key, samples))
    assert attributes_keys(samples)[0] == attributes_keys(samples)[2]


def test_no_series_is_known_by_the_fast_key_of_a_sample_without_a_source() -> None:
    """It stands for the empty source, and is looked for by that."""
    sample = a_sample(source=None)
    assert series_key(sample)[0] == ""
    assert list(series_keys([sample])) != [series_key(sample)]


def test_the_parts_of_a_batch_cover_it() -> None:
    """Each in its place, what nobody polled at the end."""
    batch = Batch([a_sample()] * 5, [Provenance("s", "p", 1), Provenance("s", "q", 2)], host="h")
    assert list(parts(batch)) == [(("h", "s", "p"), 0, 1), (("h", "s", "q"), 1, 3), (None, 3, 5)]


def test_a_position_is_of_another_batch_only_where_both_digests_are_known() -> None:
    """An older version, or a journal in its first moments, has none."""
    for stored, sent, another in (
        (b"a", b"b", True),
        (b"a", b"a", False),
        (b"", b"b", False),
        (b"a", b"", False),
    ):
        earlier = Earlier(1, stored, b"", Published(1))
        assert earlier.is_of_another(Position("a", "e", "s", 1, sent)) is another


def test_an_earlier_delivery_tells_only_of_the_samples_that_it_had() -> None:
    """As many of them, chosen by the same selection."""
    row = (1, b"d", b"chosen", 1, 1, 0, b"\x91\x94\x02\xa1r\xa1d\xa0")
    earlier = Earlier.of(row)
    assert earlier.published == Published(1, 1, 0, [Refusal(2, "r", "d")])
    position = Position("a", "e", "s", 1, b"d", b"chosen")
    assert earlier.tells(Batch([a_sample()] * 3), position)
    assert not earlier.tells(Batch([a_sample()] * 2), position)
    assert not earlier.tells(Batch([a_sample()] * 3), Position("a", "e", "s", 1, b"d", b"other"))


def test_the_digest_of_attributes_is_that_of_every_file_there_is() -> None:
    """Another order of their fields would give what is stored another number, and supersede what comes."""
    key = attributes_key(a_sample(resource_metadata=Metadata.of({"b": 1, "a": None})))
    assert attributes_keys([a_sample(resource_metadata=Metadata.of({"b": 1, "a": None}))]) == [key]
    assert key == ("gauge", "%", "project", "user", "User", "Project", b'{"a":null,"b":1}')
    digest = hashlib.blake2b(msgspec.msgpack.encode(key), digest_size=16).hexdigest()
    assert digest == "19e3c06d96be6395e301e88273af4212"
