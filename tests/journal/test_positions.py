"""Sinks have places of their own: who holds keeps batches, who does not loses them by name."""

from pathlib import Path

import apsw
import pytest

from meteragent.batch import CONFLICT, Batch, Refusal
from meteragent.clock import Clock
from meteragent.errors import Unavailable
from meteragent.journal import status
from meteragent.journal.journal import Journal, Settings
from meteragent.journal.positions import DETACHED, QUIET, SinkRow
from meteragent.journal.quarantine import Quarantine, samples_of
from tests.journal.batches import batch, killed

SMALL = Settings(reserve=1 << 16)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a journal may be."""
    return tmp_path / "journal.db"


def publish(journal: Journal, row: SinkRow, often: int = 1) -> None:
    """Let a sink deliver what comes next."""
    for _ in range(often):
        record = journal.read(row.sequence)
        assert record is not None
        count = len(record.batch.samples)
        assert journal.positions.move(row.name, record.batch, {"delivered": count}, {})


def detached(path: Path) -> list[tuple[str, int, int, int, str]]:
    """What is written down of the samples that sinks missed."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    rows = list(connection.execute("select sink, first, last, samples, reason from detached"))
    connection.close()
    return rows


def lines(path: Path) -> dict[str, dict[str, int]]:
    """The lines of account that are not 0, by sink; all of them balance."""
    told = status.read(path)
    assert told.balanced
    names = ("delivered", "detached", "pending", "quarantined", "conflict")
    return {
        sink.name: {name: count for name in names if (count := getattr(sink, name))} for sink in told.sinks
    }


def test_batches_stay_until_the_last_sink_has_them(path: Path) -> None:
    """One that lags keeps them for itself only."""
    journal = Journal(path, SMALL)
    fast, slow = journal.join("fast", "hold", 0), journal.join("slow", "detach", 1 << 20)
    for number in range(6):
        journal.append(batch(2, 2 * number))
    publish(journal, fast, 6)
    publish(journal, slow, 2)
    assert journal.positions.trimmed == 2
    assert status.read(path).first == 3
    publish(journal, slow, 4)
    assert journal.positions.trimmed == 6
    assert status.read(path).size == 0
    journal.close()


def test_a_new_sink_begins_behind_the_newest_batch(path: Path) -> None:
    """Its account counts from there."""
    journal = Journal(path, SMALL)
    first = journal.join("first", "hold", 0)
    journal.append(batch(5))
    late = journal.join("late", "hold", 0)
    journal.append(batch(3))
    publish(journal, first, 2)
    publish(journal, late)
    assert lines(path) == {"first": {"delivered": 8}, "late": {"delivered": 3}}
    journal.close()


def test_a_sink_that_may_not_hold_loses_what_it_lags(path: Path) -> None:
    """The range is written down with the reason, counted, and deleted once nobody else needs it."""
    journal = Journal(path, SMALL)
    row = journal.join("null", "detach", 2000)
    for number in range(20):
        journal.append(batch(2, padding=300))
        assert status.read(path).size <= 3000, "nothing else would trim it"
        if number == 1:
            publish(journal, row)
    told = lines(path)["null"]
    assert told["delivered"] == 2
    assert told["delivered"] + told["detached"] + told["pending"] == 40
    missed = detached(path)
    assert [entry[0] for entry in missed] == ["null"], "a run that goes on is one entry"
    assert missed[0][1] == 2
    assert missed[0][3] == told["detached"]
    assert missed[0][4] == "lag over 2000 bytes"
    journal.close()


class Turned(Clock):
    """A monotonic clock that a test turns on."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


def test_a_run_of_missed_batches_is_told_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Not with every batch, though the sink gets on in between; again after a while without."""
    clock = Turned()
    journal = Journal(path, SMALL, clock)
    row = journal.join("null", "detach", 2000)
    for number in range(20):
        journal.append(batch(2, padding=300))
        if number % 3 == 0:
            publish(journal, row)
    assert len(detached(path)) > 2
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "sink null misses batches from 2 on: lag over 2000 bytes; meteragent sink show lists them"
    ]
    clock.seconds = QUIET + 1
    publish(journal, row, journal.last - row.sequence)
    for _ in range(8):
        journal.append(batch(2, padding=300))
    assert len(caplog.records) == 2
    journal.close()


def test_a_sink_that_is_absent_is_told_of_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """However far apart the batches are that it misses."""
    journal = Journal(path, SMALL)
    journal.join("null", "detach", 1 << 20)
    journal.append(batch(2))
    journal.close()
    clock = Turned()
    journal = Journal(path, SMALL, clock)
    row = journal.join("store", "hold", 0)
    for _ in range(4):
        clock.seconds += 2 * QUIET
        journal.append(batch(2))
        publish(journal, row)
    assert [record.getMessage() for record in caplog.records] == [
        "sink null misses batches from 1 on: not configured; meteragent sink show lists them"
    ]
    journal.close()


def test_only_so_many_missed_ranges_are_kept(path: Path) -> None:
    """The newest; the account goes on to count them all."""
    journal = Journal(path, SMALL)
    row = journal.join("null", "detach", 1)
    journal.join("other", "detach", 1 << 20)
    connection = apsw.Connection(str(path))
    connection.execute(
        "with recursive number(n) as (select 1 union all select n + 1 from number where n < ?)"
        " insert into detached select 'null', -2 * n, -2 * n, 1, 0, 'lag' from number",
        (DETACHED + 5,),
    )
    connection.execute("insert into detached values ('other', -9999, -9999, 1, 0, 'lag')")
    connection.close()
    for _ in range(3):
        journal.append(batch(2))
        journal.append(batch(2))
        publish(journal, row)
    told = [entry for entry in detached(path) if entry[0] == "null"]
    assert len(told) == DETACHED
    assert [entry[1] for entry in told[-2:]] == [3, 5]
    assert told[0][1] == -2 * (DETACHED - 3)
    assert len(detached(path)) == DETACHED + 1, "those of other sinks stay"
    journal.close()


def test_a_batch_in_flight_does_not_move_a_detached_sink_back(path: Path) -> None:
    """It counts as missed although it may have arrived."""
    journal = Journal(path, SMALL)
    journal.join("null", "detach", 1000)
    journal.append(batch(2, padding=300))
    record = journal.read(0)
    assert record is not None
    journal.append(batch(2, padding=300))
    assert not journal.positions.move("null", record.batch, {"delivered": 2}, {"new": True})
    assert lines(path) == {"null": {"detached": 2, "pending": 2}}
    journal.close()


def test_a_removed_sink_that_holds_keeps_what_it_was_owed(path: Path) -> None:
    """It is named as waiting, fills the journal, and goes on where it was when it is back."""
    journal = Journal(path, SMALL)
    journal.join("store", "hold", 0)
    journal.join("file", "hold", 0)
    journal.append(batch(3))
    journal.close()
    journal = Journal(path, Settings(max_size=1000, reserve=1 << 16))
    file = journal.join("file", "hold", 0)
    assert journal.positions.waiting == ["store"]
    journal.append(batch(2, padding=300))
    publish(journal, file, 2)
    assert journal.positions.trimmed == 0
    with pytest.raises(Unavailable, match="wait for sink store"):
        journal.append(batch(2, padding=300))
    journal.close()
    journal = Journal(path, SMALL)
    journal.join("file", "hold", 0)
    store = journal.join("store", "hold", 0)
    publish(journal, store, 2)
    assert lines(path) == {"file": {"delivered": 5}, "store": {"delivered": 5}}
    journal.close()


def test_a_removed_sink_that_had_everything_holds_nothing(path: Path) -> None:
    """Batches accepted while it is not configured are not owed to it, however often the agent starts."""
    journal = Journal(path, SMALL)
    store, file = journal.join("store", "hold", 0), journal.join("file", "hold", 0)
    journal.append(batch(3))
    publish(journal, store)
    publish(journal, file)
    journal.close()
    for _ in range(3):
        journal = Journal(path, SMALL)
        file = journal.join("file", "hold", 0)
        journal.append(batch(2))
        assert journal.positions.waiting == []
        journal.append(batch(2))
        publish(journal, file)
        assert lines(path)["store"]["delivered"] == 3
        journal.close()
    journal = Journal(path, SMALL)
    store = journal.join("store", "hold", 0)
    told = lines(path)
    assert told["store"]["detached"] == 6
    assert [entry[0] for entry in detached(path)] == ["store"]
    assert detached(path)[0][4] == "not configured"
    publish(journal, store, 3)
    assert lines(path)["store"] == {"delivered": 9, "detached": 6}
    journal.close()


def test_a_refusal_is_in_quarantine_once(path: Path) -> None:
    """Its batch may be delivered again after a kill; both the entry and the count are those of one time."""
    journal = Journal(path, SMALL)
    journal.join("store", "hold", 0)
    appended = journal.append(batch(3))
    before = killed(path, path.parent / "before")
    refusals = [Refusal(1, "conflict", "stored: 5; sent: 6", "store:"), Refusal(2, "expired")]
    for where in (path, before):
        again = Journal(where, SMALL) if where is before else journal
        again.join("store", "hold", 0)
        again.positions.move(
            "store", appended, {"delivered": 1, "conflict": 1, "quarantined": 1}, {}, refusals
        )
        assert lines(where) == {"store": {"delivered": 1, "conflict": 1, "quarantined": 1}}
        again.close()
        person = Quarantine(where)
        entries = [person.show(entry.id) for entry in person.list()]
        person.close()
        assert [(entry.category, entry.detail) for entry in entries] == [
            ("conflict", "stored: 5; sent: 6"),
            ("quarantined", ""),
        ]
        assert [samples_of(entry) for entry in entries] == [[appended.samples[1]], [appended.samples[2]]]


def test_a_refusal_that_lies_in_quarantine_already_is_not_added(path: Path) -> None:
    """Its sink lost its place, and refuses the same sample once more."""
    journal = Journal(path, SMALL)
    journal.join("store", "hold", 0)
    journal.join("other", "hold", 0)
    appended = journal.append(batch(3))
    refusals = [Refusal(1, CONFLICT, "first"), Refusal(2, "expired")]
    counts = {"delivered": 1, "conflict": 1, "quarantined": 1}
    journal.positions.move("store", appended, counts, {}, refusals)
    journal.close()
    connection = apsw.Connection(str(path))
    connection.execute("update sink set sequence = 0, conflict = 0, quarantined = 0, delivered = 0")
    connection.close()
    journal = Journal(path, SMALL)
    journal.join("store", "hold", 0)
    again = [Refusal(1, CONFLICT, "second"), Refusal(2, "expired")]
    journal.positions.move("store", appended, counts, {}, again)
    assert lines(path)["store"] == {"delivered": 1, "conflict": 1, "quarantined": 1}
    person = Quarantine(path)
    assert [(entry.sample_index, entry.detail) for entry in person.list()] == [(1, "first"), (2, "")]
    person.close()
    journal.close()


def test_a_state_is_kept_with_the_position_or_before_it(path: Path) -> None:
    """After a kill it is as it was when the position moved, or when it was told to keep it."""
    journal = Journal(path, SMALL)
    row = journal.join("file", "hold", 0)
    journal.append(batch(1))
    journal.positions.keep("file", {"file:a": {"offset": 7}})
    assert row.state == {"file:a": {"offset": 7}}
    after = Journal(killed(path, path.parent / "copy"), SMALL)
    again = after.join("file", "hold", 0)
    assert (again.sequence, again.state) == (0, {"file:a": {"offset": 7}})
    record = after.read(0)
    assert record is not None
    after.positions.move("file", record.batch, {"delivered": 1}, {"file:a": {"offset": 9}})
    assert again.state == {"file:a": {"offset": 9}}
    after.close()
    journal.close()


def test_what_could_not_be_written_has_not_moved(path: Path) -> None:
    """Neither on disk nor in memory, whichever of them is asked."""
    journal = Journal(path, SMALL)
    row = journal.join("file", "hold", 0)
    appended = journal.append(batch(2))
    connection = apsw.Connection(str(path))
    connection.execute("create trigger fail before update on sink begin select raise(abort, 'no'); end;")
    for change in (
        lambda: journal.positions.move("file", appended, {"delivered": 2}, {"new": True}),
        lambda: journal.positions.keep("file", {"new": True}),
    ):
        with pytest.raises(Unavailable):
            change()
        assert (row.sequence, row.state, journal.positions.trimmed) == (0, {}, 0)
    connection.execute("drop trigger fail")
    connection.close()
    assert journal.positions.move("file", appended, {"delivered": 2}, {"new": True})
    assert lines(path) == {"file": {"delivered": 2}}
    journal.close()


def test_a_missing_batch_stops_a_sink_by_name(path: Path) -> None:
    """The next start mends it; until then nothing is counted that nobody has seen."""
    journal = Journal(path, SMALL)
    journal.join("store", "hold", 0)
    journal.append(batch(1))
    with pytest.raises(Unavailable, match="batch 2 is missing"):
        journal.positions.move("store", Batch(sequence=2), {"delivered": 1}, {})
    journal.close()
