"""Tests of making a backup: it is of one instant, and whoever writes meanwhile goes on."""

import os
import stat
import threading
import time
from pathlib import Path

import apsw
import pytest

from benchmarks.full_disk import disk, fill
from benchmarks.verdict import rows
from meteragent import state_folder
from meteragent.backup import manifest
from meteragent.backup.making import back_up
from meteragent.config import Settings
from meteragent.errors import ConfigError, MeteragentError, NotFound, Unavailable
from meteragent.journal.status import read
from tests.backup.conftest import JOURNAL, STORE, Metered, silent


def stored(path: Path) -> int:
    """Samples in a store."""
    return int(rows(path / STORE, "select count(*) from sample")[0][0])


def test_it_is_of_one_instant(settings: Settings, metered: Metered, tmp_path: Path) -> None:
    """What is journaled and stored while it is made is not in it, and need not wait."""
    longest = 0.0

    def go_on(what: str, done: int, total: int) -> None:
        nonlocal longest
        del what, done, total
        began = time.monotonic()
        metered.accept(9)
        metered.record()
        metered.move()
        longest = max(longest, time.monotonic() - began)

    made = back_up(settings, str(tmp_path / "backup"), go_on)
    assert (made.agent, made.epoch, made.sequence) == ("the agent", metered.journal.epoch, 3)
    found = read(tmp_path / "backup" / JOURNAL)
    assert (found.balanced, found.journaled, found.last, found.sinks[0].delivered) == (True, 6, 3, 4)
    assert stored(tmp_path / "backup") == 6, "the batch that the position does not know yet, too"
    assert metered.journal.last > 5
    assert longest < 1
    metered.close()


def test_batch_and_position_belong_together_whenever_it_comes(
    settings: Settings, metered: Metered, tmp_path: Path
) -> None:
    """The store has what the position tells of, and nothing that the journal does not have."""
    ended = threading.Event()

    def load() -> None:
        number = 10
        while not ended.is_set():
            metered.accept(number)
            metered.record()
            metered.move()
            number += 1

    thread = threading.Thread(target=load)
    thread.start()
    try:
        for number in range(8):
            folder = tmp_path / str(number)
            back_up(settings, str(folder), silent)
            found = read(folder / JOURNAL)
            newest = rows(folder / STORE, "select max(sequence) from batch")[0][0]
            assert found.sinks[0].sequence <= newest <= found.last
            assert found.balanced
    finally:
        ended.set()
        thread.join()
        metered.close()


def test_it_is_for_its_owner_alone_and_in_single_files(backup: Path) -> None:
    """Folders 0700, files 0600; no log has to be kept beside a copy."""
    assert stat.S_IMODE(backup.stat().st_mode) == 0o700
    assert sorted(each.name for each in backup.iterdir()) == ["backup.json", JOURNAL, STORE]
    assert {stat.S_IMODE(each.stat().st_mode) for each in backup.iterdir()} == {0o600}
    assert not backup.with_name("backup.partial").exists()
    manifest.check(manifest.read(backup), backup, silent)


def test_without_a_store_the_journal_is_all(settings: Settings, metered: Metered, tmp_path: Path) -> None:
    """As of an agent that only sends."""
    metered.close()
    (settings.state_dir / STORE).unlink()
    made = back_up(settings, str(tmp_path / "backup"), silent)
    assert list(made.files) == [JOURNAL]


def test_without_a_journal_there_is_nothing_to_back_up(settings: Settings, tmp_path: Path) -> None:
    """And no folder is made."""
    with pytest.raises(NotFound, match="no journal yet"):
        back_up(settings, str(tmp_path / "backup"), silent)
    assert not (tmp_path / "backup").exists()
    assert not settings.state_dir.exists()


@pytest.mark.usefixtures("metered")
def test_two_at_once_are_not_mixed(settings: Settings, tmp_path: Path) -> None:
    """Into one folder the second is refused; into two, both are made."""
    told: list[str] = []

    def another(what: str, done: int, total: int) -> None:
        del done, total
        if what == "copying the store" and not told:
            with pytest.raises(Unavailable, match="another backup is being written"):
                back_up(settings, str(tmp_path / "one"), silent)
            back_up(settings, str(tmp_path / "two"), silent)
            told.append(what)

    back_up(settings, str(tmp_path / "one"), another)
    assert told
    assert stored(tmp_path / "one") == stored(tmp_path / "two") == 6


@pytest.mark.usefixtures("metered")
@pytest.mark.parametrize("what", ["copying the journal", "copying the store", f"checking {STORE}"])
def test_one_that_is_interrupted_leaves_nothing(settings: Settings, tmp_path: Path, what: str) -> None:
    """Wherever Ctrl-C comes; the next one is made."""

    def interrupt(now: str, done: int, total: int) -> None:
        del done, total
        if now == what:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        back_up(settings, str(tmp_path / "backup"), interrupt)
    assert not [each for each in tmp_path.iterdir() if each.name.startswith("backup")]
    back_up(settings, str(tmp_path / "backup"), silent)


def test_one_that_was_killed_is_swept_away(settings: Settings, metered: Metered, tmp_path: Path) -> None:
    """The next one into the same folder begins anew."""
    metered.close()
    partial = tmp_path / "backup.partial"
    partial.mkdir()
    (partial / JOURNAL).write_text("half")
    back_up(settings, str(tmp_path / "backup"), silent)
    assert not partial.exists()
    assert stored(tmp_path / "backup") == 6


def test_a_full_disk_half_way_is_one_line(settings: Settings, metered: Metered, tmp_path: Path) -> None:
    """What was written is removed again."""
    metered.close()
    try:
        with disk(tmp_path / "disk") as small:

            def full(what: str, done: int, total: int) -> None:
                del what, done, total
                fill(small)

            with pytest.raises(Unavailable, match=r"disk full|no space left"):
                back_up(settings, str(small / "backup"), full)
            assert [each.name for each in small.iterdir()] == ["hog"]
            with pytest.raises(Unavailable, match="KiB left, the backup needs"):
                back_up(settings, str(small / "backup"), silent)
            assert [each.name for each in small.iterdir()] == ["hog"]
    except PermissionError as error:
        if os.environ.get("METERAGENT_REQUIRE_SERVERS") == "1":
            pytest.fail(f"a tmpfs is needed: {error}")
        pytest.skip(f"no tmpfs may be mounted: {error}")


def test_a_damaged_journal_is_not_passed_on(settings: Settings, metered: Metered, tmp_path: Path) -> None:
    """The agent's next start mends it."""
    metered.close()
    connection = apsw.Connection(str(settings.state_dir / JOURNAL))
    connection.execute("update batch set digest = x'00' where sequence = 3")
    connection.close()
    with pytest.raises(Unavailable, match=r"the journal is damaged .*start the agent again"):
        back_up(settings, str(tmp_path / "backup"), silent)
    assert not (tmp_path / "backup").exists()


def test_the_state_folder_is_free_while_it_copies(
    settings: Settings, metered: Metered, tmp_path: Path
) -> None:
    """An agent need not wait for a long copy to start."""
    metered.close()
    taken = []

    def start(what: str, done: int, total: int) -> None:
        del what, done, total
        taken.append(state_folder.lock(settings.state_dir))
        os.close(taken[-1])

    back_up(settings, str(tmp_path / "backup"), start)
    assert taken


def test_what_is_being_restored_is_not_backed_up(
    settings: Settings, metered: Metered, tmp_path: Path
) -> None:
    """Journal and store may not belong together then."""
    metered.close()
    (settings.state_dir / state_folder.RESTORING).touch()
    with pytest.raises(Unavailable, match="a backup is being restored there"):
        back_up(settings, str(tmp_path / "backup"), silent)


def test_what_cannot_be_written_to_is_refused(settings: Settings, metered: Metered, tmp_path: Path) -> None:
    """In one line that says what is wrong, before anything is done."""
    metered.close()
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").touch()
    (tmp_path / "mine.partial").mkdir()
    (tmp_path / "mine.partial" / "letter").touch()
    for named, told in {
        "": "names no folder",
        "file": "is no folder",
        "full": "is not empty",
        "missing/backup": "there is no folder",
        "file/backup": "there is no folder",
        "/proc": "is where a file system is mounted",
        "/proc/backup": "no such file or directory",
        "mine": "holds 'letter'",
        "a\0b": "names no folder",
        "x" * 300: "file name too long",
    }.items():
        where = named and (str(tmp_path / named) if named[0] != "/" else named)
        with pytest.raises(MeteragentError, match=told):
            back_up(settings, where, silent)
    assert (tmp_path / "mine.partial" / "letter").exists()
    with pytest.raises(ConfigError, match="is not empty"):
        back_up(settings, str(settings.state_dir), silent)


def test_a_store_that_is_no_database_is_named(settings: Settings, metered: Metered, tmp_path: Path) -> None:
    """And nothing is left of the backup."""
    metered.close()
    for each in settings.state_dir.glob(f"{STORE}-*"):
        each.unlink()
    (settings.state_dir / STORE).write_text("no database at all " * 1000)
    with pytest.raises(Unavailable, match=r"samples\.db: cannot be copied: .*not a database"):
        back_up(settings, str(tmp_path / "backup"), silent)
    assert not (tmp_path / "backup.partial").exists()
