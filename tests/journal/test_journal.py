"""What is accepted is there; what is not is refused with the reason, and nothing has changed."""

import multiprocessing
import threading
from pathlib import Path
from typing import cast

import apsw
import msgspec
import pytest
from oslo_config import types

from meteragent.batch import Batch
from meteragent.clock import Clock
from meteragent.errors import Unavailable
from meteragent.journal import status
from meteragent.journal.journal import OPTS, Journal, Journaled, OpenPoll, Settings
from meteragent.journal.verify import verify
from tests.journal.batches import AT, batch, begun, killed, missed, poll, refused, sample


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a journal may be."""
    return tmp_path / "journal.db"


class Stopped(Clock):
    """A clock that stands still."""

    def wall(self) -> int:
        return AT


def test_what_was_appended_is_read_back(path: Path) -> None:
    """Every field of every sample and poll is as it was, in order, also for another process later."""
    given = [
        batch(3, padding=100),
        Batch(samples=[sample(10), sample(10.0), sample(2**63), sample(0.1)], missed=[missed(AT, AT + 5)]),
        Batch(begun=[begun(AT)], polls=[poll(AT)]),
    ]
    journal = Journal(path)
    appended = [journal.append(each) for each in given]
    assert [each.sequence for each in appended] == [1, 2, 3]
    journal.close()
    journal = Journal(killed(path, path.parent / "copy"))
    assert journal.last == 3
    for number, each in enumerate(given):
        record = journal.read(number)
        assert record is not None
        assert record.batch == msgspec.structs.replace(each, sequence=number + 1)
        volumes = [(type(one.volume), one.volume) for one in record.batch.samples]
        assert volumes == [(type(one.volume), one.volume) for one in each.samples]
    assert journal.read(3) is None
    journal.close()


def test_listeners_are_told_in_order_of_what_is_on_disk(path: Path) -> None:
    """However many threads append, a listener sees each sequence once, and it can be read already."""
    journal = Journal(path, Settings(reserve=1 << 16))
    seen: list[int] = []

    def listen(each: Journaled) -> None:
        assert journal.last == each.batch.sequence
        assert journal.read(each.batch.sequence - 1) == each
        seen.append(each.batch.sequence)

    journal.listeners.append(listen)
    threads = [
        threading.Thread(target=lambda: [journal.append(batch(1)) for _ in range(25)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == list(range(1, 101))
    journal.close()
    assert not verify(path).damaged


def test_an_agent_has_one_id_for_good(path: Path) -> None:
    """The one asked for, else the one it had, else a new one."""
    journal = Journal(path)
    assert journal.agent(None, lambda: "made") == "made"
    assert journal.agent(None, lambda: "other") == "made"
    assert journal.agent("asked", lambda: "other") == "asked"
    journal.close()
    journal = Journal(path)
    assert journal.agent(None, lambda: "other") == "asked"
    assert journal.epoch == status.read(path).epoch
    journal.close()


def test_polls_under_way_are_known_after_a_kill(path: Path) -> None:
    """With the samples journaled so far; those that ended are not among them."""
    journal = Journal(path)
    journal.append(msgspec.structs.replace(batch(3), begun=[begun(AT)]))
    journal.append(batch(2))
    journal.append(Batch(begun=[msgspec.structs.replace(begun(AT), pollster="other")]))
    assert journal.open_polls() == [
        OpenPoll("source", AT, "other", AT + 1, 0),
        OpenPoll("source", AT, "pollster", AT + 1, 5),
    ]
    after = Journal(killed(path, path.parent / "copy"))
    assert after.open_polls() == journal.open_polls()
    after.append(msgspec.structs.replace(batch(1), polls=[poll(AT, 6)]))
    assert [each.pollster for each in after.open_polls()] == ["other"]
    after.close()
    journal.close()


def test_samples_of_a_poll_count_for_no_other(path: Path) -> None:
    """Neither for an older one that was cut off, nor for one under way when another ends in its batch."""
    journal = Journal(path)
    journal.append(msgspec.structs.replace(batch(3), begun=[begun(AT)]))
    journal.append(msgspec.structs.replace(batch(2), begun=[begun(AT + 9)]))
    journal.append(batch(4))
    older, newer = OpenPoll("source", AT, "pollster", AT + 1, 3), begun(AT + 9)
    assert journal.open_polls() == [older, OpenPoll("source", newer.tick, "pollster", newer.began, 6)]
    journal.append(msgspec.structs.replace(batch(5), polls=[poll(AT + 9, 11)]))
    assert journal.open_polls() == [older]
    journal.append(msgspec.structs.replace(batch(7), polls=[poll(AT + 20, 7)]))
    assert journal.open_polls() == [older], "it fitted into one batch"
    journal.close()


def test_the_last_tick_never_goes_back(path: Path) -> None:
    """Begun and ended polls and missed runs count; the end of a run is no part of it."""
    journal = Journal(path)
    journal.append(Batch(begun=[begun(AT + 5)]))
    journal.append(Batch(polls=[poll(AT)]))
    assert journal.last_ticks() == {"source": AT + 5}
    journal.append(Batch(missed=[missed(AT + 6, AT + 9)]))
    assert journal.last_ticks() == {"source": AT + 8}
    journal.close()


def test_the_account_balances_for_whatever_is_refused(path: Path) -> None:
    """Samples read = journaled + refused; one that a source loses shows."""
    journal = Journal(path, clock=Stopped())
    journal.append(batch(3), [refused(2), refused(1)])
    told = status.read(path)
    assert (told.read, told.journaled, told.refused, told.balanced) == (6, 3, 3, True)
    journal.append(batch(3), [refused(2)], read=6)
    assert not status.read(path).balanced
    journal.close()


def test_a_full_journal_holds_until_the_sink_has_caught_up(path: Path) -> None:
    """The reason names the sink and the bytes; nothing of the batch is kept; then it goes on by itself."""
    journal = Journal(path, Settings(max_size=3000, reserve=1 << 16))
    journal.join("store", "hold", 0)
    reason = ""
    while not reason:
        try:
            journal.append(batch(2, padding=300))
        except Unavailable as error:
            full, reason = journal.last, str(error)
    assert reason.startswith("journal full: ")
    assert "of 3000 bytes wait for sink store" in reason
    assert status.read(path).journaled == 2 * full
    assert not status.read(path).refused
    with pytest.raises(Unavailable, match="journal full"):
        journal.append(batch(2, padding=300), [refused(1)])
    assert not status.read(path).refused
    record = journal.read(0)
    assert record is not None
    journal.positions.move("store", record.batch, {"delivered": 2}, {})
    journal.append(batch(2, padding=300))
    journal.close()


def test_a_batch_larger_than_the_bound_is_accepted_when_nothing_waits(path: Path) -> None:
    """It could never be, else."""
    journal = Journal(path, Settings(max_size=3000, reserve=1 << 16))
    journal.join("store", "hold", 0)
    journal.append(batch(10, padding=500))
    with pytest.raises(Unavailable, match="journal full"):
        journal.append(batch(1))
    journal.close()


def test_without_a_sink_the_journal_fills_and_holds(path: Path) -> None:
    """What was accepted is not dropped because nobody takes it, and the disk is not filled."""
    journal = Journal(path, Settings(max_size=2500, reserve=1 << 16))
    for _ in range(3):
        journal.append(batch(2, padding=300))
    with pytest.raises(Unavailable, match="wait for a sink, none is configured"):
        journal.append(batch(2, padding=300))
    row = journal.join("store", "hold", 0)
    assert row.sequence == 3, "a new sink begins with what comes after it"
    journal.append(batch(2, padding=300))
    journal.close()


def test_a_text_that_is_no_unicode_is_a_value_error(path: Path) -> None:
    """Nothing of the batch is kept, and the next one is accepted."""
    journal = Journal(path)
    bad = msgspec.structs.replace(sample(1), unit="\udcff")
    with pytest.raises(ValueError, match="surrogates"):
        journal.append(Batch(samples=[bad]))
    assert journal.append(batch(1)).sequence == 1
    journal.close()


def test_another_process_that_holds_the_file_is_unavailable_not_fatal(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent waits for it for a while, then tries again with the next batch."""
    monkeypatch.setattr("meteragent.journal.schema.BUSY_MILLISECONDS", 50)
    journal = Journal(path)
    journal.append(batch(1))
    other = apsw.Connection(str(path))
    other.execute("begin immediate")
    with pytest.raises(Unavailable, match="BusyError"):
        journal.append(batch(1))
    other.execute("rollback")
    assert journal.append(batch(1)).sequence == 2
    other.close()
    journal.close()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A missing folder, a folder as file: one line each."""
    with pytest.raises(Unavailable, match=r"nowhere/journal.db: cannot be opened: no such file"):
        Journal(tmp_path / "nowhere" / "journal.db")
    (tmp_path / "journal.db").mkdir()
    with pytest.raises(Unavailable, match="is a directory"):
        Journal(tmp_path / "journal.db")


def test_after_close_everything_is_unavailable(path: Path) -> None:
    """A thread that is late gets an error of ours."""
    journal = Journal(path)
    journal.join("store", "hold", 0)
    journal.close()
    with pytest.raises(Unavailable):
        journal.append(batch(1))
    with pytest.raises(Unavailable):
        journal.read(0)
    with pytest.raises(Unavailable):
        journal.open_polls()


def _read_on(path: Path, until: int, result: "multiprocessing.Queue[bool]") -> None:
    """Look at the account again and again, as commands do."""
    balanced = True
    while (told := status.read(path)).last < until:
        balanced = balanced and told.balanced
    result.put(balanced)


def test_commands_read_beside_the_agent(path: Path) -> None:
    """Another process sees a balanced account at any time, and its coming and going costs nothing."""
    journal = Journal(path, Settings(reserve=1 << 16))
    row = journal.join("store", "hold", 0)
    spawn = multiprocessing.get_context("spawn")
    result: multiprocessing.Queue[bool] = spawn.Queue()
    reader = spawn.Process(target=_read_on, args=(path, 150, result))
    reader.start()
    length = 0
    for number in range(150):
        journal.append(batch(20, padding=50), [refused(1)])
        if number % 3 == 0 and (record := journal.read(row.sequence)):
            journal.positions.move("store", record.batch, {"delivered": 20}, {})
        log = Path(f"{path}-wal").stat().st_size
        assert log >= length
        length = log
    assert result.get(timeout=20)
    reader.join()
    journal.close()
    assert Path(f"{path}-wal").stat().st_size == length


def test_the_options_have_the_defaults_of_the_settings() -> None:
    """What is documented is what holds."""
    assert {option.dest: option.default for option in OPTS} == msgspec.structs.asdict(Settings())


def test_the_largest_sizes_work(path: Path) -> None:
    """The reserve is written as one blob, which SQLite bounds; the other bounds are numbers only."""
    largest = {option.dest: int(cast(types.Integer, option.type).max or 0) for option in OPTS}
    assert largest["reserve"] + (64 << 20) < 1_000_000_000
    journal = Journal(path, Settings(**largest))
    assert journal.append(batch(1)).sequence == 1
    assert path.stat().st_size > largest["reserve"]
    journal.close()
