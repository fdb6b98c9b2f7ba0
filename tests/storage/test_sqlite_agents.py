"""Who may write to the embedded store: one agent of an id at a time, told by locks and not by time."""

import multiprocessing
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from meteragent import errors
from meteragent.batch import Batch, Published
from meteragent.storage.sqlite.driver import SQLiteDriver
from meteragent.storage.sqlite.presence import SUFFIX, Presence
from meteragent.testing.storage_given import HOUR, FixedClock, a_sample, at
from tests.storage.test_sqlite import URL, rows

_CONTEXT = multiprocessing.get_context("spawn")
_PATIENCE = 60
_IN_USE = (
    r"samples\.db: agent id agent is in use .* \(its journal is epoch\).* free as soon as the other has ended"
)


@pytest.mark.parametrize("rest", [0, 300, 7 * 86400])
def test_two_agents_of_one_id_that_run_are_refused(folder: Path, rest: int) -> None:
    """However seldom either of them records, and whatever the clocks say."""
    clock = FixedClock()
    first, second = (SQLiteDriver(URL, folder, clock=clock) for _ in range(2))
    for sequence in (1, 2, 3):
        assert first.record(Batch([a_sample(origin=sequence)]), at(sequence)) == Published(1)
        clock.now += rest * 1_000_000
        with pytest.raises(errors.Unavailable, match=_IN_USE):
            second.record(Batch([a_sample(origin=9)]), at(sequence, epoch="other"))
        clock.now -= HOUR
    first.close()
    assert second.record(Batch([a_sample(origin=9)]), at(1, epoch="other")) == Published(1)
    with pytest.raises(errors.Unavailable, match="its journal is other"):
        first.record(Batch([a_sample(origin=4)]), at(4))
    second.close()
    assert first.record(Batch([a_sample(origin=4)]), at(4)) == Published(1)
    first.close()


def test_other_ids_and_other_sinks_are_not_in_the_way(folder: Path) -> None:
    """An agent has a driver for each of its sinks, all with one journal."""
    drivers = [SQLiteDriver(URL, folder) for _ in range(3)]
    for sequence in (1, 2):
        for number, position in enumerate(
            (at(sequence), at(sequence, sink="other"), at(sequence, agent="two", epoch="two"))
        ):
            drivers[number].record(Batch([]), position)
    drivers[0].close()
    with pytest.raises(errors.Unavailable, match=_IN_USE):
        drivers[2].record(Batch([]), at(1, epoch="other"))
    for driver in drivers:
        driver.close()


def _hold(folder: Path, recorded: Any, end: Any) -> None:
    driver = SQLiteDriver(URL, folder)
    driver.record(Batch([a_sample()]), at(1, digest=b"other"))
    recorded.set()
    end.wait(_PATIENCE)


def test_a_killed_agent_frees_its_id_at_once(folder: Path) -> None:
    """Also when its state folder is gone, so that a new journal comes in its place."""
    recorded, end = _CONTEXT.Event(), _CONTEXT.Event()
    process = _CONTEXT.Process(target=_hold, args=(folder, recorded, end))
    process.start()
    driver = SQLiteDriver(URL, folder)
    try:
        assert recorded.wait(_PATIENCE)
        with pytest.raises(errors.Unavailable, match=_IN_USE):
            driver.record(Batch([]), at(1, epoch="other"))
    finally:
        process.kill()
        process.join(_PATIENCE)
    assert driver.record(Batch([a_sample(origin=1)]), at(1, epoch="other")) == Published(1)
    driver.close()


def test_an_agent_that_stopped_frees_its_id(folder: Path) -> None:
    """A new journal may use it at once; a restart with the same journal may always."""
    for epoch in ("one", "one", "two"):
        driver = SQLiteDriver(URL, folder)
        driver.record(Batch([a_sample()]), at(1, epoch=epoch))
        driver.close()
    assert rows(folder, "select number, id, epoch from agent") == [(1, "agent", "one"), (2, "agent", "two")]


def test_one_that_was_refused_holds_nothing(folder: Path) -> None:
    """The agent that has the id may stop and come again while the refused one tries on."""
    first, second = SQLiteDriver(URL, folder), SQLiteDriver(URL, folder)
    first.record(Batch([]), at(1))
    for sequence in (2, 3):
        with pytest.raises(errors.Unavailable, match=_IN_USE):
            second.record(Batch([]), at(1, epoch="other"))
        first.record(Batch([]), at(sequence))
    first.close()
    SQLiteDriver(URL, folder).record(Batch([]), at(4))
    second.close()


def test_a_lock_file_that_goes_away_is_made_anew(folder: Path) -> None:
    """By the next batch, so that others see the agent again."""
    first, second = SQLiteDriver(URL, folder), SQLiteDriver(URL, folder)
    first.record(Batch([]), at(1))
    (folder / f"samples.db{SUFFIX}").unlink()
    first.record(Batch([]), at(2))
    with pytest.raises(errors.Unavailable, match=_IN_USE):
        second.record(Batch([]), at(1, epoch="other"))
    first.close()
    second.close()


def test_a_place_that_cannot_be_locked_is_unavailable(folder: Path) -> None:
    """Told with the store, and tried again."""
    (folder / f"samples.db{SUFFIX}").mkdir()
    driver = SQLiteDriver(URL, folder)
    with pytest.raises(errors.Unavailable, match=r"samples\.db: cannot be opened: is a directory"):
        driver.record(Batch([]), at(1))
    (folder / f"samples.db{SUFFIX}").rmdir()
    assert driver.record(Batch([]), at(1)) == Published(0)
    driver.close()


def test_presence_is_the_objects_own(tmp_path: Path) -> None:
    """It sees others of its process, never itself, and tells (a, bc) from (ab, c)."""
    one, two = Presence(tmp_path / "s.db"), Presence(tmp_path / "s.db")
    one.end()
    assert list(tmp_path.iterdir()) == []
    for _ in range(2):
        one.show("a", "bc")
    assert not one.of_another("a", "bc")
    assert two.of_another("a", "bc")
    assert not two.of_another("ab", "c")
    (file,) = tmp_path.iterdir()
    assert (file.name, file.stat().st_size, stat.S_IMODE(file.stat().st_mode)) == ("s.db-agents", 0, 0o600)
    two.show("a", "bc")
    one.end()
    one.end()
    assert one.of_another("a", "bc")
    two.end()
    assert not one.of_another("a", "bc")
    one.end()


def test_a_process_that_an_agent_starts_does_not_keep_its_id(tmp_path: Path) -> None:
    """Its lock is not handed down to a program that a pollster runs and that outlives the agent."""
    presence = Presence(tmp_path / "s.db")
    presence.show("a", "b")
    file = presence._file  # what is inherited can be seen on the descriptor only
    assert file is not None
    assert not os.get_inheritable(file)
    presence.end()


def test_a_copy_of_a_state_folder_waits_for_the_other(folder: Path) -> None:
    """Two processes with one id and one journal: the one that comes second to a position goes on later."""
    recorded, end = _CONTEXT.Event(), _CONTEXT.Event()
    process = _CONTEXT.Process(target=_hold, args=(folder, recorded, end))
    process.start()
    driver = SQLiteDriver(URL, folder)
    mine = at(1, digest=b"mine")
    try:
        assert recorded.wait(_PATIENCE)
        for _ in range(2):
            with pytest.raises(errors.Unavailable, match=r"a copy of its state folder is in use; this one"):
                driver.record(Batch([a_sample(origin=1)]), mine)
    finally:
        process.kill()
        process.join(_PATIENCE)
    assert driver.record(Batch([a_sample(origin=1)]), mine) == Published(1)
    driver.close()
    assert rows(folder, "select count(*) from sample") == [(2,)]
