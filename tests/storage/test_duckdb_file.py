"""The file of the analytic store: where it lies, who may read it, what is refused, what a full disk does."""

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from benchmarks.full_disk import disk, fill
from meteragent import errors
from meteragent.batch import Batch, Published
from meteragent.storage.base import Query
from meteragent.storage.duckdb import schema
from meteragent.storage.duckdb.driver import DuckDBDriver
from meteragent.testing.storage_given import NOON, Writer, a_sample, at, everything

URL = "duckdb:///samples.duckdb"


def rows(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    """What plain SQL finds, and does, once no driver has the file open."""
    connection = duckdb.connect(str(folder / "samples.duckdb"))
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("duckdb:///a/b c.db", "/state/a/b c.db"),
        ("duckdb:////var/a.db?threads=1", "/var/a.db"),
        ("duckdb:///a.db?memory_limit=1GB&threads=64", "/state/a.db"),
    ],
)
def test_the_url_names_the_file(url: str, path: str) -> None:
    """Relative to the state folder, or from the root; options follow."""
    with pytest.raises(errors.NotFound, match=f"storage {path}: does not exist yet"):
        DuckDBDriver(url, Path("/state"), read_only=True).meters()


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("duckdb:", "names no file"),
        ("duckdb:///", "names no file"),
        ("duckdb://host/a.db", "names no file"),
        ("duckdb:///:memory:", "names no file"),
        ("sqlite:///a.db", "names no file"),
        ("duckdb:///a.db#b", "has '#' in its path"),
        ("duckdb:///a.db?threads=0", "has threads=0, which is not from 1 to 64"),
        ("duckdb:///a.db?threads=many", "has threads=many"),
        ("duckdb:///a.db?memory_limit=64MB", "has memory_limit=64MB, which is not 128MB or more"),
        ("duckdb:///a.db?memory_limit=1", "has memory_limit=1,"),
        ("duckdb:///a.db?memory_limit=", "has memory_limit=,"),
        ("duckdb:///a.db?thread=1", "has the option 'thread', which is neither memory_limit nor threads"),
    ],
)
def test_another_url_is_refused(url: str, fault: str) -> None:
    """With the value and what is allowed."""
    with pytest.raises(errors.ConfigError) as caught:
        DuckDBDriver(url, Path("/state"))
    assert fault in str(caught.value)
    assert "; allowed is duckdb:///path, relative" in str(caught.value)


def test_options_reach_the_engine(folder: Path) -> None:
    """Memory and threads are bounded, and nothing is loaded from elsewhere."""
    for url, expected in ((URL, ("488.2 MiB", 2)), (f"{URL}?memory_limit=1GB&threads=1", ("953.6 MiB", 1))):
        driver = DuckDBDriver(url, folder)
        with driver._store.reading() as connection:
            found = connection.execute(
                "select current_setting('memory_limit'), current_setting('threads'),"
                " current_setting('autoload_known_extensions'),"
                " current_setting('autoinstall_known_extensions')"
            ).fetchone()
        assert found == (*expected, False, False)
        driver.close()


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_the_files_are_private_whatever_the_umask(folder: Path, umask: int) -> None:
    """The store and its log are the owner's alone, also when the log was begun anew."""
    before = os.umask(umask)
    try:
        driver = DuckDBDriver(URL, folder)
        record = Writer(driver)
        for step in range(3):
            record(*(a_sample(timestamp=NOON + step, resource_id=f"r{number}") for number in range(5000)))
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
            assert modes == dict.fromkeys(("samples.duckdb", "samples.duckdb.wal"), 0o600)
            with driver._store.writer, driver._store.reading() as connection:
                assert driver._store._database is not None
                driver._store._database._checkpoint(connection)
    finally:
        os.umask(before)
    driver.close()


def test_the_constructor_makes_no_file(folder: Path) -> None:
    """Only the first use does, so a disk that is full at the start is no end."""
    DuckDBDriver(URL, folder).close()
    assert list(folder.iterdir()) == []


def test_a_newer_format_is_refused(folder: Path) -> None:
    """At the start and by a command, with both formats named."""
    driver = DuckDBDriver(URL, folder)
    Writer(driver)(a_sample())
    driver.close()
    rows(folder, "update meta set value = 99 where key = 'format'")
    newest = len(schema.MIGRATIONS)
    with pytest.raises(errors.ConfigError, match=f"has format 99, this version knows formats up to {newest}"):
        DuckDBDriver(URL, folder)
    with pytest.raises(errors.ConfigError, match="has format 99"):
        DuckDBDriver(URL, folder, read_only=True).meters()


def test_a_database_of_something_else_is_refused(folder: Path) -> None:
    """And holds afterwards what it held."""
    rows(folder, "create table other (a integer)")
    with pytest.raises(errors.ConfigError, match="is a database of another program"):
        DuckDBDriver(URL, folder)
    assert rows(folder, "select table_name from duckdb_tables()") == [("other",)]


def _usable_again(driver: DuckDBDriver) -> None:
    """The driver records as if nothing had been."""
    assert Writer(driver)(a_sample()) == Published(1)
    assert driver.record(Batch([a_sample()]), at(1)) == Published(1)
    driver.close()


def _directory(path: Path) -> None:
    path.mkdir()


def _garbage(path: Path) -> None:
    path.write_bytes(b"no database at all\n" * 1000)


def _empty(path: Path) -> None:
    path.touch()


def _filled(path: Path) -> None:
    driver = DuckDBDriver(URL, path.parent)
    Writer(driver)(*(a_sample(resource_id=f"r{number}") for number in range(1000)))
    driver.close()


def _half(path: Path) -> None:
    _filled(path)
    os.truncate(path, path.stat().st_size // 2)


def _scratched(path: Path) -> None:
    _filled(path)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (_directory, "cannot be opened: is a directory"),
        (_garbage, "the file is damaged or no DuckDB database"),
        (_empty, "the file is damaged or no DuckDB database"),
        (_half, "the file is damaged or no DuckDB database"),
        (_scratched, "the file is damaged or no DuckDB database"),
    ],
)
def test_an_unusable_file_is_told_in_one_line(
    folder: Path, spoil: Callable[[Path], None], what: str, read_only: bool
) -> None:
    """With its path and what is wrong; when it is gone, the same driver goes on."""
    path = folder / "samples.duckdb"
    spoil(path)
    driver = DuckDBDriver(URL, folder, read_only)
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
    driver.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write anything")
@pytest.mark.parametrize("mode", [0o000, 0o400])
def test_a_file_without_permission_is_unavailable(folder: Path, mode: int) -> None:
    """Until the permission is there."""
    driver = DuckDBDriver(URL, folder)
    driver.meters()
    driver.close()
    (folder / "samples.duckdb").chmod(mode)
    driver = DuckDBDriver(URL, folder)
    with pytest.raises(errors.Unavailable, match=r"cannot be opened: user id \d+ may not write it and"):
        Writer(driver)(a_sample())
    (folder / "samples.duckdb").chmod(0o600)
    _usable_again(driver)


def test_a_missing_folder_is_unavailable(folder: Path) -> None:
    """It is not made, since it may be a disk that is not mounted yet."""
    driver = DuckDBDriver("duckdb:///disk/samples.duckdb", folder)
    with pytest.raises(errors.Unavailable, match=r"samples\.duckdb: cannot be opened: no such folder"):
        Writer(driver)(a_sample())
    (folder / "disk").mkdir()
    _usable_again(driver)


def test_a_file_that_goes_away_is_made_anew(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is written to a file without a name, nothing remembered of it is believed, its log is kept."""
    driver = DuckDBDriver(URL, folder)
    driver.record(Batch([a_sample(name="lost")]), at(1))
    (folder / "samples.duckdb").unlink()
    assert driver.record(Batch([a_sample()]), at(5)) == Published(1)
    first, second = caplog.messages
    assert "samples.duckdb: the file was removed or replaced while in use" in first
    assert "is new to this agent; its 4 batches before this one are not in it" in second
    assert [meter.name for meter in driver.meters()] == ["cpu"]
    driver.close()
    assert (folder / "samples.duckdb.wal.of-a-removed-file").exists()
    assert rows(folder, "select meter from sample_view") == [("cpu",)]


def test_what_is_no_regular_file_is_refused(folder: Path) -> None:
    """A device or a pipe never becomes a store by waiting."""
    os.mkfifo(folder / "samples.duckdb")
    for read_only in (False, True):
        with pytest.raises(errors.ConfigError, match=r"samples\.duckdb: is no regular file"):
            DuckDBDriver(URL, folder, read_only)


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
    driver = DuckDBDriver(URL, folder)
    driver.record(Batch([a_sample(origin=1)]), at(1))
    with pytest.raises(errors.Rejected):
        driver.record(Batch([a_sample(name="new"), a_sample(**({"origin": 2} | fields))]), at(2))
    assert driver.record(Batch([a_sample(name="new"), a_sample(origin=3)]), at(2)) == Published(2)
    assert len(everything(driver)) == 3
    driver.close()
    assert rows(folder, "select count(*) from series") == [(2,)]


def test_a_reader_changes_nothing(folder: Path) -> None:
    """Not even when asked to, and it goes on when the driver that writes is closed."""
    driver = DuckDBDriver(URL, folder)
    Writer(driver)(a_sample())
    reader = DuckDBDriver(URL, folder, read_only=True)
    with pytest.raises(errors.Unavailable, match="may not be written"):
        Writer(reader)(a_sample(origin=1))
    with pytest.raises(errors.Unavailable, match="may not be written"):
        reader.expire(2**62)
    assert len(everything(reader)) == 1
    driver.close()
    assert len(everything(reader)) == 1
    reader.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB."""
    try:
        mounted = disk(tmp_path / "disk", 4 << 20)
        folder = mounted.__enter__()
    except PermissionError as error:
        pytest.skip(f"no tmpfs may be mounted: {error}")
    yield folder
    mounted.__exit__(None, None, None)


def test_a_full_disk_is_unavailable_until_there_is_room(small: Path) -> None:
    """At the first opening and later; the same batch is kept when the disk has room again."""
    driver = DuckDBDriver(URL, small)
    full = fill(small)
    with pytest.raises(errors.Unavailable, match=r"samples\.duckdb: the disk is full: \d+ bytes are free"):
        driver.record(Batch([a_sample()]), at(1))
    full.unlink()
    assert driver.record(Batch([a_sample()]), at(1)) == Published(1)
    sequence = 2
    with contextlib.suppress(errors.Unavailable):
        while sequence < 2000:
            driver.record(_many(sequence), at(sequence))
            sequence += 1
    assert 10 < sequence < 2000
    with pytest.raises(errors.Unavailable, match=r"samples\.duckdb: the disk is full"):
        driver.record(_many(sequence), at(sequence))
    (row,) = driver.statistics(Query(), ["count"])
    assert row.count == 1 + (sequence - 2) * 1000
    driver.close()
    reader = DuckDBDriver(URL, small, read_only=True)
    (row,) = reader.statistics(Query(), ["count"])
    assert row.count == 1 + (sequence - 2) * 1000
    reader.close()


def test_a_disk_that_fills_under_a_commit_costs_nothing_that_was_recorded(small: Path) -> None:
    """DuckDB gives its memory of the file up; with room, it is opened anew, and the batch comes again."""
    driver = DuckDBDriver(URL, small)
    assert driver.record(_many(1), at(1)) == Published(1000)
    database = driver._store._database
    assert database is not None
    database.check_room = _anything_goes  # type: ignore[method-assign]  # as when others fill it meanwhile
    full = fill(small)
    recorded = 1
    for sequence in range(2, 40):
        with contextlib.suppress(errors.Unavailable):
            driver.record(_many(sequence), at(sequence))
            recorded = sequence
    assert recorded < 39
    for _ in range(2):
        with pytest.raises(errors.Unavailable, match=r"samples\.duckdb: "):
            driver.record(_many(50), at(50))
    del database.check_room
    reader = DuckDBDriver(URL, small, read_only=True)
    for asked in (driver, reader):
        with pytest.raises(
            errors.Unavailable, match=r"samples\.duckdb: the disk is full: \d+ bytes are free"
        ):
            asked.meters()
    full.unlink()
    assert len(reader.meters()) == 1
    reader.close()
    for sequence in range(1, 51):
        assert driver.record(_many(sequence), at(sequence)) == Published(1000)
    (row,) = driver.statistics(Query(), ["count"])
    assert row.count == 50_000
    driver.close()


def _anything_goes(more: int = 0) -> None:
    del more


def _many(sequence: int) -> Batch:
    return Batch([a_sample(timestamp=NOON + sequence, resource_id=f"r{number}") for number in range(1000)])
