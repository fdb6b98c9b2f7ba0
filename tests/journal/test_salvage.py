"""Damage costs what it hit, by name, and nothing else; the agent starts all the same."""

import os
import random
import shutil
import tracemalloc
from pathlib import Path

import apsw
import pytest

from meteragent.batch import Batch
from meteragent.clock import Clock
from meteragent.journal import status
from meteragent.journal.journal import Journal, Settings
from meteragent.journal.quarantine import Quarantine, message_of
from meteragent.journal.salvage import salvage
from meteragent.journal.schema import connect_writer
from meteragent.journal.status import MessageAccount
from meteragent.journal.verify import unsound, verify
from meteragent.message import Message, Received, SetAside
from tests.journal.batches import AT, batch, begun, killed, refused
from tests.journal.test_positions import detached

SMALL = Settings(reserve=1 << 16)
BATCHES = 12


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal that was closed: 12 batches of 10 samples, a sink that has 5 of them, one that has 2.

    All of it is in the file; the log, which would make up for most damage there, holds next to nothing.
    """
    path = make(tmp_path / "journal.db")
    settle(path)
    return path


def settle(path: Path) -> None:
    """Copy the log into the file, and begin a new one of the same length."""
    length = Path(f"{path}-wal").stat().st_size
    connection = connect_writer(path)
    connection.execute("pragma wal_checkpoint(truncate)")
    connection.execute("update meta set value = value where key = 'replays'")
    connection.close()
    os.truncate(f"{path}-wal", length)


def make(path: Path) -> Path:
    """Journal 12 batches, of which two sinks publish some; something is refused."""
    path.parent.mkdir(exist_ok=True)
    journal = Journal(path, SMALL)
    journal.agent(None, lambda: "me")
    journal.join("fast", "hold", 0)
    journal.join("slow", "hold", 0)
    journal.append(Batch(begun=[begun(AT)]), [refused(3)])
    for number in range(1, BATCHES):
        journal.append(batch(10, 10 * number, padding=1500))
    for name, often in (("fast", 5), ("slow", 2)):
        for _ in range(often):
            publish(journal, name, journal.positions._sinks[name].sequence)
    journal.close()
    return path


def publish(journal: Journal, name: str, after: int) -> int | None:
    """What a sink does with the next batch: the samples it got, None at the head."""
    record = journal.read(after)
    if record is None:
        return None
    if record.damage:
        damage = (record.samples, record.damage, record.head)
        journal.positions.move(name, record.batch, {"quarantined": record.samples}, {}, damage=damage)
        return 0
    count = len(record.batch.samples)
    journal.positions.move(name, record.batch, {"delivered": count}, {})
    return count


def drain(path: Path) -> dict[str, int]:
    """Start on a journal, let each sink publish all that waits; how many samples each got now."""
    journal = Journal(path, SMALL)
    rows = [journal.join(name, "hold", 0) for name in ("fast", "slow")]
    got = {row.name: 0 for row in rows}
    for row in rows:
        while (count := publish(journal, row.name, row.sequence)) is not None:
            got[row.name] += count
    journal.append(batch(1, 1000))
    journal.close()
    return got


def find(path: Path, text: bytes) -> int:
    """Where in a file a text is."""
    at = path.read_bytes().find(text)
    assert at > 0
    return at


def flip(path: Path, at: int, bits: int = 1) -> None:
    """Damage one byte."""
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes((byte[0] ^ bits,)))


def page_of_batches(path: Path) -> int:
    """A page of the table of batches that is no overflow page."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    root = connection.execute("select rootpage from sqlite_schema where name = 'batch'").get
    connection.close()
    return int(root)


def test_a_sound_journal_is_left_alone(path: Path) -> None:
    """Nothing is kept aside, nothing changes."""
    before = path.read_bytes()
    assert salvage(path, Clock()) is None
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir() if "damaged" in each.name] == []


def test_no_journal_is_no_damage(tmp_path: Path) -> None:
    """Before the first start there is nothing to salvage."""
    assert salvage(tmp_path / "journal.db", Clock()) is None


def test_a_byte_in_a_payload_costs_its_batch_only(path: Path) -> None:
    """That batch is passed over by name, put in quarantine and counted; all others are delivered."""
    flip(path, find(path, b"host/70") + 5)
    assert [damage.sequence for damage in verify(path).damaged] == [8]
    assert salvage(path, Clock()) is None, "the file itself is sound"
    assert drain(path) == {"fast": 60, "slow": 90}
    told = status.read(path)
    assert told.balanced
    assert [(sink.delivered, sink.quarantined, sink.pending) for sink in told.sinks] == [(100, 10, 1)] * 2
    quarantine = Quarantine(path)
    damaged = [entry for entry in quarantine.list() if entry.sink]
    quarantine.close()
    assert [(entry.sink, entry.sequence, entry.samples) for entry in damaged] == [
        ("fast", 8, 10),
        ("slow", 8, 10),
    ]
    assert "batch 8: damaged" in damaged[0].reason
    assert damaged[0].size > 1000


def test_a_broken_overflow_chain_costs_its_batch_only(path: Path) -> None:
    """A batch that SQLite cannot read leaves a place behind that tells how many samples it held."""
    at = find(path, b"host/73") // 4096 * 4096
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xff\xff\xff\xff")
    kept = salvage(path, Clock())
    assert kept is not None
    assert not unsound(path)
    assert [damage.sequence for damage in verify(path).damaged] == [8]
    assert drain(path) == {"fast": 60, "slow": 90}
    told = status.read(path)
    assert told.balanced
    assert [(sink.delivered, sink.quarantined, sink.pending) for sink in told.sinks] == [(100, 10, 1)] * 2


def test_a_lost_page_of_the_table_costs_the_batches_on_it(path: Path) -> None:
    """What the lost batches held is known from their neighbours, the sinks and the account."""
    at = (page_of_batches(path) - 1) * 4096
    with path.open("r+b") as file:
        file.seek(at)
        file.write(random.Random(1).randbytes(4096))
    before = epoch(path.parent / "other", path)
    kept = salvage(path, Clock())
    assert kept is not None
    assert not unsound(path)
    assert status.read(path).balanced
    assert status.read(path).epoch != before, "a store that knows the old epoch must not recognise anything"
    got = drain(path)
    told = status.read(path)
    assert told.balanced
    assert told.journaled == 111
    assert [sink.delivered + sink.quarantined for sink in told.sinks] == [110, 110]
    assert [sink.delivered for sink in told.sinks] == [40 + got["fast"], 10 + got["slow"]]
    assert verify(path).damaged == []
    assert status.read(path).agent == "me"


def epoch(folder: Path, path: Path) -> str:
    """The epoch of a journal whose table of batches may be damaged."""
    copy = killed(path, folder)
    connection = apsw.Connection(str(copy))
    told = str(connection.execute("select value from meta where key = 'epoch'").get)
    connection.close()
    return told


@pytest.mark.parametrize(
    ("length", "fast", "slow"),
    [
        (1, 0, 0),
        (4096, 0, 0),
        (12_288, 0, 0),
        (40_960, 0, 0),
        (86_016, 0, 10),
        (2_352_128, 20, 30),
        (2_400_256, 50, 60),
        (2_444_096, 70, 90),
    ],
)
def test_a_cut_file_is_kept_aside_and_what_it_holds_carried_over(
    path: Path, length: int, fast: int, slow: int
) -> None:
    """The agent starts with what can be read; the damaged file is there for whoever can do more."""
    os.truncate(path, length)
    Path(f"{path}-wal").unlink()
    kept = salvage(path, Clock())
    assert kept is not None
    assert kept.stat().st_size == length
    assert not unsound(path)
    assert status.read(path).balanced
    known = [sink.name for sink in status.read(path).sinks]
    assert known == (["fast", "slow"] if length > 12_288 else [])
    assert drain(path) == {"fast": fast, "slow": slow}
    told = status.read(path)
    assert told.balanced
    assert not verify(path).damaged
    if known:
        assert [sink.delivered for sink in told.sinks] == [40 + fast, 10 + slow]
    if length > 40_960:
        assert [sink.quarantined for sink in told.sinks] == [70 - fast, 100 - slow]


def test_garbage_in_place_of_the_file_is_kept_aside(path: Path) -> None:
    """A journal begins anew then."""
    garbage = random.Random(2).randbytes(20_000)
    path.write_bytes(garbage)
    kept = salvage(path, Clock())
    assert kept is not None
    assert kept.read_bytes() == garbage
    assert drain(path) == {"fast": 0, "slow": 0}
    assert status.read(path).journaled == 1


def test_an_empty_file_beside_its_log_is_damage(path: Path) -> None:
    """SQLite would take the log away without a word."""
    os.truncate(path, 0)
    kept = salvage(path, Clock())
    assert kept is not None
    assert Path(f"{kept}-wal").stat().st_size > 0


def test_lost_positions_deliver_what_waits_again(path: Path) -> None:
    """Once too often is mended by whoever is exact, never would be lost."""
    connection = apsw.Connection(str(path))
    connection.execute("update sink set state = x'ff'")
    connection.close()
    assert verify(path).damaged
    assert salvage(path, Clock()) is not None
    assert drain(path) == {"fast": 100, "slow": 100}
    assert status.read(path).balanced


def test_a_sink_beyond_the_batches_is_put_where_its_account_says(path: Path) -> None:
    """It would pass over everything to come, else."""
    connection = apsw.Connection(str(path))
    connection.execute("update sink set sequence = 5000 where name = 'fast'")
    connection.close()
    assert salvage(path, Clock()) is not None
    assert drain(path) == {"fast": 70, "slow": 100}
    assert status.read(path).balanced


def test_an_interrupted_salvage_goes_on_at_the_next_start(path: Path) -> None:
    """Wherever it was killed, either the damaged file or the new one is complete."""
    at = (page_of_batches(path) - 1) * 4096
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bytes(4096))
    before = path.parent / "before"
    shutil.copytree(path.parent, before, ignore=shutil.ignore_patterns("before"))
    assert salvage(path, Clock()) is not None
    whole = path.read_bytes()

    def restored(name: str) -> Path:
        folder = path.parent / name
        shutil.copytree(before, folder)
        return folder / path.name

    unfinished = restored("unfinished")
    Path(f"{unfinished}.salvaging").write_bytes(b"torn")
    assert salvage(unfinished, Clock()) is not None
    assert drain(unfinished) == drain(path)

    made = restored("made")
    Path(f"{made}.salvaged").write_bytes(whole)
    assert salvage(made, Clock()) is not None
    assert made.read_bytes() == whole

    moved = restored("moved")
    Path(f"{moved}.salvaged").write_bytes(whole)
    moved.rename(f"{moved}.damaged-before")
    assert salvage(moved, Clock()) is not None
    assert moved.read_bytes() == whole
    assert not Path(f"{moved}-wal").exists(), "the log of the damaged file must not be applied to the new one"


def test_a_sink_whose_place_was_lost_may_miss_the_same_batches_again(tmp_path: Path) -> None:
    """What it had missed behind the place it is put at is published or missed anew, and told once."""
    path = tmp_path / "journal.db"
    journal = Journal(path, SMALL)
    journal.join("store", "hold", 0)
    journal.join("null", "detach", 1)
    for number in range(4):
        journal.append(batch(2, 2 * number))
    journal.close()
    assert detached(path) == [("null", 1, 3, 6, "lag over 1 bytes")]
    connection = apsw.Connection(str(path))
    connection.execute("update sink set state = x'ff' where name = 'null'")
    connection.close()
    assert salvage(path, Clock()) is not None
    assert detached(path) == []
    journal = Journal(path, SMALL)
    journal.join("store", "hold", 0)
    assert journal.join("null", "detach", 1).sequence == 0
    for number in range(4, 7):
        journal.append(batch(2, 2 * number))
    journal.close()
    assert detached(path) == [("null", 1, 6, 12, "lag over 1 bytes")]
    assert status.read(path).balanced


def test_a_missed_range_that_an_older_version_left_is_no_obstacle(tmp_path: Path) -> None:
    """It begins where the sink misses batches now, and gives way."""
    path = tmp_path / "journal.db"
    journal = Journal(path, SMALL)
    journal.join("null", "detach", 1)
    connection = apsw.Connection(str(path))
    connection.execute("insert into detached values ('null', 1, 9, 90, 0, 'lag over 1 bytes')")
    connection.close()
    for number in range(3):
        journal.append(batch(2, 2 * number))
    journal.close()
    assert detached(path) == [("null", 1, 2, 4, "lag over 1 bytes")]


def test_batches_are_found_where_the_way_to_them_is_damaged(tmp_path: Path) -> None:
    """A key in a page above theirs is wrong: they are all there, and none can be looked up."""
    path = tmp_path / "journal.db"
    journal = Journal(path, SMALL)
    for name in ("fast", "slow"):
        journal.join(name, "hold", 0)
    for number in range(100):
        journal.append(batch(1, number, padding=600))
    journal.close()
    settle(path)
    page = (page_of_batches(path) - 1) * 4096
    first = page + int.from_bytes(path.read_bytes()[page + 12 : page + 14], "big")
    assert path.read_bytes()[page] == 5, "an interior page"
    flip(path, first + 4, 0x40)
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    lookups = [connection.execute("select 1 from batch where sequence = ?", (n,)).get for n in range(1, 101)]
    connection.close()
    assert None in lookups
    assert salvage(path, Clock()) is not None
    assert drain(path) == {"fast": 100, "slow": 100}


def test_salvage_holds_one_payload_at_a_time(tmp_path: Path) -> None:
    """A full journal is larger than the memory of a small host."""
    path = tmp_path / "journal.db"
    journal = Journal(path, SMALL)
    journal.join("store", "hold", 0)
    for number in range(40):
        journal.append(batch(10, number, padding=20_000), [refused(1, bytes(100_000))])
    journal.close()
    connection = apsw.Connection(str(path))
    connection.execute("update tick set last = 0; insert into tick values (cast(x'ff' as text), 2)")
    connection.close()
    tracemalloc.start()
    try:
        assert salvage(path, Clock()) is not None
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert status.read(path).size > 8_000_000
    assert status.read(path).refused == 40
    assert peak < 2_500_000


@pytest.mark.parametrize(
    ("damage", "messages"),
    [
        ("update tick set last = 'x'", MessageAccount(11, 5, 3, 2, 1)),
        ("delete from account where name = 'messages quarantined'", MessageAccount(11, 5, 3, 2, 1)),
        ("delete from account where name = 'messages received'", MessageAccount(11, 5, 3, 2, 1)),
        ("delete from account where name = 'messages ignored'", MessageAccount(8, 5, 0, 2, 1)),
        ("delete from account where name = 'read'", MessageAccount(11, 5, 3, 2, 1)),
        ("delete from account", MessageAccount(2, 0, 0, 2)),
    ],
)
def test_the_account_of_messages_is_carried_over(
    tmp_path: Path, damage: str, messages: MessageAccount
) -> None:
    """What can be read of it; messages in quarantine are counted there, and can still be replayed."""
    path = tmp_path / "journal.db"
    journal = Journal(path, SMALL)
    journal.join("store", "hold", 0)
    aside = SetAside(Message(b"{"), "m", "message: not JSON", event_type="a.b")
    part = SetAside(Message(b"{}"), "n", "meter x: refused", "", 4, False)
    journal.append(batch(10), received=Received(5, 3, [aside, aside, aside, part]))
    quarantine = Quarantine(path)
    quarantine.discard([1], "ann")
    quarantine.close()
    journal.close()
    connection = apsw.Connection(str(path))
    connection.execute(f"{damage}; update sink set state = x'ff'")
    connection.close()
    assert salvage(path, Clock()) is not None
    told = status.read(path)
    assert told.messages == messages
    assert told.balanced
    assert (told.journaled, told.refused) == (10, 4)
    journal = Journal(path, SMALL)
    quarantine = Quarantine(path)
    assert quarantine.replay([2, 3, 4], "ann") == 4
    quarantine.close()
    entries = journal.replays()
    assert [message_of(entry).body for entry in entries] == [b"{", b"{", b"{}"]
    assert [(entry.message_id, entry.event_type) for entry in entries] == [("m", "a.b")] * 2 + [("n", "")]
    journal.close()


def test_what_is_lost_of_quarantine_is_counted_as_discarded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Else the account would stand for entries that nobody can replay or discard; who looks finds a note."""
    path = tmp_path / "journal.db"
    journal = Journal(path, SMALL)
    aside = SetAside(Message(b"{"), "m", "message: not JSON", event_type="a.b")
    part = SetAside(Message(b"{}"), "n", "meter x: refused", "", 4, False)
    journal.append(batch(10), received=Received(5, 3, [aside, aside, aside, part]))
    journal.close()
    connection = apsw.Connection(str(path))
    connection.execute("update quarantine set event_type = cast(x'ff' as text) where id > 1")
    connection.close()
    assert salvage(path, Clock()) is not None
    told = status.read(path)
    assert told.balanced
    assert told.messages == MessageAccount(11, 5, 3, 1, 2)
    assert (told.read, told.refused, told.discarded) == (14, 0, 4)
    assert "; 4 refused samples in quarantine are lost; 2 messages in quarantine are lost" in caplog.text
    connection = apsw.Connection(str(path))
    notes = list(connection.execute("select id, by, samples, reason from discarded order by id desc"))
    connection.close()
    assert notes == [
        (-1, "salvage", 4, "4 refused samples in quarantine are lost"),
        (-2, "salvage", 0, "2 messages in quarantine are lost"),
    ]
    journal = Journal(path, SMALL)
    journal.append(Batch(), received=Received(aside=[aside]))
    journal.close()
    quarantine = Quarantine(path)
    assert min(entry.id for entry in quarantine.list()) > 0
    quarantine.close()


def test_a_newer_format_is_not_damage(path: Path) -> None:
    """The journal of a newer version is left to that version."""
    connection = apsw.Connection(str(path))
    connection.execute("pragma user_version = 99; alter table sink drop column left_at")
    connection.close()
    assert salvage(path, Clock()) is None
