"""The lines of account come from one snapshot, and say so when they do not add up."""

from pathlib import Path

import apsw
import pytest

from meteragent.errors import Unavailable
from meteragent.journal import status
from meteragent.journal.journal import Journal, Settings
from tests.journal.batches import batch, refused


def test_every_line_of_account_adds_up(tmp_path: Path) -> None:
    """Where it stands, what waits in it, and what became of each sample."""
    path = tmp_path / "journal.db"
    journal = Journal(path, Settings(reserve=1 << 16))
    journal.agent("me", str)
    assert status.read(path).last == 0
    journal.join("store", "hold", 0)
    appended = journal.append(batch(5), [refused(2)])
    journal.append(batch(4))
    journal.positions.move("store", appended, {"delivered": 2, "duplicate": 1, "unmatched": 2}, {})
    told = status.read(path)
    assert (told.agent, told.epoch, told.first, told.last) == ("me", journal.epoch, 2, 2)
    assert told.size == journal.positions.pending(journal._head)[0] > 0
    assert (told.read, told.journaled, told.refused, told.discarded) == (11, 9, 2, 0)
    (sink,) = told.sinks
    assert (sink.delivered, sink.duplicate, sink.unmatched, sink.pending, sink.journaled) == (2, 1, 2, 4, 9)
    assert told.balanced
    journal.close()


@pytest.mark.parametrize(
    "damage",
    [
        "update account set value = value + 1 where name = 'journaled'",
        "update account set value = value - 1 where name = 'read'",
        "update sink set delivered = delivered + 1",
    ],
)
def test_a_sample_too_many_or_too_few_shows(tmp_path: Path, damage: str) -> None:
    """In whichever line it is."""
    path = tmp_path / "journal.db"
    journal = Journal(path, Settings(reserve=1 << 16))
    journal.join("store", "hold", 0)
    journal.append(batch(5))
    assert status.read(path).balanced
    connection = apsw.Connection(str(path))
    connection.execute(damage)
    connection.close()
    assert not status.read(path).balanced
    journal.close()


def test_a_damaged_journal_is_told_of_in_one_line(tmp_path: Path) -> None:
    """A row that is missing, or a file that is none."""
    path = tmp_path / "journal.db"
    Journal(path, Settings(reserve=1 << 16)).close()
    connection = apsw.Connection(str(path))
    connection.execute("delete from meta where key = 'anchor_sequence'")
    connection.close()
    with pytest.raises(Unavailable, match="anchor_sequence"):
        status.read(path)
    Path(f"{path}-wal").unlink()
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(Unavailable, match="NotADBError"):
        status.read(path)
