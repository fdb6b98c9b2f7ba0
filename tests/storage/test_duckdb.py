"""The analytic store: its tables, what it remembers, and where late samples go."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meteragent import errors
from meteragent.batch import Batch, Provenance, Published
from meteragent.sample import Sample
from meteragent.storage.duckdb import known
from meteragent.storage.duckdb.driver import DuckDBDriver
from meteragent.storage.recurring import Recurring
from meteragent.testing.storage_given import (
    HOUR,
    MINUTE,
    NOON,
    FixedClock,
    Writer,
    a_poll,
    a_sample,
    as_text,
    at,
    everything,
)
from tests.storage.test_duckdb_file import URL, rows


@pytest.mark.parametrize(
    ("volume", "whole"),
    [
        (10, 10),
        (10.0, None),
        (2**53 + 1, 2**53 + 1),
        (-(2**63), -(2**63)),
        (2**63, 2**63),
        (2**64 - 1, 2**64 - 1),
        (1e300, None),
    ],
)
def test_a_volume_lies_as_documented(folder: Path, volume: int | float, whole: int | None) -> None:
    """The double, and beside it an integer as itself."""
    driver = DuckDBDriver(URL, folder)
    Writer(driver)(a_sample(volume=volume), a_sample(volume=0.5, origin=1))
    driver.close()
    assert rows(folder, "select volume, whole from sample_view order by origin") == [
        (float(volume), whole),
        (0.5, None),
    ]


def test_the_view_has_its_columns(folder: Path) -> None:
    """Other programs read it by name."""
    driver = DuckDBDriver(URL, folder)
    Writer(driver)(a_sample(origin=3))
    driver.close()
    assert rows(folder, "from sample_view") == [
        ("openstack", "host", "cpu", NOON, 3, 10.0, 10, "%", "gauge", "project", "user")
    ]


def test_stragglers_lie_apart(folder: Path) -> None:
    """A sample of another time than most of its batch is told with the others, and counts once."""
    driver = DuckDBDriver(URL, folder)
    record = Writer(driver)
    usual = [a_sample(resource_id=f"r{number}") for number in range(20)]
    late = [a_sample(timestamp=NOON - number * 5 * HOUR) for number in range(1, 4)]
    assert record(*usual, *late) == Published(23)
    assert record(*late, *usual, a_sample(timestamp=NOON - 10 * HOUR, origin=1)) == Published(1, duplicate=23)
    assert len(everything(driver)) == 24
    driver.close()
    assert rows(folder, "select count(*) from sample") == [(20,)]
    assert rows(folder, "select count(*) from straggler") == [(4,)]


def test_the_head_moves_on_with_most_samples(folder: Path) -> None:
    """Not with a clock that is ahead, nor back with a batch that is late as a whole."""
    driver = DuckDBDriver(URL, folder, clock=FixedClock(NOON + 9 * HOUR))
    record = Writer(driver)
    for hour in (0, 4, 90, 1, 5, 3):
        record(*(a_sample(timestamp=NOON + hour * HOUR + step) for step in range(3)))
    driver.close()
    hours = f"select distinct (instant - {NOON}) // {HOUR} as hour from"
    assert rows(folder, f"{hours} sample order by hour") == [(0,), (4,)]
    assert rows(folder, f"{hours} straggler order by hour") == [(1,), (3,), (5,), (90,)]


def test_who_brought_a_series_is_told_once(folder: Path) -> None:
    """However often parts take turns, and whether or not the file was closed in between."""
    for turn in range(3):
        driver = DuckDBDriver(URL, folder)
        for step, source in enumerate(("all", "rare", "all")):
            sample = a_sample(timestamp=NOON + (turn * 3 + step) * MINUTE)
            batch = Batch([sample], [Provenance(source, "cpu", 1)], host="one")
            driver.record(batch, at(turn * 3 + step + 1))
        driver.close()
    assert rows(folder, "select host, polling_source, pollster, series from provenance order by all") == [
        ("one", "all", "cpu", 1),
        ("one", "rare", "cpu", 1),
    ]


_SAMPLE = st.builds(
    a_sample,
    resource_id=st.sampled_from(("a", "b", "c")),
    name=st.sampled_from(("cpu", "memory")),
    project_id=st.sampled_from(("one", "two")),
    timestamp=st.integers(-3, 3).map(lambda step: NOON + step * HOUR),
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)
@given(
    batches=st.lists(
        st.tuples(
            st.lists(_SAMPLE, max_size=8), st.sampled_from(("on", "anew", "beside", "undone", "expired"))
        ),
        max_size=5,
    )
)
def test_what_is_remembered_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, batches: list[tuple[list[Sample], str]]
) -> None:
    """A store that remembers two series only tells the same of late and new samples, whatever came before.

    It is opened anew, written by a second driver, a batch of it is undone, or old samples are forgotten.
    """
    url = f"duckdb:///{len(list(folder.iterdir()))}.duckdb"
    monkeypatch.setattr(known.Known.__init__, "__defaults__", (2, 1))
    driver, other = (DuckDBDriver(url, folder) for _ in range(2))
    stored: dict[object, Sample] = {}
    for sequence, (samples, how) in enumerate(batches, 1):
        if how == "anew":
            driver.close()
            other.close()
        elif how == "beside":
            driver, other = other, driver
        elif how == "undone":
            with pytest.raises(errors.Rejected):
                driver.record(Batch(samples, polls=[a_poll(NOON, resources=2**40)]), at(sequence))
        elif how == "expired":
            driver.expire(NOON)
            stored = {key: each for key, each in stored.items() if (each.timestamp or 0) >= NOON}
        delivered = duplicate = superseded = 0
        for sample in samples:
            first = stored.setdefault(sample.identity, sample)
            if first is sample:
                delivered += 1
            elif first == sample:
                duplicate += 1
            else:
                superseded += 1
        assert driver.record(Batch(samples), at(sequence)) == Published(delivered, duplicate, superseded)
    assert as_text(everything(driver)) == as_text(stored.values())
    assert len(driver.resources()) == len({sample.resource_id for sample in stored.values()})
    driver.close()
    other.close()


def test_a_batch_whose_keeping_in_memory_fails_is_not_stored_twice(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when memory is short just after the commit: the same position comes again, and counts as first."""
    driver = DuckDBDriver(URL, folder)
    record = Writer(driver)
    record(a_sample())
    full = iter([MemoryError])

    def keep(*_: object) -> None:
        for error in full:
            raise error

    monkeypatch.setattr(Recurring, "keep", keep)
    later = Batch([a_sample(timestamp=NOON + MINUTE, unit="B")])
    with pytest.raises(MemoryError):
        driver.record(later, at(2))
    assert driver.record(later, at(2)) == Published(1)
    assert len(everything(driver)) == 2
    driver.close()
