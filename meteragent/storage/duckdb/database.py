"""The DuckDB file as this process has it open; apart from its stores, because DuckDB opens a file once only.

A commit returns when its write-ahead log is on the disk (DuckDB syncs it). What DuckDB does not do is
done here: the log is made private and its name synced before the first commit that needs it, and it
goes into the file only while there is room enough, since a checkpoint on a full disk harms the file.
"""

import atexit
import contextlib
import gc
import logging
import os
import stat
import threading
import time
from pathlib import Path

import duckdb

from meteragent import errors
from meteragent.storage.duckdb import powercut, schema

LOG = logging.getLogger(__name__)

# DuckDB's binding prints what is alive when the process ends, and what is frozen never dies
atexit.register(gc.unfreeze)

_LARGEST_LOG = 64 << 20
"""Bytes of the write-ahead log at which it goes into the file: reading it at a start takes a second."""
_RESERVE = 16 << 20
"""Bytes that stay free on the disk, or a sixteenth of a smaller one."""
_PATIENCE = 10.0
"""Seconds that another thread has to end its question when the file has to be opened anew."""
_AGAIN = 0.05
"""Seconds between two interruptions of that question."""


class Session:
    """A connection for one thread at a time, void when the file was opened anew."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, opened: int) -> None:
        self.connection, self.opened = connection, opened
        self.lock = threading.RLock()


class Database:
    """One file, for all stores of this process that name it.

    Life: constructed without touching the file; opened by the first ``session`` and anew by the next one
    after ``failed`` was set or when the file was replaced; closed when the last user is gone.
    """

    def __init__(self, path: Path, memory_limit: str, threads: int) -> None:
        self.path = path
        self.opened = 0
        """How often it was opened: what is remembered of the file is void when this moves."""
        self.failed = False
        """Set by who was told that the file, or the memory of it, is not to be trusted any more."""
        self.users = 0
        self.writer = threading.RLock()
        """Held for a transaction that writes: there is one at a time."""
        self._guard = threading.Lock()
        self._log = Path(f"{path}.wal")
        self._log_inode: int | None = None
        self._root: duckdb.DuckDBPyConnection | None = None
        self._inode: tuple[int, int] | None = None
        self._read_only = True
        self._sessions: list[Session] = []
        self._config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": memory_limit,
            "threads": threads,
            "temp_directory": f"{path}.tmp",
            "autoload_known_extensions": False,
            "autoinstall_known_extensions": False,
            "allow_community_extensions": False,
            "python_enable_replacements": False,
            "preserve_insertion_order": True,
            "checkpoint_threshold": "1TB",  # checkpoints are made here
        }

    def session(self, previous: Session | None, *, read_only: bool) -> Session:
        """The previous session while it is good, else a new one.

        :raises NotFound: when it is to be read only and there is no store yet
        :raises ConfigError: when the file is of a newer format or of another program
        :raises Unavailable: when there is no room, or another process has it open
        """
        with self._guard:
            if self._root is not None and (
                self.failed or self._replaced() or (self._read_only and not read_only)
            ):
                self._shut()
            if self._root is None:
                self._open(read_only=read_only)
            if previous is not None and previous.opened == self.opened:
                return previous
            assert self._root is not None
            session = Session(self._root.cursor(), self.opened)
            self._sessions.append(session)
            return session

    def leave(self, session: Session | None) -> None:
        """A user is gone; the last one closes the file, what was committed stays."""
        with self._guard:
            self.users -= 1
            if session in self._sessions:
                self._sessions.remove(session)
                with session.lock, contextlib.suppress(duckdb.Error):
                    session.connection.close()
            if not self.users and self._root is not None:
                if not self._read_only and not self.failed:
                    with contextlib.suppress(duckdb.Error, OSError):
                        self._checkpoint(self._root)
                self._shut()

    def check_room(self, more: int = 0) -> None:
        """See that there is room for what a transaction needs, before it is begun.

        :raises Unavailable: when there is not
        """
        found = os.statvfs(self.path.parent)
        free = found.f_bavail * found.f_frsize
        needed = min(_RESERVE, found.f_blocks * found.f_frsize // 16) + more
        if free < needed:
            raise errors.Unavailable(
                f"storage {self.path}: the disk is full: {free} bytes are free, {needed} are needed"
            )

    def committed(self, connection: duckdb.DuckDBPyConnection) -> None:
        """After a commit, still alone in writing: see to the log."""
        found = os.stat(self._log)
        if found.st_ino != self._log_inode:
            self._keep_log()
        largest = min(_LARGEST_LOG, max(_room(self.path) // 8, _LARGEST_LOG // 64))
        if found.st_size > largest:
            self._checkpoint(connection)

    def _checkpoint(self, connection: duckdb.DuckDBPyConnection) -> None:
        try:
            self.check_room(2 * self._log.stat().st_size)
        except (errors.Unavailable, OSError):
            return  # the log grows on, until there is room again
        # while another thread asks, it has to be left to the next commit
        with contextlib.suppress(duckdb.TransactionException):
            connection.execute("checkpoint")
            self._keep_log()

    def _keep_log(self) -> None:
        """Have a private log whose name is on the disk, before DuckDB makes one for all to read."""
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self._log, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        self._log.chmod(0o600)
        self._log_inode = self._log.stat().st_ino
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _replaced(self) -> bool:
        if _inode(self.path) == self._inode:
            return False
        LOG.warning(
            "storage %s: the file was removed or replaced while in use; what it held is not in the"
            " one that has its name now", self.path,
        )  # fmt: skip
        # its log would be taken for that of the other file
        if not self._read_only and self._log_inode == (_inode(self._log) or (0, 0))[1]:
            with contextlib.suppress(OSError):
                self._log.rename(f"{self._log}{powercut.ASIDE}")
        return True

    def _open(self, *, read_only: bool) -> None:
        path, new = self.path, not self.path.exists()
        if new and read_only:
            raise errors.NotFound(f"storage {path}: does not exist yet; the agent makes it")
        if not path.parent.is_dir():
            raise FileNotFoundError(2, f"no such folder: {path.parent}")
        if path.is_dir():
            raise IsADirectoryError(21, "is a directory")
        if not read_only or self.failed:
            self.check_room()
        if new:
            powercut.make(path, self._log)
        root = self._connected(read_only=read_only)
        try:
            if not read_only:
                root.execute("pragma disable_checkpoint_on_shutdown")
            powercut.check_read(path, self._log)
            if read_only:
                self._check_format(root)
            else:
                self._keep_log()
                schema.migrate(root, str(path))
                self._keep_log()
        except BaseException:
            root.close()
            raise
        self._root, self._read_only, self._inode = root, read_only, _inode(path)
        self.failed = False
        self.opened += 1

    def _connected(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        before = self._log.stat() if self._log.exists() else None
        try:
            return duckdb.connect(str(self.path), read_only=read_only, config=self._config)
        except duckdb.Error as error:
            at = powercut.torn(error)
            if not at or before is None:
                raise
            powercut.check_torn(self.path, self._log, at)
            if read_only:
                raise
        powercut.mend(self.path, self._log, at, before)
        return duckdb.connect(str(self.path), config=self._config)

    def _check_format(self, root: duckdb.DuckDBPyConnection) -> None:
        found = schema.check(schema.stored_format(root), str(self.path))
        if not found:
            raise errors.NotFound(f"storage {self.path}: holds nothing yet")
        if found < len(schema.MIGRATIONS):
            raise errors.Unavailable(
                f"storage {self.path}: has the older format {found}; start the agent once to bring it"
                f" to format {len(schema.MIGRATIONS)}"
            )

    def _shut(self) -> None:
        """Close every connection: as long as one is open, DuckDB would give the same broken memory again."""
        while self._sessions:
            session = self._sessions[-1]
            if not _seized(session):
                raise errors.Unavailable(f"storage {self.path}: another thread still reads it")
            try:
                with contextlib.suppress(duckdb.Error):
                    session.connection.close()
            finally:
                session.lock.release()
            self._sessions.pop()  # at once: closed, it can be neither interrupted nor closed again
        root, self._root = self._root, None
        if root is not None:
            with contextlib.suppress(duckdb.Error):
                root.close()

    def check_regular(self) -> None:
        """See that the file, where there is one, can be a database.

        :raises ConfigError: when it is a device or the like, which only a person can mend
        """
        with contextlib.suppress(OSError):
            mode = self.path.stat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise errors.ConfigError(f"storage {self.path}: is no regular file")


def _seized(session: Session) -> bool:
    """Whether it was let go of in time; DuckDB forgets an interruption of what has not begun yet."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        session.connection.interrupt()
        if session.lock.acquire(timeout=_AGAIN):
            return True
    return False


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


def _room(path: Path) -> int:
    found = os.statvfs(path.parent)
    return found.f_bavail * found.f_frsize
