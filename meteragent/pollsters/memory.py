"""Memory and swap of this machine; apart because both stand in one table of the kernel.

Read from the table itself: psutil reads it once for memory and again for swap, gives 0 for what is
missing, and takes a page of swap traffic for 4 KiB on every machine.
"""

import os
import re
from collections.abc import Iterator
from typing import Any

from meteragent.errors import PluginUnavailable
from meteragent.pollsters.base import Pollster
from meteragent.sample import Sample

FIELDS = {
    "host.memory.total": (b"MemTotal",),
    "host.memory.used": (b"MemTotal", b"MemAvailable"),
    "host.memory.available": (b"MemAvailable",),
    "host.memory.free": (b"MemFree",),
    "host.memory.buffers": (b"Buffers",),
    "host.memory.cached": (b"Cached",),
    "host.memory.shared": (b"Shmem",),
    "host.memory.slab": (b"Slab",),
    "host.memory.active": (b"Active",),
    "host.memory.inactive": (b"Inactive",),
    "host.memory.dirty": (b"Dirty",),
    "host.memory.committed": (b"Committed_AS",),
    "host.memory.swap.total": (b"SwapTotal",),
    "host.memory.swap.used": (b"SwapTotal", b"SwapFree"),
}
"""Each meter's field in the table, or the two whose difference it is."""
TRAFFIC = {"host.memory.swap.in": b"\npswpin ", "host.memory.swap.out": b"\npswpout "}
"""Each meter's line among the kernel's memory events, counted in pages."""

_find = re.compile(rb"^(\w+):\s+(\d+) kB$", re.MULTILINE).findall


class MemoryPollster(Pollster):
    """Bytes of memory and swap now, and bytes swapped since boot."""

    default_discovery = "local_host"
    meters = (*FIELDS, *TRAFFIC)

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
        self.meters = (*self._levels, *self._traffic)

    def _known_levels(self) -> dict[str, tuple[bytes, ...]]:
        try:
            fields = dict(_find(_read(self._memory)))
        except OSError as error:
            raise PluginUnavailable(f"{self._memory}: {error.strerror}") from None
        levels = {}
        for meter, names in FIELDS.items():
            missing = [name.decode() for name in names if name not in fields]
            if missing:
                self.lacking[meter] = f"{self._memory} has no {' and no '.join(missing)}"
            else:
                levels[meter] = names
        if not levels:
            raise PluginUnavailable(f"{self._memory} has none of the fields that are metered")
        return levels

    def _known_traffic(self) -> dict[str, bytes]:
        try:
            events = _read(self._events)
        except OSError as error:
            self.lacking |= dict.fromkeys(TRAFFIC, f"{self._events}: {error.strerror}")
            return {}
        missing = {meter for meter, line in TRAFFIC.items() if line not in events}
        self.lacking |= {
            meter: f"{self._events} has no {TRAFFIC[meter].strip().decode()}" for meter in missing
        }
        return {meter: line for meter, line in TRAFFIC.items() if meter not in missing}

    def get_samples(self, resources: list[Any]) -> Iterator[Sample]:  # noqa: ARG002  always this machine
        """Yield one sample a meter; the resource is the host."""
        fields = dict(_find(_read(self._memory)))
        for meter, names in self._levels.items():
            kibibytes = int(fields[names[0]])
            if len(names) > 1:
                kibibytes -= int(fields[names[1]])
            yield Sample(name=meter, type="gauge", unit="B", volume=kibibytes * 1024, resource_id=self._host)
        if not self._traffic:
            return
        events = _read(self._events)
        for meter, line in self._traffic.items():
            start = events.index(line) + len(line)
            pages = int(events[start : events.index(b"\n", start)])
            yield Sample(
                name=meter, type="cumulative", unit="B", volume=pages * self._page, resource_id=self._host
            )


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as table:
        return table.readall()
