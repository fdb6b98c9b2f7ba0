"""The embedded store: its tables, and who may write them."""

import tempfile
import time
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meteragent.batch import Batch, Missed, Position, Provenance, Published
from meteragent.clock import Clock
from meteragent.sample import Metadata, Sample
from meteragent.storage.base import Query
from meteragent.storage.sqlite.connection import Store
from meteragent.storage.sqlite.driver import SQLiteDriver
from meteragent.storage.sqlite.known import Known
from meteragent.storage.sqlite.recording import Recorder
from meteragent.testing.storage_given import (
    HOUR,
    MINUTE,
    NOON,
    FixedClock,
    Writer,
    a_poll,
    a_sample,
    at,
    everything,
)

URL = "sqlite:///samples.db"


def rows(folder: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """What plain SQL finds."""
    connection = apsw.Connection(str(folder / "samples.db"))
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("volume", "kind", "value", "digits"),
    [
        (10, "integer", 10, None),
        (10.0, "real", 10.0, None),
        (2**53, "integer", 2**53, None),
        (2**53 + 1, "integer", 2**53 + 1, "9007199254740993"),
        (2**62, "integer", 2**62, None),
        (-(2**63), "integer", -(2**63), None),
        (2**63, "real", 2.0**63, "9223372036854775808"),
        (2**64 - 1, "real", 2.0**64, "18446744073709551615"),
        (1e300, "real", 1e300, None),
    ],
)
def test_a_volume_lies_as_documented(
    folder: Path, volume: int | float, kind: str, value: int | float, digits: str | None
) -> None:
    """Integer or real, and the digits only where a double cannot hold it."""
    driver = SQLiteDriver(URL, folder)
    Writer(driver)(a_sample(volume=volume))
    assert rows(folder, "select typeof(volume), volume, digits from sample_view") == [(kind, value, digits)]
    driver.close()


def test_the_view_has_its_columns(folder: Path) -> None:
    """Other programs read it by name."""
    driver = SQLiteDriver(URL, folder)
    Writer(driver)(a_sample(origin=3))
    names = "source, resource_id, meter, at, origin, volume, digits, unit, type, project_id, user_id"
    assert rows(folder, "select * from sample_view") == rows(folder, f"select {names} from sample_view")
    assert rows(folder, "select * from sample_view") == [
        ("openstack", "host", "cpu", NOON, 3, 10, None, "%", "gauge", "project", "user")
    ]
    driver.close()


def test_instants_before_the_epoch_have_their_slot(folder: Path) -> None:
    """The slot is rounded down, not towards zero."""
    driver = SQLiteDriver(URL, folder)
    Writer(driver)(a_sample(timestamp=-1))
    assert rows(folder, "select slot, at from sample") == [(-1, -1)]
    driver.close()


def test_a_series_keeps_where_it_came_from_and_when(folder: Path) -> None:
    """Each host, polling source and pollster, told by the batch, and the newest hour of each."""
    driver = SQLiteDriver(URL, folder)
    record = Writer(driver)
    samples = [a_sample(name=name) for name in "abcd"]
    record.batch(Batch(samples, [Provenance("all", "cpu", 2), Provenance("all", "disk", 1)], host="one"))
    for host, source, at_hour in (("one", "new", 0), ("one", "all", 2), ("two", "all", 1), ("one", "all", 1)):
        sample = a_sample(name="a", timestamp=NOON + at_hour * HOUR + 1)
        record.batch(Batch([sample], [Provenance(source, "cpu", 1)], host=host))
    found = rows(
        folder,
        "select meter, host, polling_source, pollster, provenance.last_hour - ? from provenance"
        " join series on series.id = provenance.series order by 1, 2, 3",
        NOON // HOUR,
    )
    assert found == [
        ("a", "one", "all", "cpu", 2), ("a", "one", "new", "cpu", 0), ("a", "two", "all", "cpu", 1),
        ("b", "one", "all", "cpu", 0), ("c", "one", "all", "disk", 0),
    ]  # fmt: skip
    driver.close()


def test_a_late_sample_makes_the_next_one_write_no_more(folder: Path) -> None:
    """It does not stand for the newest hour, which would be written anew for each that follows."""
    store = Store(folder / "samples.db", read_only=False)
    recorder = Recorder(store, None, FixedClock(), Known())
    changes = []
    for sequence, at_hour in enumerate((1, 1, 0, 1, 0, 1), 1):
        with store.reading() as connection:
            before = connection.total_changes()
            sample = a_sample(timestamp=NOON + at_hour * HOUR + sequence)
            recorder.record(Batch([sample], [Provenance("all", "cpu", 1)]), at(sequence))
            changes.append(connection.total_changes() - before)
    assert changes[1:] == [2] * 5, "a sample and its batch"
    recorder.release()
    store.close()


def test_a_batch_is_kept_as_long_as_if_its_samples_were_new(folder: Path) -> None:
    """One that brought only old samples, or none, is known again until its recording is old."""
    driver = SQLiteDriver(URL, folder, clock=FixedClock(NOON))
    batches = [Batch([a_sample(timestamp=NOON - 5 * HOUR)]), Batch(polls=[a_poll(NOON)]), Batch()]
    for sequence, batch in enumerate(batches, 1):
        driver.record(batch, at(sequence))
    assert driver.expire(NOON) == 1
    for sequence, batch in enumerate(batches, 1):
        driver.record(batch, at(sequence))
    assert everything(driver) == []
    assert rows(folder, "select sequence from batch order by id") == [(1,), (2,), (3,)]
    driver.expire(NOON + HOUR)
    assert rows(folder, "select sequence from batch") == [(3,)]
    driver.close()


def test_a_batch_row_has_its_counts(folder: Path) -> None:
    """And each sample names the batch that brought it."""
    driver = SQLiteDriver(URL, folder, clock=FixedClock(NOON + 5))
    record = Writer(driver)
    record(a_sample(), a_sample(), a_sample(volume=2), a_sample(origin=1), a_sample(origin=1, unit="B"))
    sql = "select id, sink, sequence, recorded_at, delivered, duplicate, superseded, refused from batch"
    assert rows(folder, sql) == [(1, "store", 1, NOON + 5, 2, 1, 1, 1)]
    assert rows(folder, "select distinct batch from sample") == [(1,)]
    assert rows(folder, "select id, epoch from agent") == [("agent", "epoch")]
    driver.close()


def test_what_is_ignored_leaves_nothing(folder: Path) -> None:
    """Attributes of a superseded sample are not kept, and are numbered when they are needed."""
    driver = SQLiteDriver(URL, folder)
    record = Writer(driver)
    record(a_sample())
    other = {"unit": "B", "project_id": "other"}
    record(a_sample(**other))
    assert len(rows(folder, "select * from attributes")) == len(rows(folder, "select * from meter")) == 1
    record(a_sample(timestamp=NOON + 1, **other))
    assert everything(driver)[0].project_id == "other"
    driver.close()


def test_little_memory_is_enough(folder: Path) -> None:
    """What is remembered of series and attributes is bounded, and found again where it was dropped."""
    driver = SQLiteDriver(URL, folder)
    recorder = Recorder(Store(folder / "samples.db", read_only=False), None, Clock(), Known(3, 3, 60))
    for sequence in range(1, 6):
        samples = [
            a_sample(
                resource_id=f"r{number}",
                timestamp=NOON + sequence * 20 * MINUTE,
                resource_metadata=Metadata.of({"n": "x" * number}),
            )
            for number in range(sequence, sequence + 5)
        ]
        assert recorder.record(Batch(samples), at(sequence)) == Published(5)
    assert rows(folder, "select count(*), count(distinct resource_id) from sample_view") == [(25, 9)]
    assert rows(folder, "select count(*) from attributes") == [(9,)]
    recorder.release()
    driver.close()


_SOME = st.builds(
    a_sample,
    name=st.sampled_from("ab"),
    unit=st.sampled_from("xy"),
    volume=st.integers(0, 1),
    timestamp=st.integers(-2, 4).map(lambda hour: NOON + hour * HOUR),
    origin=st.sampled_from((0, 7)),
)
_DANGLING = """
select (select count(*) from sample where series not in (select id from series)),
    (select count(*) from sample where attributes not in (select id from attributes)),
    (select count(*) from sample where batch not in (select id from batch)),
    (select count(*) from (select distinct meter, type, unit from sample_view
        except select name, type, unit from meter)),
    (select count(*) from provenance where series not in (select id from series)),
    (select count(*) from sample join batch on batch.id = sample.batch where not exists (
        select 1 from provenance where provenance.series = sample.series
        and host = cast(batch.sequence % 3 as text) and provenance.last_hour >= sample.slot / 6))
"""


@settings(
    max_examples=30,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(st.tuples(st.booleans(), st.integers(-3, 6), st.lists(_SOME, max_size=5)), max_size=8))
def test_expiry_takes_all_that_is_unneeded_and_nothing_else(
    folder: Path, steps: list[tuple[bool, int, list[Sample]]]
) -> None:
    """Whichever of two processes records or expires, late data included, no sample loses its names."""
    folder = Path(tempfile.mkdtemp(dir=folder))
    drivers = [SQLiteDriver(URL, folder), SQLiteDriver(URL, folder)]
    drivers[0].meters()
    for sequence, (which, hour, samples) in enumerate(steps):
        sequence += 1
        batch = Batch(samples, [Provenance("all", "cpu", len(samples))], host=str(sequence % 3))
        drivers[which].record(batch, at(sequence))
        if hour < 5:
            drivers[not which].expire(NOON + hour * HOUR)
        assert rows(folder, _DANGLING) == [(0, 0, 0, 0, 0, 0)]
    drivers[0].expire(NOON + 5 * HOUR)
    for table in ("sample", "series", "attributes", "meter", "provenance"):
        assert rows(folder, f"select count(*) from {table}") == [(0,)]
    for driver in drivers:
        driver.close()


def test_a_journal_that_went_back_is_told_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What it recorded before stays under its epoch with a number; each further step back is told."""
    driver = SQLiteDriver(URL, folder)
    for digest in (b"a", b"b", b"b", b"c"):
        for sequence in (1, 2):
            place = at(sequence, digest=digest)
            driver.record(Batch([a_sample(name=digest.decode(), origin=sequence)]), place)
    assert rows(folder, "select number, id, epoch from agent order by number") == [
        (1, "agent", "epoch/1"), (2, "agent", "epoch/2"), (3, "agent", "epoch"),
    ]  # fmt: skip
    assert rows(folder, "select agent, count(*), sum(delivered) from batch group by agent") == [
        (1, 2, 2), (2, 2, 2), (3, 2, 2),
    ]  # fmt: skip
    assert len(caplog.messages) == 2
    assert "samples.db: position 1 of agent agent, sink store held another batch" in caplog.messages[0]
    assert "the agent's journal went back in time" in caplog.messages[0]
    driver.close()


def test_gaps_are_looked_up_not_scanned(folder: Path) -> None:
    """200 missed runs of 100 series are told in well under a second."""
    driver = SQLiteDriver(URL, folder)
    record = Writer(driver)
    for number in range(0, 400, 2):
        tick = NOON + number * MINUTE
        samples = [a_sample(resource_id=f"r{each}", timestamp=tick) for each in range(100)]
        missed = [Missed("all", tick + MINUTE, tick + MINUTE + 1, 1, "overrun")]
        came_from = [Provenance("all", "host", 100)]
        record.batch(Batch(samples, came_from, polls=[a_poll(tick)], missed=missed))
    began = time.monotonic()
    assert sum(gap.ticks for gap in driver.gaps()) == 20_000
    assert time.monotonic() - began < 1
    driver.close()


def test_time_is_not_kept_from_paging(folder: Path) -> None:
    """Pages of one instant go on by series and origin."""
    driver = SQLiteDriver(URL, folder)
    Writer(driver)(*(a_sample(name=name, origin=origin) for origin in (0, 2, 1) for name in "ab"))
    page = driver.samples(Query(), 4)
    found = [(sample.name, sample.origin) for sample in everything(driver, size=4)]
    assert found == [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("b", 2)]
    assert page.after is not None
    assert page.after[0] == NOON
    driver.close()


def test_positions_of_many_sinks_survive_expiry(folder: Path) -> None:
    """Each sink of each agent keeps its newest, older ones go when their samples are gone."""
    driver = SQLiteDriver(URL, folder, clock=FixedClock(NOON))
    for sequence in (1, 2, 3):
        for agent in ("a", "b"):
            for sink in ("s", "t"):
                driver.record(Batch([]), Position(agent, "epoch", sink, sequence))
    driver.expire(NOON + 2 * HOUR)
    assert rows(folder, "select sequence, count(*) from batch group by sequence") == [(3, 4)]
    driver.close()
