"""The lines of account come from one snapshot, and say so when they do not add up."""

from pathlib import Path

import apsw
import pytest

from meteragent.batch import Batch, Poll
from meteragent.errors import Unavailable
from meteragent.journal import status
from meteragent.journal.journal import Journal, Settings
from meteragent.testing.fakes import FakeClock
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
    with pytest.raises(
        Unavailable, match=r"journal\.db is damaged \(.*\); start the agent again, it carries"
    ):
        status.read(path)


def test_the_oldest_batch_that_a_sink_waits_for_is_told(tmp_path: Path) -> None:
    """By the time at which it was journaled; a sink at the head waits for none."""
    path = tmp_path / "journal.db"
    journal = Journal(path, Settings(reserve=1 << 16))
    journal.join("store", "hold", 0)
    journal.join("ahead", "hold", 0)
    first = journal.append(batch(1))
    second = journal.append(batch(1))
    connection = apsw.Connection(str(path))
    at = dict(connection.execute("select sequence, at from batch"))
    connection.close()
    journal.positions.move("ahead", second, {"delivered": 1}, {})
    oldest = {sink.name: sink.oldest for sink in status.read(path).sinks}
    assert oldest == {"store": at[first.sequence], "ahead": None}
    journal.close()


def test_the_last_tick_of_each_polling_source_is_told(tmp_path: Path) -> None:
    """As the agent itself reads it at its start; without a journal there is none."""
    path = tmp_path / "journal.db"
    assert status.last_ticks(path) == {}
    journal = Journal(path, Settings(reserve=1 << 16))
    journal.append(Batch(polls=[Poll("here", 5, "p", 5, 6, 1, 1, "complete")]))
    assert status.last_ticks(path) == journal.last_ticks() == {"here": 5}
    journal.close()


def test_the_age_of_what_waits_and_the_size_of_quarantine_are_told(tmp_path: Path) -> None:
    """When the oldest batch that a sink has not published was journaled; nothing where none waits."""
    path = tmp_path / "journal.db"
    clock = FakeClock()
    journal = Journal(path, Settings(reserve=1 << 16), clock)
    row = journal.join("store", "hold", 0)
    told = journal.status()
    assert (told.sinks[0].oldest, told.quarantine) == (None, 0)
    oldest = clock.wall()
    journal.append(batch(5), [refused(2)])
    clock.advance(60)
    journal.append(batch(5, 5))
    told = journal.status()
    assert told.sinks[0].oldest == oldest
    assert told.quarantine > 0
    for _ in range(2):
        record = journal.read(row.sequence)
        assert record is not None
        journal.positions.move("store", record.batch, {"delivered": 5}, {})
    assert journal.status().sinks[0].oldest is None
    journal.close()
