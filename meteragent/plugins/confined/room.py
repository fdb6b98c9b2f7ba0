"""A view of the file system that holds only what is granted, see mount_namespaces(7)."""

import contextlib
import os
from collections.abc import Iterable

from meteragent.plugins.confined import kernel

SCRATCH = "/scratch"
"""The folder of its own, where it may write."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_PLACE, _BEFORE = "/tmp", "/before"
_MOST_FILES = 10_000


class Room:
    """Made step by step in mount and process namespaces of its own."""

    def __init__(self, reading: Iterable[str], writing: Iterable[str], hidden: Iterable[str]) -> None:
        """
        :param hidden: files and folders of which nothing is seen, though they lie below a path granted
        """
        self._reading, self._writing, self._devices = map(_places, (reading, writing, DEVICES))
        self._hidden = [os.path.realpath(path) for path in hidden]

    def enter(self) -> None:
        """Leave all behind; nothing has changed when that fails.

        :raises OSError: as the kernel says
        """
        kernel.mount("", "/", flags=kernel.RECURSIVE | kernel.PRIVATE)
        kernel.mount("tmpfs", _PLACE, "tmpfs", kernel.NO_SUID | kernel.NO_DEV, "mode=755,size=1m")
        try:
            os.mkdir(_PLACE + _BEFORE)
            kernel.pivot_root(_PLACE, _PLACE + _BEFORE)
        except OSError:
            kernel.unmount(_PLACE)
            raise
        os.chdir("/")

    def furnish(self, disk: int, uid: int, gid: int) -> list[str]:
        """Fetch what is granted; what could not be had.

        :param disk: MiB in the folder of its own, which is that user's
        :raises OSError: as the kernel says; then nothing is certain, and the process should end
        """
        for path, source in sorted(self._writing.items()):
            _bind(path, source, kernel.NO_SUID | kernel.NO_DEV)
        self._fetch()
        for path in filter(os.path.isfile, self._hidden):
            kernel.mount(_BEFORE + os.devnull, path, flags=kernel.BIND)
        covers = [path for path in self._hidden if os.path.isdir(path)]
        for path in covers:
            kernel.mount("tmpfs", path, "tmpfs", kernel.NO_SUID | kernel.NO_DEV, "mode=755,size=64k")
        self._fetch()  # what is granted by name though it lies in a folder that is hidden
        for path in covers:
            kernel.protect(path, kernel.READ_ONLY | kernel.NO_SUID | kernel.NO_DEV)
        for path, source in self._devices.items():
            _bind(path, source, kernel.NO_SUID | kernel.NO_EXEC)
        lacking = _processes()
        os.mkdir(SCRATCH)
        kernel.mount(
            "tmpfs", SCRATCH, "tmpfs", kernel.NO_SUID | kernel.NO_DEV,
            f"mode=700,uid={uid},gid={gid},size={disk}m,nr_inodes={_MOST_FILES}",
        )  # fmt: skip
        kernel.unmount(_BEFORE)
        os.rmdir(_BEFORE)
        kernel.mount("", "/", flags=kernel.REMOUNT | kernel.BIND | kernel.READ_ONLY | kernel.NO_SUID)
        return lacking

    def _fetch(self) -> None:
        for path, source in sorted(self._reading.items()):
            _bind(path, source, kernel.READ_ONLY | kernel.NO_SUID | kernel.NO_DEV)


def _places(paths: Iterable[str]) -> dict[str, str]:
    """Where each path is to be seen, as it was named and as it is without links, and what is there."""
    real = {path: os.path.realpath(path) for path in paths}
    return real | {path: path for path in real.values()}


def _bind(path: str, source: str, flags: int) -> None:
    """Let something be seen at a path; what is not there, or is seen there already, is passed over."""
    source = _BEFORE + source
    if not os.path.exists(source) or os.path.exists(path):
        return
    if os.path.isdir(source):
        os.makedirs(path, mode=0o755, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        with open(path, "x"):
            pass
    kernel.mount(source, path, flags=kernel.BIND | kernel.RECURSIVE)
    kernel.protect(path, flags)


def _processes() -> list[str]:
    """The kernel's tables, in which only processes of the same room are seen."""
    with contextlib.suppress(FileExistsError):
        os.mkdir("/proc", 0o755)
    try:
        kernel.mount("proc", "/proc", "proc", kernel.NO_SUID | kernel.NO_DEV | kernel.NO_EXEC)
    except OSError as error:
        return [f"no /proc: {error.strerror}"]
    return []
