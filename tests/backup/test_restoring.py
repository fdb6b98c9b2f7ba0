"""Tests of restoring: what was accepted is delivered, once, and nothing that is there is lost."""

import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.verdict import rows
from meteragent import state_folder
from meteragent.backup import manifest
from meteragent.backup.restoring import restore
from meteragent.batch import Position, Published
from meteragent.config import Settings, load
from meteragent.errors import ConfigError, MeteragentError, NotFound, Unavailable
from meteragent.journal.status import read
from meteragent.storage.base import Query
from tests.backup.conftest import JOURNAL, STORE, Metered, silent


def names(folder: Path) -> list[str]:
    """What lies in a folder, but for what only says who used it."""
    return sorted(each.name for each in folder.iterdir() if each.name != state_folder.LOCK)


def test_what_waited_is_delivered_and_counts_once(
    metered: Metered, backup: Path, elsewhere: Settings
) -> None:
    """The batch that the store had already is told as delivered, under another epoch."""
    restore(elsewhere, backup, "", silent)
    again = Metered(elsewhere.state_dir)
    assert again.agent == metered.agent
    assert again.journal.epoch != metered.journal.epoch
    assert again.row.sequence == 2
    assert again.record() == Published(2)
    again.move()
    again.accept(3)
    assert again.record() == Published(2)
    again.move()
    assert len(again.driver.samples(Query(), 100).samples) == 8
    again.close()
    found = read(elsewhere.state_dir / JOURNAL)
    assert found.balanced
    assert (found.sinks[0].delivered, found.sinks[0].pending) == (8, 0)


def test_a_store_that_went_on_takes_nothing_for_something_else(
    settings: Settings, metered: Metered, backup: Path, elsewhere: Settings
) -> None:
    """To a store that saw other batches after the backup, positions of the restored journal are new."""
    gone_on = Metered(settings.state_dir)
    gone_on.move()
    gone_on.accept(7)
    assert gone_on.record() == Published(2)
    gone_on.move()
    restore(elsewhere, backup, "", silent)
    again = Metered(elsewhere.state_dir)
    again.accept(8)
    again.journal.positions.move("store", again.next().batch, {"delivered": 2}, {})
    record = again.next()
    place = Position(again.agent, again.journal.epoch, "store", record.batch.sequence)
    gone_on.driver.close()
    assert gone_on.driver.record(record.batch, place) == Published(2)
    assert metered.journal.epoch != again.journal.epoch
    again.close()
    gone_on.close()


def test_what_is_there_stays(settings: Settings, backup: Path) -> None:
    """Journal or store: each alone is reason enough to refuse, and nothing changes."""
    state = settings.state_dir
    before = {each: each.read_bytes() for each in state.iterdir() if each.name.startswith((JOURNAL, STORE))}
    with pytest.raises(ConfigError, match=r"journal\.db: is there already; --replace keeps it beside"):
        restore(settings, backup, "", silent)
    assert {each: each.read_bytes() for each in before} == before
    for each in state.glob(f"{JOURNAL}*"):
        each.unlink()
    left = names(state)
    with pytest.raises(ConfigError, match=r"samples\.db: is there already; --replace keeps it beside"):
        restore(settings, backup, "", silent)
    assert names(state) == left


def test_replaced_ones_are_kept_beside(settings: Settings, backup: Path) -> None:
    """All of their files, readable as they were."""
    state = settings.state_dir
    gone_on = Metered(state)
    gone_on.accept(7)
    gone_on.close()
    restore(settings, backup, ".replaced", silent)
    assert read(state / JOURNAL).last == 3
    assert not (state / f"{JOURNAL}-wal").exists(), "the log of another file would be taken for its own"
    kept = state.parent / "kept"
    kept.mkdir()
    for each in state.glob("*.replaced"):
        each.rename(kept / each.name.removesuffix(".replaced"))
    old = Metered(kept)
    assert (old.journal.last, len(old.driver.samples(Query(), 100).samples)) == (4, 6)
    old.close()


def test_an_agent_that_runs_is_left_alone(elsewhere: Settings, backup: Path) -> None:
    """It must be ended first."""
    lock = state_folder.lock(elsewhere.make_state_dir())
    with pytest.raises(ConfigError, match="is in use by process"):
        restore(elsewhere, backup, ".replaced", silent)
    os.close(lock)
    assert names(elsewhere.state_dir) == []


def test_another_agent_that_records_in_the_store_is_left_alone(
    settings: Settings, backup: Path, tmp_path: Path
) -> None:
    """Which has its journal elsewhere."""
    (tmp_path / "other.conf").write_text(f"[storage]\nconnection = sqlite:///{settings.state_dir}/samples.db")
    other = load([str(tmp_path / "other.conf")], [], str(tmp_path / "other"))
    running = Metered(settings.state_dir)
    running.accept(5)
    running.record()
    with pytest.raises(Unavailable, match="another agent records there; end it first"):
        restore(other, backup, ".replaced", silent)
    assert names(other.state_dir) == []
    running.close()
    restore(other, backup, ".replaced", silent)


def test_a_restore_that_was_cut_off_is_done_again(settings: Settings, backup: Path) -> None:
    """No agent starts on what it has left."""
    with pytest.raises(KeyboardInterrupt):
        restore(settings, backup, ".first", interrupt)
    state_folder.check_restored(settings.state_dir)
    (settings.state_dir / state_folder.RESTORING).write_text("half")
    with pytest.raises(ConfigError, match="it was cut off; run `meteragent restore --replace`"):
        state_folder.check_restored(settings.state_dir)
    with pytest.raises(KeyboardInterrupt):
        restore(settings, backup, ".second", interrupt)
    with pytest.raises(ConfigError, match="cut off"):  # still
        state_folder.check_restored(settings.state_dir)
    restore(settings, backup, ".third", silent)
    state_folder.check_restored(settings.state_dir)
    assert read(settings.state_dir / JOURNAL).last == 3


def killed_at(step: int, settings: Settings, backup: Path) -> bool:
    """Restore in a process of its own, killed when it moves or syncs a file the n-th time; whether it was."""
    process = os.fork()
    if process:
        status = os.waitpid(process, 0)[1]
        assert status in (0, signal.SIGKILL)
        return bool(status)
    try:
        with cut_off(step, lambda: os.kill(os.getpid(), signal.SIGKILL)):
            restore(settings, backup, ".replaced", silent)
        os._exit(0)
    finally:  # no test goes on in this process
        os._exit(1)


def interrupted_at(step: int, settings: Settings, backup: Path) -> bool:
    """The same by Ctrl-C."""

    def press() -> None:
        raise KeyboardInterrupt

    try:
        with cut_off(step, press):
            restore(settings, backup, ".replaced", silent)
    except KeyboardInterrupt:
        return True
    return False


@contextlib.contextmanager
def cut_off(step: int, end: Callable[[], None]) -> Iterator[None]:
    """Meanwhile something is called instead of the n-th time that a file is moved or synced."""
    left = step

    def deadly(call: Callable[..., None]) -> Callable[..., None]:
        def counted(*arguments: Any) -> None:
            nonlocal left
            left -= 1
            if not left:
                end()
            call(*arguments)

        return counted

    former = os.rename, os.fsync
    os.rename, os.fsync = deadly(os.rename), deadly(os.fsync)
    try:
        yield
    finally:
        os.rename, os.fsync = former


@pytest.mark.parametrize("cut", [killed_at, interrupted_at])
def test_wherever_it_is_cut_off_no_agent_starts_on_half_of_it(
    settings: Settings, backup: Path, cut: Callable[[int, Settings, Path], bool]
) -> None:
    """Journal and store are both the former ones, or both those of the backup; and it can be done again."""
    seen, step = set(), 1
    while True:
        shutil.rmtree(settings.state_dir)
        before = Metered(settings.state_dir)
        before.accept(0)
        before.record()
        before.close()
        ended = cut(step, settings, backup)
        try:
            state_folder.check_restored(settings.state_dir)
        except ConfigError:
            seen.add("neither")
        else:
            after = Metered(settings.state_dir)
            after.close()
            recorded = {epoch for (epoch,) in rows(settings.state_dir / STORE, "select epoch from agent")}
            assert after.journal.epoch in recorded
            seen.add("former" if after.journal.epoch == before.journal.epoch else "restored")
        if not ended:
            break
        restore(settings, backup, ".again", silent)
        again = Metered(settings.state_dir)
        assert again.record() == Published(2)
        again.close()
        step += 1
    assert step > 10
    assert seen == {"former", "neither", "restored"}


def interrupt(what: str, done: int, total: int) -> None:
    """Ctrl-C while the store is copied."""
    del done, total
    if what == "restoring the store":
        raise KeyboardInterrupt


def test_a_damaged_backup_is_refused(elsewhere: Settings, backup: Path) -> None:
    """The file is named, and nothing is made."""
    for file, text, told in (
        (STORE, None, "samples.db: the backup is damaged: no such file"),
        (STORE, b"short", "samples.db: the backup is damaged: 5 bytes, there were"),
        (JOURNAL, b"flipped", "journal.db: the backup is damaged: it differs from its digest"),
        (manifest.NAME, None, "is no backup, or only half of one"),
        (manifest.NAME, b'{"format": 1', "backup.json: is damaged"),
        (manifest.NAME, b'{"format": 2, "new": 1}', "backup format 2 is newer than 1"),
        (manifest.NAME, b"flipped", "backup.json: is damaged"),
    ):
        path = backup / file
        whole = path.read_bytes()
        path.unlink()
        if text is not None:
            path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]) if text == b"flipped" else text)
        with pytest.raises(MeteragentError, match=told):
            restore(elsewhere, backup, "", silent)
        path.unlink(missing_ok=True)
        path.write_bytes(whole)
    assert not elsewhere.state_dir.exists()
    restore(elsewhere, backup, "", silent)


def test_a_manifest_names_no_files_elsewhere(elsewhere: Settings, backup: Path) -> None:
    """A backup comes from outside: nothing beside it is read."""
    found = manifest.read(backup)
    odd = msgspec.structs.replace(found, files={**found.files, "../meteragent.conf": found.files[STORE]})
    (backup / manifest.NAME).write_bytes(msgspec.json.encode(odd))
    with pytest.raises(ConfigError, match="is damaged: its files are"):
        restore(elsewhere, backup, "", silent)


def test_what_is_no_backup_is_refused(elsewhere: Settings, tmp_path: Path) -> None:
    """A folder that is not there, or of something else, or no folder."""
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for named in ("missing", "empty", "file"):
        with pytest.raises(NotFound, match="is no backup, or only half of one"):
            restore(elsewhere, tmp_path / named, "", silent)


def test_a_store_of_another_kind_is_refused(backup: Path, tmp_path: Path) -> None:
    """The option names it."""
    (tmp_path / "other.conf").write_text("[storage]\nconnection = duckdb:///samples.duckdb\n")
    other = load([str(tmp_path / "other.conf")], [], str(tmp_path / "other"))
    with pytest.raises(ConfigError, match="the backup is of a store of sqlite, this is one of duckdb"):
        restore(other, backup, "", silent)


def test_what_is_damaged_is_replaced(settings: Settings, backup: Path) -> None:
    """That is what a backup is for."""
    for name in (JOURNAL, STORE):
        for each in settings.state_dir.glob(f"{name}-*"):
            each.unlink()
        (settings.state_dir / name).write_bytes(b"damaged" * 1000)
    restore(settings, backup, ".damaged", silent)
    again = Metered(settings.state_dir)
    assert again.record() == Published(2)
    again.close()
    assert (settings.state_dir / f"{STORE}.damaged").read_bytes() == b"damaged" * 1000
