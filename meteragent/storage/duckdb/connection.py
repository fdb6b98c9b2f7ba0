"""What a driver has of the file: a connection of its own, and its errors in one line."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb

from meteragent import errors
from meteragent.plain import reason_of
from meteragent.storage.duckdb.database import Database, Session
from meteragent.storage.duckdb.known import Known
from meteragent.storage.duckdb.powercut import HOLDER, torn

_shared: dict[Path, tuple[Database, Known]] = {}
_sharing = threading.Lock()

_CTRL_C = "Query interrupted"
"""What DuckDB makes of a Ctrl-C that the main thread hears within one of its calls."""
_NEVER = (
    duckdb.ConstraintException,
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
    duckdb.InvalidInputException,
    duckdb.TypeMismatchException,
)
_DAMAGED = (
    "not a valid DuckDB",
    "Could not read enough bytes",
    "orrupt",
    "checksum",
    "deserialize",
    "Failed to load metadata",
)


class Store:
    """One connection to the file, for one thread at a time; the stores of other threads have their own.

    Life: constructed without touching the file; opened by the first ``reading`` or ``writing``,
    and anew by the next one after a failure or when the file was replaced; ``close`` is safe always.
    """

    def __init__(self, path: Path, memory_limit: str, threads: int, *, read_only: bool) -> None:
        self.path, self.memory_limit, self._read_only = path, memory_limit, read_only
        self._threads = threads
        self._database: Database | None = None
        self._session: Session | None = None
        self._known = Known()
        Database(path, memory_limit, threads).check_regular()

    @property
    def opened(self) -> int:
        """How often the file was opened."""
        return self._database.opened if self._database is not None else 0

    @property
    def known(self) -> Known:
        """What is remembered of the file, by all stores of it in this process."""
        return self._known

    @property
    def writer(self) -> threading.RLock:
        """Held by the store that writes, until what it wrote is remembered."""
        return self._shared().writer

    @contextlib.contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The connection.

        :raises NotFound: when it is opened read-only and there is no store yet
        :raises Unavailable: when the file cannot be read now
        :raises ConfigError: when the file is of a newer format or of another program
        """
        with self._explained():
            session = self._opened()
            with session.lock:
                yield session.connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The connection within one transaction: durable when left, undone when left by an error.

        :raises Unavailable: when the file cannot be written now
        :raises Rejected: when what was to be written can never be
        """
        if self._read_only:
            raise errors.Unavailable(
                f"storage {self.path}: may not be written: it is opened for reading only"
            )
        database = self._shared()
        with database.writer, self._explained():
            session = self._opened()
            with session.lock:
                database.check_room()
                connection = session.connection
                connection.begin()
                try:
                    yield connection
                except BaseException:
                    with contextlib.suppress(duckdb.Error):
                        connection.rollback()
                    raise
                try:
                    connection.commit()
                    database.committed(connection)
                except BaseException:
                    # it may be there all the same, so what is remembered is not to be trusted any more
                    database.failed = True
                    raise

    def close(self) -> None:
        """Let go of the file; what was committed stays."""
        database, self._database = self._database, None
        session, self._session = self._session, None
        if database is not None:
            with _sharing:
                with contextlib.suppress(errors.Unavailable):
                    database.leave(session)
                if not database.users:
                    _shared.pop(self.path, None)

    def interrupt(self) -> None:
        """From any thread: give up the statement that runs."""
        session = self._session
        if session is not None:
            with contextlib.suppress(duckdb.Error):
                session.connection.interrupt()

    def _shared(self) -> Database:
        if self._database is None:
            with _sharing:
                fresh = (Database(self.path, self.memory_limit, self._threads), Known())
                self._database, self._known = _shared.setdefault(self.path, fresh)
                self._database.users += 1
        return self._database

    def _opened(self) -> Session:
        self._session = self._shared().session(self._session, read_only=self._read_only)
        return self._session

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except duckdb.InterruptException:
            raise errors.Unavailable(f"storage {self.path}: was interrupted") from None
        except _NEVER as error:
            raise errors.Rejected(f"storage {self.path}: can never be kept: {_line(error)}") from None
        except duckdb.OutOfMemoryException as error:
            raise errors.Unavailable(
                f"storage {self.path}: needs more memory than memory_limit={self.memory_limit}:"
                f" {_line(error)}"
            ) from None
        except duckdb.Error as error:
            raise errors.Unavailable(f"storage {self.path}: {self._reason(error)}") from None
        except RuntimeError as error:
            if str(error) == _CTRL_C:
                raise KeyboardInterrupt from None
            raise
        except OSError as error:
            raise errors.Unavailable(f"storage {self.path}: cannot be opened: {reason_of(error)}") from None

    def _reason(self, error: duckdb.Error) -> str:
        text = _line(error)
        holder = HOLDER.search(text)
        if holder is not None:
            asked = "the agent that runs must be asked" if self._read_only else "end it, or use another file"
            return f"process {holder[1]} has it open, and DuckDB lets one at a time; {asked}"
        if self._database is not None and not isinstance(error, duckdb.ConnectionException):
            self._database.failed = True
        if "No space left" in text or "out of disk space" in text.lower():
            return f"the disk is full: {text}"
        if torn(error):
            return f"its log is torn, as by a power cut; the agent mends it when it starts: {text}"
        if any(mark in text for mark in _DAMAGED) or isinstance(error, duckdb.SerializationException):
            return f"the file is damaged or no DuckDB database: {text}"
        if "ermission denied" in text:
            verb = "read" if self._read_only else "write"
            return f"cannot be opened: user id {os.geteuid()} may not {verb} it and its log"
        return f"failed: {text}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:400]
