"""``file:NAME`` or ``file:///path`` appends samples to a file as lines of JSON, each once."""

import contextlib
import fcntl
import logging
import os
import stat
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from meteragent.errors import ConfigError, Unavailable
from meteragent.plain import reason_of, without_password
from meteragent.publishers.base import Publisher, State
from meteragent.sample import Sample
from meteragent.typed import known
from meteragent.wire import lines

LOG = logging.getLogger(__name__)

TAIL = 64
"""Bytes before the offset by which the file is known again."""


class Place(msgspec.Struct):
    """Where the next batch begins, as it is kept with the sink's position."""

    inode: int
    offset: int
    tail: str
    """The bytes before it, in hexadecimal digits."""


known(Place)


class FilePublisher(Publisher):
    """Appends to one file, whose length is kept with the sink's position.

    What lies behind that length when a batch comes is that batch, as far as it was written before a
    kill: the lines that are there are not written again, and a torn one is removed. Other lines there
    are of batches that the journal does not know, since a backup of it was put in its place: they
    stay. Where the name stands for another file than before, because it was moved away or emptied,
    that one is gone on with at its end.
    """

    guarantee = "exact"

    def __init__(self, url: str, state_dir: Path) -> None:
        name = url.partition(":")[2].removeprefix("//").partition("?")[0]
        self.path = state_dir / name
        told = f"publisher {without_password(url)!r}"
        mode = _mode(self.path) if name and "\0" not in name else stat.S_IFDIR
        if stat.S_ISDIR(mode):
            raise ConfigError(f"{told} names no file, e.g. file:samples.jsonl or file:///path/to/it")
        if not stat.S_ISREG(mode):
            raise ConfigError(f"{told} names a device or a pipe, which never becomes a file of samples")
        self._descriptor: int | None = None
        self._written: tuple[int, int] | None = None
        """Where the newest batch of this object begins and ends."""
        self._told_others = False

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
            length = os.fstat(descriptor).st_size
            if length > place.offset and self._written != (place.offset, length):
                data, place = self._behind(descriptor, data, place)
            if data:
                if place.tail and not place.tail.endswith(b"\n".hex()):
                    data = b"\n" + data
                self._write(descriptor, data, place.offset)
                self._written = (place.offset, place.offset + len(data))
        except FileNotFoundError:
            self.close()
            raise Unavailable(
                f"{self.path}: its folder does not exist; make it, or mount what it is on"
            ) from None
        except OSError as error:
            self.close()
            raise Unavailable(f"{self.path}: {reason_of(error)}") from error
        tail = (bytes.fromhex(place.tail) + data)[-TAIL:]
        state.update(inode=place.inode, offset=place.offset + len(data), tail=tail.hex())

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
        place = _at(descriptor, found.st_size)
        state.update(msgspec.structs.asdict(place))
        state.keep()  # else a batch that is cut off would be taken for what was there before
        return place

    def _behind(self, descriptor: int, data: bytes, place: Place) -> tuple[bytes, Place]:
        """The lines that are not in the file behind a place, and where to go on."""
        missing = Counter(data.splitlines(keepends=True))
        left, end, others = missing.total(), place.offset, 0
        with os.fdopen(os.dup(descriptor), "rb") as file:
            file.seek(place.offset)
            for line in file:
                if not line.endswith(b"\n") or not left:
                    break
                end += len(line)
                if missing[line]:
                    missing[line] -= 1
                    left -= 1
                else:
                    others += line != b"\n"
        if left and others and not self._told_others:
            self._told_others = True
            LOG.warning(
                "%s: holds %d lines of batches that the journal does not know, as when a backup of it was"
                " put in its place; they stay", self.path, others,
            )  # fmt: skip
        return b"".join(missing.elements()), _at(descriptor, end)

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


def _mode(path: Path) -> int:
    """What a path names; what is not there yet, or cannot be seen, may be a file."""
    try:
        return os.stat(path).st_mode
    except OSError:
        return stat.S_IFREG


def _at(descriptor: int, offset: int) -> Place:
    """A place in a file."""
    tail = os.pread(descriptor, min(TAIL, offset), max(0, offset - TAIL))
    return Place(os.fstat(descriptor).st_ino, offset, tail.hex())


def _kept(state: Mapping[str, Any]) -> Place | None:
    try:
        place = msgspec.convert(dict(state), Place)
        bytes.fromhex(place.tail)
    except ValueError:
        return None
    return place if place.offset >= len(place.tail) // 2 else None
