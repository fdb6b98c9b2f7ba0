"""What the disks of this machine read and wrote; apart because disks come and go while it runs."""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psutil

from meteragent.errors import PluginUnavailable
from meteragent.pollsters.base import Meter, Pollster
from meteragent.sample import Metadata, Sample


def _meter(name: str, unit: str, meaning: str) -> Meter:
    return Meter(f"host.disk.{name}", "cumulative", unit, meaning, "<host>.disk.<name>")


COUNTERS = (
    ("read_bytes", _meter("read.bytes", "B", "Read from the disk.")),
    ("write_bytes", _meter("write.bytes", "B", "Written to the disk.")),
    (
        "read_count",
        _meter("read.requests", "request", "Reads that completed, neighbouring ones merged into one."),
    ),
    (
        "write_count",
        _meter("write.requests", "request", "Writes that completed, neighbouring ones merged into one."),
    ),
)
TIMES = (
    ("read_time", _meter("read.time", "s", "Time that all reads took, those at once added up.")),
    ("write_time", _meter("write.time", "s", "Time that all writes took, those at once added up.")),
    ("busy_time", _meter("busy.time", "s", "Time with at least one request under way.")),
)
"""Counted by the kernel in milliseconds."""
DRIVES = ("sr", "fd")
"""How optical and floppy drives are called, which have hardware and yet are no disks."""


def read_all() -> Mapping[str, Any]:
    """Raw counters: a reset is seen where usage is computed, and must not be hidden here."""
    return psutil.disk_io_counters(perdisk=True, nowrap=False)


class DiskPollster(Pollster):
    """Bytes, requests and seconds of each disk that has hardware behind it, since boot.

    Partitions, loop and RAM devices, and those put together of others (RAID, LVM, encryption) are
    left out: what they read and write is counted at the disks below them.
    """

    default_discovery = "local_host"
    declares = tuple(meter for _, meter in (*COUNTERS, *TIMES))
    meters = tuple(meter.name for meter in declares)

    def __init__(
        self, host: str, read: Callable[[], Mapping[str, Any]] = read_all, block: str = "/sys/block"
    ) -> None:
        """
        :param read: gives an object with psutil's counters for each block device
        :param block: folder where the kernel lists block devices
        :raises PluginUnavailable: when there is no disk
        """
        self._host, self._read, self._block = host, read, block
        try:
            devices = read()
        except (OSError, NotImplementedError) as error:
            raise PluginUnavailable(f"disk counters cannot be read: {error}") from None
        self._known = {name: self._look_up(name) for name in devices}
        disks = [counters for name, counters in devices.items() if self._known[name]]
        if not disks:
            raise PluginUnavailable(f"no disk with hardware behind it in {block}")
        self._lack(
            {
                meter.name: "this kernel does not count it"
                for field, meter in (*COUNTERS, *TIMES)
                if not hasattr(disks[0], field)
            }
        )
        self._counters = [row for row in COUNTERS if row[1].name not in self.lacking]
        self._times = [row for row in TIMES if row[1].name not in self.lacking]

    def _look_up(self, name: str) -> tuple[str, Metadata] | None:
        """Resource id and metadata of a disk, None for any other device."""
        # the kernel writes ! for / in the names of its folders
        hardware = os.path.exists(os.path.join(self._block, name.replace("/", "!"), "device"))
        if not hardware or name.startswith(DRIVES):
            return None
        return f"{self._host}.disk.{name}", Metadata.of({"device": name})

    def get_samples(self, resources: list[Any]) -> Iterator[Sample]:  # noqa: ARG002  always this machine
        """Yield the counters of each disk; the resource is ``<host>.disk.<name>``."""
        devices, before = self._read(), self._known
        # without what is gone: what is plugged in next may bear its name
        known = {name: before[name] if name in before else self._look_up(name) for name in devices}
        self._known = known
        for name, counters in devices.items():
            disk = known[name]
            if disk is None:
                continue
            resource, metadata = disk
            for field, meter in self._counters:
                yield meter.sample(getattr(counters, field), resource, metadata)
            for field, meter in self._times:
                yield meter.sample(getattr(counters, field) / 1000, resource, metadata)
