"""How the two file stores keep events, where they differ, and files that are from before there were any."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import duckdb
import msgspec
import pytest

from meteragent.batch import Batch, Published
from meteragent.errors import NotFound, Unavailable
from meteragent.event import INTEGER, TEXT, Event, Trait
from meteragent.storage import known_events
from meteragent.storage.base import EventQuery, StorageDriver
from meteragent.storage.duckdb import schema as duckdb_schema
from meteragent.storage.duckdb.driver import DuckDBDriver
from meteragent.storage.event_row import EventRows
from meteragent.storage.sqlite import schema as sqlite_schema
from meteragent.storage.sqlite.driver import SQLiteDriver
from meteragent.testing.storage_given import (
    HOUR,
    MINUTE,
    NOON,
    Writer,
    a_sample,
    all_events,
    an_event,
    at,
    everything,
)
from tests.storage.test_sqlite import rows

URLS = {SQLiteDriver: "sqlite:///samples.db", DuckDBDriver: "duckdb:///samples.duckdb?memory_limit=128MB"}
Driver = type[SQLiteDriver] | type[DuckDBDriver]


@pytest.fixture(params=list(URLS))
def kind(request: pytest.FixtureRequest) -> Driver:
    """Each of the drivers."""
    found: Driver = request.param
    return found


@pytest.fixture
def driver(kind: Driver, folder: Path) -> Iterator[StorageDriver]:
    """One that writes."""
    made = kind(URLS[kind], folder)
    yield made
    made.close()


def _former_sqlite(folder: Path) -> None:
    connection = apsw.Connection(str(folder / "samples.db"))
    sqlite_schema.migrate(connection, "samples.db", sqlite_schema.MIGRATIONS[:3])
    connection.execute(
        "insert into agent values (1, 'agent', 'epoch');"
        f" insert into batch values (1, 1, 'store', 1, 0, {NOON // HOUR}, x'', 1, 0, 0, 0, null, x'');"
        f" insert into series values (1, 'host', 'cpu', 'openstack', {NOON // HOUR});"
        " insert into attributes values (1, x'00', 'gauge', '%', 'project', 'user', 'User', 'Project',"
        f' \'{{"flavor":"small"}}\', {NOON // HOUR});'
        f" insert into sample values ({NOON // sqlite_schema.SLOT}, 1, {NOON}, 0, 10, null, 1, 1)"
    )
    connection.close()


def _former_duckdb(folder: Path) -> None:
    connection = duckdb.connect(str(folder / "samples.duckdb"))
    duckdb_schema.migrate(connection, "samples.duckdb", duckdb_schema.MIGRATIONS[:1])
    connection.execute(
        "insert into agent values (1, 'agent', 'epoch');"
        f" insert into batch values (1, 1, 'store', 1, 0, {NOON}, ''::blob, ''::blob, 1, 0, 0, 0, null);"
        " insert into series values (1, 'host', 'cpu', 'openstack');"
        " insert into attributes values (1, 'gauge', '%', 'project', 'user', 'User', 'Project',"
        ' \'{"flavor":"small"}\');'
        f" insert into sample values (1, {NOON}, 0, 10, 10, 1, 0, 1)"
    )
    connection.close()


def test_a_file_of_the_former_format_gets_events(kind: Driver, folder: Path) -> None:
    """What it holds stays as it is, and its positions are known; commands wait for the agent to do it."""
    former = {SQLiteDriver: _former_sqlite, DuckDBDriver: _former_duckdb}
    former[kind](folder)
    reader = kind(URLS[kind], folder, read_only=True)
    with pytest.raises(
        Unavailable, match=r"has the older format [13]; start the agent once to bring it to format"
    ):
        reader.event_types()
    reader.close()
    driver = kind(URLS[kind], folder)
    assert everything(driver) == [a_sample()]
    assert (all_events(driver), driver.traits()) == ([], [])
    assert driver.record(Batch([a_sample()]), at(1)) == Published(1)
    driver.record(Batch(events=[an_event()]), at(2))
    driver.close()
    again = kind(URLS[kind], folder)
    assert (everything(again), all_events(again)) == ([a_sample()], [an_event()])
    again.close()


def test_a_store_that_is_not_there_has_no_events(kind: Driver, folder: Path) -> None:
    """A command is told so."""
    reader = kind(URLS[kind], folder, read_only=True)
    for ask in (lambda: reader.events(EventQuery(), 1), reader.event_types, reader.traits):
        with pytest.raises(NotFound, match="does not exist yet"):
            ask()
    reader.close()


def test_what_is_remembered_of_events_is_bounded(
    driver: StorageDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is forgotten is found again."""
    monkeypatch.setattr(known_events, "MOST_KNOWN", 2)
    record = Writer(driver)
    for number in (0, 1, 2, 3, 4, 0, 1, 2, 3, 4):
        record.events(an_event(event_type=f"t{number}", generated=NOON + record.sequence * MINUTE))
    assert driver.event_types() == [f"t{number}" for number in range(5)]
    assert len(driver.traits()) == 15
    assert len(all_events(driver)) == 10


def test_events_that_are_too_much_for_one_batch_are_kept_as_far_as_can_be(
    driver: StorageDriver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """First without the largest notifications, then without the largest events; it is said."""
    monkeypatch.setattr("meteragent.storage.sqlite.recording.MOST_BYTES", 4000)
    monkeypatch.setattr("meteragent.storage.duckdb.recording.most_bytes", lambda _: 4000)
    small = an_event(message_id="small", raw={"a": "ü" * 100})
    large = an_event(message_id="large", raw={"a": "ü" * 2000})
    larger = an_event(message_id="larger", traits=[Trait("t", TEXT, "ü" * 2000)])
    with caplog.at_level(logging.WARNING):
        assert driver.record(Batch([a_sample()], events=[larger, large, small]), at(1)) == Published(1)
    found = {each.message_id: each for each in all_events(driver)}
    assert found == {"small": small, "large": msgspec.structs.replace(large, raw={})}
    (said,) = [each.getMessage() for each in caplog.records if "bytes together" in each.getMessage()]
    assert "1 events are kept without their notification, 1 are left out" in said


def test_a_small_memory_has_room_for_large_notifications(folder: Path) -> None:
    """DuckDB with the least memory that it may be given takes what a batch may have, and goes on."""
    driver = DuckDBDriver(URLS[DuckDBDriver], folder)
    record = Writer(driver)
    large = [an_event(message_id=f"m{n}", raw={"a": f"{n}" * 9_000_000}) for n in range(6)]
    for _ in range(2):
        record.batch(Batch([a_sample(timestamp=NOON + record.sequence)], events=large))
    record.events(an_event())
    found = [driver.events(EventQuery(message_id=f"m{n}", raw=True), 1).events[0] for n in range(6)]
    assert [each for each in found if each.raw] == large[:3]
    assert len(everything(driver)) == 2
    driver.close()


def test_an_event_that_the_database_refuses_is_left_out_with_its_like(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The samples of its batch are kept, and a line in the log names the message."""
    driver = SQLiteDriver(URLS[SQLiteDriver], folder)
    record = Writer(driver)
    record.events(an_event())
    monkeypatch.setattr(EventRows, "of", _too_big)
    with caplog.at_level(logging.ERROR):
        assert record.batch(Batch([a_sample()], events=[an_event(message_id="big")])) == Published(1)
    monkeypatch.undo()
    (said,) = [each.getMessage() for each in caplog.records]
    assert "its 1 events are left out, the first of message 'big' of type 'compute.instance.exists'" in said
    assert everything(driver) == [a_sample()]
    record.events(an_event(message_id="two"))
    assert sorted(each.message_id for each in all_events(driver)) == ["one", "two"]
    driver.close()


def _too_big(*_: Any) -> Any:
    raise apsw.TooBigError("string or blob too big")


def test_a_trait_that_another_version_wrote_does_not_hide_its_event(folder: Path) -> None:
    """What is none of this version's is left out of the answer."""
    driver = SQLiteDriver(URLS[SQLiteDriver], folder)
    Writer(driver).events(an_event())
    connection = apsw.Connection(str(folder / "samples.db"))
    odd = '[["a",1,"x"],["b",9,"y"],["c",1,[1]],"d",["e",2,5]]'
    connection.execute("update event set traits = ?", (odd,))
    connection.close()
    assert all_events(driver)[0].traits == [Trait("a", TEXT, "x"), Trait("e", INTEGER, 5)]
    driver.close()


def test_events_lie_as_documented(folder: Path) -> None:
    """Traits and notification as JSON that SQL can ask."""
    driver = SQLiteDriver(URLS[SQLiteDriver], folder)
    Writer(driver).events(an_event(raw={"payload": {"a": 1}}), an_event(message_id="two", traits=[]))
    driver.close()
    traits = f'[["state",1,"active"],["memory_mb",2,512],["at",4,{NOON}]]'
    names = "generated, message_id, event_type, traits, raw"
    assert rows(folder, "select * from event_view") == rows(folder, f"select {names} from event_view")
    assert rows(folder, "select * from event_view order by message_id") == [
        (NOON, "one", "compute.instance.exists", traits, '{"payload":{"a":1}}'),
        (NOON, "two", "compute.instance.exists", "[]", None),
    ]
    assert rows(folder, "select name, last_hour from event_type") == [
        ("compute.instance.exists", NOON // HOUR)
    ]
    assert rows(folder, "select name, kind, last_hour from trait order by name") == [
        ("at", 4, NOON // HOUR), ("memory_mb", 2, NOON // HOUR), ("state", 1, NOON // HOUR),
    ]  # fmt: skip


def test_two_agents_bring_events_to_one_file(folder: Path) -> None:
    """Each finds the types and traits of the other; what both bring is there once."""
    one, two = (SQLiteDriver(URLS[SQLiteDriver], folder) for _ in range(2))
    for number in range(4):
        batch = Batch(events=[_of_hour(step) for step in range(number, number + 3)])
        one.record(batch, at(number + 1))
        two.record(batch, at(number + 1, agent="two", epoch="two"))
    assert len(all_events(one)) == len(all_events(two)) == 6
    assert len(one.traits()) == 18
    two.expire(NOON + 4 * HOUR)
    one.record(Batch(events=[_of_hour(5)]), at(9))
    assert one.event_types() == ["t4", "t5"]
    one.close()
    two.close()


def _of_hour(number: int) -> Event:
    return an_event(event_type=f"t{number}", generated=NOON + number * HOUR)
