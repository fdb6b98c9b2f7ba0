"""What files something was read from, so that it is known later whether they are still as they were."""

import hashlib
import os
import stat
import time
from collections.abc import Iterable

import msgspec

Stamp = tuple[int, int, int, int] | None
"""Times of change of content and of anything, in ns, size and inode; None where there is no such file."""
SETTLED = 2_000_000_000
"""Nanoseconds after which a further change shows in a stamp, on file systems that count in seconds, too."""
LARGEST = 4 << 20
"""Bytes of a file that are looked at; a change behind them shows in the stamp at least."""


def stamp(path: str) -> Stamp:
    """What tells a file or folder from what stands there later."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


class Basis(msgspec.Struct, frozen=True):
    """Files, or folders with the names in them."""

    read: int
    """When they were read, in ns since the epoch."""
    stamps: dict[str, Stamp]
    digest: str = ""
    """Of what was in them, where stamps alone could not show a change since."""

    def now(self) -> "Basis | None":
        """None when they are not as they were; a later basis when only reading them again could tell."""
        for path, former in self.stamps.items():
            if stamp(path) != former:
                return None
        if self.settled:
            return self
        later = Basis(time.time_ns(), {path: stamp(path) for path in self.stamps}, digest(self.stamps))
        if later.digest != self.digest or later.stamps != self.stamps:
            return None
        return later if later.settled else self

    @property
    def settled(self) -> bool:
        """Whether a change after they were read must show in their stamps."""
        return all(each is None or each[1] < self.read - SETTLED for each in self.stamps.values())


def of(paths: Iterable[str], before: "Basis | None" = None) -> Basis:
    """What is there now, to be asked for before it is read, so that a change meanwhile shows.

    :param before: what a part of the files was when they were read
    """
    read, known = (time.time_ns(), {}) if before is None else (before.read, before.stamps)
    found = Basis(read, {path: stamp(path) for path in paths} | known)
    return found if found.settled else Basis(read, found.stamps, digest(found.stamps))


def digest(paths: Iterable[str]) -> str:
    """Of what files hold; nothing where there is none."""
    found = hashlib.sha256()
    for path in sorted(paths):
        found.update(hashlib.sha256(content(path)).digest())
    return found.hexdigest()


def content(path: str) -> bytes:
    """What a regular file holds, or which names a folder has in it; nothing where it cannot be read."""
    try:
        if os.path.isdir(path):
            return "\0".join(sorted(os.listdir(path))).encode("utf-8", "surrogateescape")
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe would never answer
        with open(descriptor, "rb") as opened:
            return opened.read(LARGEST) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    except OSError:
        return b""
