"""Tests of copies of a SQLite file that others write to."""

import os
from pathlib import Path

import apsw
import pytest

from meteragent.errors import Unavailable
from meteragent.journal.snapshot import Snapshot


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of some megabytes with a write-ahead log."""
    made = tmp_path / "it.db"
    writer = apsw.Connection(str(made))
    writer.execute("pragma journal_mode=wal").close()
    writer.execute("create table it(number integer primary key, text blob)")
    with writer:
        writer.executemany("insert into it values (?, zeroblob(1000))", ((n,) for n in range(5000)))
    writer.close()
    return made


def test_what_is_written_meanwhile_is_not_in_it(path: Path, tmp_path: Path) -> None:
    """Rows that come and rows that go, while it is copied in parts; the copy needs no other file."""
    writer = apsw.Connection(str(path))
    parts = 0
    with Snapshot(path) as snapshot:
        writer.execute("delete from it where number < 1000")
        for done, total in snapshot.copy(tmp_path / "copy.db"):
            assert 0 < done <= total
            writer.execute("insert into it values (?, zeroblob(100))", (10_000 + parts,))
            writer.execute("delete from it where number = ?", (2000 + parts,))
            parts += 1
    assert parts > 3
    writer.close()
    copy = apsw.Connection(f"file:{tmp_path}/copy.db?immutable=1", flags=apsw.SQLITE_OPEN_URI | 1)
    assert copy.execute("select count(*), min(number), max(number) from it").get == (5000, 0, 4999)
    assert copy.execute("pragma integrity_check").get == "ok"
    copy.close()
    assert sorted(os.listdir(tmp_path))[0] == "copy.db"
    assert not (tmp_path / "copy.db-wal").exists()


def test_the_log_of_a_file_that_nobody_has_open_stays(path: Path, tmp_path: Path) -> None:
    """It belongs to the journal's reserve, and a kill may have left it."""
    writer = apsw.Connection(str(path))
    writer.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    writer.execute("delete from it where number < 1000")
    writer.close()
    log = Path(f"{path}-wal").read_bytes()
    assert log
    with Snapshot(path) as snapshot:
        list(snapshot.copy(tmp_path / "copy.db"))
    assert Path(f"{path}-wal").read_bytes() == log
    copy = apsw.Connection(str(tmp_path / "copy.db"))
    assert copy.execute("select count(*) from it").get == 4000
    copy.close()


def test_what_cannot_be_copied_is_one_line(path: Path, tmp_path: Path) -> None:
    """It names the file that is wrong."""
    (tmp_path / "text").write_text("no database at all " * 1000)
    with pytest.raises(Unavailable, match=r"text: cannot be copied: .*not a database"):
        Snapshot(tmp_path / "text")
    (tmp_path / "there").touch()
    with Snapshot(path) as snapshot, pytest.raises(Unavailable, match="there: cannot be made: file exists"):
        list(snapshot.copy(tmp_path / "there"))
