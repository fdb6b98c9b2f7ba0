"""What a process may still reach of the file system and the network, see landlock(7)."""

import ctypes
import os
import stat
from collections.abc import Iterable

from meteragent.plugins.confined import kernel

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_ASK_VERSION = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_TRUNCATE, _DEVICE = 1 << 14, 1 << 15
_ALL = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
"""By version, all that can be done with files."""
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _DEVICE
_READING = _EXECUTE | _READ_FILE | _READ_DIR
_CONNECTIONS, _SCOPES = 3, 3
"""Binding and connecting TCP; abstract Unix sockets and signals of others."""


def version() -> int:
    """That of the kernel; 0 where there is none."""
    try:
        return kernel.call(_CREATE, None, 0, _ASK_VERSION)
    except OSError:
        return 0


def restrict(reading: Iterable[str], writing: Iterable[str], *, network: bool) -> None:
    """From now on, only what lies below these paths can be read or, of some, written.

    A path that is not there is passed over. The network is left as it is where that is granted.

    :raises OSError: as the kernel says
    """
    known = version()
    everything = _ALL[min(known, max(_ALL))]
    connections = _CONNECTIONS if known >= 4 and not network else 0
    attributes = (ctypes.c_uint64 * 3)(everything, connections, _SCOPES if known >= 6 else 0)
    size = 8 if known < 4 else 16 if known < 6 else 24
    rules = kernel.call(_CREATE, attributes, size, 0)
    try:
        for path in reading:
            _allow(rules, path, _READING & everything)
        for path in writing:
            _allow(rules, path, everything)
        kernel.call(_RESTRICT, rules, 0)
    finally:
        os.close(rules)


class _Below(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _OF_FILES
        kernel.call(_ADD, rules, 1, ctypes.byref(_Below(rights, place)), 0)
    finally:
        os.close(place)
