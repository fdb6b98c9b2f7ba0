"""The contract suite of storage: every driver runs it, those of third parties too.

Derive a class named ``Test…`` from ``StorageContract`` and override its fixture ``open_driver``.
"""

import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meteragent.batch import CONFLICT, Batch, Published
from meteragent.clock import SECOND
from meteragent.sample import Metadata, Sample
from meteragent.storage.base import EXPIRED, Meter, Query, Resource, StorageDriver
from meteragent.testing.storage_account import AccountContract
from meteragent.testing.storage_drawn import MANY
from meteragent.testing.storage_event_query import FindContract, ForgetContract
from meteragent.testing.storage_events import HostileContract, OnceContract
from meteragent.testing.storage_given import (
    HOUR,
    MINUTE,
    NOON,
    FixedClock,
    OpenDriver,
    StorageCase,
    Writer,
    a_sample,
    as_text,
    at,
    everything,
)
from meteragent.testing.storage_positions import PositionContract
from meteragent.testing.storage_query import QueryContract
from meteragent.testing.storage_recurring import FIELDS, OTHER_CONTENT, RecurringContract
from meteragent.testing.storage_statistics import StatisticsContract

EDGES = (
    *(sign * (2**power + step) for power in (31, 53, 62, 63) for step in (-1, 0, 1) for sign in (1, -1)),
    2**64 - 1,
    0,
    *(0.0, -0.0, 10.0, 0.1, 5e-324, 2.0**63, 2.0**53, 1e22, -1.7976931348623157e308),
)
VOLUMES = [volume for volume in EDGES if isinstance(volume, float) or -(2**63) <= volume < 2**64]

_MANY = settings(MANY, max_examples=30)
_TEXT = st.text(max_size=20)
_NAME = _TEXT.filter(bool)
_NUMBER = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_METADATA = st.dictionaries(_TEXT, _TEXT | _NUMBER | st.none() | st.lists(_TEXT, max_size=3), max_size=4)
_ANY_SAMPLE = st.builds(
    Sample,
    _NAME,
    st.sampled_from(("gauge", "delta", "cumulative")),
    _TEXT,
    _NUMBER,
    _TEXT | st.none(),
    _TEXT | st.none(),
    _NAME,
    st.integers(-HOUR * 10, NOON * 2),
    _METADATA.map(Metadata.of),
    _TEXT,
    user_name=_TEXT | st.none(),
    project_name=_TEXT | st.none(),
    origin=st.integers(0, 2**63 - 1),
)
_FEW_SAMPLES = st.builds(
    a_sample,
    name=st.sampled_from(("cpu", "memory")),
    volume=st.sampled_from((1, 1.0, 2**63, 2.0**63)),
    timestamp=st.sampled_from((NOON - 1, NOON)),
    project_id=st.sampled_from(("one", None)),
    origin=st.sampled_from((0, 7)),
)


def _content(sample: Sample) -> tuple[Any, ...]:
    return (type(sample.volume), *(getattr(sample, name) for name in sample.__struct_fields__))


class IdentityContract(StorageCase):
    """Each sample counts once."""

    def test_a_new_sample_is_delivered_and_read_back(self, driver: StorageDriver) -> None:
        """What goes in comes out."""
        assert Writer(driver)(a_sample()) == Published(1)
        assert everything(driver) == [a_sample()]

    @pytest.mark.parametrize("origin", [0, 7])
    def test_the_same_again_is_a_duplicate(self, driver: StorageDriver, origin: int) -> None:
        """Same identity, same content."""
        record = Writer(driver)
        record(a_sample(origin=origin))
        assert record(a_sample(origin=origin)) == Published(0, duplicate=1)
        assert everything(driver) == [a_sample(origin=origin)]

    @pytest.mark.parametrize("field", OTHER_CONTENT)
    def test_other_content_of_a_tick_is_superseded(self, driver: StorageDriver, field: str) -> None:
        """A second poll of a stored tick adds no row, whatever it says, and the first stays."""
        record = Writer(driver)
        record(a_sample())
        other = a_sample(**{FIELDS.get(field, field): OTHER_CONTENT[field]})
        assert record(other) == Published(0, superseded=1)
        assert as_text(everything(driver)) == as_text([a_sample()])
        assert driver.meters() == [Meter("cpu", "gauge", "%")]

    @pytest.mark.parametrize("field", OTHER_CONTENT)
    def test_other_content_of_an_origin_is_a_conflict(self, driver: StorageDriver, field: str) -> None:
        """One origin that tells two things is refused, and both sides are named."""
        record = Writer(driver)
        record(a_sample(origin=7, volume=5))
        content = {"volume": 5, FIELDS.get(field, field): OTHER_CONTENT[field]}
        published = record(a_sample(origin=8), a_sample(origin=7, **content))
        assert (published.delivered, published.duplicate, published.superseded) == (1, 0, 0)
        (refusal,) = published.refused
        assert (refusal.index, refusal.reason) == (1, CONFLICT)
        assert "5" in refusal.detail
        assert str(content["volume"]) in refusal.detail
        assert as_text(everything(driver)) == as_text([a_sample(origin=7, volume=5), a_sample(origin=8)])

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("source", "another"),
            ("resource_id", "another"),
            ("name", "another"),
            ("timestamp", NOON + 1),
            ("origin", 1),
        ],
    )
    def test_another_identity_is_another_sample(
        self, driver: StorageDriver, field: str, value: str | int
    ) -> None:
        """Source, resource, meter, instant and origin tell samples apart."""
        record = Writer(driver)
        record(a_sample())
        assert record(a_sample(**{field: value})) == Published(1)
        assert len(everything(driver)) == 2

    def test_one_batch_may_hold_an_identity_more_than_once(self, driver: StorageDriver) -> None:
        """Within a batch, as between batches, the first stays."""
        published = Writer(driver)(
            a_sample(volume=1), a_sample(volume=2), a_sample(volume=1),
            a_sample(origin=7, volume=1), a_sample(origin=7, volume=1.0), a_sample(origin=7, volume=1),
        )  # fmt: skip
        assert (published.delivered, published.duplicate, published.superseded) == (2, 2, 1)
        assert [(refusal.index, refusal.reason) for refusal in published.refused] == [(4, CONFLICT)]
        assert as_text(everything(driver)) == as_text([a_sample(volume=1), a_sample(volume=1, origin=7)])

    @_MANY
    @given(data=st.data())
    def test_the_parts_add_up(self, driver: StorageDriver, data: st.DataObject) -> None:
        """Whatever comes in whatever order, each sample has one fate, told by what came before it."""
        source = str(uuid.uuid4())  # a world of its own within the store of this test
        stored = dict[Any, tuple[Any, ...]]()
        for sequence, drawn in enumerate(data.draw(st.lists(st.lists(_FEW_SAMPLES, max_size=9), max_size=4))):
            samples = [_from(sample, source) for sample in drawn]
            fates = {"delivered": 0, "duplicate": 0, "superseded": 0}
            conflicts = []
            for index, sample in enumerate(samples):
                if sample.identity not in stored:
                    stored[sample.identity] = _content(sample)
                    fates["delivered"] += 1
                elif stored[sample.identity] == _content(sample):
                    fates["duplicate"] += 1
                elif sample.origin:
                    conflicts.append(index)
                else:
                    fates["superseded"] += 1
            published = driver.record(Batch(samples), at(sequence + 1, sink=source))
            assert [refusal.index for refusal in published.refused] == conflicts
            assert {name: getattr(published, name) for name in fates} == fates
        found = {each.identity: _content(each) for each in everything(driver) if each.source == source}
        assert found == stored

    def test_what_is_older_than_the_retention_is_refused(self, open_driver: OpenDriver) -> None:
        """An expired sample is refused by name, the rest of its batch is kept."""
        driver = open_driver(retention=3600, clock=FixedClock(NOON))
        published = Writer(driver)(a_sample(timestamp=NOON - HOUR - 1), a_sample(timestamp=NOON - HOUR))
        assert (published.delivered, [refusal.index for refusal in published.refused]) == (1, [0])
        assert published.refused[0].reason.startswith(EXPIRED)
        driver.close()


def _from(sample: Sample, source: str) -> Sample:
    return Sample(**{name: getattr(sample, name) for name in sample.__struct_fields__} | {"source": source})


class AnswerContract(StorageCase):
    """What is asked is answered exactly and in parts."""

    @pytest.mark.parametrize("volume", VOLUMES)
    def test_an_extreme_volume_is_exact(self, driver: StorageDriver, volume: int | float) -> None:
        """Integers and floats at the edges of what machines hold come back as they were."""
        Writer(driver)(a_sample(volume=volume))
        (found,) = everything(driver)
        assert repr(found.volume) == repr(volume)

    @_MANY
    @given(samples=st.lists(_ANY_SAMPLE, max_size=10, unique_by=lambda sample: sample.identity))
    def test_anything_comes_back_as_it_was(self, driver: StorageDriver, samples: list[Sample]) -> None:
        """Volumes, metadata and any text, in any order, are read as they were written."""
        world = str(uuid.uuid4())
        samples = [_from(sample, f"{sample.source}{world}") for sample in samples]
        assert driver.record(Batch(samples), at(1, sink=world)).delivered == len(samples)
        found = [sample for sample in everything(driver) if str(sample.source).endswith(world)]
        assert as_text(found) == as_text(samples)

    def test_a_plain_dict_of_metadata_is_kept_too(self, driver: StorageDriver) -> None:
        """It is stored in its canonical form."""
        Writer(driver)(a_sample(resource_metadata={"b": 1, "a": 2}))
        assert everything(driver)[0].resource_metadata == Metadata(b'{"a":2,"b":1}')

    def test_samples_come_newest_first(self, driver: StorageDriver) -> None:
        """In whatever order they came, also over the edge of an hour."""
        times = [NOON, NOON - 1, NOON + HOUR, NOON - 3 * HOUR, -1, 0]
        Writer(driver)(*(a_sample(timestamp=each) for each in times))
        assert [sample.timestamp for sample in everything(driver)] == sorted(times, reverse=True)

    def test_a_query_chooses(self, driver: StorageDriver) -> None:
        """By meter, resource, project and time, whose start is in and whose end is out."""
        record = Writer(driver)
        record(a_sample(), a_sample(name="memory"), a_sample(resource_id="other", project_id="another"))
        record(*(a_sample(timestamp=NOON + step * MINUTE, project_id=None) for step in (1, 2, 59, 60, 61)))

        def count(**fields: Any) -> int:
            return len(everything(driver, Query(**fields)))

        assert count(meter="memory") == count(resource_id="other") == count(project_id="another") == 1
        assert count(meter="cpu", resource_id="host") == 6
        assert count(project_id="project", meter="cpu") == 1
        assert count(start=NOON + MINUTE, end=NOON + 60 * MINUTE) == 3
        assert count(end=NOON) == count(start=NOON + 62 * MINUTE) == count(meter="none") == 0
        assert count(meter="cpu", start=NOON + 60 * MINUTE) == 2

    @pytest.mark.parametrize("size", [1, 3, 7])
    def test_paging_is_complete_while_more_comes(self, driver: StorageDriver, size: int) -> None:
        """What was there at the first page comes exactly once, although older and newer samples come."""
        record = Writer(driver)
        given = [
            a_sample(timestamp=NOON + number // 3 * 25 * MINUTE, resource_id=f"r{number % 3}")
            for number in range(20)
        ]
        record(*given)
        found, page = [], driver.samples(Query(), size)
        found += page.samples
        while page.after is not None:
            step = record.sequence * SECOND
            record(
                a_sample(name="late", timestamp=NOON + step), a_sample(name="new", timestamp=NOON * 2 + step)
            )
            page = driver.samples(Query(), size, page.after)
            found += page.samples
        assert as_text([sample for sample in found if sample.name == "cpu"]) == as_text(given)
        assert len(found) == len({sample.identity for sample in found})

    def test_the_last_page_says_that_it_is(self, driver: StorageDriver) -> None:
        """A page that takes all that is left has nothing behind it."""
        Writer(driver)(a_sample(), a_sample(origin=1))
        assert driver.samples(Query(), 2).after is None
        assert driver.samples(Query(), 1).after is not None

    def test_meters_tell_each_type_and_unit(self, driver: StorageDriver) -> None:
        """One that was sent with several has a row for each, by name."""
        record = Writer(driver)
        record(a_sample(name="b"), a_sample(name="a"))
        record(a_sample(name="b", timestamp=NOON + 1, unit="B"), a_sample(name="c", unit="B"))
        record(a_sample(name="a", timestamp=NOON + 1, unit="B"))
        assert [(meter.name, meter.unit) for meter in driver.meters()] == [
            ("a", "%"), ("a", "B"), ("b", "%"), ("b", "B"), ("c", "B"),
        ]  # fmt: skip

    def test_resources_are_told_once(self, driver: StorageDriver) -> None:
        """By id, one of two sources twice."""
        record = Writer(driver)
        record(a_sample(resource_id="b"), a_sample(resource_id="b", name="memory"), a_sample(resource_id="a"))
        record(a_sample(resource_id="a", source="another"))
        assert driver.resources() == [
            Resource("a", "another"), Resource("a", "openstack"), Resource("b", "openstack"),
        ]  # fmt: skip

    def test_an_empty_store_answers(self, driver: StorageDriver) -> None:
        """Nothing is no error."""
        assert (everything(driver), driver.meters(), driver.resources()) == ([], [], [])
        assert (list(driver.polls()), list(driver.gaps()), driver.expire(NOON)) == ([], [], 0)

    def test_a_reader_sees_what_is_committed(self, driver: StorageDriver, open_driver: OpenDriver) -> None:
        """A driver opened for reading answers beside the one that writes, and takes nothing."""
        record = Writer(driver)
        record(a_sample())
        reader = open_driver(read_only=True)
        assert len(everything(reader)) == 1
        record(a_sample(origin=1))
        assert len(everything(reader)) == 2
        reader.close()

    def test_closing_is_safe(self, open_driver: OpenDriver) -> None:
        """Without use, twice, and a driver is never false."""
        driver = open_driver()
        assert driver
        assert not {"__len__", "__bool__"} & set(dir(type(driver)))
        driver.close()
        driver.close()


class StorageContract(
    RecurringContract,
    IdentityContract,
    PositionContract,
    AnswerContract,
    QueryContract,
    StatisticsContract,
    AccountContract,
    OnceContract,
    HostileContract,
    FindContract,
    ForgetContract,
):
    """All of it."""
