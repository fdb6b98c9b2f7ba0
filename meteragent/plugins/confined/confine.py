"""Gives up, in a plugin's process, all that was not granted; in an order that makes each step possible."""

import contextlib
import os
import resource
from collections.abc import Iterable

from meteragent.plugins.confined import kernel, landlock, room, seccomp
from meteragent.plugins.confined.terms import KEPT, Order, Terms

KINDNESS = 10
"""How much others go first, see nice(2)."""
_ONLY = 3
"""The first descriptor behind input and output."""
_SHARED = 16
"""Times as many processes where the limit is that of all processes of the user."""
_SIGNALS = 6
"""The first version of Landlock that keeps processes from ending others."""
_SYSTEM = (
    "/usr", "/lib", "/lib32", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/localtime", "/etc/timezone",
    "/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/alternatives",
)  # fmt: skip
_NETWORK = ("/etc/hosts", "/etc/resolv.conf", "/etc/ssl", "/etc/pki", "/etc/services", "/etc/protocols")


def system_paths(terms: Terms) -> list[str]:
    """What any program reads."""
    return [*_SYSTEM, *(_NETWORK if terms.network else ())]


def close_all_but(descriptor: int) -> int:
    """Close all open files but one, with nothing as input and output; what that one is from now on."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.dup2(descriptor, _ONLY, inheritable=False)
    os.closerange(_ONLY + 1, os.sysconf("SC_OPEN_MAX"))
    return _ONLY


def limit(order: Order) -> None:
    """Set the limits that need no privilege; to be called last before the plugin is loaded."""
    terms, mib = order.terms, 1 << 20
    for what, most in (
        (resource.RLIMIT_AS, _taken() + terms.memory * mib),
        (resource.RLIMIT_FSIZE, terms.disk * mib),
        (resource.RLIMIT_NOFILE, terms.open_files),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def _taken() -> int:
    """Bytes of address space that this process has."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 64 << 20


def be_nobody(terms: Terms, *, own_namespace: bool) -> list[str]:
    """Become the user that is granted, without any privilege; what could not be had.

    :param own_namespace: whether users of this process are counted by themselves already
    """
    lacking = []
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    kernel.drop_bounding()
    if terms.uid is not None and terms.gid is not None:
        os.setgroups([])
        os.setresgid(terms.gid, terms.gid, terms.gid)
        os.setresuid(terms.uid, terms.uid, terms.uid)
        kernel.prctl(kernel.DUMPABLE, 1)
        try:
            kernel.unshare(kernel.NEW_USER)
            map_user(terms.uid, terms.gid)
            kernel.drop_bounding()  # which is full again in a new one
            own_namespace = True
        except OSError as error:
            lacking.append(f"no user namespace: {error.strerror}; the limit of processes is shared by user")
    if own_namespace:
        resource.setrlimit(resource.RLIMIT_NPROC, (terms.processes, terms.processes))
    elif terms.uid is not None:
        resource.setrlimit(resource.RLIMIT_NPROC, (terms.processes * _SHARED,) * 2)
    else:
        lacking.append("no limit of processes: there is no user namespace")
    kernel.drop_capabilities()
    kernel.prctl(kernel.NO_NEW_PRIVS, 1)
    return lacking


def map_user(uid: int, gid: int) -> None:
    """In a user namespace that was just made, let this user be known by its number, see user_namespaces(7).

    :raises OSError: as the kernel says
    """
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def without_namespaces(reason: str) -> list[str]:
    """What guards are lost where there are none."""
    lacking = [
        f"no namespaces: {reason}; what it leaves behind is looked for",
        "its threads go on between polls",
    ]
    if landlock.version() < _SIGNALS:
        lacking.append(f"Landlock {landlock.version()} knows no signals; it may end what is its user's")
    return lacking


def be_blind(terms: Terms, reading: Iterable[str], scratch: str) -> list[str]:
    """See and reach only what is granted; what could not be had.

    :param scratch: the folder of its own, in a view of its own; else empty
    """
    lacking = []
    reads = [*reading, *(("/proc",) if scratch else ())]
    writes = [*terms.write_paths, *((scratch,) if scratch else ()), *room.DEVICES]
    if landlock.version():
        landlock.restrict(reads, writes, network=terms.network)
        if landlock.version() < 4 and not terms.network:
            lacking.append(f"Landlock {landlock.version()} knows no network")
    else:
        lacking.append("no Landlock in this kernel")
        if not scratch:
            lacking.append("it reads what its user may, and writes there without limit")
    if not seccomp.known():
        lacking.append(f"the system calls of {os.uname().machine} are not known")
        return lacking
    try:
        seccomp.restrict(network=terms.network)
    except OSError as error:
        lacking.append(f"no seccomp: {error.strerror}")
    return lacking


def exposed(hidden: Iterable[str], reading: Iterable[str]) -> list[str]:
    """What is lost without a view of its own: its folder, and what is to be hidden and lies below a grant."""
    granted = [os.path.realpath(path) for path in reading]
    return ["no folder of its own to write into"] + [
        f"{path} lies below a folder that it may read"
        for path in map(os.path.realpath, hidden)
        if any(os.path.commonpath((path, each)) == each for each in granted)
    ]


def environment(scratch: str) -> None:
    """Leave nothing in the environment but what any program needs."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    os.environ.clear()
    os.environ.update(kept)
    os.environ |= {"PATH": "/usr/bin:/bin", "HOME": scratch, "TMPDIR": scratch, "LANG": "C.UTF-8"}
