"""Every kind of damage is found and named; a sound journal has none."""

from pathlib import Path

import apsw
import pytest

from meteragent.journal.journal import Journal, Settings
from meteragent.journal.rows import faults, read
from meteragent.journal.verify import unsound, verify
from tests.journal.batches import batch, refused


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of which 2 of 6 batches are trimmed."""
    path = tmp_path / "journal.db"
    journal = Journal(path, Settings(reserve=1 << 16))
    row = journal.join("store", "hold", 0)
    for number in range(6):
        journal.append(batch(3, 3 * number), [refused(1)])
    for _ in range(2):
        record = journal.read(row.sequence)
        assert record is not None
        journal.positions.move("store", record.batch, {"delivered": 3}, {})
    journal.close()
    return path


def damage(path: Path, sql: str) -> None:
    """Change something behind the journal's back."""
    connection = apsw.Connection(str(path))
    connection.execute(sql)
    connection.close()


def test_a_sound_journal_has_no_damage(path: Path) -> None:
    """What was looked at is told, from the anchor on."""
    found = verify(path)
    assert (found.batches, found.first, found.last, found.damaged) == (4, 3, 6, [])
    assert unsound(path) == ""


@pytest.mark.parametrize(
    ("sql", "sequence", "reason"),
    [
        ("update batch set payload = zeroblob(9) where sequence = 4", 4, "payload differs"),
        ("update batch set samples = 4 where sequence = 4", 4, "chain of digests breaks"),
        ("update batch set hash = x'00' where sequence = 5", 5, "chain of digests breaks"),
        ("update batch set digest = x'00' where sequence = 4", 4, "chain of digests breaks"),
        ("update batch set samples_total = 90 where sequence = 6", 6, "totals do not go on"),
        ("update batch set bytes_total = 90 where sequence = 6", 6, "totals do not go on"),
        ("delete from batch where sequence in (4, 5)", 4, "batches 4 to 5 are missing"),
        ("delete from batch where sequence = 6", 5, "18 samples were journaled, the batches tell of 15"),
        ("update meta set value = x'00' where key = 'anchor_digest'", 3, "chain of digests breaks"),
        ("update meta set value = 'x' where key = 'anchor_sequence'", 0, "table meta"),
        ("delete from meta where key = 'epoch'", 0, "epoch"),
        ("update sink set sequence = 9", 6, "sink store stands beyond the newest batch"),
        ("update sink set state = x'5b5d'", 0, "table sink, row b'store': state is no mapping"),
        ("update sink set delivered = -1", 0, "table sink, row b'store': delivered is -1"),
        ("update account set value = -1 where name = 'read'", 0, "table account"),
        ("update tick set polling_source = cast(x'ff' as text)", 0, ""),
        ("drop index quarantine_sample", 0, "not as in a journal: quarantine_sample"),
    ],
)
def test_damage_is_named(path: Path, sql: str, sequence: int, reason: str) -> None:
    """With the batch, or the table and row, that it is in."""
    if "tick" in sql:
        damage(path, "insert into tick values ('source', 1)")
    damage(path, sql)
    found = verify(path).damaged
    assert sequence in [each.sequence for each in found]
    assert [each for each in found if reason in each.reason]


def test_a_row_that_is_no_text_any_more_hides_no_other(path: Path) -> None:
    """The others are read all the same."""
    damage(path, "insert into tick values ('a', 1), (cast(x'ff' as text), 2), ('b', 3)")
    connection = apsw.Connection(str(path))
    assert sorted(read(connection, "tick")) == [("a", 1), ("b", 3)]
    assert len(faults(connection, "tick")) == 1
    connection.close()
    assert unsound(path)


def test_a_payload_makes_no_journal_unsound(path: Path) -> None:
    """It is passed over when it is read, so that starting stays quick."""
    damage(path, "update batch set payload = zeroblob(length(payload)) where sequence = 4")
    assert unsound(path) == ""
    assert [each.sequence for each in verify(path).damaged] == [4]
