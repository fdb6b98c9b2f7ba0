"""The file of the embedded store: where it lies, who may read it, and what is refused."""

import contextlib
import multiprocessing
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from benchmarks.full_disk import disk, fill
from meteragent import errors
from meteragent.batch import Batch, Published
from meteragent.storage.base import Query
from meteragent.storage.sqlite import reading, schema
from meteragent.storage.sqlite.connection import Store, require_sqlite
from meteragent.storage.sqlite.driver import SQLiteDriver
from meteragent.testing.storage_given import NOON, Writer, a_sample, at, everything
from tests.storage.test_sqlite import URL, rows


@pytest.mark.parametrize(
    ("url", "path"),
    [("sqlite:///a/b c.db", "/state/a/b c.db"), ("sqlite:////var/a.db", "/var/a.db")],
)
def test_the_url_names_the_file(url: str, path: str) -> None:
    """Relative to the state folder, or from the root."""
    with pytest.raises(errors.NotFound, match=f"storage {path}: does not exist yet"):
        SQLiteDriver(url, Path("/state"), read_only=True).meters()


@pytest.mark.parametrize(
    "url",
    ["sqlite:", "sqlite://", "sqlite:///", "sqlite://host/a.db", "sqlite:///a.db?mode=ro", "sqlite:///:memory:",
     "duckdb:///a.db", "sqlite:////"],
)  # fmt: skip
def test_another_url_is_refused(url: str) -> None:
    """With the value and what is allowed."""
    with pytest.raises(errors.ConfigError, match=r"(names no file|in its path); allowed is sqlite:///path"):
        SQLiteDriver(url, Path("/state"))


@pytest.mark.parametrize("version", ["3.40.1", "3.51.2"])
def test_an_old_sqlite_is_refused(version: str) -> None:
    """Several processes could damage the file with it."""
    with pytest.raises(errors.ConfigError, match=rf"SQLite {version} .* 3\.51\.3 or newer is needed"):
        require_sqlite(version)


def taken(version: str) -> bool:
    """Whether a SQLite is new enough."""
    try:
        require_sqlite(version)
    except errors.ConfigError:
        return False
    return True


def test_a_new_sqlite_is_taken() -> None:
    """From the version on that has the correction."""
    for version in ("3.51.3", "3.100.0", "4.0"):
        assert taken(version)
    for version in ("3.51.2", "3.9", "2.100.5"):
        assert not taken(version)


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_the_files_are_private_whatever_the_umask(folder: Path, umask: int) -> None:
    """The store and its companions are the owner's alone."""
    before = os.umask(umask)
    try:
        driver = SQLiteDriver(URL, folder)
        Writer(driver)(a_sample())
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    finally:
        os.umask(before)
    driver.close()
    assert modes == dict.fromkeys(
        ("samples.db", "samples.db-wal", "samples.db-shm", "samples.db-agents"), 0o600
    )


def test_the_constructor_makes_no_file(folder: Path) -> None:
    """Only the first use does, so a disk that is full at the start is no end."""
    SQLiteDriver(URL, folder).close()
    assert list(folder.iterdir()) == []


def test_a_newer_format_is_refused(folder: Path) -> None:
    """At the start and by a command, with both formats named."""
    driver = SQLiteDriver(URL, folder)
    Writer(driver)(a_sample())
    newest = len(schema.MIGRATIONS)
    rows(folder, "update meta set value = 99 where key = 'format'")
    with pytest.raises(errors.ConfigError, match=f"has format 99, this version knows formats up to {newest}"):
        SQLiteDriver(URL, folder)
    with pytest.raises(errors.ConfigError, match="has format 99"):
        SQLiteDriver(URL, folder, read_only=True).meters()
    driver.close()


def test_a_database_of_something_else_is_refused(folder: Path) -> None:
    """And left as it is."""
    rows(folder, "create table other (a)")
    before = (folder / "samples.db").read_bytes()
    with pytest.raises(errors.ConfigError, match="is a database of another program"):
        SQLiteDriver(URL, folder)
    assert (folder / "samples.db").read_bytes() == before


def test_a_database_that_turns_into_something_else_is_unavailable(folder: Path) -> None:
    """A running agent waits until its file is back."""
    driver = SQLiteDriver(URL, folder)
    rows(folder, "create table other (a)")
    with pytest.raises(errors.Unavailable, match="is a database of another program"):
        Writer(driver)(a_sample())
    (folder / "samples.db").unlink()
    assert Writer(driver)(a_sample()) == Published(1)
    driver.close()


def test_migrations_are_applied_in_order_each_once(folder: Path) -> None:
    """An older file becomes a newer one and keeps what it holds; a step that fails leaves it as it was."""
    driver = SQLiteDriver(URL, folder)
    Writer(driver)(a_sample())
    driver.close()
    connection = apsw.Connection(str(folder / "samples.db"))
    done: list[int] = []

    def second(connection: apsw.Connection) -> None:
        connection.execute("alter table poll add column note text")
        done.append(2)

    def broken(connection: apsw.Connection) -> None:
        connection.execute("drop table poll")
        raise apsw.FullError("database or disk is full")

    steps = (*schema.MIGRATIONS, second)
    with pytest.raises(apsw.FullError):
        schema.migrate(connection, "samples.db", (*steps, broken))
    schema.migrate(connection, "samples.db", steps)
    assert done == [2]
    assert schema.stored_format(connection) == len(steps)
    assert connection.execute("select count(note) from poll").fetchall() == [(0,)]
    assert connection.execute("select volume from sample_view").fetchall() == [(10,)]
    connection.close()


def test_a_new_file_is_never_seen_in_an_older_format(folder: Path) -> None:
    """Who reads while it is made finds nothing yet, however many steps there are."""
    path, seen = str(folder / "samples.db"), []
    connection = apsw.Connection(path)
    connection.execute("pragma journal_mode = wal")

    def look(_: apsw.Connection) -> None:
        beside = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
        seen.append(schema.stored_format(beside))
        beside.close()

    schema.migrate(connection, path, (*schema.MIGRATIONS, look))
    assert seen == [0]
    assert schema.stored_format(connection) == len(schema.MIGRATIONS) + 1
    connection.close()


def test_the_first_format_becomes_the_present_one(folder: Path) -> None:
    """Its batches are taken for the same when their counts add up, and recorded again when they do not."""
    connection = apsw.Connection(str(folder / "samples.db"))
    schema.migrate(connection, "samples.db", schema.MIGRATIONS[:1])
    connection.execute("insert into agent values (1, 'agent', 'epoch')")
    connection.execute(
        "insert into batch values (1, 1, 'store', 1, 0, 0, x'0102030405060708', 0, 2, 0, 0, null),"
        " (2, 1, 'store', 2, 0, 0, x'0102030405060708', 3, 0, 0, 0, null)"
    )
    connection.close()
    driver = SQLiteDriver(URL, folder)
    batch = Batch([a_sample(), a_sample(origin=1)])
    places = [at(sequence, digest=b"d" * 16) for sequence in (1, 2)]
    assert [driver.record(batch, place) for place in places] == [Published(0, 2), Published(2)]
    driver.close()
    assert rows(folder, "select id, digest, selection, delivered from batch") == [
        (1, b"", b"", 0), (2, b"d" * 16, b"", 2),
    ]  # fmt: skip


def test_samples_of_a_format_that_clusters_by_hours_lie_by_slots(folder: Path) -> None:
    """Each is there once and unchanged, those before the epoch too, and is known when it comes again."""
    times = [NOON, NOON + 600_000_000, NOON + 3_599_999_999, -1, -600_000_000, -600_000_001, 0]
    samples = [a_sample(timestamp=time, volume=2**63 + number) for number, time in enumerate(times)]
    driver = SQLiteDriver(URL, folder)
    driver.record(Batch(samples), at(1))
    before = driver.samples(Query(), 99).samples
    driver.close()
    connection = apsw.Connection(str(folder / "samples.db"))
    connection.execute(
        "drop view sample_view; create table hourly(hour integer not null, series integer not null,"
        " at integer not null, origin integer not null, volume any not null, digits text,"
        " attributes integer not null, batch integer not null, primary key (hour, series, at, origin))"
        " strict, without rowid; insert into hourly select (slot - case when slot < 0 then 5 else 0 end) / 6,"
        " series, at, origin, volume, digits, attributes, batch from sample; drop table sample;"
        " alter table hourly rename to sample; create view sample_view as select 1;"
        " drop view event_view; drop table event; drop table event_type; drop table trait;"
        " update meta set value = 2 where key = 'format'"
    )
    connection.close()

    driver = SQLiteDriver(URL, folder)
    assert driver.samples(Query(), 99).samples == before
    assert driver.record(Batch(samples), at(2)) == Published(0, len(samples))
    driver.close()
    slots = rows(folder, "select slot from sample order by at")
    assert slots == [(time // 600_000_000,) for time in sorted(times)]


def test_an_older_format_is_not_read_beside_the_agent(folder: Path) -> None:
    """A command does not migrate; it says that the agent does."""
    connection = apsw.Connection(str(folder / "samples.db"))
    connection.execute("create table meta (key text primary key, value any not null) strict")
    connection.execute("insert into meta values ('format', 0)")
    connection.close()
    with pytest.raises(errors.NotFound, match="holds nothing yet"):
        SQLiteDriver(URL, folder, read_only=True).meters()


def _usable_again(driver: SQLiteDriver) -> None:
    """The driver records as if nothing had been."""
    assert Writer(driver)(a_sample()) == Published(1)
    assert driver.record(Batch([a_sample()]), at(1)) == Published(1)
    driver.close()


def _directory(path: Path) -> None:
    path.mkdir()


def _garbage(path: Path) -> None:
    path.write_bytes(b"no database at all\n" * 1000)


def _half(path: Path) -> None:
    driver = SQLiteDriver("sqlite:///samples.db", path.parent)
    Writer(driver)(*(a_sample(resource_id=f"r{number}") for number in range(1000)))
    driver.close()
    os.truncate(path, path.stat().st_size // 2)


def _scratched(path: Path) -> None:
    _half(path)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (_directory, "cannot be opened: is a directory"),
        (_garbage, "the file is damaged or no SQLite database"),
        (_half, "the file is damaged or no SQLite database"),
        (_scratched, "the file is damaged or no SQLite database"),
    ],
)
def test_an_unusable_file_is_told_in_one_line(
    folder: Path, spoil: Callable[[Path], None], what: str, read_only: bool
) -> None:
    """With its path and what is wrong; when it is gone, the same driver goes on."""
    path = folder / "samples.db"
    spoil(path)
    driver = SQLiteDriver(URL, folder, read_only)
    for _ in range(2):
        with pytest.raises(errors.Unavailable, match=rf"^storage {path}: (?i:{what})") as error:
            everything(driver) if read_only else Writer(driver)(a_sample())
        assert "\n" not in str(error.value)
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink()
    if not read_only:
        _usable_again(driver)


_NOBODY = 65534


def _without_permission(folder: Path, mode: int) -> None:
    if os.geteuid() == 0:  # who may read and write anything
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
    SQLiteDriver(URL, folder).meters()
    (folder / "samples.db").chmod(mode)
    driver = SQLiteDriver(URL, folder)
    with pytest.raises(errors.Unavailable, match=r"samples\.db: (cannot be opened|may not be written)"):
        Writer(driver)(a_sample())
    for path in folder.iterdir():  # SQLite has given its companions the same
        path.chmod(0o600)
    _usable_again(driver)


@pytest.mark.parametrize("mode", [0o000, 0o400])
def test_a_file_without_permission_is_unavailable(folder: Path, mode: int) -> None:
    """Until the permission is there."""
    for each in (folder, *folder.parents):
        if os.geteuid() == 0 and each != Path("/") and not each.stat().st_mode & stat.S_ISVTX:
            each.chmod(each.stat().st_mode | 0o011)
    if os.geteuid() == 0:
        os.chown(folder, _NOBODY, _NOBODY)
    process = multiprocessing.get_context("fork").Process(target=_without_permission, args=(folder, mode))
    process.start()
    process.join(30)
    assert process.exitcode == 0


def test_a_missing_folder_is_unavailable(folder: Path) -> None:
    """It is not made, since it may be a disk that is not mounted yet."""
    driver = SQLiteDriver("sqlite:///disk/samples.db", folder)
    with pytest.raises(errors.Unavailable, match=r"disk/samples\.db: cannot be opened: no such file"):
        Writer(driver)(a_sample())
    (folder / "disk").mkdir()
    _usable_again(driver)


def test_a_file_that_goes_away_is_made_anew(folder: Path) -> None:
    """Nothing is written to a file without a name, and nothing remembered of it is believed."""
    driver = SQLiteDriver(URL, folder)
    Writer(driver)(a_sample())
    for path in folder.iterdir():
        path.unlink()
    _usable_again(driver)
    assert rows(folder, "select resource_id, meter from sample_view") == [("host", "cpu")]


def test_a_file_that_goes_away_is_told_of(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What it held is gone, and so is what an agent recorded before a new one was made."""
    driver = SQLiteDriver(URL, folder)
    driver.record(Batch([a_sample()]), at(1))
    assert not caplog.messages
    (folder / "samples.db").unlink()
    driver.record(Batch([a_sample()]), at(5))
    first, second = caplog.messages
    assert "samples.db: the file was removed or replaced while in use" in first
    assert "samples.db: is new to this agent; its 4 batches before this one are not in it" in second
    driver.record(Batch([a_sample()]), at(6))
    assert len(caplog.messages) == 2
    driver.close()


def test_who_may_only_read_finds_what_reading_needs(folder: Path) -> None:
    """The companions of the file stay, empty, when the agent ends: a reader may not be able to make them."""
    driver = SQLiteDriver(URL, folder)
    Writer(driver)(a_sample())
    driver.close()
    assert (folder / "samples.db-wal").stat().st_size == 0
    assert (folder / "samples.db-shm").exists()


def test_what_is_no_regular_file_is_refused(folder: Path) -> None:
    """A device or a pipe never becomes a store by waiting."""
    os.mkfifo(folder / "samples.db")
    for read_only in (False, True):
        with pytest.raises(errors.ConfigError, match=r"samples\.db: is no regular file"):
            SQLiteDriver(URL, folder, read_only)


def test_a_file_that_is_replaced_is_opened_anew(folder: Path) -> None:
    """By a copy of another time, for example."""
    driver, other = SQLiteDriver(URL, folder), SQLiteDriver("sqlite:///other.db", folder)
    Writer(driver)(a_sample(name="disk"), a_sample(name="cpu"))
    other.record(Batch([a_sample(name="cpu")]), at(7))
    other.close()
    for path in folder.glob("samples.db-*"):
        path.unlink()
    (folder / "other.db").rename(folder / "samples.db")
    assert driver.record(Batch([a_sample(name="disk")]), at(8)) == Published(1)
    assert sorted(sample.name for sample in everything(driver)) == ["cpu", "disk"]
    driver.close()


def test_a_lock_of_another_process_is_waited_for_and_told(folder: Path) -> None:
    """A writer that does not come to an end makes the store unavailable, a reader goes on."""
    store = Store(folder / "samples.db", read_only=False, patience=0.05)
    with store.writing():
        pass
    other = apsw.Connection(str(folder / "samples.db"))
    other.execute("begin immediate")
    with pytest.raises(errors.Unavailable, match="another process holds its lock"), store.writing():
        pass
    with store.reading() as connection:
        assert reading.meters(connection) == []
    other.execute("rollback")
    with store.writing():
        pass
    other.close()
    store.close()


@pytest.mark.parametrize(
    "fields",
    [
        {"timestamp": 2**63},
        {"origin": 2**63},
        {"name": "\ud800"},
        {"volume": float("nan")},
        {"resource_metadata": ["no mapping"]},
    ],
)
def test_what_can_never_be_kept_is_rejected(folder: Path, fields: dict[str, Any]) -> None:
    """As a whole, and what came before and after it is untouched."""
    driver = SQLiteDriver(URL, folder)
    driver.record(Batch([a_sample(origin=1)]), at(1))
    with pytest.raises(errors.Rejected):
        driver.record(Batch([a_sample(name="new"), a_sample(**({"origin": 2} | fields))]), at(2))
    assert driver.record(Batch([a_sample(name="new"), a_sample(origin=3)]), at(2)) == Published(2)
    assert len(everything(driver)) == 3
    assert rows(folder, "select count(*) from series") == [(2,)]
    driver.close()


def test_a_reader_changes_nothing(folder: Path) -> None:
    """Not even when asked to."""
    driver = SQLiteDriver(URL, folder)
    Writer(driver)(a_sample())
    reader = SQLiteDriver(URL, folder, read_only=True)
    with pytest.raises(errors.Unavailable, match="may not be written"):
        Writer(reader)(a_sample(origin=1))
    with pytest.raises(errors.Unavailable, match="may not be written"):
        reader.expire(2**62)
    assert len(everything(reader)) == 1
    driver.close()
    assert len(everything(reader)) == 1
    reader.close()


def test_a_full_disk_is_unavailable_until_there_is_room(tmp_path: Path) -> None:
    """At the first opening and later; the same batch is kept when the disk has room again."""
    try:
        mounted = disk(tmp_path / "disk", 2 << 20)
        folder = mounted.__enter__()
    except PermissionError as error:
        pytest.skip(f"no tmpfs may be mounted: {error}")
    try:
        driver = SQLiteDriver(URL, folder)
        full = fill(folder)
        with pytest.raises(
            errors.Unavailable, match=r"samples\.db: (the disk is full|input or output failed)"
        ):
            driver.record(Batch([a_sample()]), at(1))
        full.unlink()
        assert driver.record(Batch([a_sample()]), at(1)) == Published(1)
        full, sequence = fill(folder), 2
        with contextlib.suppress(errors.Unavailable):
            while sequence < 1000:
                driver.record(_many(sequence), at(sequence))
                sequence += 1
        with pytest.raises(
            errors.Unavailable, match=r"samples\.db: (the disk is full|input or output failed)"
        ):
            driver.record(_many(sequence), at(sequence))
        assert len(everything(driver, size=10_000)) == 1 + (sequence - 2) * 100
        full.unlink()
        assert driver.record(_many(sequence), at(sequence)) == Published(100)
        assert rows(folder, "pragma integrity_check") == [("ok",)]
        driver.close()
    finally:
        mounted.__exit__(None, None, None)


def _many(sequence: int) -> Batch:
    return Batch([a_sample(timestamp=NOON + sequence, resource_id=f"r{number}") for number in range(100)])
