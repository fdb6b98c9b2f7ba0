"""The part of the contract suite of storage on questions to events, and on what is forgotten of them."""

import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meteragent.batch import Batch
from meteragent.errors import QueryError, QueryTimeout
from meteragent.event import DATETIME, FLOAT, INTEGER, NONE, TEXT, Event, Trait
from meteragent.storage.base import EventQuery, StorageDriver, TraitKind
from meteragent.storage.event_row import PAGE_BYTES
from meteragent.storage.query import Condition
from meteragent.testing import storage_oracle as oracle
from meteragent.testing.storage_drawn import MANY
from meteragent.testing.storage_given import (
    HOUR,
    MINUTE,
    NOON,
    OpenDriver,
    StorageCase,
    Writer,
    a_sample,
    all_events,
    an_event,
    as_text,
    at,
)

_WORDS = st.sampled_from(("active", "Active", "act*", 'a"b', "512", "[", "act\0ive", "act\0*"))
_VALUES = st.sampled_from((512, 512.0, 0, 2**63, 2.5, NOON))
_NAMES = st.sampled_from(("state", "memory_mb", "at", 'o"dd', "none"))
_FEW_TRAITS = st.lists(
    st.one_of(
        st.builds(Trait, _NAMES, st.sampled_from((NONE, TEXT)), _WORDS),
        st.builds(Trait, _NAMES, st.sampled_from((INTEGER, FLOAT, DATETIME)), _VALUES),
    ),
    max_size=4,
)
_FEW_EVENTS = st.builds(
    an_event,
    message_id=st.sampled_from(("one", "two")),
    event_type=st.sampled_from(("a.b", "a.c", "b")),
    generated=st.sampled_from((NOON - HOUR, NOON - 1, NOON, NOON + 1)),
    traits=_FEW_TRAITS,
)
_ANY_VALUE = _WORDS | _VALUES | st.none()
_CONDITION = st.one_of(
    st.builds(Condition, _NAMES, st.sampled_from(("=", "!=")), _ANY_VALUE),
    st.builds(Condition, _NAMES, st.sampled_from(("<", "<=", ">", ">=")), _WORDS | _VALUES),
    st.builds(Condition, _NAMES, st.just("in"), st.lists(_ANY_VALUE, max_size=3).map(tuple)),
    st.builds(Condition, _NAMES, st.just("glob"), _WORDS),
)
_TIME = st.none() | st.sampled_from((NOON - HOUR, NOON - 1, NOON, NOON + 1, -(10**24), 10**24))
_QUERIES = st.builds(
    EventQuery,
    event_type=st.sampled_from((None, "a.b", "a.*", "?", "*", "A.*")),
    message_id=st.sampled_from((None, "one")),
    start=_TIME,
    end=_TIME,
    traits=st.lists(_CONDITION, max_size=2).map(tuple),
    raw=st.booleans(),
).filter(lambda query: query.start is None or query.end is None or query.start < query.end)


class FindContract(StorageCase):
    """What is asked of events is answered, in parts and in time."""

    @MANY
    @given(events=st.lists(_FEW_EVENTS, max_size=12), query=_QUERIES)
    def test_events_are_those_that_fulfil(
        self, driver: StorageDriver, events: list[Event], query: EventQuery
    ) -> None:
        """Each condition holds or does not, of what is not there, too."""
        world = str(uuid.uuid4())
        kept: dict[Any, Event] = {}
        for each in events:
            kept.setdefault((each.generated, each.message_id, each.event_type), each)
        own = [msgspec.structs.replace(each, event_type=f"{each.event_type}/{world}") for each in events]
        driver.record(Batch(events=own), at(1, sink=world))
        wanted = msgspec.structs.replace(query, event_type=f"{query.event_type or '*'}/{world}")
        found = all_events(driver, wanted, 2)
        expected = [each for each in kept.values() if oracle.event_holds(query, each)]
        assert sorted(repr(each).replace(f"/{world}", "") for each in found) == as_text(expected)

    def test_events_come_newest_first_page_by_page_while_more_come(self, driver: StorageDriver) -> None:
        """What was there at the first page comes exactly once."""
        record = Writer(driver)
        given = [an_event(message_id=f"m{n}", generated=NOON + n // 3 * 25 * MINUTE) for n in range(20)]
        record.events(*reversed(given))
        for size in (1, 3, 7):
            page = driver.events(EventQuery(), size)
            found = list(page.events)
            while page.after is not None:
                sequence = record.sequence
                record.events(
                    an_event(
                        message_id=f"late{sequence}", event_type="late", generated=NOON + sequence * MINUTE
                    ),
                    an_event(message_id=f"new{sequence}", event_type="new", generated=2 * NOON),
                )
                page = driver.events(EventQuery(), size, page.after)
                found += page.events
            of_given = [each for each in found if each.message_id.startswith("m")]
            assert as_text(of_given) == as_text(given)
            times = [each.generated for each in found]
            assert times == sorted(times, reverse=True)
            assert len({each.message_id for each in found}) == len(found)

    def test_the_last_page_says_that_it_is(self, driver: StorageDriver) -> None:
        """A page that takes all that is left has nothing behind it."""
        Writer(driver).events(an_event(), an_event(message_id="two"))
        assert driver.events(EventQuery(), 2).after is None
        assert driver.events(EventQuery(), 1).after is not None
        assert driver.events(EventQuery(), 0).events == []

    @pytest.mark.parametrize("pattern", ["a*c", "a?*", "a\0*", "a\0[c"])
    def test_a_text_does_not_end_at_a_nul(self, driver: StorageDriver, pattern: str) -> None:
        """Neither what is looked for nor where."""
        Writer(driver).events(
            an_event(event_type="a\0[c", traits=[Trait("n", TEXT, "a\0[c")]),
            an_event(event_type="a", traits=[]),
        )
        by_type, by_trait = EventQuery(pattern), EventQuery(traits=(Condition("n", "glob", pattern),))
        assert [[each.event_type for each in all_events(driver, query)] for query in (by_type, by_trait)] == [
            ["a\0[c"],
            ["a\0[c"],
        ]

    @pytest.mark.parametrize("raw", [True, False])
    def test_a_page_ends_where_it_is_large(self, driver: StorageDriver, raw: bool) -> None:
        """However many events it may have; each event comes once, and the last page says that it is."""
        record, text = Writer(driver), "ü" * (PAGE_BYTES // 6)
        content: dict[str, Any] = {"raw": {"a": text}} if raw else {"traits": [Trait("a", TEXT, text)]}
        given = [an_event(message_id=f"m{n}", generated=NOON - n * HOUR, **content) for n in range(7)]
        for each in given:
            record.events(each)
        pages = [driver.events(EventQuery(raw=raw), 100)]
        while pages[-1].after is not None:
            pages.append(driver.events(EventQuery(raw=raw), 100, pages[-1].after))
        assert [[each.message_id for each in page.events] for page in pages] == [
            ["m0", "m1", "m2"],
            ["m3", "m4", "m5"],
            ["m6"],
        ]
        record.events(an_event(message_id="alone", event_type="large", traits=[Trait("a", TEXT, text * 7)]))
        page = driver.events(EventQuery("large"), 2)
        assert (len(page.events), page.after) == (1, None)

    def test_types_and_traits_are_told(self, driver: StorageDriver) -> None:
        """By name; a trait that came with several types has a row for each."""
        record = Writer(driver)
        record.events(
            an_event(event_type="b", traits=[Trait("z", TEXT, "x"), Trait("a", INTEGER, 1)]),
            an_event(event_type="a.b", traits=[Trait("a", FLOAT, 1.5)]),
            an_event(event_type="c", traits=[]),
        )
        record.events(an_event(event_type="a.b", message_id="two", traits=[Trait("a", TEXT, "1")]))
        assert driver.event_types() == ["a.b", "b", "c"]
        of_first = [TraitKind("a.b", "a", TEXT), TraitKind("a.b", "a", FLOAT)]
        assert driver.traits() == [*of_first, TraitKind("b", "a", INTEGER), TraitKind("b", "z", TEXT)]
        assert driver.traits("a.b") == driver.traits("a.*") == of_first
        assert driver.traits("none") == driver.traits("B") == []

    def test_a_store_without_events_answers(self, driver: StorageDriver) -> None:
        """Nothing is no error."""
        assert (all_events(driver), driver.event_types(), driver.traits(), driver.traits("*")) == (
            [],
            [],
            [],
            [],
        )

    def test_a_reader_sees_the_events_that_are_committed(
        self, driver: StorageDriver, open_driver: OpenDriver
    ) -> None:
        """A driver opened for reading answers beside the one that writes."""
        record = Writer(driver)
        record.events(an_event())
        reader = open_driver(read_only=True)
        assert all_events(reader) == [an_event()]
        record.events(an_event(message_id="two"))
        assert len(all_events(reader)) == 2
        reader.close()

    @pytest.mark.parametrize(
        ("query", "named"),
        [
            (EventQuery(start=1, end=1), "range"),
            (EventQuery(timeout=0), "timeout 0"),
            (EventQuery(event_type="\ud800"), "event_type"),
            (EventQuery(message_id="\ud800"), "message_id"),
            (EventQuery(traits=(Condition("", "=", "x"),)), "a trait has a name"),
            (EventQuery(traits=(Condition("\ud800", "=", "x"),)), "ud800"),
            (EventQuery(traits=(Condition("state", "~", "x"),)), "~"),
            (EventQuery(traits=(Condition("state", "=", True),)), "True"),
            (EventQuery(traits=(Condition("state", "=", "\ud800"),)), "ud800"),
            (EventQuery(traits=(Condition("state", "<", None),)), "None"),
            (EventQuery(traits=(Condition("state", "glob", 5),)), "5"),
            (EventQuery(traits=(Condition("state", "in", "active"),)), "active"),
            (EventQuery(traits=(Condition("state", "=", ("active",)),)), "active"),
            (EventQuery(traits=(Condition("size", ">", float("nan")),)), "nan"),
            (EventQuery(traits=(Condition("size", ">", 10**400),)), "1000"),
        ],
    )
    def test_a_wrong_question_is_refused(self, driver: StorageDriver, query: EventQuery, named: str) -> None:
        """Naming what is wrong."""
        with pytest.raises(QueryError) as caught:
            driver.events(query, 1)
        assert named in str(caught.value)
        with pytest.raises(QueryError, match="event_type"):
            driver.traits("\ud800")

    def test_an_answer_on_events_that_takes_too_long_ends(self, driver: StorageDriver) -> None:
        """With what to do; the next one is answered."""
        Writer(driver).events(an_event())
        with pytest.raises(QueryTimeout, match="longer than 1e-09 s; narrow"):
            driver.events(EventQuery(timeout=1e-9), 1)
        assert len(all_events(driver, EventQuery(timeout=60))) == 1


class ForgetContract(StorageCase):
    """What is forgotten, and what is not."""

    def test_expiry_forgets_old_events_and_what_only_they_had(self, driver: StorageDriver) -> None:
        """Their types and traits, too; samples are counted only."""
        record, later = Writer(driver), NOON + 5 * HOUR
        old = an_event(event_type="old", traits=[Trait("gone", TEXT, "x")])
        both = an_event(traits=[Trait("gone", TEXT, "x"), Trait("stays", INTEGER, 1)])
        last = an_event(message_id="last", generated=later, traits=[Trait("stays", INTEGER, 1)])
        record.batch(Batch([a_sample()], events=[old, both, last]))
        assert driver.expire(later) == 1
        assert all_events(driver) == [last]
        assert driver.event_types() == [last.event_type]
        assert driver.traits() == [TraitKind(last.event_type, "stays", INTEGER)]
        assert driver.expire(later) == 0
        record.batch(Batch(events=[last, an_event(message_id="new", generated=later)]))
        assert len(all_events(driver)) == 2

    def test_what_was_forgotten_may_come_anew_as_an_event(
        self, driver: StorageDriver, open_driver: OpenDriver
    ) -> None:
        """Also when another driver has forgotten what this one remembers."""
        record, other = Writer(driver), open_driver()
        record.events(an_event())
        assert other.expire(NOON + 2 * HOUR) == 0
        assert (all_events(driver), driver.event_types(), driver.traits()) == ([], [], [])
        again = an_event(message_id="two", generated=NOON + 3 * HOUR)
        record.events(again, an_event())
        assert all_events(other) == [again, an_event()]
        assert len(other.traits()) == 3
        other.close()

    def test_expiry_of_many_events(self, driver: StorageDriver) -> None:
        """More than fit in one transaction, of one hour and of several."""
        record = Writer(driver)
        record.events(*(an_event(generated=NOON + step) for step in range(12_000)))
        record.events(*(an_event(generated=NOON + step * HOUR) for step in range(1, 5)))
        driver.expire(NOON + 3 * HOUR + MINUTE)
        assert [each.generated for each in all_events(driver)] == [NOON + 4 * HOUR, NOON + 3 * HOUR]
