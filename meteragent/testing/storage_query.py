"""The part of the contract suite of storage on queries: conditions choose, answers end in time."""

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meteragent.errors import QueryError, QueryTimeout, Unavailable
from meteragent.sample import Metadata, Sample
from meteragent.storage.base import Query, StorageDriver
from meteragent.storage.query import OPERATORS, Condition
from meteragent.testing import storage_oracle as oracle
from meteragent.testing.storage_drawn import ALL, MANY, METADATA, QUERIES, SAMPLES, World
from meteragent.testing.storage_given import (
    HOUR,
    MINUTE,
    NOON,
    StorageCase,
    Writer,
    a_sample,
    everything,
)


class QueryContract(StorageCase):
    """Conditions choose, answers end in time."""

    @MANY
    @given(samples=st.lists(SAMPLES, max_size=12), query=QUERIES)
    def test_samples_and_newest_are_those_that_fulfil(
        self, driver: StorageDriver, samples: list[Sample], query: Query
    ) -> None:
        """Each condition holds or does not, of None and of other kinds, too."""
        world = World(driver, samples)
        found = everything(driver, world.query(query), 3)
        newest = list(driver.newest(world.query(query)))
        expected = {repr(sample) for sample in world.samples if oracle.holds(query, sample)}
        assert {repr(sample) for sample in found} == expected
        assert len(found) == len(expected)
        last = {}
        for sample in sorted(world.samples, key=lambda each: (each.timestamp, each.origin)):
            last[sample.resource_id, sample.name] = sample
        assert list(map(repr, newest)) == [
            repr(last[series]) for series in sorted(last) if oracle.holds(query, last[series])
        ]

    @pytest.mark.parametrize("op", OPERATORS)
    def test_a_condition_on_metadata_holds_or_not(self, driver: StorageDriver, op: str) -> None:
        """Of text, numbers, booleans, None, what is absent, lists and mappings."""
        given = [
            a_sample(resource_id=f"r{number}", resource_metadata=Metadata.of(metadata))
            for number, metadata in enumerate(METADATA)
        ]
        Writer(driver)(*given)
        values: list[Any] = ["small", "Small[1]", "2", "true", "size", "s*", "?mall", "*[1]", "dotted"]
        if op != "glob":
            values += [2, 2.0, 1, 10, 10.25, -1]
        if op in ("=", "!=", "in"):
            values += [True, False, None]
        for field in ("flavor", "cores", "on", "disk", "disk.size", "none", '"a.b"', "a.b"):
            for value in [(), (None, "small", 2), *((each,) for each in values)] if op == "in" else values:
                query = Query(where=(Condition(f"metadata.{field}", op, value),))
                found = [sample.resource_id for sample in driver.newest(query)]
                assert found == [each.resource_id for each in given if oracle.holds(query, each)], query

    @pytest.mark.parametrize("op", ["=", "<=", ">=", "<", "in"])
    def test_a_zero_keeps_its_sign(self, driver: StorageDriver, op: str) -> None:
        """Also where the condition leaves no other value, and those of zero and minus zero are equal."""
        Writer(driver)(a_sample(volume=-0.0), a_sample(resource_id="other", volume=-0.0))
        value = (0, 2) if op == "in" else 1 if op == "<" else 0
        query = Query(where=(Condition("volume", op, value),))
        for found in (driver.newest(query), driver.samples(query, 2).samples):
            assert [repr(sample.volume) for sample in found] == ["-0.0", "-0.0"]

    @pytest.mark.parametrize(
        ("start", "end", "found"),
        [
            (-(10**24), None, 2),
            (None, 10**24, 2),
            (-(10**24), 10**24, 2),
            (10**24, None, 0),
            (None, -(10**24), 0),
        ],
    )
    def test_a_range_may_reach_beyond_all_time(
        self, driver: StorageDriver, start: int | None, end: int | None, found: int
    ) -> None:
        """As one does that began so many weeks ago; every answer keeps to it."""
        record = Writer(driver)
        record.polled(NOON, "ab")
        record.missed(NOON + HOUR, NOON + HOUR, 1)
        query = Query(start=start, end=end)
        assert len(everything(driver, query)) == len(list(driver.newest(query))) == found
        assert sum(row.count for row in driver.statistics(query, ["stddev"], (), HOUR)) == found
        assert bool(list(driver.polls(start, end))) is bool(list(driver.gaps(start, end))) is bool(found)

    def test_newest_are_many(self, driver: StorageDriver) -> None:
        """Of each of more series than are read at once, one sample."""
        record = Writer(driver)
        for step in (2, 1):
            record(*(a_sample(resource_id=f"r{n:04d}", timestamp=NOON + step * HOUR) for n in range(2500)))
        found = list(driver.newest(Query()))
        assert [sample.resource_id for sample in found] == [f"r{n:04d}" for n in range(2500)]
        assert {sample.timestamp for sample in found} == {NOON + 2 * HOUR}

    @pytest.mark.parametrize(
        ("field", "op", "value", "named"),
        [
            ("colour", "=", "red", "colour"),
            ("metadata", "=", "red", "metadata"),
            ('metadata.a"b', "=", "red", 'a"b'),
            ("volume", "~", 1, "~"),
            ("volume", "=", "1", "'1'"),
            ("volume", "=", True, "True"),
            ("volume", "=", None, "None"),
            ("volume", ">", float("nan"), "nan"),
            ("volume", ">", 10**400, "1000"),
            ("volume", "glob", "1*", "1*"),
            ("type", "=", 1, "1"),
            ("type", "in", "gauge", "gauge"),
            ("type", "=", ("gauge",), "gauge"),
            ("type", "<", None, "None"),
            ("type", "=", "\ud800", "ud800"),
            ("metadata.on", "<", True, "True"),
        ],
    )
    def test_a_wrong_condition_is_refused(
        self, driver: StorageDriver, field: str, op: str, value: Any, named: str
    ) -> None:
        """By each kind of answer, naming what is wrong."""
        query = Query(where=(Condition(field, op, value),))
        for ask in (
            lambda: driver.samples(query, 1),
            lambda: list(driver.newest(query)),
            lambda: driver.statistics(query, ALL),
        ):
            with pytest.raises(QueryError) as caught:
                ask()
            assert named in str(caught.value)

    def test_an_answer_that_takes_too_long_ends(self, driver: StorageDriver) -> None:
        """With what to do; the next one is answered."""
        Writer(driver)(a_sample())
        query = Query(timeout=1e-9)
        for ask in (
            lambda: driver.samples(query, 1),
            lambda: list(driver.newest(query)),
            lambda: driver.statistics(query, ALL),
        ):
            with pytest.raises(QueryTimeout, match="longer than 1e-09 s; narrow"):
                ask()
        assert len(everything(driver, Query(timeout=60))) == 1

    def test_an_answer_can_be_interrupted(self, driver: StorageDriver) -> None:
        """From another thread; the next one is answered."""
        Writer(driver)(*(a_sample(timestamp=NOON + step) for step in range(5000)))
        ended = threading.Event()

        def interrupt() -> None:
            while not ended.is_set():
                driver.interrupt()

        thread = threading.Thread(target=interrupt)
        thread.start()
        try:
            with pytest.raises(Unavailable, match="interrupted"):
                _ask_often(driver)
        finally:
            ended.set()
            thread.join()
        (row,) = driver.statistics(Query(), ["count"])
        assert row.count == 5000


def _ask_often(driver: StorageDriver) -> None:
    for _ in range(2000):
        driver.statistics(Query(), ALL, ["project_id"], MINUTE)
