"""Checks of what the agent stands on: Python, SQLite, clock, limits and disk of this machine."""

import ctypes
import os
import resource
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import apsw

from meteragent.assembly import make_driver
from meteragent.clock import SECOND, iso
from meteragent.doctor.finding import Finding, Installation
from meteragent.errors import MeteragentError
from meteragent.journal import schema

END_OF_LIFE = {
    (3, 11): datetime(2027, 10, 31, tzinfo=UTC),
    (3, 12): datetime(2028, 10, 31, tzinfo=UTC),
    (3, 13): datetime(2029, 10, 31, tzinfo=UTC),
    (3, 14): datetime(2030, 10, 31, tzinfo=UTC),
}
"""When a Python gets no more mended."""
NOT_BEFORE = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * SECOND
"""A clock that is before this was never set."""
LOOK, SLIP = 0.1, 0.02
"""Seconds in which both clocks are compared, and by how much they may differ after that."""
NOT_SYNCHRONISED = 5
"""What adjtimex calls TIME_ERROR."""
FEWEST_FILES = 256
"""Open files that an agent with some sinks may need."""
LEAST_ROOM, LITTLE_ROOM = 64 << 20, 1 << 30
"""Bytes left on the disk at which the journal soon stops accepting, and at which it is time to look."""


def python(installation: Installation) -> Iterator[Finding]:
    """Whether this Python still gets its faults mended."""
    version = sys.version_info[:2]
    told, ends = f"Python {sys.version.split()[0]}", END_OF_LIFE.get(version)
    if ends is not None and installation.clock.wall() > ends.timestamp() * SECOND:
        yield Finding(
            "warning", f"{told} gets no more mended since {ends:%Y-%m-%d}", "install a newer Python"
        )
    else:
        yield Finding("ok", told)


def sqlite(installation: Installation) -> Iterator[Finding]:
    """Whether SQLite is one that keeps files sound which several processes use."""
    del installation
    if tuple(map(int, apsw.sqlite_lib_version().split("."))) < schema.OLDEST_SQLITE:
        yield Finding("fault", f"SQLite {apsw.sqlite_lib_version()} can damage files", "install a newer apsw")
    else:
        yield Finding("ok", f"SQLite {apsw.sqlite_lib_version()}")


def clock(installation: Installation) -> Iterator[Finding]:
    """Whether the wall clock can be trusted; time zones are none of its business, all times are UTC."""
    now = installation.clock.wall()
    if now < NOT_BEFORE:
        yield Finding("fault", f"the clock says {iso(now)}", "set it, and keep it set with NTP")
        return
    wall, steady = installation.clock.wall(), installation.clock.monotonic()
    time.sleep(LOOK)
    slip = (installation.clock.wall() - wall) / SECOND - (installation.clock.monotonic() - steady)
    if abs(slip) > SLIP:
        yield Finding(
            "warning",
            f"the wall clock moved {slip:+.3f} s beside the monotonic one in {LOOK} s",
            "something sets it in steps; let NTP slew it",
        )
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))  # modes 0: only asks
    if state == NOT_SYNCHRONISED:
        yield Finding(
            "warning",
            "the clock is not synchronised, as far as the kernel knows",
            "run an NTP client such as chrony or systemd-timesyncd; in a container, on its host",
        )
    elif state < 0:
        yield Finding("ok", f"the clock says {iso(now)}; the kernel does not tell whether it is synchronised")
    else:
        yield Finding("ok", f"the clock says {iso(now)} and is synchronised")


def limits(installation: Installation) -> Iterator[Finding]:
    """Whether limits of the agent that runs, else of this process, are in the way."""
    process = installation.process
    if process is None or not os.access(f"/proc/{process}/fd", os.R_OK):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        used, whose = 0, "this user"
    else:
        most = resource.prlimit(process, resource.RLIMIT_NOFILE)[0]
        used, whose = len(os.listdir(f"/proc/{process}/fd")), f"the agent, process {process}"
    told = f"{whose} may have {most if most >= 0 else 'any number of'} files open"
    told += f" and has {used}" if used else ""
    if 0 <= most < max(FEWEST_FILES, used + used // 4):
        yield Finding("warning", told, "raise it: ulimit -n, or LimitNOFILE= in the systemd unit")
    else:
        yield Finding("ok", told)
    largest = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if largest >= 0:
        remedy = "raise it: ulimit -f unlimited, or LimitFSIZE= in the systemd unit"
        yield Finding("warning", f"this user may write files of at most {largest} bytes", remedy)


def disk(installation: Installation) -> Iterator[Finding]:
    """Whether there is room where the journal and the store lie."""
    places = {"journal": installation.folder}
    try:
        driver = make_driver(installation.settings, installation.clock, read_only=True)
        path = getattr(driver, "path", None)
        driver.close()
    except MeteragentError:  # a fault of the configuration, told there
        path = None
    if isinstance(path, Path):
        places["store"] = path.parent
    seen: set[int] = set()
    for what, place in places.items():
        folder = next(each for each in (place, *place.parents) if each.exists())
        if folder.stat().st_dev not in seen:
            seen.add(folder.stat().st_dev)
            yield _room(what, folder)


def _room(what: str, folder: Path) -> Finding:
    found = os.statvfs(folder)
    left = found.f_bavail * found.f_frsize
    told = f"{left >> 20} MiB left where the {what} lies, {folder}"
    if found.f_flag & os.ST_RDONLY:
        return Finding(
            "fault", f"the {what} lies on a disk that is read-only, {folder}", "mount it for writing"
        )
    if found.f_files and not found.f_favail:
        return Finding("fault", f"no file can be made any more where the {what} lies, {folder}",
                       "remove files; the disk has no inodes left")  # fmt: skip
    if left < LEAST_ROOM:
        return Finding("fault", told, "make room, or set [storage] retention; a full disk stops accepting")
    if left < LITTLE_ROOM:
        return Finding("warning", told, "make room, or set [storage] retention, before the disk is full")
    return Finding("ok", told)
