"""``file:NAME`` or ``file:///path`` appends samples to a file as lines of JSON, each once."""

import contextlib
import fcntl
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from meteragent.errors import ConfigError, Unavailable
from meteragent.publishers.base import Publisher, State
from meteragent.sample import Sample
from meteragent.wire import lines

TAIL = 64
"""Bytes before the offset by which the file is known again."""


class Place(msgspec.Struct):
    """Where the next batch begins, as it is kept with the sink's position."""

    inode: int
    offset: int
    tail: str
    """The bytes before it, in hexadecimal digits."""


class FilePublisher(Publisher):
    """Appends to one file, whose length is kept with the sink's position.

    What lies behind that length when a batch comes is the rest of one that was cut off: it is
    removed before the batch is written again. Where the name stands for another file than before,
    because it was moved away or emptied, that one is gone on with at its end.
    """

    guarantee = "exact"

    def __init__(self, url: str, state_dir: Path) -> None:
        name = url.removeprefix("file:").removeprefix("//").partition("?")[0]
        self.path = state_dir / name
        if not name or "\0" in name or self.path.is_dir():
            raise ConfigError(
                f"publisher {url!r} names no file, e.g. file:samples.jsonl or file:///path/to/it"
            )
        self._descriptor: int | None = None

    def publish(self, samples: list[Sample], state: State) -> None:
        """Append them and wait for the disk.

        :raises Unavailable: when the file cannot be written now
        """
        if not samples:
            return
        data = lines(samples)
        try:
            descriptor = self._open()
            place = self._place(descriptor, state)
            if place.tail and not place.tail.endswith(b"\n".hex()):
                data = b"\n" + data
            self._write(descriptor, data, place.offset)
        except OSError as error:
            self.close()
            raise Unavailable(f"{self.path}: {error.strerror or error}") from error
        tail = (bytes.fromhex(place.tail) + data)[-TAIL:]
        state.update(offset=place.offset + len(data), tail=tail.hex())

    def _open(self) -> int:
        """The file, locked; opened anew when it is no longer the one that has the name."""
        if self._descriptor is not None and self._named(self._descriptor):
            return self._descriptor
        self.close()
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            raise OSError("is no regular file")
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError("another agent or sink is writing to it") from None
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return self._descriptor

    def _named(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def _place(self, descriptor: int, state: State) -> Place:
        """Where to write: behind what counts of this file, or at the end of one that is not known yet."""
        found = os.fstat(descriptor)
        place = _kept(state)
        if place is not None and place.inode == found.st_ino and place.offset <= found.st_size:
            tail = bytes.fromhex(place.tail)
            if os.pread(descriptor, len(tail), place.offset - len(tail)) == tail:
                return place
        start = max(0, found.st_size - TAIL)
        tail = os.pread(descriptor, found.st_size - start, start)
        place = Place(found.st_ino, start + len(tail), tail.hex())
        state.update(msgspec.structs.asdict(place))
        state.keep()  # else a batch that is cut off would be taken for what was there before
        return place

    def _write(self, descriptor: int, data: bytes, offset: int) -> None:
        """All of it, or nothing as far as that can be had."""
        os.ftruncate(descriptor, offset)
        left, at = memoryview(data), offset
        try:
            while left:
                written = os.pwrite(descriptor, left, at)
                left, at = left[written:], at + written
            os.fsync(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, offset)
            raise

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _kept(state: Mapping[str, Any]) -> Place | None:
    try:
        place = msgspec.convert(dict(state), Place)
        bytes.fromhex(place.tail)
    except ValueError:
        return None
    return place if place.offset >= len(place.tail) // 2 else None
