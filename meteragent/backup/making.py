"""Makes a backup: journal and store as they are at one instant, while the agent that uses them goes on.

While nothing is written to the journal, no batch is accepted and no sink moves on. A snapshot of the
store that is begun then holds each batch that a sink's position says it has, and none that the journal
does not have: a batch is recorded after it was journaled, and a position moves after that. So it is
held for as long as two snapshots take to begin, which the agent waits for as for any other writer.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from meteragent import state_folder
from meteragent.assembly import make_driver
from meteragent.backup import folder
from meteragent.backup.manifest import FORMAT, JOURNAL, NAME, File, Manifest, described
from meteragent.clock import Clock, iso
from meteragent.config import Settings
from meteragent.errors import ConfigError, NotFound, Unavailable
from meteragent.journal import schema, status
from meteragent.journal.replacing import Parts, sync
from meteragent.journal.snapshot import PATIENCE, Snapshot
from meteragent.journal.verify import unsound
from meteragent.progress import Tell
from meteragent.self_metering import VERSION
from meteragent.storage.base import StorageDriver

_SPARE = 1 << 20
"""Bytes that a backup takes beside the files it copies."""


def back_up(settings: Settings, named: str, tell: Tell) -> Manifest:
    """Copy journal and store into a folder that is not there yet.

    :raises NotFound: when there is no journal
    :raises ConfigError: when the folder cannot be used
    :raises Unavailable: when the journal or the store cannot be copied now
    """
    journal = settings.state_dir / state_folder.JOURNAL
    if not journal.exists():
        raise NotFound(f"{journal}: no journal yet; meteragent run makes it")
    clock = Clock()
    driver: StorageDriver = make_driver(settings, clock, read_only=True)
    try:
        with folder.written(named) as partial:
            with contextlib.ExitStack() as held:
                taken = clock.wall()
                snapshot, store, stored = _at_one_instant(held, journal, driver, partial)
                _check_room(partial, journal, stored)
                _follow(snapshot.copy(partial / JOURNAL), "copying the journal", tell)
                snapshot.close()  # its log grows no more
                _follow(store, "copying the store", tell)
            _check_sound(partial / JOURNAL)
            return _describe(settings, partial, taken, tell)
    finally:
        driver.close()


def _at_one_instant(
    held: contextlib.ExitStack, path: Path, driver: StorageDriver, partial: Path
) -> tuple[Snapshot, Parts, int]:
    """Both, and the bytes of the store."""
    with _quiet(path), _nobody_starts(path.parent):
        made = os.stat(path)
        snapshot = held.enter_context(Snapshot(path))
        store = driver.backup(partial)
        _, stored = next(store, (0, 0))
        held.callback(_closed, store)
        restoring = (path.parent / state_folder.RESTORING).exists()
        try:
            replaced = not os.path.samestat(os.stat(path), made)
        except FileNotFoundError:
            replaced = True
        if restoring or replaced:
            raise Unavailable(f"{path}: a backup is being restored there")
    return snapshot, store, stored


@contextlib.contextmanager
def _quiet(path: Path) -> Iterator[None]:
    """Keep everyone from writing to the journal."""
    with schema.explained(path):
        connection = schema.connect_untouched(path)
        try:
            connection.set_busy_timeout(int(PATIENCE * 1000))
            schema.check_readable(connection, path)
            connection.execute("begin immediate")
            try:
                yield
            finally:
                connection.execute("rollback")
        finally:
            connection.close()


@contextlib.contextmanager
def _nobody_starts(state_dir: Path) -> Iterator[None]:
    """Take the state folder, so that no agent begins; one that runs has it and is right, too."""
    try:
        lock = state_folder.lock(state_dir)
    except ConfigError:
        yield
        return
    try:
        yield
    finally:
        os.close(lock)


def _closed(parts: Parts) -> None:
    """End what has not come to its end."""
    close = getattr(parts, "close", None)
    if close is not None:
        close()


def _check_room(partial: Path, journal: Path, stored: int) -> None:
    found = os.statvfs(partial)
    left, needed = found.f_bavail * found.f_frsize, journal.stat().st_size + stored + _SPARE
    if left < needed:
        raise Unavailable(
            f"disk full: {partial.parent} has {left >> 10} KiB left, the backup needs {needed >> 10}"
        )


def _follow(parts: Parts, what: str, tell: Tell) -> None:
    for done, total in parts:
        tell(what, done, total)


def _check_sound(path: Path) -> None:
    if fault := unsound(path):
        raise Unavailable(f"the journal is damaged ({fault}); {schema.START_AGAIN}")


def _describe(settings: Settings, partial: Path, taken: int, tell: Tell) -> Manifest:
    """Write down what it is, when all of it is on the disk."""
    found = status.read(partial / JOURNAL)
    if not found.balanced:
        raise Unavailable(f"{found.path}: the account does not balance")
    files: dict[str, File] = {each.name: described(each, tell) for each in sorted(partial.iterdir())}
    for name in files:
        sync(partial / name)
    manifest = Manifest(
        FORMAT, VERSION, settings.host, found.agent, found.epoch, found.last, iso(taken),
        settings.conf.storage.connection.partition(":")[0], files,
    )  # fmt: skip
    descriptor = os.open(partial / NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return manifest
