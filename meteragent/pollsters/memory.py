"""Memory and swap of this machine; apart because both stand in one table of the kernel.

Read from the table itself: psutil reads it once for memory and again for swap, gives 0 for what is
missing, and takes a page of swap traffic for 4 KiB on every machine.
"""

import os
import re
from collections.abc import Iterator
from typing import Any

from meteragent.errors import PluginUnavailable
from meteragent.machine import table
from meteragent.pollsters.base import Meter, Pollster
from meteragent.sample import Sample


def _level(name: str, meaning: str) -> Meter:
    return Meter(f"host.memory.{name}", "gauge", "B", meaning)


FIELDS = {
    _level("total", "Memory that the kernel manages."): (b"MemTotal",),
    _level("used", "Memory that could not be had without swapping: total less available."): (
        b"MemTotal",
        b"MemAvailable",
    ),
    _level("available", "Memory that programs could have without swapping, as the kernel estimates it."): (
        b"MemAvailable",
    ),
    _level("free", "Memory in which nothing is kept, not even a cache."): (b"MemFree",),
    _level("buffers", "Cache of raw disk blocks."): (b"Buffers",),
    _level("cached", "Cache of files, shared memory included, swapped and slab not."): (b"Cached",),
    _level("shared", "Shared memory and files in memory (tmpfs)."): (b"Shmem",),
    _level("slab", "The kernel's own objects."): (b"Slab",),
    _level("active", "Memory used of late, taken back last."): (b"Active",),
    _level("inactive", "Memory not used of late, taken back first."): (b"Inactive",),
    _level("dirty", "Written by programs, and not yet on its way to the disk."): (b"Dirty",),
    _level("committed", "Promised to programs, whether they have touched it or not."): (b"Committed_AS",),
    _level("swap.total", "Size of all swap areas; 0 without any."): (b"SwapTotal",),
    _level("swap.used", "Part of them in use."): (b"SwapTotal", b"SwapFree"),
}
"""Each meter's field in the table, or the two whose difference it is."""
TRAFFIC = {
    Meter("host.memory.swap.in", "cumulative", "B", "Read back from swap since boot."): b"\npswpin ",
    Meter("host.memory.swap.out", "cumulative", "B", "Written to swap since boot."): b"\npswpout ",
}
"""Each meter's line among the kernel's memory events, counted in pages."""

_find = re.compile(rb"^(\w+):\s+(\d+) kB$", re.MULTILINE).findall


class MemoryPollster(Pollster):
    """Bytes of memory and swap now, and bytes swapped since boot."""

    default_discovery = "local_host"
    declares = (*FIELDS, *TRAFFIC)
    meters = tuple(meter.name for meter in declares)

    def __init__(self, host: str, proc: str = "/proc", page: int = os.sysconf("SC_PAGE_SIZE")) -> None:
        """
        :param proc: folder where the kernel shows its tables
        :param page: bytes in a page
        :raises PluginUnavailable: when the memory table is missing or tells none of the meters
        """
        self._host, self._page = host, page
        self._memory, self._events = os.path.join(proc, "meminfo"), os.path.join(proc, "vmstat")
        self.lacking: dict[str, str] = {}
        self._levels = self._known_levels()
        self._traffic = self._known_traffic()
        self.meters = tuple(meter.name for meter in (*self._levels, *self._traffic))

    def _known_levels(self) -> dict[Meter, tuple[bytes, ...]]:
        try:
            fields = dict(_find(table(self._memory)))
        except OSError as error:
            raise PluginUnavailable(f"{self._memory}: {error.strerror}") from None
        levels = {}
        for meter, names in FIELDS.items():
            missing = [name.decode() for name in names if name not in fields]
            if missing:
                self.lacking[meter.name] = f"{self._memory} has no {' and no '.join(missing)}"
            else:
                levels[meter] = names
        if not levels:
            raise PluginUnavailable(f"{self._memory} has none of the fields that are metered")
        return levels

    def _known_traffic(self) -> dict[Meter, bytes]:
        try:
            events = table(self._events)
        except OSError as error:
            reason = f"{self._events}: {error.strerror}"
            self.lacking |= {meter.name: reason for meter in TRAFFIC}
            return {}
        missing = {meter for meter, line in TRAFFIC.items() if line not in events}
        self.lacking |= {
            meter.name: f"{self._events} has no {TRAFFIC[meter].strip().decode()}" for meter in missing
        }
        return {meter: line for meter, line in TRAFFIC.items() if meter not in missing}

    def get_samples(self, resources: list[Any]) -> Iterator[Sample]:  # noqa: ARG002  always this machine
        """Yield one sample a meter; the resource is the host."""
        fields = dict(_find(table(self._memory)))
        for meter, names in self._levels.items():
            kibibytes = int(fields[names[0]])
            if len(names) > 1:
                kibibytes -= int(fields[names[1]])
            yield meter.sample(kibibytes * 1024, self._host)
        if not self._traffic:
            return
        events = table(self._events)
        for meter, line in self._traffic.items():
            start = events.index(line) + len(line)
            pages = int(events[start : events.index(b"\n", start)])
            yield meter.sample(pages * self._page, self._host)
