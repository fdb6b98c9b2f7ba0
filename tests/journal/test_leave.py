"""A sink that is no longer configured while the agent runs: what waits for it is kept, with what follows."""

from pathlib import Path

import pytest

from meteragent.batch import Batch
from meteragent.journal import status
from meteragent.journal.journal import Journal, Settings
from tests.journal.batches import batch

SMALL = Settings(reserve=1 << 16)


def test_what_waits_for_a_sink_that_leaves_is_kept_for_it(tmp_path: Path) -> None:
    """If it holds; when it comes back it goes on there."""
    path = tmp_path / "journal.db"
    journal = Journal(path, SMALL)
    stays, leaves = journal.join("stays", "hold", 0), journal.join("leaves", "hold", 0)
    for number in range(4):
        journal.append(batch(2, 2 * number))
    journal.positions.move("leaves", batch_at(journal, leaves.sequence), {"delivered": 2}, {})
    journal.leave("leaves")
    assert journal.positions.waiting == ["leaves"]
    journal.append(batch(2, 8))
    for _ in range(5):
        journal.positions.move("stays", batch_at(journal, stays.sequence), {"delivered": 2}, {})
    row = journal.join("leaves", "hold", 0)
    assert row.sequence == 1
    assert journal.read(row.sequence) is not None
    journal.close()
    assert status.read(path).balanced


def test_a_sink_that_leaves_and_waits_for_nothing_holds_nothing_up(tmp_path: Path) -> None:
    """What the others have is deleted, and detached of it; a name that never joined changes nothing."""
    path = tmp_path / "journal.db"
    journal = Journal(path, SMALL)
    stays = journal.join("stays", "hold", 0)
    journal.join("leaves", "hold", 0)
    journal.leave("leaves")
    journal.leave("never there")
    assert journal.positions.waiting == []
    for number in range(3):
        journal.append(batch(2, 2 * number))
        journal.positions.move("stays", batch_at(journal, stays.sequence), {"delivered": 2}, {})
    assert journal.positions.trimmed == 3
    journal.close()
    told = {sink.name: sink for sink in status.read(path).sinks}
    assert told["leaves"].detached == 6
    assert told["leaves"].balanced


@pytest.mark.parametrize("mode", ["hold", "detach"])
@pytest.mark.parametrize("alone", [True, False])
def test_a_sink_that_leaves_may_end_what_it_was_at(tmp_path: Path, mode: str, alone: bool) -> None:
    """The batch in flight counts as what it became, and what nobody waits for is deleted."""
    path = tmp_path / "journal.db"
    journal = Journal(path, SMALL)
    journal.join("leaves", mode, 1 << 20)
    if not alone:
        journal.join("stays", "hold", 0)
    journal.append(batch(2))
    in_flight = batch_at(journal, 0)
    journal.leave("leaves")
    journal.positions.keep("leaves", {"at": 0})
    assert journal.positions.move("leaves", in_flight, {"delivered": 2}, {"at": 1})
    assert not journal.positions.move("leaves", in_flight, {"delivered": 2}, {})
    assert journal.positions.waiting == []
    if not alone:
        assert journal.positions.trimmed == 0
        journal.positions.move("stays", in_flight, {"delivered": 2}, {})
        assert journal.positions.trimmed == 1
    row = journal.join("leaves", mode, 1 << 20)
    assert (row.sequence, row.state) == (1, {"at": 1})
    journal.close()
    told = {sink.name: sink for sink in status.read(path).sinks}
    assert (told["leaves"].delivered, told["leaves"].detached) == (2, 0)
    assert told["leaves"].balanced


def batch_at(journal: Journal, after: int) -> Batch:
    """The batch behind a sequence."""
    record = journal.read(after)
    assert record is not None
    return record.batch
