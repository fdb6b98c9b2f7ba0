"""The folder that a backup is written to: under another name until it is whole, and removed when it fails."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meteragent import state_folder
from meteragent.backup import manifest
from meteragent.errors import ConfigError, Unavailable
from meteragent.journal.replacing import sync
from meteragent.plain import reason_of

PARTIAL = ".partial"
_OURS = (manifest.NAME, manifest.JOURNAL, "samples.")
"""How names of files begin that a backup which was cut off may have left."""


@contextmanager
def written(text: str) -> Iterator[Path]:
    """A folder to write a backup to; when all is well, it becomes the one that is named.

    :raises ConfigError: when the one that is named cannot be made, or has something in it
    :raises Unavailable: when another backup is written to it, or the disk does not take it
    """
    folder = _checked(text)
    partial = folder.with_name(folder.name + PARTIAL)
    try:
        descriptor = _taken(partial)
    except OSError as error:
        raise ConfigError(f"backup {folder}: {reason_of(error)}") from None
    try:
        _empty(partial)
        try:
            yield partial
            _settle(partial, folder)
        except BaseException:
            with contextlib.suppress(OSError):
                _empty(partial)
                os.rmdir(partial)
            raise
    except OSError as error:
        raise Unavailable(f"backup {folder}: {reason_of(error)}") from None
    finally:
        os.close(descriptor)


def _checked(text: str) -> Path:
    if not text or "\0" in text:
        raise ConfigError(f"backup {text!r:.200}: names no folder")
    folder = Path(os.path.realpath(state_folder.absolute(text)))
    try:
        if folder.exists() and not folder.is_dir():
            fault = "is no folder; name one that does not exist yet"
        elif os.path.ismount(folder):
            fault = "is where a file system is mounted; name a folder in it"
        elif folder.exists() and any(folder.iterdir()):
            fault = "is not empty; name a folder that does not exist yet"
        elif not folder.parent.is_dir():
            fault = f"there is no folder {folder.parent}; make it, or name another one"
        else:
            return folder
    except OSError as error:
        fault = reason_of(error)
    raise ConfigError(f"backup {text!r:.200}: {fault}")


def _taken(partial: Path) -> int:
    """Make it, for this user and this process alone, or take one that a backup which was cut off has left."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(partial, 0o700)
    descriptor = os.open(partial, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, f"{partial} belongs to user id {found.st_uid}")
        if not os.path.samestat(os.stat(partial), found):
            raise BlockingIOError  # that of another backup, which has just ended
        os.fchmod(descriptor, 0o700)
    except (BlockingIOError, FileNotFoundError):
        os.close(descriptor)
        raise Unavailable(f"{partial}: another backup is being written") from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _empty(partial: Path) -> None:
    """Remove what a backup writes.

    :raises ConfigError: when there is something else in it
    """
    names = sorted(os.listdir(partial))
    foreign = [name for name in names if not name.startswith(_OURS)]
    if foreign:
        raise ConfigError(f"{partial}: holds {foreign[0]!r}, which is of no backup; remove or rename it")
    for name in names:
        os.unlink(partial / name)


def _settle(partial: Path, folder: Path) -> None:
    """Give it its name once all of it is on the disk."""
    sync(partial)
    os.rename(partial, folder)
    sync(folder.parent)
