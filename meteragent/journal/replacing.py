"""Puts a copy of a file in the place of another; apart, as journal and stores are restored in one way."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from meteragent.errors import ConfigError, Unavailable
from meteragent.plain import reason_of

Parts = Iterator[tuple[int, int]]
"""A copy on its way: after each part the bytes that are copied and those in all."""
_SIZE = 1 << 20


def replaced(
    path: Path, source: Path, suffixes: Sequence[str], adapt: Callable[[Path], None], aside: str
) -> Parts:
    """Put a copy of a file in the place of another, at once and when all of it is on the disk.

    :param suffixes: of the files that are replaced with it, its own first, which is empty
    :param adapt: changes the copy before that
    :param aside: ending under which files that are there are kept; empty when there must be none
    :raises ConfigError: when there is one
    :raises Unavailable: when there can be no copy; nothing has changed then
    """
    found = present(path, suffixes)
    if found and not aside:
        raise ConfigError(f"{found[0]}: is there already; --replace keeps it beside")
    fresh = Path(f"{path}.restoring")
    remove(fresh, suffixes)  # a restore that was killed may have left a part of one
    if source.exists():
        try:
            yield from copied(source, fresh)
            adapt(fresh)
        except BaseException:
            remove(fresh, suffixes)
            raise
    for each in found:
        os.rename(each, f"{each}{aside}")
    if fresh.exists():
        os.rename(fresh, path)
        sync(path.parent)


def present(path: Path, suffixes: Sequence[str]) -> list[Path]:
    """Those of a file and the ones beside it that are there."""
    return [each for suffix in suffixes if (each := Path(f"{path}{suffix}")).exists()]


def remove(path: Path, suffixes: Sequence[str]) -> None:
    """Remove a file and the ones beside it."""
    for suffix in suffixes:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{path}{suffix}")


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk.

    :raises OSError: when they cannot be
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def copied(source: Path, to: Path) -> Parts:
    """Copy a file that nobody writes to into a new one, readable by its owner only.

    :raises Unavailable: when it cannot be
    """
    descriptor = made(to)
    try:
        with source.open("rb", buffering=0) as file:
            done, total = 0, os.fstat(file.fileno()).st_size
            while part := file.read(_SIZE):
                left = memoryview(part)
                while left:
                    left = left[os.write(descriptor, left) :]
                done += len(part)
                yield done, total
        os.fsync(descriptor)
    except OSError as error:
        raise Unavailable(f"{error.filename or to}: {reason_of(error)}") from None
    finally:
        os.close(descriptor)


def made(path: Path) -> int:
    """A new file.

    :raises Unavailable: when it cannot be made
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.fchmod(descriptor, 0o600)  # whatever the umask took away
    except OSError as error:
        raise Unavailable(f"{path}: cannot be made: {reason_of(error)}") from None
    return descriptor
