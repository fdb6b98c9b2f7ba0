"""Tells agents that run from those that are gone, by locks: a clock cannot, as an agent may rest for hours.

The kernel frees a lock with its process, however that ends. The locks lie in a file of their own beside
the store, since closing any file that SQLite has open too would free SQLite's locks with it.
"""

import contextlib
import fcntl
import hashlib
import os
import struct
import weakref
from pathlib import Path

SUFFIX = "-agents"
"""Of the file beside the store, which stays empty."""

_FLOCK = "hhqqi4x"  # struct flock of Linux: type, whence, start, length, process


_IN_USE: "weakref.WeakSet[Presence]" = weakref.WeakSet()
"""Those of this process."""


class Presence:
    """Locks one byte for each agent that records here.

    The locks belong to this object, not to its process, so that two of one process see each other.
    Life: constructed without touching a file; ``end`` is safe always, and ``show`` may follow it.
    """

    def __init__(self, store: Path) -> None:
        self._path = store.with_name(store.name + SUFFIX)
        self._file: int | None = None
        self._shown: set[int] = set()
        _IN_USE.add(self)

    def of_another(self, agent: str, epoch: str) -> bool:
        """Whether another process, or another object of this one, shows this agent.

        :raises OSError: when the file cannot be used
        """
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, _place(agent, epoch), 1, 0)
        answer = fcntl.fcntl(self._opened(), fcntl.F_OFD_GETLK, asked)
        kind: int = struct.unpack(_FLOCK, answer)[0]
        return kind != fcntl.F_UNLCK

    def of_another_process(self, agent: str, epoch: str) -> bool:
        """Whether another process surely shows it: as far as no other object of this one does.

        :raises OSError: when the file cannot be used
        """
        place = (self._path, _place(agent, epoch))
        own = sum(place == (each._path, shown) for each in _IN_USE for shown in each._shown)
        return own <= 1 and self.of_another(agent, epoch)

    def of_anyone(self) -> bool:
        """Whether any agent records here, but for those that this object shows.

        :raises OSError: when the file cannot be used
        """
        if not self._path.exists():
            return False
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        try:
            answer = fcntl.fcntl(self._opened(), fcntl.F_OFD_GETLK, asked)
        finally:
            if not self._shown:
                self.end()
        kind: int = struct.unpack(_FLOCK, answer)[0]
        return kind != fcntl.F_UNLCK

    def show(self, agent: str, epoch: str) -> None:
        """Let others see this agent; it may show itself more than once, as each of its sinks does.

        :raises OSError: when the file cannot be used
        """
        file, place = self._opened(), _place(agent, epoch)
        if place not in self._shown:
            lock = struct.pack(_FLOCK, fcntl.F_RDLCK, os.SEEK_SET, place, 1, 0)
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, lock)
            self._shown.add(place)

    def end(self) -> None:
        """Show nothing any more."""
        file, self._file, self._shown = self._file, None, set()
        if file is not None:
            with contextlib.suppress(OSError):
                os.close(file)

    def _opened(self) -> int:
        if self._file is not None and not self._named():
            self.end()  # others would not see a lock in a file without a name
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.fchmod(self._file, 0o600)  # whatever the umask took away
        return self._file

    def _named(self) -> bool:
        assert self._file is not None
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._file))
        except FileNotFoundError:
            return False


def _place(agent: str, epoch: str) -> int:
    """The byte of an agent with its journal, somewhere in 2^62: the file need not be that long."""
    digest = hashlib.blake2b(digest_size=8)
    for part in (agent, epoch):
        data = part.encode()
        digest.update(b"%d:%s" % (len(data), data))
    return int.from_bytes(digest.digest()) >> 2
