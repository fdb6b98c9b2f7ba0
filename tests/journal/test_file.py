"""The reserve, on a real disk that is really full: accepting stops before it, all else goes on."""

import multiprocessing
import os
import random
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from benchmarks.full_disk import disk, fill
from meteragent.batch import Refusal
from meteragent.clock import Clock
from meteragent.errors import Unavailable
from meteragent.journal import status
from meteragent.journal.file import LOG_PAGES, JournalFile
from meteragent.journal.journal import Journal, Settings
from meteragent.journal.positions import SinkRow
from meteragent.journal.quarantine import Quarantine
from meteragent.journal.salvage import salvage
from meteragent.journal.verify import verify
from tests.journal.batches import batch, killed, refused


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MB."""
    try:
        with disk(tmp_path / "disk", 48 << 20) as folder:
            yield folder
    except PermissionError as error:
        if os.environ.get("METERAGENT_REQUIRE_SERVERS") == "1":
            pytest.fail(f"a tmpfs is needed: {error}")
        pytest.skip(f"no tmpfs may be mounted: {error}")


def log_length(path: Path) -> int:
    """Bytes of the write-ahead log."""
    return Path(f"{path}-wal").stat().st_size


def accept(journal: Journal, most: int) -> int:
    """Append until nothing is accepted; how many were."""
    for number in range(most):
        try:
            journal.append(batch(20, 20 * number, padding=1000), [refused(1)])
        except Unavailable as error:
            if str(error).startswith("disk full: "):
                return number
            raise
    pytest.fail("the disk was never full")


def publish(journal: Journal, row: SinkRow, refusals: int = 0) -> bool:
    """Let a sink deliver what comes next; whether anything came."""
    record = journal.read(row.sequence)
    if record is None:
        return False
    told = [Refusal(index, "expired") for index in range(refusals)]
    counts = {"delivered": 20 - refusals, "quarantined": refusals}
    assert journal.positions.move(row.name, record.batch, counts, {"offset": row.sequence}, told)
    return True


def test_on_a_full_disk_everything_but_accepting_goes_on(small: Path) -> None:
    """Every pending batch is delivered and trimmed, entries discarded; with room again, it accepts again."""
    path = small / "journal.db"
    journal = Journal(path)
    store, slow = journal.join("store", "hold", 0), journal.join("slow", "detach", 1 << 30)
    journal.append(batch(20))
    hog = fill(small)
    accepted = 1 + accept(journal, 2000)
    assert status.read(path).last == accepted
    for row in (store, slow):
        number = 0
        while publish(journal, row, refusals=number % 7 == 0):
            number += 1
        assert number == accepted
    assert journal.positions.trimmed == accepted
    quarantine = Quarantine(path)
    entries = quarantine.list()
    assert quarantine.discard([entry.id for entry in entries], "me") == len(entries) > 0
    quarantine.close()
    assert status.read(path).balanced
    again = accept(journal, 2000)
    assert again >= accepted * 0.9, "what was trimmed is room again"
    hog.unlink()
    assert journal.append(batch(20)).sequence == accepted + again + 1
    journal.close()
    assert not verify(path).damaged


def test_a_transaction_that_has_room_cannot_fail_for_lack_of_it(small: Path) -> None:
    """Whoever takes the rest of the disk afterwards, and however large it is."""
    file = JournalFile(small / "journal.db", 1 << 20)
    file.connection.execute("create table taken(number integer primary key, bytes blob)")
    chance = random.Random(5)
    for size in (10, 100_000, 3 << 20, 1 << 20, 6 << 20):
        file.make_room(size)
        hog = fill(small)
        # up to a checkpoint, so that the transaction begins at the end of the log as well as at its start
        for _ in range(chance.randrange(LOG_PAGES)):
            with file.transaction_unsynced("position open") as connection:
                connection.execute("update account set value = value + 1")
        with file.transaction("journal open") as connection:
            connection.execute("insert into taken(bytes) values (randomblob(?))", (size,))
        for _ in range(3 * LOG_PAGES):
            with file.transaction_unsynced("position open") as connection:
                connection.execute("update account set value = value + 1")
        hog.unlink()
    assert file.connection.execute("pragma integrity_check").get == "ok"
    file.close()


def test_room_is_refused_before_the_reserve_is_touched(small: Path) -> None:
    """What was promised to positions is still there after everything that was accepted."""
    reserve = 1 << 20
    journal = Journal(small / "journal.db", Settings(reserve=reserve))
    journal.append(batch(20))
    fill(small)
    accept(journal, 2000)
    free = journal._file.connection.execute("pragma freelist_count").get * 4096
    assert free >= reserve
    with pytest.raises(Unavailable, match=r"disk full: .*/disk has \d+ KiB left, the journal needs \d+"):
        journal.append(batch(20, padding=1000))
    journal.close()


def test_a_flood_of_refusals_takes_half_of_the_reserve_at_most(small: Path) -> None:
    """The sink waits then, and plain positions move on."""
    journal = Journal(small / "journal.db", Settings(reserve=1 << 20))
    store, file = journal.join("store", "hold", 0), journal.join("file", "hold", 0)
    journal.append(batch(20))
    hog = fill(small)
    accept(journal, 2000)

    def publish_on() -> None:
        while publish(journal, store, refusals=20):
            pass

    with pytest.raises(Unavailable, match="disk full"):
        publish_on()
    stands = store.sequence
    assert stands > 3
    while publish(journal, file):
        pass
    assert journal.positions.trimmed == stands
    hog.unlink()
    publish_on()
    assert journal.positions.trimmed == journal.last
    journal.close()


def test_a_kill_on_a_full_disk_is_mended_on_the_full_disk(small: Path) -> None:
    """The next start finds log and reserve as they were, and the sinks go on."""
    path = small / "journal.db"
    journal = Journal(path)
    journal.join("store", "hold", 0)
    journal.append(batch(20))
    copy = killed(path, small / "copy")
    journal.close()
    fill(small)
    length = log_length(copy)
    assert salvage(copy, Clock()) is None
    after = Journal(copy)
    row = after.join("store", "hold", 0)
    accepted = accept(after, 2000)
    assert accepted > 0
    while publish(after, row):
        pass
    assert after.positions.trimmed == accepted + 1
    assert log_length(copy) == length
    after.close()
    assert log_length(copy) == length


def look(path: Path) -> None:
    """Do what commands do."""
    status.read(path)
    verify(path)
    quarantine = Quarantine(path)
    quarantine.list()
    quarantine.close()
    assert salvage(path, Clock()) is None


def test_readers_leave_the_log_as_long_as_it_is(small: Path) -> None:
    """Commands come and go beside the agent and without it; the log's blocks are part of the reserve."""
    path = small / "journal.db"
    journal = Journal(path)
    row = journal.join("store", "hold", 0)
    journal.append(batch(20))
    length = log_length(path)
    fill(small)

    look(path)
    reader = multiprocessing.get_context("spawn").Process(target=look, args=(path,))
    reader.start()
    reader.join()
    assert reader.exitcode == 0
    assert log_length(path) == length
    assert publish(journal, row)
    journal.close()
    look(path)
    assert log_length(path) == length


def test_a_command_that_reads_long_delays_a_full_disk_only(small: Path) -> None:
    """While it looks at one moment the log cannot begin anew; when it ends, the sink gets on."""
    path = small / "journal.db"
    journal = Journal(path)
    row = journal.join("store", "hold", 0)
    journal.append(batch(20))
    fill(small)
    accepted = accept(journal, 2000)
    reader = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    reader.execute("begin")
    assert reader.execute("select count(*) from batch").get == accepted + 1

    def keep_on() -> None:
        for number in range(20_000):
            journal.positions.keep("store", {"number": number})

    with pytest.raises(Unavailable, match="disk full"):
        keep_on()
    reader.execute("commit")
    reader.close()
    with pytest.raises(Unavailable, match="disk full"):
        publish(journal, row)  # what makes the next try succeed
    while publish(journal, row):
        pass
    assert journal.positions.trimmed == journal.last
    assert status.read(path).balanced
    journal.close()


def test_a_kill_while_room_is_made_leaves_nothing_behind(tmp_path: Path) -> None:
    """The zeros that it wrote are freed by the next start."""
    path = tmp_path / "journal.db"
    Journal(path).close()
    connection = apsw.Connection(str(path))
    connection.execute("create table zeros(bytes blob); insert into zeros values (zeroblob(1000000))")
    connection.close()
    journal = Journal(path)
    assert journal._file.connection.execute("pragma freelist_count").get > 240
    journal.append(batch(1))
    journal.close()
    assert not verify(path).damaged


def test_the_file_does_not_grow_without_need(tmp_path: Path) -> None:
    """What is trimmed is used again, however long the agent runs."""
    path = tmp_path / "journal.db"
    journal = Journal(path)
    row = journal.join("store", "hold", 0)
    lengths = set()
    for _ in range(300):
        journal.append(batch(20, padding=1000), [])
        publish(journal, row)
        lengths.add((path.stat().st_size, log_length(path)))
    journal.close()
    assert len(lengths) <= 2
    assert max(lengths)[0] < 6 << 20
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_the_file_system_says_is_unavailable(tmp_path: Path) -> None:
    """A folder that is gone in the midst of it is one line, whichever call comes across it."""
    folder = tmp_path / "state"
    folder.mkdir()
    path = folder / "journal.db"
    journal = Journal(path, Settings(reserve=1 << 16))
    row = journal.join("store", "hold", 0)
    journal.append(batch(20))
    for name in ("journal.db", "journal.db-wal", "journal.db-shm"):
        (folder / name).unlink()
    with pytest.raises(Unavailable, match=r"journal\.db: no such file or directory"):
        journal.append(batch(1))
    with pytest.raises(Unavailable, match=r"journal\.db: no such file or directory"):
        publish(journal, row, refusals=20)
    folder.rmdir()
    (tmp_path / "state").write_text("no folder")
    with pytest.raises(Unavailable, match=r"journal\.db: not a directory"):
        journal.append(batch(1))
    journal.close()


@pytest.mark.parametrize("length", [0, 5000, 1 << 16, -4096])
def test_a_file_that_is_cut_while_in_use_is_not_added_to(tmp_path: Path, length: int) -> None:
    """SQLite goes on with its log; each batch is refused until the next start has mended it."""
    path = tmp_path / "journal.db"
    journal = Journal(path, Settings(reserve=1 << 16))
    journal.join("store", "hold", 0)
    for number in range(30):
        journal.append(batch(20, 20 * number, padding=1000))
    pages = journal._file.connection.execute("pragma page_count").get
    assert path.stat().st_size >= pages * 4096 > 1 << 16
    os.truncate(path, length if length >= 0 else pages * 4096 + length)
    for _ in range(2):
        with pytest.raises(
            Unavailable, match=r"journal\.db (was cut to \d+ bytes while in use|is damaged)"
        ) as told:
            journal.append(batch(20, padding=1000))
        assert "start the agent again, it carries over what can be read" in str(told.value)
    journal.close()


def test_a_file_that_was_made_smaller_as_a_whole_is_added_to(tmp_path: Path) -> None:
    """A person who gives room back has not cut anything off."""
    path = tmp_path / "journal.db"
    journal = Journal(path, Settings(reserve=1 << 16))
    row = journal.join("store", "hold", 0)
    for number in range(30):
        journal.append(batch(20, 20 * number, padding=1000))
    while publish(journal, row):
        pass
    length = path.stat().st_size
    connection = apsw.Connection(str(path))
    connection.execute("vacuum; pragma wal_checkpoint(truncate)")
    connection.close()
    assert path.stat().st_size < length
    for _ in range(40):
        journal.append(batch(20, padding=1000))
    journal.close()
    assert not verify(path).damaged
