"""Statistics of the analytic store, by what its volumes are: each kind is added up in columns of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from meteragent.errors import QueryError
from meteragent.sample import Sample
from meteragent.storage.base import Query
from meteragent.storage.duckdb.asking import Asker
from meteragent.storage.duckdb.connection import Store
from meteragent.storage.duckdb.driver import DuckDBDriver
from meteragent.storage.duckdb.measures import Volumes
from meteragent.testing import storage_oracle as oracle
from meteragent.testing.storage_drawn import ALL, GROUPS, MANY, QUERIES, SAMPLES, World
from meteragent.testing.storage_given import HOUR, NOON, Writer, a_sample
from tests.storage.test_duckdb_file import URL

USUAL = ("count", "min", "max", "avg", "sum")
DOUBLES = st.one_of(
    st.sampled_from((0.5, 10.0, 0.0, 2.0**53, 2.0**63, 1e22, 5e-324, -1e-200, 1e160)),
    st.integers(0, 9).map(lambda step: 1e9 + step * 1e-6),
)
SMALL = st.one_of(st.integers(-5, 10), st.integers(2**53 - 5, 2**53), st.integers(-(2**53), 2 - 2**53))
LARGE = st.one_of(st.integers(2**53 + 1, 2**53 + 5), st.integers(-(2**63), 2**64 - 1))


@pytest.fixture
def driver(folder: Path) -> Iterator[DuckDBDriver]:
    """An empty store."""
    driver = DuckDBDriver(URL, folder)
    yield driver
    driver.close()


def stored(driver: DuckDBDriver) -> Volumes:
    """What the store has, as it finds itself."""
    reader = Store(driver.path, "512MB", 2, read_only=True)
    try:
        return Volumes.stored(Asker(reader).ask(None))
    finally:
        reader.close()


@pytest.mark.parametrize(
    ("volumes", "kind"),
    [
        (DOUBLES, Volumes.DOUBLES),
        (SMALL, Volumes.SMALL),
        (DOUBLES | SMALL, Volumes.SMALL),
        (LARGE, Volumes.LARGE),
        (DOUBLES | SMALL | LARGE, Volumes.LARGE),
    ],
)
def test_statistics_are_exact_whatever_the_store_has(
    driver: DuckDBDriver, volumes: st.SearchStrategy[int | float], kind: Volumes
) -> None:
    """Values are those of plain Python, and integers where the volumes are."""
    first = {Volumes.DOUBLES: 0.5, Volumes.SMALL: 2, Volumes.LARGE: 2**53 + 1}[kind]
    Writer(driver)(a_sample(volume=first))
    samples = st.builds(lambda sample, volume: replace(sample, volume=volume), SAMPLES, volumes)

    @MANY
    @given(
        samples=st.lists(samples, min_size=1, max_size=12),
        query=QUERIES,
        group_by=GROUPS,
        period=st.sampled_from((None, HOUR)),
    )
    def check(samples: list[Sample], query: Query, group_by: list[str], period: int | None) -> None:
        world = World(driver, samples)
        found = driver.statistics(world.query(query), ALL, group_by, period)
        expected = oracle.statistics(world.samples, query, group_by, period)
        assert [(row.group, row.name, row.unit, row.start, row.end) for row in found] == list(expected)
        for row, told_of in zip(found, expected.values(), strict=True):
            oracle.check(row, told_of, ALL)
            types = {type(sample.volume) for sample in told_of}
            assert {type(row.values[ALL.index(extreme)]) for extreme in ("min", "max")} <= types
            assert type(row.values[ALL.index("sum")]) is (int if types == {int} else float)

    check()
    assert stored(driver) is kind


def test_the_extremes_of_integers_and_doubles_are_what_they_were(driver: DuckDBDriver) -> None:
    """In one group, the smallest an integer and the largest a double, and the other way round."""
    record = Writer(driver)
    record(a_sample(volume=1), a_sample(volume=2.0, timestamp=NOON + 1))
    record(a_sample(volume=1.0, name="memory"), a_sample(volume=2, name="memory", timestamp=NOON + 1))
    found = driver.statistics(Query(), ["min", "max", "sum"])
    assert list(map(repr, (row.values for row in found))) == ["(1, 2.0, 3.0)", "(1.0, 2, 3.0)"]


@pytest.mark.parametrize("volume", [2**53, -(2**53), 2**64 - 1, -(2**63)])
def test_a_sum_of_many_integers_is_exact_beside_doubles(driver: DuckDBDriver, volume: int) -> None:
    """Beyond 64 bits, while the sums of other groups are small, or doubles."""
    samples = [a_sample(volume=volume, timestamp=NOON + step) for step in range(3000)]
    Writer(driver)(*samples, a_sample(volume=-3, name="few"), a_sample(volume=0.5, name="real"))
    found = driver.statistics(Query(), USUAL)
    assert [(row.name, row.values) for row in found] == [
        ("cpu", (3000, volume, volume, float(volume), 3000 * volume)),
        ("few", (1, -3, -3, -3.0, -3)),
        ("real", (1, 0.5, 0.5, 0.5, 0.5)),
    ]
    assert [type(row.values[-1]) for row in found] == [int, int, float]


def test_what_the_store_has_is_told_by_what_it_has_now(driver: DuckDBDriver) -> None:
    """Integers that come, late ones too, are exact at once; those that are forgotten need no columns."""
    record = Writer(driver)
    record(*(a_sample(volume=0.5, resource_id=f"r{number}") for number in range(9)))
    assert stored(driver) is Volumes.DOUBLES
    record(a_sample(volume=2**53, name="late", timestamp=NOON - 9 * HOUR))
    assert stored(driver) is Volumes.SMALL
    record(*(a_sample(volume=-(2**53) - number, name="large", timestamp=NOON + number) for number in (1, 2)))
    assert stored(driver) is Volumes.LARGE
    (row,) = driver.statistics(Query(meter="large"), ["min", "max", "sum"])
    assert row.values == (-(2**53) - 2, -(2**53) - 1, -(2**54) - 3)
    (row,) = driver.statistics(Query(meter="late"), ["min", "max", "sum"])
    assert row.values == (2**53, 2**53, 2**53)
    driver.expire(NOON + HOUR * 24)
    assert stored(driver) is Volumes.DOUBLES


@pytest.mark.parametrize("group_by", [[], ["project_id", "metadata.none"]])
@pytest.mark.parametrize("period", [None, HOUR])
def test_a_row_needs_no_aggregates_and_no_groups(
    driver: DuckDBDriver, group_by: list[str], period: int | None
) -> None:
    """It tells how many samples there are, and when; an unknown owner is None."""
    Writer(driver)(a_sample(project_id=None), a_sample(timestamp=NOON + 1, project_id=None))
    (row,) = driver.statistics(Query(), [], group_by, period)
    assert (row.group, row.count, row.first, row.last) == ((None,) * len(group_by), 2, NOON, NOON + 1)
    assert (row.start, row.end, row.values) == (
        *((None, None) if period is None else (NOON, NOON + HOUR)),
        (),
    )


def test_the_meter_that_is_too_large_is_named(driver: DuckDBDriver) -> None:
    """Among others that are not, and beside integers."""
    Writer(driver)(
        *(a_sample(volume=1.7e308, name="wide", timestamp=NOON + step) for step in range(2)),
        *(a_sample(volume=2**64 - 1, name="whole", timestamp=NOON + step) for step in range(2)),
        a_sample(volume=0.5),
    )
    for aggregate in ("sum", "avg"):
        with pytest.raises(QueryError, match=f"{aggregate} of meter 'wide' is too large"):
            driver.statistics(Query(), ["count", aggregate])
    assert [row.values for row in driver.statistics(Query(), ["max"])] == [(0.5,), (2**64 - 1,), (1.7e308,)]
