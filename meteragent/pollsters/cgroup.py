"""What slices, services and containers of this machine use; apart because they come and go by the second."""

import errno
import itertools
import operator
import os
import re
import threading
from collections.abc import Iterator
from typing import Any

from meteragent.errors import PluginUnavailable, Unavailable
from meteragent.machine import as_unicode, table, user_name
from meteragent.pollsters.base import Meter, Pollster
from meteragent.sample import Metadata, Sample

DEPTH, LIMIT = 4, 1000
"""How deep below the root control groups are metered, which is where containers are, and how many."""


def _meter(name: str, kind: str, unit: str, meaning: str) -> Meter:
    return Meter(f"host.cgroup.{name}", kind, unit, meaning, "<host>.cgroup.<path>")


CPU = _meter("cpu", "cumulative", "s", "Processor time, that of processes which ended included.")
LEVELS = {
    "memory.current": _meter("memory", "gauge", "B", "Memory, that of caches and of the kernel included."),
    "memory.swap.current": _meter("memory.swap", "gauge", "B", "Memory that is swapped."),
    "pids.current": _meter("threads", "gauge", "thread", "Threads."),
}
DISKS = {
    b"rbytes": _meter("disk.read.bytes", "cumulative", "B", "Read from disks."),
    b"wbytes": _meter("disk.write.bytes", "cumulative", "B", "Written to disks."),
    b"rios": _meter("disk.read.requests", "cumulative", "request", "Reads from disks."),
    b"wios": _meter("disk.write.requests", "cumulative", "request", "Writes to disks."),
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
    are counted as by the pollster of disks: those with hardware behind them, which devices put
    together of others use in the end.
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
        self._disks: dict[bytes, bool] = {}
        self._known: dict[str, tuple[str, Metadata]] = {}
        self._lock = threading.Lock()
        self._counted: dict[str, dict[bytes, list[int]]] = {}
        self._gone: dict[str, list[int]] = {}
        try:
            controllers = table(os.path.join(root, "cgroup.controllers")).decode().split()
        except OSError as error:
            raise PluginUnavailable(f"no control groups of version 2 in {root}: {error.strerror}") from None
        self.lacking = {
            LEVELS[file].name: f"{root} has no controller {controller}"
            for controller, files in NEEDS.items()
            for file in files
            if controller not in controllers
        }
        self._counts_disks = "io" in controllers
        if not self._counts_disks:
            self.lacking |= {meter.name: f"{root} has no controller io" for meter in DISKS.values()}
        self.meters = tuple(name for name in CgroupPollster.meters if name not in self.lacking)
        self._levels = {file: meter for file, meter in LEVELS.items() if meter.name not in self.lacking}

    def get_samples(self, resources: list[Any]) -> Iterator[Sample]:  # noqa: ARG002  always this machine
        """Yield what each group tells; the resource is ``<host>.cgroup.<path>``.

        :raises Unavailable: after the samples of as many groups as are metered, when there are more
        """
        before = self._known
        known = self._known = {}
        paths = self._groups("", DEPTH)
        for path in itertools.islice(paths, self._limit):
            known[path] = resource, metadata = before.get(path) or self._describe(path)
            user = _user(path)
            owner = user_name(int(user[1])) if user else None
            for meter, volume in self._volumes(path):
                yield meter.sample(volume, resource, metadata, owner)
        for path in before.keys() - known.keys():
            self._counted.pop(path, None)
            self._gone.pop(path, None)
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

    def _describe(self, path: str) -> tuple[str, Metadata]:
        name = as_unicode(path)
        unit = name.rpartition("/")[2]
        metadata = {"cgroup": name}
        if unit.endswith((".service", ".scope", ".slice")):
            metadata["unit"] = unit
        if container := _container(unit):
            metadata["container"] = container[1]
        return f"{self._host}.cgroup.{name}", Metadata.of(metadata)

    def _volumes(self, path: str) -> Iterator[tuple[Meter, int | float]]:
        """What the files of a group say, as far as they are there: it may lack controllers, or be gone."""
        folder = self._root + path
        if (times := _told(f"{folder}/cpu.stat")) is not None:
            yield CPU, int(times.split(maxsplit=2)[1]) / 1_000_000
        for file, meter in self._levels.items():
            if (level := _told(f"{folder}/{file}")) is not None:
                yield meter, int(level)
        if self._counts_disks:
            with self._lock:  # one that was read before and is counted after another would seem to fall
                traffic = _told(f"{folder}/io.stat")
                sums = None if traffic is None else self._traffic(path, traffic)
            if sums is not None:
                yield from zip(DISKS.values(), sums, strict=True)

    def _traffic(self, path: str, text: bytes) -> list[int]:
        """Sums over the disks, each of which has a line; what one that was taken away had stays in them.

        Without it they would fall, as if all counters had started again, and the rest count twice.
        """
        counts = {}
        for line in text.splitlines():
            device, *fields = line.split()
            if self._is_disk(device):
                volumes = dict(field.split(b"=", 1) for field in fields)
                counts[device] = [int(volumes.get(name, 0)) for name in DISKS]
        none = [0] * len(DISKS)
        gone = self._gone.get(path, none)
        for device, before in self._counted.get(path, {}).items():
            now = counts.get(device, none)
            if any(volume < earlier for volume, earlier in zip(now, before, strict=True)):
                gone = self._gone[path] = list(map(operator.add, gone, before))
        self._counted[path] = counts
        return [sum(each) for each in zip(gone, *counts.values(), strict=True)]

    def _is_disk(self, device: bytes) -> bool:
        if device not in self._disks:
            self._disks[device] = os.path.exists(f"{self._devices}/{device.decode()}/device")
        return self._disks[device]


def _told(path: str) -> bytes | None:
    """The whole of a file, None when it is not there or its group went away after it was opened."""
    try:
        return table(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV):
            return None
        raise
