"""What slices, services and containers of this machine use; apart because they come and go by the second."""

import errno
import itertools
import os
import re
from collections.abc import Iterator
from typing import Any

from meteragent.errors import PluginUnavailable, Unavailable
from meteragent.machine import as_unicode, table, user_name
from meteragent.pollsters.base import Meter, Pollster
from meteragent.pollsters.disk import DRIVES
from meteragent.sample import Metadata, Sample

DEPTH, LIMIT = 4, 1000
"""How deep below the root control groups are metered, which is where containers are, and how many."""


def _meter(name: str, kind: str, unit: str, meaning: str, resource: str = "<host>.cgroup.<path>") -> Meter:
    return Meter(f"host.cgroup.{name}", kind, unit, meaning, resource)


def _traffic(name: str, unit: str, meaning: str) -> Meter:
    return _meter(f"disk.{name}", "cumulative", unit, meaning, "<host>.disk.<name>.cgroup.<path>")


CPU = _meter("cpu", "cumulative", "s", "Processor time, that of processes which ended included.")
LEVELS = {
    "memory.current": _meter("memory", "gauge", "B", "Memory, that of caches and of the kernel included."),
    "memory.swap.current": _meter("memory.swap", "gauge", "B", "Memory that is swapped."),
    "pids.current": _meter("threads", "gauge", "thread", "Threads."),
}
DISKS = {
    b"rbytes": _traffic("read.bytes", "B", "Read from a disk."),
    b"wbytes": _traffic("write.bytes", "B", "Written to a disk."),
    b"rios": _traffic("read.requests", "request", "Reads from a disk."),
    b"wios": _traffic("write.requests", "request", "Writes to a disk."),
}
NEEDS = {
    "memory": ("memory.current", "memory.swap.current"),
    "pids": ("pids.current",),
}
"""Files that the kernel shows for a controller that is switched on."""

_container = re.compile(r"(?:^|[-:])([0-9a-f]{64})(?:\.scope)?$").search
_user = re.compile(r"/user\.slice/user-(\d+)\.slice(?:/|$)").match  # further down it is of a container


class CgroupPollster(Pollster):
    """Processor time, memory, threads and disk traffic of each control group of version 2.

    What a group uses is part of what the groups above it use, so they must not be added up. Disks
    are those of the pollster of disks: those with hardware behind them, which devices put together
    of others use in the end. Each is a resource of its own in each group: a sum over disks would
    fall when one is taken away, as if all counters had started again.
    """

    default_discovery = "local_host"
    declares = (CPU, *LEVELS.values(), *DISKS.values())
    meters = tuple(meter.name for meter in declares)

    def __init__(
        self, host: str, root: str = "/sys/fs/cgroup", devices: str = "/sys/dev/block", limit: int = LIMIT
    ) -> None:
        """
        :param root: where control groups of version 2 are mounted
        :param devices: folder where the kernel lists block devices by number
        :param limit: groups that are metered at most
        :raises PluginUnavailable: when there are none
        """
        self._host, self._root, self._devices, self._limit = host, root, devices, limit
        self._known: dict[tuple[str, str], tuple[str, Metadata]] = {}
        try:
            controllers = table(os.path.join(root, "cgroup.controllers")).decode().split()
        except OSError as error:
            raise PluginUnavailable(f"no control groups of version 2 in {root}: {error.strerror}") from None
        lacking = {
            LEVELS[file].name: f"{root} has no controller {controller}"
            for controller, files in NEEDS.items()
            for file in files
            if controller not in controllers
        }
        missing = f"{root} has no controller io" if "io" not in controllers else ""
        if not os.path.isdir(devices):
            missing = missing or f"{devices} is not there"
        self._counts_disks = not missing
        if missing:
            lacking |= {meter.name: missing for meter in DISKS.values()}
        self._lack(lacking)
        self._levels = {file: meter for file, meter in LEVELS.items() if meter.name not in self.lacking}

    def get_samples(self, resources: list[Any]) -> Iterator[Sample]:  # noqa: ARG002  always this machine
        """Yield what each group tells; the resource is ``<host>.cgroup.<path>``, of traffic also the disk.

        :raises Unavailable: after the samples of as many groups as are metered, when there are more
        """
        before, known, disks = self._known, {}, self._disks()
        paths = self._groups("", DEPTH)
        for path in itertools.islice(paths, self._limit):
            user = _user(path)
            owner = user_name(int(user[1])) if user else None
            for meter, volume, disk in self._volumes(path, disks):
                key = path, disk
                known[key] = resource, metadata = before.get(key) or self._describe(path, disk)
                yield meter.sample(volume, resource, metadata, owner)
        self._known = known
        if next(paths, None) is not None:
            raise Unavailable(f"there are more than the {self._limit} control groups that are metered")

    def _groups(self, path: str, depth: int) -> Iterator[str]:
        """Paths of all groups below one, each before those below it."""
        try:
            # two links and one for each group below it: most have none, and many files
            if os.stat(self._root + path).st_nlink == 2:
                return
            with os.scandir(self._root + path) as entries:
                names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return
        for name in names:
            yield f"{path}/{name}"
            if depth > 1:
                yield from self._groups(f"{path}/{name}", depth - 1)

    def _describe(self, path: str, disk: str) -> tuple[str, Metadata]:
        """Resource id and metadata of a group, or of a disk in it."""
        name = as_unicode(path)
        unit = name.rpartition("/")[2]
        metadata = {"cgroup": name}
        if unit.endswith((".service", ".scope", ".slice")):
            metadata["unit"] = unit
        if container := _container(unit):
            metadata["container"] = container[1]
        if not disk:
            return f"{self._host}.cgroup.{name}", Metadata.of(metadata)
        # the path, which may hold any letter, comes last
        return f"{self._host}.disk.{disk}.cgroup.{name}", Metadata.of({**metadata, "device": disk})

    def _disks(self) -> dict[bytes, str]:
        """Names of the disks by their numbers; anew each time, as what is plugged in next may bear one.

        :raises OSError: when devices cannot be listed
        """
        if not self._counts_disks:
            return {}
        disks = {}
        for number in sorted(os.listdir(self._devices)):
            folder = os.path.join(self._devices, number)
            if os.path.exists(os.path.join(folder, "device")):
                # the kernel writes ! for / in the names of its folders
                name = os.path.basename(os.path.realpath(folder)).replace("!", "/")
                if not name.startswith(DRIVES):
                    disks[number.encode()] = name
        return disks

    def _volumes(self, path: str, disks: dict[bytes, str]) -> Iterator[tuple[Meter, int | float, str]]:
        """What the files of a group say, as far as they are there: it may lack controllers, or be gone.

        With the disk where it is of one.
        """
        folder = self._root + path
        if (times := _told(f"{folder}/cpu.stat")) is not None:
            yield CPU, int(times.split(maxsplit=2)[1]) / 1_000_000, ""
        for file, meter in self._levels.items():
            if (level := _told(f"{folder}/{file}")) is not None:
                yield meter, int(level), ""
        if disks and (traffic := _told(f"{folder}/io.stat")) is not None:
            counted = _counted(traffic)
            for number, disk in disks.items():  # one that is not told of has had no traffic yet
                for field, meter in DISKS.items():
                    yield meter, counted.get((number, field), 0), disk


def _counted(text: bytes) -> dict[tuple[bytes, bytes], int]:
    """What is told of each device, field by field; some kernels end no line of one without traffic."""
    counted, device = {}, b""
    for word in text.split():
        field, told, volume = word.partition(b"=")
        if not told:
            device = word
        elif field in DISKS:
            counted[device, field] = int(volume)
    return counted


def _told(path: str) -> bytes | None:
    """The whole of a file, None when it is not there or its group went away after it was opened."""
    try:
        return table(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV):
            return None
        raise
