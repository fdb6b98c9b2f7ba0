"""Copies the store and puts a copy in its place; apart, as no agent needs it."""

from functools import partial
from pathlib import Path

import apsw

from meteragent import errors
from meteragent.journal.replacing import Parts, replaced
from meteragent.journal.snapshot import Snapshot
from meteragent.storage.base import Renewal
from meteragent.storage.sqlite import schema
from meteragent.storage.sqlite.presence import Presence

COPY = "samples.db"
"""File of the copy."""
_SUFFIXES = ("", "-wal", "-shm", "-journal")


def backup(path: Path, folder: Path) -> Parts:
    """See ``StorageDriver.backup``."""
    if not path.exists():
        return
    with Snapshot(path) as snapshot:
        size = path.stat().st_size
        yield 0, size
        yield from snapshot.copy(folder / COPY)


def restore(path: Path, folder: Path, renewal: Renewal, aside: str) -> Parts:
    """See ``StorageDriver.restore``."""
    if Presence(path).of_anyone():
        raise errors.Unavailable(f"storage {path}: another agent records there; end it first")
    yield from replaced(path, folder / COPY, _SUFFIXES, partial(_renew, renewal), aside)


def _renew(renewal: Renewal, path: Path) -> None:
    """Let what the agent recorded count as that of its journal under the new name."""
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            schema.check(schema.stored_format(connection), str(path))
            connection.execute("pragma synchronous = full")
            connection.execute(
                "update agent set epoch = ? where id = ? and epoch = ?",
                (renewal.renewed, renewal.agent, renewal.epoch),
            )
        finally:
            connection.close()
    except apsw.Error as error:
        raise errors.Unavailable(f"storage {path}: cannot be restored: {error}") from None
