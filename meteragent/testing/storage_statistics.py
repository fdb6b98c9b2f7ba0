"""The part of the contract suite of storage on statistics: they are what plain Python makes of samples."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meteragent.errors import QueryError
from meteragent.sample import Sample
from meteragent.storage.base import Query, StorageDriver
from meteragent.testing import storage_oracle as oracle
from meteragent.testing.storage_drawn import ALL, GROUPS, MANY, QUERIES, SAMPLES, World
from meteragent.testing.storage_given import (
    HOUR,
    MINUTE,
    NOON,
    StorageCase,
    Writer,
    a_sample,
    everything,
)


class StatisticsContract(StorageCase):
    """Aggregates are what plain Python makes of the samples."""

    @MANY
    @given(
        samples=st.lists(SAMPLES, min_size=1, max_size=12),
        query=QUERIES,
        group_by=GROUPS,
        period=st.sampled_from((None, HOUR, 24 * HOUR, 7 * MINUTE, 1, 10**15)),
    )
    def test_statistics_are_those_of_plain_python(
        self, driver: StorageDriver, samples: list[Sample], query: Query, group_by: list[str], period: int
    ) -> None:
        """Whatever the volumes, conditions, groups and period, in the promised order and bounds."""
        world = World(driver, samples)
        found = driver.statistics(world.query(query), ALL, group_by, period)
        expected = oracle.statistics(world.samples, query, group_by, period)
        assert [(row.group, row.name, row.unit, row.start, row.end) for row in found] == list(expected)
        for row, told_of in zip(found, expected.values(), strict=True):
            oracle.check(row, told_of, ALL)

    @pytest.mark.parametrize("offset", [0.0, 1e9, -1e12, 1e15, 2**60, 1e305, 1e-300])
    def test_a_deviation_survives_an_offset(self, driver: StorageDriver, offset: float) -> None:
        """However far from zero the volumes are, and in however many series the group lies."""
        step = max(abs(offset) * 2**-40, 1e-310)
        Writer(driver)(
            *(
                a_sample(
                    volume=offset + number % 7 * step, timestamp=NOON + number, resource_id=f"r{number % 3}"
                )
                for number in range(200)
            )
        )
        (row,) = driver.statistics(Query(meter="cpu"), ["stddev"])
        oracle.check(row, everything(driver), ["stddev"])
        assert row.values[0] > 0

    def test_an_unknown_owner_is_a_group(self, driver: StorageDriver) -> None:
        """Samples without a project are a row, the first."""
        Writer(driver)(a_sample(), a_sample(resource_id="other", project_id=None), a_sample(name="memory"))
        found = driver.statistics(Query(), ["cardinality/project_id"], ["project_id"])
        assert [(row.group, row.name, row.count) for row in found] == [
            ((None,), "cpu", 1), (("project",), "cpu", 1), (("project",), "memory", 1),
        ]  # fmt: skip
        (row,) = driver.statistics(
            Query(meter="cpu"), ["cardinality/project_id", "cardinality/metadata.none"]
        )
        assert row.values == (2, 1)

    def test_units_and_meters_are_never_added_up(self, driver: StorageDriver) -> None:
        """One that was sent in two units has two rows, also where nothing else tells them apart."""
        record = Writer(driver)
        record(a_sample(volume=1), a_sample(volume=2, unit="B", timestamp=NOON + 1))
        record(a_sample(volume=4, name="memory"))
        found = driver.statistics(Query(), ["sum"], period=24 * HOUR)
        assert [(row.name, row.unit, row.values) for row in found] == [
            ("cpu", "%", (1,)), ("cpu", "B", (2,)), ("memory", "%", (4,)),
        ]  # fmt: skip

    @pytest.mark.parametrize("period", [HOUR, 15 * MINUTE])
    def test_periods_are_half_open_multiples(self, driver: StorageDriver, period: int) -> None:
        """The end belongs to the next period, also before the epoch; empty periods have no row."""
        Writer(driver)(*(a_sample(timestamp=NOON + each) for each in (-1, 0, period - 1, 3 * period)))
        Writer(driver)(a_sample(name="old", timestamp=-1), a_sample(name="old", timestamp=0))
        query = Query(meter="cpu", start=NOON - 1, end=NOON + 3 * period + 1)
        found = driver.statistics(query, [], (), period)
        assert [(row.start, row.end, row.count) for row in found] == [
            (NOON - period, NOON, 1),
            (NOON, NOON + period, 2),
            (NOON + 3 * period, NOON + 4 * period, 1),
        ]
        assert [row.start for row in driver.statistics(Query(meter="old"), [], (), period)] == [-period, 0]

    def test_a_sum_of_integers_is_exact(self, driver: StorageDriver) -> None:
        """Beyond what a double and what 64 bits hold."""
        volumes = [2**64 - 1, 2**63, 2**63 - 1, 2**53 + 1, -(2**63), 3]
        Writer(driver)(*(a_sample(volume=each, timestamp=NOON + n) for n, each in enumerate(volumes * 2)))
        (row,) = driver.statistics(Query(), ["sum", "min", "max"])
        assert row.values == (2 * sum(volumes), -(2**63), 2**64 - 1)
        assert {type(value) for value in row.values} == {int}

    @pytest.mark.parametrize("aggregate", ["sum", "avg"])
    def test_what_no_double_can_tell_is_an_error(self, driver: StorageDriver, aggregate: str) -> None:
        """It names the meter; other aggregates are told."""
        Writer(driver)(*(a_sample(volume=1.7e308, timestamp=NOON + step) for step in range(3)))
        with pytest.raises(QueryError, match=f"{aggregate} of meter 'cpu'"):
            driver.statistics(Query(), [aggregate])
        (row,) = driver.statistics(Query(), ["max", "count"])
        assert row.values == (1.7e308, 3)

    def test_nothing_has_no_statistics(self, driver: StorageDriver) -> None:
        """No samples, no rows."""
        assert driver.statistics(Query(), ALL) == []
        assert driver.statistics(Query(meter="none"), ALL, ["project_id"], HOUR) == []

    @pytest.mark.parametrize(
        ("aggregates", "group_by", "period", "named"),
        [
            (["median"], (), None, "median"),
            (["cardinality/"], (), None, "cardinality/"),
            (["cardinality/volume"], (), None, "volume"),
            ((), ["volume"], None, "volume"),
            ((), ["metadata."], None, "metadata."),
            ((), ["metadata.a..b"], None, "a..b"),
            ((), ["user_id", "user_id"], None, "twice"),
            ((), (), 0, "period 0 s"),
            ((), (), -HOUR, "period -3600 s"),
            ((), (), 2**62, "period"),
        ],
    )
    def test_wrong_statistics_are_refused(
        self, driver: StorageDriver, aggregates: list[str], group_by: list[str], period: int, named: str
    ) -> None:
        """The error names what is wrong."""
        with pytest.raises(QueryError) as caught:
            driver.statistics(Query(), aggregates, group_by, period)
        assert named in str(caught.value)
