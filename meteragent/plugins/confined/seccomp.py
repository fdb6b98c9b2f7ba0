"""Which system calls a process may still make, see seccomp(2); all but those that only confine or pry."""

import ctypes
import errno
import os
import struct

from meteragent.plugins.confined import kernel

_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""By machine, its AUDIT_ARCH and which of the numbers below are its own."""
REFUSED: dict[str, tuple[int, int]] = {
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "unshare": (272, 97), "setns": (308, 268), "ptrace": (101, 117), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "bpf": (321, 280), "perf_event_open": (298, 241), "kexec_load": (246, 104), "kexec_file_load": (320, 294),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "userfaultfd": (323, 282), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "open_by_handle_at": (304, 265), "swapon": (167, 224),
    "swapoff": (168, 225), "reboot": (169, 142), "quotactl": (179, 60), "acct": (163, 89),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "syslog": (103, 116), "personality": (135, 92),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442), "pidfd_getfd": (438, 438),
    "open_tree_attr": (467, 467), "statmount": (457, 457), "listmount": (458, 458),
    "process_madvise": (440, 440), "quotactl_fd": (443, 443), "fanotify_init": (300, 262), "kcmp": (312, 272),
    # what these keep is memory of no process, which no limit counts
    "shmget": (29, 194), "shmat": (30, 196), "msgget": (68, 186), "semget": (64, 190),
    "memfd_create": (319, 279), "memfd_secret": (447, 447),
}  # fmt: skip
"""By name, the numbers by machine."""
_FAMILIES = (1, 2, 10)
"""Of sockets, where the network is granted: AF_UNIX, AF_INET and AF_INET6."""
_SOCKET, _CLONE, _CLONE3 = (41, 198), (56, 220), (435, 435)
_NAMESPACES = 0x7E020000
"""The flags of clone(2) that make new ones."""
_X32 = 0x40000000
_ALLOW, _FAIL, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _IS, _AT_LEAST, _HAS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
"""The few instructions needed of those in <linux/bpf_common.h>."""
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_FILTER = 2


def known() -> bool:
    """Whether the numbers of this machine's system calls are known here."""
    return os.uname().machine in _MACHINES


def restrict(*, network: bool) -> None:
    """From now on, these calls fail with EPERM, and that for a socket with EACCES.

    A pair of sockets that are connected to each other can still be made, and those of the network where that
    is granted.

    :raises OSError: as the kernel says
    """
    architecture, column = _MACHINES[os.uname().machine]
    lines = [(_LOAD, 0, 0, _ARCHITECTURE), (_IS, 1, 0, architecture), (_RETURN, 0, 0, _KILL)]
    lines += [(_LOAD, 0, 0, _NUMBER), (_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _FAIL | errno.ENOSYS)]
    for numbers in REFUSED.values():
        lines += [(_IS, 0, 1, numbers[column]), (_RETURN, 0, 0, _FAIL | errno.EPERM)]
    families = _FAMILIES if network else ()
    lines += [(_IS, 0, 2 * len(families) + 2, _SOCKET[column]), (_LOAD, 0, 0, _FIRST_ARGUMENT)]
    for family in families:
        lines += [(_IS, 0, 1, family), (_RETURN, 0, 0, _ALLOW)]
    lines += [(_RETURN, 0, 0, _FAIL | errno.EACCES)]
    # the flags of clone3 lie where no filter can look; without it, the C library takes clone
    lines += [(_IS, 0, 1, _CLONE3[column]), (_RETURN, 0, 0, _FAIL | errno.ENOSYS)]
    lines += [(_IS, 0, 3, _CLONE[column]), (_LOAD, 0, 0, _FIRST_ARGUMENT)]
    lines += [(_HAS, 0, 1, _NAMESPACES), (_RETURN, 0, 0, _FAIL | errno.EPERM), (_RETURN, 0, 0, _ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    program = struct.pack("HxxxxxxQ", len(lines), ctypes.addressof(code))
    kernel.prctl(kernel.SECCOMP, _FILTER, ctypes.c_char_p(program))
