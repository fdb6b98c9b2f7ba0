"""Copies a SQLite file as it was at one instant; apart, as journal and store both need it."""

import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import apsw

from meteragent.errors import Unavailable
from meteragent.journal import schema
from meteragent.journal.replacing import Parts, made
from meteragent.plain import reason_of

PATIENCE = 2.0
"""Seconds that a lock of another process is waited for, as while it mends a log that a kill has left."""
_PAGE, _PAGES = 4096, 256
_SYNC = 16 << 20
"""Bytes after which a copy goes to the disk: all of it at once would hold up those who wait for the disk."""
_LONGEST_PAUSE = 0.1


class Snapshot:
    """A SQLite file as it is when this is made; others may write to it meanwhile, but its log grows.

    Life: constructed, ``copy`` once, ``close`` once.

    :raises Unavailable: when it cannot be read now
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._connection = schema.connect_untouched(path)
            try:
                self._connection.set_busy_timeout(int(PATIENCE * 1000))
                self._connection.execute("begin")
                self._connection.execute("select count(*) from sqlite_schema").fetchall()  # it begins here
            except BaseException:
                self._connection.close()
                raise
        except apsw.Error as error:
            raise self._failure(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def copy(self, to: Path) -> Parts:
        """Copy it into one new file, readable by its owner only, resting as long as each part takes.

        :raises Unavailable: when it cannot be
        """
        descriptor = made(to)
        try:
            yield from self._pages(to, descriptor)
            os.fsync(descriptor)
        except apsw.FullError:
            raise Unavailable(f"{to}: disk full") from None
        except apsw.Error as error:
            raise self._failure(error) from None
        except OSError as error:
            raise Unavailable(f"{to}: {reason_of(error)}") from None
        finally:
            os.close(descriptor)

    def _pages(self, to: Path, descriptor: int) -> Parts:
        target = apsw.Connection(str(to), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            for setting in ("locking_mode=exclusive", "synchronous=off", "journal_mode=off"):
                target.execute(f"pragma {setting}").close()
            unsynced = 0
            with target.backup("main", self._connection, "main") as backup:
                while not backup.done:
                    began = time.monotonic()
                    backup.step(_PAGES)
                    unsynced += _PAGES * _PAGE
                    if unsynced >= _SYNC:
                        unsynced = 0
                        os.fdatasync(descriptor)
                    done = backup.page_count - backup.remaining
                    yield done * _PAGE, backup.page_count * _PAGE
                    time.sleep(min(time.monotonic() - began, _LONGEST_PAUSE))
            target.execute("pragma journal_mode=delete").close()  # one file, without a log beside it
        finally:
            target.close()

    def _failure(self, error: apsw.Error) -> Unavailable:
        return Unavailable(f"{self._path}: cannot be copied: {error}")

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
