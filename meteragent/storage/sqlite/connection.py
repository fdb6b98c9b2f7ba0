"""The SQLite file: made private, opened on first use and again after a failure, its errors in one line."""

import contextlib
import ctypes
import errno
import logging
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import apsw

from meteragent import errors
from meteragent.journal.schema import OLDEST_SQLITE
from meteragent.plain import reason_of
from meteragent.storage.sqlite import globs, schema

LOG = logging.getLogger(__name__)

BUSY_SECONDS = 5.0

_WRITER_CACHE = 16 << 20
_READER_CACHE = 16 << 20
_SORTERS = 1
"""Threads that help a reader to sort what does not fit into its cache."""
_PAGE = 4096
_LARGEST_WAL = 20_000 * _PAGE
_SMALLEST_WAL = 250 * _PAGE

_REASONS: tuple[tuple[type[apsw.Error] | tuple[type[apsw.Error], ...], str], ...] = (
    (
        (apsw.CorruptError, apsw.NotADBError),
        "the file is damaged or no SQLite database; meteragent restore puts a backup in its place",
    ),
    (apsw.FullError, "the disk is full"),
    ((apsw.BusyError, apsw.LockedError), "another process holds its lock"),
    ((apsw.ReadOnlyError, apsw.PermissionsError), "may not be written"),
    (apsw.CantOpenError, "cannot be opened"),
    (apsw.IOError, "input or output failed"),
)
_NEVER = (apsw.ConstraintError, apsw.MismatchError, apsw.TooBigError, apsw.RangeError)


def require_sqlite(version: str) -> None:
    """Refuse a SQLite that can damage a file shared by processes.

    :raises ConfigError: naming both versions
    """
    if tuple(int(part) for part in version.split(".")) < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        raise errors.ConfigError(
            f"storage: SQLite {version} can damage a file that several processes use,"
            f" {oldest} or newer is needed; install a newer apsw"
        )


class Store:
    """One connection to the file, for one thread at a time.

    Life: constructed without touching the file; opened by the first ``reading`` or ``writing``,
    and anew by the next one after a failure or when the file was replaced; ``close`` is safe always.

    :param patience: seconds that a lock of another process is waited for
    """

    def __init__(self, path: Path, *, read_only: bool, patience: float = BUSY_SECONDS) -> None:
        self.path, self._read_only, self._patience = path, read_only, patience
        self.opened = 0
        """How often it was opened: what is remembered of the file is void when this moves."""
        self._connection: apsw.Connection | None = None
        self._inode: tuple[int, int] | None = None

    @contextlib.contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        """The connection.

        :raises NotFound: when it is opened read-only and there is no store yet
        :raises Unavailable: when the file cannot be read now
        :raises ConfigError: when the file is of a newer format or of another program
        """
        with self._explained():
            yield self._opened()

    @contextlib.contextmanager
    def writing(self) -> Iterator[apsw.Connection]:
        """The connection within one transaction: durable when left, undone when left by an error.

        :raises Unavailable: when the file cannot be written now
        :raises Rejected: when what was to be written can never be
        """
        if self._read_only:
            raise errors.Unavailable(
                f"storage {self.path}: may not be written: it is opened for reading only"
            )
        with self._explained():
            connection = self._opened()
            connection.execute("begin immediate")
            try:
                yield connection
                connection.execute("commit")
            except BaseException:
                with contextlib.suppress(apsw.Error):
                    if connection.in_transaction:
                        connection.execute("rollback")
                raise

    def close(self) -> None:
        """Let go of the file; what was committed stays, even where the last checkpoint fails."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(apsw.Error):
                connection.close(True)

    def _opened(self) -> apsw.Connection:
        if self._connection is not None and self._inode != _inode(self.path):
            if not self._read_only:
                LOG.warning(
                    "storage %s: the file was removed or replaced while in use; what it held is not in the"
                    " one that has its name now", self.path,
                )  # fmt: skip
            self.close()  # writing on would go to a file without a name
        if self._connection is None:
            if self._read_only and not self.path.exists():
                raise errors.NotFound(f"storage {self.path}: does not exist yet; the agent makes it")
            if not self._read_only:
                _make_private(self.path)
            inode, connection = _inode(self.path), self._connect()
            try:
                self._prepare(connection)
            except BaseException:
                connection.close(True)
                raise
            self._inode, self._connection = inode, connection
            self.opened += 1
        return self._connection

    def _connect(self) -> apsw.Connection:
        if self.path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not self._read_only:
            return apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE)
        if _never_changes(self.path):  # else SQLite would make files beside it, and cannot
            address = f"file:{quote(str(self.path))}?immutable=1"
            return apsw.Connection(address, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        return apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READONLY)

    def check_regular(self) -> None:
        """See that the file, where there is one, can be a database.

        :raises ConfigError: when it is a device or the like, which only a person can mend
        """
        with contextlib.suppress(OSError):
            mode = self.path.stat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise errors.ConfigError(f"storage {self.path}: is no regular file")

    def _prepare(self, connection: apsw.Connection) -> None:
        connection.set_busy_timeout(int(self._patience * 1000))
        globs.prepare(connection)
        if self._read_only:
            connection.execute(f"pragma cache_size = -{_READER_CACHE >> 10}; pragma threads = {_SORTERS}")
            found = schema.check(schema.stored_format(connection), str(self.path))
            if not found:
                raise errors.NotFound(f"storage {self.path}: holds nothing yet")
            if found < len(schema.MIGRATIONS):
                raise errors.Unavailable(
                    f"storage {self.path}: has the older format {found}; start the agent once to bring it"
                    f" to format {len(schema.MIGRATIONS)}"
                )
            return
        schema.check(schema.stored_format(connection), str(self.path))
        # extra: a file deleted on the way to the write-ahead log shall not be there again after a power cut
        connection.execute("pragma synchronous = extra")
        _log_ahead(connection, self._patience)
        connection.execute("pragma synchronous = full")
        connection.execute(f"pragma cache_size = -{_WRITER_CACHE >> 10}")
        connection.wal_autocheckpoint(_log_pages(self.path))
        # the companions stay, empty, when the last one closes it: one who may only read cannot make them
        keep = ctypes.c_int(1)
        connection.file_control("main", apsw.SQLITE_FCNTL_PERSIST_WAL, ctypes.addressof(keep))
        connection.execute(f"pragma journal_size_limit = {_LARGEST_WAL}")
        # after a full disk the log may be what fills it: what it holds goes into the file where it can
        with contextlib.suppress(apsw.FullError, apsw.BusyError):
            connection.wal_checkpoint()
        schema.migrate(connection, str(self.path))

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except _NEVER as error:
            raise errors.Rejected(f"storage {self.path}: can never be kept: {error}") from None
        except apsw.Error as error:
            if not isinstance(error, apsw.BusyError | apsw.LockedError):
                self.close()
            reason = next((reason for kinds, reason in _REASONS if isinstance(error, kinds)), "failed")
            if self._read_only and isinstance(error, apsw.ReadOnlyError | apsw.CantOpenError):
                reason = "cannot be read by this user, who may not make files beside it"
            told = ""
            if isinstance(error, apsw.CantOpenError):
                told = _refusal(self.path, os.R_OK if self._read_only else os.W_OK)
            if told:
                raise errors.Unavailable(f"storage {self.path}: cannot be opened: {told}") from None
            raise errors.Unavailable(f"storage {self.path}: {reason}: {error}") from None
        except OSError as error:
            raise errors.Unavailable(f"storage {self.path}: cannot be opened: {reason_of(error)}") from None


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


def _refusal(path: Path, mode: int) -> str:
    """Why the system does not let a file be opened, which SQLite does not say; empty where it does.

    The file itself is not tried: to close it would take away the locks that others in this process hold.
    """
    try:
        os.stat(path)
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))  # there may be too many open files
    except OSError as error:
        return os.strerror(error.errno or 0).lower()
    verb = "read" if mode == os.R_OK else "write"
    for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        if file.exists() and not os.access(file, mode, effective_ids=True):
            return f"user id {os.geteuid()} may not {verb} {file}"
    return ""


def _never_changes(path: Path) -> bool:
    """Whether the file lies on a read-only file system, with nothing of it left in a write-ahead log."""
    log = Path(f"{path}-wal")
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY) and not (log.exists() and log.stat().st_size)


def _make_private(path: Path) -> None:
    """Make the file readable by its owner only; SQLite gives its companions the same mode."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    try:
        os.fchmod(descriptor, 0o600)  # whatever the umask took away
    finally:
        os.close(descriptor)


def _log_ahead(connection: apsw.Connection, patience: float) -> None:
    """Set the write-ahead log, which is not waited for by SQLite itself when another process does so too."""
    until = time.monotonic() + patience
    while True:
        try:
            ((mode,),) = connection.execute("pragma journal_mode = wal").fetchall()
            break
        except apsw.BusyError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)
    if mode != "wal":
        raise apsw.CantOpenError("its file system cannot share memory between processes")


def _log_pages(path: Path) -> int:
    """Pages that the log may have before they go into the file: many are fast, but not on a small disk."""
    found = os.statvfs(path)
    room = found.f_bavail * found.f_frsize // 16
    return min(max(room, _SMALLEST_WAL), _LARGEST_WAL) // _PAGE
