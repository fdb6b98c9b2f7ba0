"""The journal's file: one writer at a time, room kept in reserve, errors in our own words."""

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import apsw

from meteragent.errors import Unavailable
from meteragent.failpoints import reach
from meteragent.journal import schema
from meteragent.plain import reason_of

PAGE = 4096
_FRAME = PAGE + 24
"""Bytes of a page in the write-ahead log."""
LOG_PAGES = 512
"""Pages in the write-ahead log after which they are copied into the file and the log begins anew."""
LARGEST_GROWTH = 16 << 20
"""Bytes by which the file grows at most beyond what is needed; it is an eighth of it, else."""
_SLACK = 1 << 18
"""Bytes for what a transaction writes besides its payload."""
_CHUNK = 1 << 18
"""Bytes in which SQLite asks the file system for room; unset, it would not ask ahead at all."""


class JournalFile:
    """A SQLite file that owns its room before it needs it: a full disk stops accepting, nothing else.

    Two things are kept: free pages inside the file, and a write-ahead log that is never made shorter.
    A transaction that fits in both cannot fail for lack of room.
    """

    def __init__(self, path: Path, reserve: int) -> None:
        self.path = path
        self.lock = threading.RLock()
        self._reserve = reserve
        self._log = Path(f"{path}-wal")
        self._spare = 0
        """Bytes that can surely be written beyond the reserve, by what was last seen."""
        self._length_seen = self._least_length = 0
        """Bytes of the file when last looked at, and those that SQLite never makes it shorter than."""
        self._reading = threading.Lock()
        self.connection = self._connect()
        self._reader = schema.connect_reader(path)

    def _connect(self) -> apsw.Connection:
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise Unavailable(f"{self.path}: cannot be opened: {reason_of(error)}") from error
        with schema.explained(self.path):
            connection = schema.connect_writer(self.path)
            try:
                schema.refuse_newer(connection, self.path)
                for setting in (
                    "synchronous=extra",
                    "journal_mode=wal",
                    "cache_size=-8192",
                    f"wal_autocheckpoint={LOG_PAGES}",
                ):
                    connection.execute(f"pragma {setting}").close()
                chunk = ctypes.c_int(_CHUNK)
                connection.file_control("main", apsw.SQLITE_FCNTL_CHUNK_SIZE, ctypes.addressof(chunk))
                schema.migrate(connection, self.path)
                connection.execute("drop table if exists zeros")  # a kill has left it
            except BaseException:
                connection.close()
                raise
        return connection

    def transaction(self, phase: str) -> AbstractContextManager[apsw.Connection]:
        """One transaction, alone; the caller holds ``lock`` when it keeps figures beside the file.

        :raises Unavailable: when it did not happen
        """
        return self._transaction(phase, "full")

    def transaction_unsynced(self, phase: str) -> AbstractContextManager[apsw.Connection]:
        """The same, not waiting for the disk: for what a later redelivery mends.

        :raises Unavailable: when it did not happen
        """
        return self._transaction(phase, "normal")

    @contextmanager
    def _transaction(self, phase: str, synchronous: str) -> Iterator[apsw.Connection]:
        with self.lock, schema.explained(self.path):
            try:
                self.connection.execute(f"pragma synchronous={synchronous}")
                self.connection.execute("begin immediate")
                reach(phase)
                yield self.connection
                self.connection.execute("commit")
            except BaseException as error:
                self._spare = 0
                with suppress(apsw.Error):  # SQLite may have rolled back by itself
                    if self.connection.in_transaction:
                        self.connection.execute("rollback")
                    if isinstance(error, apsw.FullError):
                        self._copy_log()  # one that a long reader has let grow can begin anew next time
                raise

    @contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        """The connection that reads beside the writer.

        :raises Unavailable: when it cannot be read now
        """
        with self._reading, schema.explained(self.path):
            yield self._reader

    def make_room(self, size: int) -> None:
        """See to it that a transaction of so many bytes leaves the reserve as it is.

        :raises Unavailable: when the disk has not enough left for that, or the file was cut
        """
        needed = _needed(size)
        with self.lock:
            self._check_length()
            if needed > self._spare:
                self._spare = self._see_to(needed, self._reserve)
            self._spare -= needed

    def make_room_aside(self, size: int) -> None:
        """The same for what is put aside: it may take half of the reserve, the rest is for moving on.

        :raises Unavailable: when the disk has not enough left for that
        """
        with self.lock:
            self._spare = 0
            self._see_to(_needed(size), self._reserve // 2)

    def _check_length(self) -> None:
        """See that nobody has cut the file: SQLite would go on with what it has in memory and in the log.

        It makes the file shorter itself, but never than all its pages; free ones stay in it.
        """
        with schema.explained(self.path):
            length = os.stat(self.path).st_size
            if length == self._length_seen:
                return
            pages = self._pages()
        if length < min(self._least_length, pages):
            raise Unavailable(f"{self.path} was cut to {length} bytes while in use; {schema.START_AGAIN}")
        self._length_seen, self._least_length = length, min(length, pages)

    def _see_to(self, needed: int, keep: int) -> int:
        """Own so many bytes beyond those to keep; how many there are."""
        with schema.explained(self.path):
            free, log = self._owned()
            if free < keep + needed or log < LOG_PAGES * PAGE + max(keep, needed):
                self._grow(keep + LOG_PAGES * PAGE + max(needed, min(self._pages() // 8, LARGEST_GROWTH)))
                free, log = self._owned()
            return max(needed, min(free - keep, log - LOG_PAGES * PAGE))

    def _owned(self) -> tuple[int, int]:
        """Bytes of pages free in the file, and bytes of pages that the write-ahead log has room for."""
        try:
            log = self._log.stat().st_size // _FRAME * PAGE
        except FileNotFoundError:
            log = 0
        return int(self.connection.execute("pragma freelist_count").get) * PAGE, log

    def _pages(self) -> int:
        """Bytes of all pages, those included that are in the log only."""
        return int(self.connection.execute("pragma page_count").get) * PAGE

    def _grow(self, size: int) -> None:
        """Make room by writing so many zeros and freeing them: both file and log then own their blocks.

        The file's blocks come first. Were there pages in the log that the file has no blocks for, the
        log could not begin anew, and on a disk that has become full nothing would move any more.
        """
        free, log = self._owned()
        missing = max(0, size - free) + max(0, size + self._copy_log() - log)
        disk = os.statvfs(self.path)
        left = disk.f_bavail * disk.f_frsize
        if left < missing + missing // 64 + _SLACK:
            raise Unavailable(
                f"disk full: {self.path.parent} has {left >> 10} KiB left, the journal needs {missing >> 10}"
            )
        wanted = ctypes.c_int64(self._pages() + max(0, size - free) + _SLACK)
        self.connection.file_control("main", apsw.SQLITE_FCNTL_SIZE_HINT, ctypes.addressof(wanted))
        with self.transaction("journal open") as connection:
            connection.execute("create table zeros(bytes blob)")
            connection.execute("insert into zeros values (zeroblob(?))", (size,))
        with self.transaction("journal open") as connection:
            connection.execute("drop table zeros")
        self._copy_log()

    def _copy_log(self) -> int:
        """Copy the log into the file as far as readers let it; how many bytes of it are in use after that."""
        try:
            total, copied = self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.BusyError:  # another process is copying
            return LOG_PAGES * PAGE
        return 0 if total == copied else total * PAGE

    def close(self) -> None:
        """Let go of the file."""
        with self.lock, self._reading:
            self._reader.close()
            self.connection.close()


def _needed(size: int) -> int:
    """Bytes of room that a transaction of so many bytes takes at the most."""
    return size + size // 16 + _SLACK
