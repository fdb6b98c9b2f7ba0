"""A disk that loses what was not synced: a SQLite VFS that keeps book of every write until its sync."""

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

SECTOR = 512
"""Bytes that a disk writes whole or not at all."""


class Book:
    """What of one file is on the disk for good, and what was written since."""

    def __init__(self, path: Path) -> None:
        self.durable = bytearray(path.read_bytes() if path.exists() else b"")
        self.pending: list[tuple[int, bytes]] = []
        """Writes since the last sync: offset and data; an offset below 0 cuts the file to so many bytes."""

    def sync(self, first: int | None = None) -> None:
        """All that was written, or so much of it, is there for good."""
        for offset, data in self.pending[:first]:
            _apply(self.durable, offset, data)
        del self.pending[:first]

    def written(self) -> bytes:
        """What is read while there is power."""
        content = bytearray(self.durable)
        for offset, data in self.pending:
            _apply(content, offset, data)
        return bytes(content)

    def after_cut(self, chance: random.Random) -> bytes:
        """What is found when the power is back: any of the pending writes, each possibly torn."""
        found = bytearray(self.durable)
        for offset, data in self.pending:
            fate = chance.random()
            if fate < 0.4:
                _apply(found, offset, data)
            elif fate < 0.6 and offset >= 0:
                whole = chance.randrange(len(data) // SECTOR + 1) * SECTOR
                _apply(found, offset, data[:whole])
        return bytes(found)


def _apply(content: bytearray, offset: int, data: bytes) -> None:
    if offset < 0:
        del content[-offset - 1 :]
        return
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


class Disk(apsw.VFS):
    """The default VFS while it exists; use as a context manager."""

    def __init__(self, on_operation: Callable[[], None]) -> None:
        self.books: dict[str, Book] = {}
        self.ghosts: list[tuple[str, Book]] = []
        """Files deleted without a sync of their folder."""
        self.lock = threading.RLock()
        self.on_operation = on_operation
        super().__init__("powerloss", "", makedefault=True)

    def __enter__(self) -> "Disk":
        return self

    def __exit__(self, *error: object) -> None:
        apsw.set_default_vfs("unix")
        self.unregister()

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        """A file with a book."""
        return _File(self, name, flags)

    def xDelete(self, name: str, sync_folder: bool) -> None:  # noqa: N802
        """Delete a file; it may be there again after a cut unless its folder was synced."""
        with self.lock:
            super().xDelete(name, sync_folder)
            book = self.books.pop(name, None)
            if book is not None and not sync_folder:
                self.ghosts.append((name, book))
        self.on_operation()

    def book(self, path: str) -> Book:
        """That of a file."""
        with self.lock:
            if path not in self.books:
                self.books[path] = Book(Path(path))
            return self.books[path]

    def unsynced(self, name: str) -> int:
        """Writes to files whose path ends so that would be lost now."""
        with self.lock:
            return sum(len(book.pending) for path, book in self.books.items() if path.endswith(name))

    def cut(self, folder: Path, chance: random.Random) -> None:
        """Lay the files as they would be found after a power cut at this instant into a folder."""
        with self.lock:
            kept = [each for each in self.ghosts if chance.random() < 0.5]
            for path, book in (*kept, *self.books.items()):
                (folder / Path(path).name).write_bytes(book.after_cut(chance))


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        self._book = disk.book(path)
        super().__init__("unix", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        with self._disk.lock:
            super().xWrite(data, offset)
            self._book.pending.append((offset, bytes(data)))
        self._disk.on_operation()

    def xTruncate(self, size: int) -> None:  # noqa: N802
        with self._disk.lock:
            super().xTruncate(size)
            self._book.pending.append((-size - 1, b""))
        self._disk.on_operation()

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._disk.on_operation()
        with self._disk.lock:
            super().xSync(flags)
            self._book.sync()
        self._disk.on_operation()
