"""The part of the contract suite of storage on events: each once, whatever it says, and found again."""

import logging
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meteragent.batch import Batch, Published
from meteragent.errors import Rejected
from meteragent.event import DATETIME, FLOAT, INTEGER, NONE, TEXT, Event, Trait
from meteragent.storage.base import EventQuery, StorageDriver
from meteragent.testing.storage_drawn import MANY
from meteragent.testing.storage_given import (
    HOUR,
    MINUTE,
    NOON,
    FixedClock,
    OpenDriver,
    StorageCase,
    Writer,
    a_poll,
    a_sample,
    all_events,
    an_event,
    as_text,
    at,
    everything,
)

_TEXT = st.text(max_size=20)
_NUMBER = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_TRAIT = st.one_of(
    st.builds(Trait, _TEXT, st.sampled_from((NONE, TEXT)), _TEXT),
    st.builds(Trait, _TEXT, st.sampled_from((INTEGER, FLOAT)), _NUMBER),
    st.builds(Trait, _TEXT, st.just(DATETIME), st.integers(-(2**55), 2**57)),
)
_RAW = st.dictionaries(_TEXT, st.recursive(_TEXT | _NUMBER | st.none(), st.lists, max_leaves=5), max_size=3)
_ANY_EVENT = st.builds(
    Event, _TEXT, _TEXT, st.integers(-(2**63), 2**63 - 1), st.lists(_TRAIT, max_size=5), _RAW
)

_NO_KIND: Any = 5
_NO_LIST: Any = []


class OnceContract(StorageCase):
    """Each event is there once, with the position that brought it."""

    def test_an_event_comes_back_as_it_was(self, driver: StorageDriver) -> None:
        """With its notification where that is asked for."""
        event = an_event(raw={"payload": {"id": 2**60, "list": [None, "ü"]}})
        assert Writer(driver).events(event) == Published(0)
        assert all_events(driver) == [event]
        assert driver.events(EventQuery(), 1).events == [msgspec.structs.replace(event, raw={})]

    @MANY
    @given(events=st.lists(_ANY_EVENT, max_size=8, unique_by=lambda each: (each.generated, each.event_type)))
    def test_any_event_comes_back_as_it_was(self, driver: StorageDriver, events: list[Event]) -> None:
        """Any text and any number, in any order."""
        world = str(uuid.uuid4())
        events = [msgspec.structs.replace(each, event_type=each.event_type + world) for each in events]
        driver.record(Batch(events=events), at(1, sink=world))
        found = [each for each in all_events(driver) if each.event_type.endswith(world)]
        assert as_text(found) == as_text(events)
        assert [each.generated for each in found] == sorted((each.generated for each in events), reverse=True)

    def test_an_event_that_comes_again_counts_once(self, driver: StorageDriver) -> None:
        """By the same position, by another sink or agent, in one batch or later; the first stays."""
        batch = Batch([a_sample()], events=[an_event(), an_event(message_id="two"), an_event(traits=[])])
        first = driver.record(batch, at(1))
        assert first == Published(1)
        assert driver.record(batch, at(1)) == first
        driver.record(batch, at(1, sink="other"))
        driver.record(batch, at(1, agent="other", epoch="other"))
        driver.record(
            Batch(events=[an_event(raw={"a": 1}), an_event(traits=[Trait("new", TEXT, "x")])]), at(2)
        )
        assert as_text(all_events(driver)) == as_text([an_event(), an_event(message_id="two")])
        assert [each.name for each in driver.traits()] == ["at", "memory_mb", "state"]

    def test_events_of_one_instant_stay_in_their_order(self, driver: StorageDriver) -> None:
        """Whatever comes twice among them."""
        given = [an_event(message_id=each) for each in ("b", "c", "b", "a", "c", "d")]
        Writer(driver).events(*given)
        assert [each.message_id for each in all_events(driver)] == ["b", "c", "a", "d"]

    @pytest.mark.parametrize(
        ("field", "value"), [("message_id", "two"), ("generated", NOON + 1), ("event_type", "other")]
    )
    def test_another_identity_is_another_event(
        self, driver: StorageDriver, field: str, value: str | int
    ) -> None:
        """Instant, message and type tell events apart."""
        record = Writer(driver)
        record.events(an_event())
        record.events(an_event(**{field: value}))
        assert len(all_events(driver)) == 2

    @pytest.mark.parametrize("back", [1, 30 * MINUTE, 30 * 24 * HOUR])
    def test_late_events_count_once(self, driver: StorageDriver, open_driver: OpenDriver, back: int) -> None:
        """However late, whatever comes with them, and for a driver that was opened since."""
        late = [an_event(generated=NOON - step * back) for step in range(20)]
        record = Writer(driver)
        record.events(*late)
        for each in late:
            record.events(an_event(message_id="new", generated=NOON + record.sequence * MINUTE), each)
        other = open_driver()
        other.record(Batch(events=late), at(1, sink="other"))
        other.close()
        assert len(all_events(driver)) == 40

    def test_a_batch_that_is_rejected_leaves_no_event(self, driver: StorageDriver) -> None:
        """Samples, events and position are of one transaction."""
        batch = Batch([a_sample(origin=2**63)], events=[an_event()])
        with pytest.raises(Rejected):
            driver.record(batch, at(1))
        assert (all_events(driver), driver.event_types(), driver.traits()) == ([], [], [])
        driver.record(Batch(events=[an_event()]), at(1))
        assert all_events(driver) == [an_event()]

    def test_the_account_of_polls_is_kept_with_events(self, driver: StorageDriver) -> None:
        """A batch may have anything, or nothing but events."""
        record = Writer(driver)
        assert record.batch(Batch([a_sample()], polls=[a_poll(NOON)], events=[an_event()])) == Published(1)
        assert record.batch(Batch(events=[an_event(message_id="two")])) == Published(0)
        assert (len(everything(driver)), len(list(driver.polls())), len(all_events(driver))) == (1, 1, 2)

    def test_what_is_older_than_the_retention_is_left_out(
        self, open_driver: OpenDriver, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It is said once for the batch; a redelivery says nothing, and changes nothing."""
        clock = FixedClock(NOON)
        driver = open_driver(retention=3600, clock=clock)
        batch = Batch(
            [a_sample()],
            events=[an_event(generated=NOON - HOUR - step, event_type=f"old{step}") for step in range(3)],
        )
        with caplog.at_level(logging.WARNING):
            assert driver.record(batch, at(1)) == Published(1)
            assert driver.record(batch, at(1)) == Published(1)
        (said,) = [each.getMessage() for each in caplog.records if "retention" in each.getMessage()]
        assert "2 events are left out" in said
        assert [each.event_type for each in all_events(driver)] == ["old0"]
        assert driver.event_types() == ["old0"]
        clock.now += 5 * HOUR
        driver.record(batch, at(1))
        assert len(all_events(driver)) == 1
        driver.close()


class HostileContract(StorageCase):
    """Nothing that an event says keeps a batch from being recorded, nor other events from being kept."""

    @pytest.mark.parametrize(
        ("fields", "kept"),
        [
            ({"traits": [Trait("n", INTEGER, each) for each in (2**64 - 1, -(2**63), 0)]}, None),
            ({"traits": [Trait("\0", TEXT, "\0'\"]\\\x7f\u2028"), Trait("", NONE, "")]}, None),
            ({"traits": [Trait("n" * 1000, TEXT, "v" * 1_000_000)] * 3}, None),
            ({"traits": [Trait("json", TEXT, text) for text in ("[0,null]", '["a",2,null]]')]}, None),
            ({"message_id": "", "event_type": "\0"}, None),
            ({"message_id": "i" * 100_000, "event_type": "t" * 100_000}, None),
            ({"generated": -(2**63)}, None),
            ({"generated": 2**63 - 1}, None),
            ({"raw": {"deep": [[[["\0"]]]], "big": 2**64 - 1}}, None),
            ({"message_id": "\ud800", "event_type": "t\udfff"},
             {"message_id": "\\ud800", "event_type": "t\\udfff"}),
            (
                {"traits": [Trait("\ud800", TEXT, "\udfff"), Trait("n", FLOAT, 1.5)]},
                {"traits": [Trait("\\ud800", TEXT, "\\udfff"), Trait("n", FLOAT, 1.5)]},
            ),
            (
                {"traits": [Trait("n", FLOAT, each) for each in (float("nan"), float("-inf"), 1e308)]},
                {"traits": [Trait("n", FLOAT, 1e308)]},
            ),
            ({"traits": [Trait("n", _NO_KIND, 1), Trait("l", _NO_LIST, 1), Trait("m", TEXT, "x")]},
             {"traits": [Trait("m", TEXT, "x")]}),
            ({"traits": [Trait("n", INTEGER, 2**64), Trait("m", INTEGER, 7)], "raw": {"\ud800": 1}},
             {"traits": [Trait("m", INTEGER, 7)], "raw": {}}),
        ],
    )  # fmt: skip
    def test_what_can_be_kept_of_an_event_is_kept(
        self, driver: StorageDriver, fields: dict[str, Any], kept: dict[str, Any] | None
    ) -> None:
        """And all of its neighbours and samples are."""
        odd, usual = an_event(**fields), an_event(message_id="usual")
        for _ in range(2):  # what is left of it is the same each time
            assert driver.record(Batch([a_sample()], events=[odd, usual]), at(1)) == Published(1)
        driver.record(Batch(events=[odd, usual]), at(1, sink="other"))
        left = odd if kept is None else msgspec.structs.replace(odd, **kept)
        assert as_text(all_events(driver)) == as_text([left, usual])

    @pytest.mark.parametrize(
        "fields",
        [
            {"generated": 2**63},
            {"generated": -(2**63) - 1},
            {"generated": 10**30},
            {"generated": "today"},
            {"generated": None},
            {"message_id": 7},
            {"event_type": None},
            {"traits": [("state", 1, "active")]},
            {"traits": None},
            {"traits": ["state"]},
        ],
    )
    def test_an_event_that_is_none_is_left_out_and_named(
        self, driver: StorageDriver, fields: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        """In one line for the batch."""
        odd, usual = an_event(**fields), an_event(message_id="usual")
        with caplog.at_level(logging.WARNING):
            assert driver.record(Batch([a_sample()], events=[odd, usual, odd]), at(1)) == Published(1)
        assert all_events(driver) == [usual]
        (said,) = [each.getMessage() for each in caplog.records if "left out" in each.getMessage()]
        assert "2 events" in said
        assert "\n" not in said

    def test_a_huge_notification_does_not_hold_up_its_batch(self, driver: StorageDriver) -> None:
        """The event itself is kept, and so are those beside it."""
        huge = [an_event(message_id=f"m{n}", raw={"payload": "x" * 10_000_000}) for n in range(3)]
        assert driver.record(Batch([a_sample()], events=[*huge, an_event()]), at(1)) == Published(1)
        found = driver.events(EventQuery(), 10).events
        assert sorted(each.message_id for each in found) == ["m0", "m1", "m2", "one"]
        (one,) = driver.events(EventQuery(message_id="m1", raw=True), 1).events
        assert one == huge[1]
