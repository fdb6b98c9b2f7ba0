"""The journal's file: one writer at a time, room kept in reserve, errors in our own words."""

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from meteragent.errors import Unavailable
from meteragent.failpoints import reach
from meteragent.journal import schema

GROWTH = 4 << 20
"""Bytes by which the file grows at least; an eighth of it when that is more."""
LARGEST_GROWTH = 16 << 20
_SLACK = 1 << 18


class JournalFile:
    """A SQLite file that keeps free pages inside, so that a full disk stops accepting, nothing else."""

    def __init__(self, path: Path, reserve: int) -> None:
        self.path = path
        self.lock = threading.RLock()
        self._reserve = reserve
        self._reading = threading.Lock()
        self.connection = self._connect()
        self._reader = schema.connect_reader(path)

    def _connect(self) -> apsw.Connection:
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            connection = apsw.Connection(str(self.path))
            connection.set_busy_timeout(schema.BUSY_MILLISECONDS)
            connection.execute("pragma journal_mode=wal; pragma synchronous=full; pragma cache_size=-8192")
            keep = ctypes.c_int(1)  # the write-ahead log's blocks are part of the reserve
            connection.file_control("main", apsw.SQLITE_FCNTL_PERSIST_WAL, ctypes.addressof(keep))
            schema.migrate(connection, self.path)
        except (OSError, apsw.Error) as error:
            raise Unavailable(f"{self.path}: cannot be opened: {error}") from error
        return connection

    @contextmanager
    def transaction(self, phase: str, *, synced: bool = True) -> Iterator[apsw.Connection]:
        """One transaction, alone; the caller holds ``lock`` when it keeps figures beside the file.

        :param synced: whether the commit waits for the disk; what a later redelivery mends need not
        :raises Unavailable: when it did not happen
        """
        with self.lock:
            try:
                self.connection.execute(f"pragma synchronous={'full' if synced else 'normal'}")
                self.connection.execute("begin immediate")
                reach(phase)
                yield self.connection
                self.connection.execute("commit")
            except apsw.Error as error:
                self._roll_back()
                raise Unavailable(f"{self.path}: {_told(error)}") from error
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        if self.connection.in_transaction:
            try:
                self.connection.execute("rollback")
            except apsw.Error:  # SQLite has rolled back by itself
                return

    @contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        """The connection that reads beside the writer.

        :raises Unavailable: when it cannot be read now
        """
        with self._reading:
            try:
                yield self._reader
            except apsw.Error as error:
                raise Unavailable(f"{self.path}: {_told(error)}") from error

    def make_room(self, size: int) -> None:
        """See to it that so many bytes can be written without touching the reserve.

        New room is made by writing and freeing zeros, so that both the file and its write-ahead
        log own their blocks before they are needed.

        :raises Unavailable: when the disk has not enough left for that
        """
        needed = size + size // 16 + _SLACK
        pages = self.connection.pragma("freelist_count") - self._reserve // 4096
        if pages * 4096 >= needed:
            return
        length = self.path.stat().st_size
        growth = max(GROWTH, needed, min(length // 8, LARGEST_GROWTH))
        if not length or self.connection.pragma("freelist_count") * 4096 < self._reserve:
            growth += self._reserve
        disk = os.statvfs(self.path)
        if disk.f_bavail * disk.f_frsize < 2 * growth + _SLACK:
            raise Unavailable(
                f"disk full: {self.path.parent} has {disk.f_bavail * disk.f_frsize >> 10} KiB left, "
                f"the journal needs {2 * growth >> 10}"
            )
        with self.transaction("journal open") as connection:
            connection.execute("create table zeros(bytes blob)")
            connection.execute("insert into zeros values (zeroblob(?))", (growth,))
        with self.transaction("journal open") as connection:
            connection.execute("drop table zeros")
        self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def close(self) -> None:
        """Let go of the file."""
        with self.lock, self._reading:
            self._reader.close()
            self.connection.close()


def _told(error: apsw.Error) -> str:
    if isinstance(error, apsw.FullError):
        return "disk full"
    return f"{type(error).__name__}: {error}"
