"""Puts a backup in the place of a journal and its store, which go on from there under another epoch.

The journal gets a new epoch, and the store's rows of it do, too: a batch that the store has already and
the journal still holds is answered with its first counts, while a position that any other sink knows
from the time after the backup never comes a second time.
"""

import os
import uuid
from pathlib import Path

import apsw

from meteragent import state_folder
from meteragent.assembly import make_driver
from meteragent.backup import manifest
from meteragent.backup.manifest import Manifest
from meteragent.clock import Clock
from meteragent.config import Settings
from meteragent.errors import ConfigError, MeteragentError, Unavailable
from meteragent.journal import schema
from meteragent.journal.replacing import copied, present, remove, sync
from meteragent.progress import Tell
from meteragent.storage.base import Renewal, StorageDriver

_SUFFIXES = ("", "-wal", "-shm", "-journal", ".salvaged")
"""Of the files of a journal."""


def restore(settings: Settings, source: Path, aside: str, tell: Tell) -> Manifest:
    """Put the backup in a folder in the place of what is there.

    :param aside: ending under which a journal and a store that are there are kept; empty when there
        must be none
    :raises NotFound: when there is no backup
    :raises ConfigError: when an agent runs, the backup is damaged, or something is there
    :raises Unavailable: when it cannot be restored now
    """
    found = manifest.read(source)
    _check_store(settings, found)
    manifest.check(found, source, tell)
    folder = settings.make_state_dir()
    lock = state_folder.lock(folder)
    try:
        before = present(folder / state_folder.JOURNAL, _SUFFIXES)
        if before and not aside:
            raise ConfigError(f"{before[0]}: is there already; --replace keeps it beside")
        renewal = Renewal(found.agent, found.epoch, uuid.uuid4().hex)
        driver: StorageDriver = make_driver(settings, Clock(), read_only=True)
        marker = folder / state_folder.RESTORING
        cut_off, moving = marker.exists(), False
        try:
            _prepare(source / manifest.JOURNAL, marker, renewal, tell)
            moving = True  # at once where there is nothing to copy
            for done, total in driver.restore(source, renewal, aside):
                moving = False
                tell("restoring the store", done, total)
                moving = done >= total
        except BaseException as error:
            # after an earlier one that was cut off, the store may be in its place
            if not cut_off and (isinstance(error, MeteragentError) or not moving):
                marker.unlink(missing_ok=True)
            raise
        finally:
            driver.close()
        for each in before:
            os.rename(each, f"{each}{aside}")
        os.rename(marker, folder / state_folder.JOURNAL)
        sync(folder)
    finally:
        os.close(lock)
    return found


def _check_store(settings: Settings, found: Manifest) -> None:
    scheme = settings.conf.storage.connection.partition(":")[0]
    if scheme != found.store:
        raise ConfigError(
            f"[storage] connection: the backup is of a store of {found.store}, this is one of {scheme};"
            f" name one of {found.store} to restore it"
        )


def _prepare(source: Path, marker: Path, renewal: Renewal, tell: Tell) -> None:
    """The journal as it will be, under a name that keeps agents from starting."""
    fresh = marker.with_name(f"{state_folder.JOURNAL}.copied")
    remove(fresh, _SUFFIXES)
    try:
        for done, total in copied(source, fresh):
            tell("restoring the journal", done, total)
        _renew(fresh, renewal)
        os.rename(fresh, marker)
    except BaseException:
        remove(fresh, _SUFFIXES)
        raise
    sync(marker.parent)


def _renew(path: Path, renewal: Renewal) -> None:
    with schema.explained(path):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            schema.refuse_newer(connection, path)
            connection.execute("pragma synchronous=full").close()
            connection.execute("update meta set value = ? where key = 'epoch'", (renewal.renewed,))
            if connection.changes() != 1:
                raise Unavailable(f"{path}: holds no journal")
        finally:
            connection.close()
