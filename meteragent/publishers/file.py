"""``file:NAME`` or ``file:///path`` appends samples to a file as lines of JSON, each once."""

import fcntl
import os
from pathlib import Path
from typing import Any, BinaryIO

from meteragent.errors import ConfigError, Unavailable
from meteragent.publishers.base import Publisher
from meteragent.sample import Sample
from meteragent.wire import lines


class FilePublisher(Publisher):
    """Appends to one file, whose length is kept with the sink's position.

    What lies behind that length when a batch comes is the rest of one that was cut off: it is
    removed before the batch is written again. A file that was moved away is begun anew.
    """

    guarantee = "exact"

    def __init__(self, url: str, state_dir: Path) -> None:
        name = url.removeprefix("file:").removeprefix("//").partition("?")[0]
        if not name:
            raise ConfigError(
                f"publisher {url!r} names no file, e.g. file:samples.jsonl or file:///path/to/it"
            )
        self.path = state_dir / name
        self._file: BinaryIO | None = None

    def publish(self, samples: list[Sample], state: dict[str, Any]) -> None:
        """Append them and wait for the disk.

        :param state: ``offset`` and ``inode`` of the file, as of the last batch that counts
        :raises Unavailable: when the file cannot be written now
        """
        try:
            file = self._open()
            found = os.fstat(file.fileno())
            if state.get("inode") == found.st_ino:
                offset = min(int(state["offset"]), found.st_size)
            else:
                offset = found.st_size
            if found.st_size > offset:
                file.truncate(offset)
            file.seek(offset)
            file.write(lines(samples))
            file.flush()
            os.fsync(file.fileno())
            state.update(offset=file.tell(), inode=found.st_ino)
        except OSError as error:
            self.close()
            raise Unavailable(f"{self.path}: {error.strerror}") from error

    def _open(self) -> BinaryIO:
        """The file, opened anew when it is no longer the one that has the name."""
        if self._file is not None and self._named(self._file):
            return self._file
        self.close()
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(descriptor, "r+b", buffering=0)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unavailable(f"{self.path}: another agent or sink is writing to it") from None
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return self._file

    def _named(self, file: BinaryIO) -> bool:
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(file.fileno()))
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
