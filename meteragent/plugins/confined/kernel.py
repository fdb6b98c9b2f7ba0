"""The system calls that confine a process and that Python does not offer; see the man pages named there."""

import ctypes
import os
from typing import Any

NEW_NS, NEW_IPC, NEW_USER = 0x00020000, 0x08000000, 0x10000000
NEW_PID, NEW_NET = 0x20000000, 0x40000000
READ_ONLY, NO_SUID, NO_DEV, NO_EXEC = 1, 2, 4, 8
"""Flags of mount(2)."""
REMOUNT, BIND, RECURSIVE, PRIVATE = 1 << 5, 1 << 12, 1 << 14, 1 << 18
DETACH = 2
"""Of umount2(2)."""
PDEATHSIG, DUMPABLE, SECCOMP, CAPBSET_DROP = 1, 4, 22, 24
"""What prctl(2) is asked for."""
CHILD_SUBREAPER, NO_NEW_PRIVS, CAP_AMBIENT, CLEAR_AMBIENT = 36, 38, 47, 4
_LAST_CAPABILITY = 63
_CAPABILITY_VERSION = 0x20080522
"""capget(2)."""
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_MOUNT_SETATTR = 442

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def call(number: int, *arguments: Any) -> int:
    """A system call by its number, see syscall(2); integers are passed as long ones.

    :raises OSError: as the kernel says
    """
    given = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *given))


def prctl(what: int, *arguments: Any) -> int:
    """prctl(2).

    :raises OSError: as the kernel says
    """
    given = [ctypes.c_ulong(each) if isinstance(each, int) else each for each in arguments]
    given += [ctypes.c_ulong(0)] * (4 - len(given))
    return _checked(_libc.prctl(ctypes.c_int(what), *given))


def unshare(flags: int) -> None:
    """unshare(2).

    :raises OSError: as the kernel says
    """
    _checked(_libc.unshare(ctypes.c_int(flags)))


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2).

    :raises OSError: as the kernel says, with the target
    """
    texts = [os.fsencode(each) if each else None for each in (source, target, kind)]
    _checked(_libc.mount(*texts, ctypes.c_ulong(flags), os.fsencode(data) if data else None), target)


def unmount(target: str) -> None:
    """umount2(2), at once and with what is mounted below it, though it be in use.

    :raises OSError: as the kernel says, with the target
    """
    _checked(_libc.umount2(os.fsencode(target), ctypes.c_int(DETACH)), target)


def protect(target: str, flags: int) -> None:
    """mount_setattr(2) for a mount and all below it, or mount(2) for it alone where that is not known.

    :raises OSError: as the kernel says, with the target
    """
    attributes = (ctypes.c_uint64 * 4)(flags, 0, 0, 0)  # their lowest four are those of mount(2)
    try:
        call(_MOUNT_SETATTR, -100, os.fsencode(target), 0x8000, attributes, ctypes.sizeof(attributes))
    except OSError:
        mount("", target, "", REMOUNT | BIND | flags)


def pivot_root(root: str, before: str) -> None:
    """pivot_root(2).

    :raises OSError: as the kernel says
    """
    number = _PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise OSError(f"the number of pivot_root is not known on {os.uname().machine}")
    call(number, os.fsencode(root), os.fsencode(before))


def drop_bounding() -> None:
    """Take care that no program that is run later gets a capability, see capabilities(7)."""
    for capability in range(_LAST_CAPABILITY + 1):
        try:
            prctl(CAPBSET_DROP, capability)
        except OSError:  # there is none of that number, or there was none to begin with
            continue


def drop_capabilities() -> None:
    """Give up all capabilities, see capabilities(7).

    :raises OSError: as the kernel says
    """
    prctl(CAP_AMBIENT, CLEAR_AMBIENT)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    _checked(_libc.capset(header, (ctypes.c_uint32 * 6)()))


def _checked(result: int, name: str | None = None) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
    return result
