"""What was refused waits for a person, who may be in another process, and has a name."""

import multiprocessing
import threading
from pathlib import Path

import apsw
import msgspec
import pytest

from meteragent.batch import CONFLICT, Batch, Refusal, Refused
from meteragent.errors import NotFound, Rejected, Unavailable
from meteragent.journal import status
from meteragent.journal.journal import Journal, Settings
from meteragent.journal.quarantine import DISCARDED, HEAD, Quarantine, category, samples_of
from meteragent.plugins.reason import LONGEST
from meteragent.wire import decode, encode
from tests.journal.batches import batch, refused


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal with two refusals of a sink and one at intake."""
    path = tmp_path / "journal.db"
    journal = Journal(path, Settings(reserve=1 << 16))
    journal.join("store", "hold", 0)
    appended = journal.append(batch(5), [refused(4, b'[{"volume": "x"}]')])
    refusals = [Refusal(1, "conflict", "stored: 5 %; sent: 1 %", "store:"), Refusal(3, "expired")]
    counts = {"delivered": 3, "conflict": 1, "quarantined": 1}
    journal.positions.move("store", appended, counts, {}, refusals)
    journal.close()
    return path


def lines(path: Path) -> dict[str, int]:
    """The lines of account that are not 0."""
    told = status.read(path)
    assert told.balanced
    (sink,) = told.sinks
    parts = {name: getattr(sink, name) for name in ("delivered", "conflict", "quarantined", "discarded")}
    return {**parts, "refused": told.refused, "let go": told.discarded}


def test_what_is_refused_waits_in_quarantine(path: Path) -> None:
    """With where it comes from, the reason, both sides of a conflict, and the samples themselves."""
    quarantine = Quarantine(path)
    intake, conflict, expired = (quarantine.show(entry.id) for entry in quarantine.list())
    assert (intake.category, intake.polling_source, intake.pollster) == ("refused", "source", "pollster")
    assert (intake.samples, intake.payload) == (4, b'[{"volume": "x"}]')
    assert intake.reason == "volume: 'x' is no number"
    assert (conflict.category, conflict.sink, conflict.sequence) == ("conflict", "store", 1)
    assert conflict.detail == "stored: 5 %; sent: 1 %"
    assert conflict.publisher == "store:"
    assert samples_of(conflict) == [batch(5).samples[1]]
    assert samples_of(expired) == [batch(5).samples[3]]
    assert all(not entry.payload for entry in quarantine.list())
    quarantine.close()


def test_discarding_moves_the_samples_to_their_own_line(path: Path) -> None:
    """With who did it and when; asked twice it happens once."""
    quarantine = Quarantine(path)
    entries = quarantine.list()
    assert quarantine.discard([entry.id for entry in entries] * 2, "ann") == 6
    assert quarantine.list() == []
    assert lines(path) == {
        "delivered": 3,
        "conflict": 0,
        "quarantined": 0,
        "discarded": 2,
        "refused": 0,
        "let go": 4,
    }
    with pytest.raises(NotFound, match=f"quarantine has no entry {entries[0].id}"):
        quarantine.discard([entries[0].id], "bob")
    quarantine.close()
    connection = apsw.Connection(str(path))
    told = list(connection.execute("select id, by, samples, reason from discarded"))
    connection.close()
    assert told == [(entry.id, "ann", entry.samples, entry.reason) for entry in entries]


def test_all_or_nothing_is_done(path: Path) -> None:
    """One number that does not exist, or cannot be replayed, and nothing has changed."""
    quarantine = Quarantine(path)
    intake, conflict, _ = quarantine.list()
    before = lines(path)
    for numbers in ([conflict.id, 99], [99, conflict.id]):
        with pytest.raises(NotFound, match="quarantine has no entry 99"):
            quarantine.discard(numbers, "ann")
        with pytest.raises(NotFound):
            quarantine.replay(numbers, "ann")
    with pytest.raises(Rejected, match=f"entry {intake.id}: what a pollster yielded cannot be replayed"):
        quarantine.replay([conflict.id, intake.id], "ann")
    assert lines(path) == before
    assert [entry.state for entry in quarantine.list()] == ["kept"] * 3
    quarantine.close()


def test_a_replay_has_a_number_that_never_comes_again(path: Path) -> None:
    """A store that has seen one must not take the next for it."""
    journal = Journal(path, Settings(reserve=1 << 16))
    journal.join("store", "hold", 0)
    assert journal.positions.replays("store") == []
    quarantine = Quarantine(path)
    _, conflict, expired = quarantine.list()
    assert quarantine.replay([expired.id, conflict.id], "ann") == 2
    first, second = journal.positions.replays("store")
    assert [first.id, second.id] == [expired.id, conflict.id], "in the order asked for"
    assert (first.serial, second.serial, first.by) == (1, 2, "ann")
    journal.positions.settle(first, "quarantined", {"at": 1}, "expired again")
    assert journal.positions.replays("store") == [second]
    assert quarantine.show(expired.id).reason == "expired again"
    quarantine.replay([expired.id], "ann")
    assert [entry.serial for entry in journal.positions.replays("store")] == [2, 3]
    journal.positions.settle(second, "delivered", {"at": 2})
    assert lines(path)["delivered"] == 4
    assert lines(path)["conflict"] == 0
    quarantine.close()
    journal.close()


def test_an_entry_that_is_discarded_during_its_replay_counts_once(path: Path) -> None:
    """What the person said last is what the account says."""
    journal = Journal(path, Settings(reserve=1 << 16))
    row = journal.join("store", "hold", 0)
    quarantine = Quarantine(path)
    conflict = quarantine.list()[1]
    quarantine.replay([conflict.id], "ann")
    (entry,) = journal.positions.replays("store")
    quarantine.discard([conflict.id], "ann")
    journal.positions.settle(entry, "delivered", {"at": 7})
    assert lines(path)["discarded"] == 1
    assert lines(path)["delivered"] == 3
    assert row.state == {"at": 7}
    quarantine.close()
    journal.close()


def test_a_replay_that_could_not_be_settled_has_changed_nothing(path: Path) -> None:
    """Else a file would get its line once more."""
    journal = Journal(path, Settings(reserve=1 << 16))
    row = journal.join("store", "hold", 0)
    quarantine = Quarantine(path)
    quarantine.replay([quarantine.list()[1].id], "ann")
    (entry,) = journal.positions.replays("store")
    connection = apsw.Connection(str(path))
    connection.execute(
        "create trigger fail before delete on quarantine begin select raise(abort, 'no'); end;"
    )
    with pytest.raises(Unavailable):
        journal.positions.settle(entry, "delivered", {"at": 7})
    assert row.state == {}
    assert journal.positions.replays("store") == [entry]
    connection.close()
    quarantine.close()
    journal.close()


def test_a_full_quarantine_holds_intake_until_some_is_discarded(tmp_path: Path) -> None:
    """Refusals of sinks fill it, too; it is freed in another connection, without a restart."""
    path = tmp_path / "journal.db"
    journal = Journal(path, Settings(reserve=1 << 16, quarantine_max_size=3000))
    journal.join("store", "hold", 0)
    journal.append(batch(1), [refused(1, b"x" * 5000)])
    with pytest.raises(Unavailable, match=r"quarantine full: 5\d\d\d of 3000 bytes; `meteragent quarantine"):
        journal.append(batch(1))
    quarantine = Quarantine(path)
    quarantine.discard([entry.id for entry in quarantine.list()], "ann")
    appended = journal.append(batch(20), [refused(1)])
    refusals = [Refusal(index, "expired") for index in range(20)]
    journal.positions.move("store", journal.read(0).batch, {"delivered": 1}, {})  # type: ignore[union-attr]
    journal.positions.move("store", appended, {"quarantined": 20}, {}, refusals)
    with pytest.raises(Unavailable, match="quarantine full"):
        journal.append(batch(1))
    quarantine.discard([entry.id for entry in quarantine.list()][:15], "ann")
    journal.append(batch(1))
    quarantine.discard([entry.id for entry in quarantine.list()], "ann")
    connection = apsw.Connection(str(path))
    assert connection.execute("select value from meta where key = 'quarantine_size'").get == 0
    connection.close()
    quarantine.close()
    journal.close()


def test_reasons_are_kept_as_far_as_they_are_short(tmp_path: Path) -> None:
    """A publisher that tells the whole story with each sample fills no disk; what is kept is counted."""
    path = tmp_path / "journal.db"
    journal = Journal(path, Settings(reserve=1 << 16))
    row = journal.join("store", "hold", 0)
    long = "ä" * 100_000
    appended = journal.append(batch(300), [Refused("source", "pollster", long, 1, b"x")])
    refusals = [Refusal(index, long, long) for index in range(300)]
    journal.positions.move("store", appended, {"quarantined": 300}, {}, refusals)
    quarantine = Quarantine(path)
    quarantine.replay([entry.id for entry in quarantine.list() if entry.sink][:1], "ann")
    (again,) = journal.positions.replays("store")
    journal.positions.settle(again, "quarantined", row.state, long)
    for entry in quarantine.list():
        assert entry.reason == "ä" * LONGEST + "…"
        assert entry.detail in ("", "ä" * LONGEST + "…")
    connection = apsw.Connection(str(path))
    told = connection.execute("select value from meta where key = 'quarantine_size'").get
    held = connection.execute(
        "select sum(octet_length(payload) + octet_length(reason) + octet_length(detail)) from quarantine"
    ).get
    connection.close()
    assert held <= told <= held + 301 * 400
    quarantine.discard([entry.id for entry in quarantine.list()], "ann")
    quarantine.close()
    assert status.read(path).balanced
    journal.close()


def test_of_discarded_entries_only_the_newest_are_kept(path: Path) -> None:
    """By when they were discarded, whatever their number."""
    quarantine = Quarantine(path)
    first = quarantine.list()[0]
    connection = apsw.Connection(str(path))
    connection.execute(
        "with recursive number(n) as (select 10 union all select n + 1 from number where n < ?)"
        " insert into discarded select n, n, 'bob', 1, 'old' from number",
        (DISCARDED + 14,),
    )
    quarantine.discard([first.id], "ann")
    kept = list(connection.execute("select id, by from discarded order by at desc"))
    connection.close()
    quarantine.close()
    assert len(kept) == DISCARDED
    assert kept[0] == (first.id, "ann")
    assert kept[-1] == (16, "bob")


def test_only_the_word_itself_makes_a_conflict() -> None:
    """A publisher that begins its reason with it refuses like any other."""
    assert category(Refusal(0, CONFLICT)) == "conflict"
    assert category(Refusal(0, "conflicting mapping")) == "quarantined"


def test_damage_that_can_still_be_decoded_is_not_replayed(path: Path) -> None:
    """One flipped bit makes another volume of it, which nobody would notice."""
    journal = Journal(path, Settings(reserve=1 << 16))
    journal.join("store", "hold", 0)
    appended = journal.append(batch(2))
    payload = encode(msgspec.structs.replace(appended, sequence=0))
    assert len(decode(payload, 0).samples) == 2, "it would be delivered"
    damage = (2, "batch 2: damaged", payload)
    journal.positions.move("store", Batch(sequence=appended.sequence), {"quarantined": 2}, {}, damage=damage)
    quarantine = Quarantine(path)
    entry = quarantine.show(quarantine.list()[-1].id)
    assert entry.payload == payload
    reason = f"entry {entry.id}: what is left of a damaged batch cannot be replayed; discard it"
    with pytest.raises(Rejected, match=reason):
        quarantine.replay([entry.id], "ann")
    with pytest.raises(Rejected, match=reason):
        samples_of(entry)
    assert quarantine.show(entry.id).state == "kept"
    assert quarantine.discard([entry.id], "ann") == 2
    quarantine.close()
    journal.close()


def test_a_damaged_batch_is_kept_by_its_head(path: Path) -> None:
    """However large it was."""
    journal = Journal(path, Settings(reserve=1 << 16))
    journal.join("store", "hold", 0)
    appended = journal.append(batch(2))
    damage = (2, "batch 2: damaged", b"y" * (HEAD + 1))
    journal.positions.move("store", appended, {"quarantined": 2}, {}, damage=damage)
    quarantine = Quarantine(path)
    entry = quarantine.show(quarantine.list()[-1].id)
    assert (entry.samples, len(entry.payload), entry.reason) == (2, HEAD, "batch 2: damaged")
    with pytest.raises(Rejected, match=f"entry {entry.id}: "):
        quarantine.replay([entry.id], "ann")
    quarantine.close()
    journal.close()


def _discard_all(path: Path, until: int, result: "multiprocessing.Queue[int]") -> None:
    """Discard entries as they come, as a person in another process would."""
    quarantine = Quarantine(path)
    gone = 0
    while gone < until:
        gone += quarantine.discard([entry.id for entry in quarantine.list()], "ann")
    quarantine.close()
    result.put(gone)


def test_persons_and_agent_do_not_get_into_each_others_way(tmp_path: Path) -> None:
    """Another process discards while the agent accepts and publishes; each line adds up, none fails."""
    path = tmp_path / "journal.db"
    journal = Journal(path, Settings(reserve=1 << 16))
    journal.join("store", "hold", 0)
    spawn = multiprocessing.get_context("spawn")
    result: multiprocessing.Queue[int] = spawn.Queue()
    person = spawn.Process(target=_discard_all, args=(path, 200, result))
    person.start()
    for _ in range(100):
        appended = journal.append(batch(2), [refused(1)])
        counts = {"delivered": 1, "quarantined": 1}
        journal.positions.move("store", appended, counts, {}, [Refusal(0, "expired")])
        threading.Event().wait(0.002)
    assert result.get(timeout=20) == 200
    person.join()
    assert lines(path) == {
        "delivered": 100,
        "conflict": 0,
        "quarantined": 0,
        "discarded": 100,
        "refused": 0,
        "let go": 100,
    }
    journal.close()
