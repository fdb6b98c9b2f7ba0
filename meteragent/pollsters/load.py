"""How busy this machine is and for how long it has been up; apart because neither belongs to a device."""

import functools
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from meteragent.clock import SECOND, iso
from meteragent.machine import table
from meteragent.pollsters.base import Meter, Pollster
from meteragent.sample import Metadata, Sample

LOADS = (
    Meter(
        "host.load.1min",
        "gauge",
        "process",
        "Processes that run, wait to run or wait for a disk, averaged over the last minute.",
    ),
    Meter("host.load.5min", "gauge", "process", "… over the last 5 minutes."),
    Meter("host.load.15min", "gauge", "process", "… over the last 15 minutes."),
)
THREADS = Meter("host.threads.count", "gauge", "thread", "Threads of all processes and of the kernel.")
UPTIME = Meter(
    "host.uptime",
    "cumulative",
    "s",
    "Time since boot, suspended time included; a reset is a boot. Metadata ``boot_id`` and ``boot_time``.",
)

since_boot = functools.partial(time.clock_gettime, time.CLOCK_BOOTTIME)
"""Seconds since boot; unlike the wall clock minus the boot time it neither steps nor drifts."""


class LoadPollster(Pollster):
    """Processes that run or wait to, averaged over 1, 5 and 15 minutes; all threads; seconds since boot."""

    default_discovery = "local_host"
    declares = (*LOADS, THREADS, UPTIME)
    meters = tuple(meter.name for meter in declares)

    def __init__(self, host: str, proc: str = "/proc", uptime: Callable[[], float] = since_boot) -> None:
        """
        :param proc: folder where the kernel shows its tables
        :param uptime: gives the seconds since boot, suspended ones included
        """
        self._host, self._uptime, self._path = host, uptime, os.path.join(proc, "loadavg")
        self._boot = _boot(proc)
        try:
            table(self._path)
        except OSError as error:
            reason = f"{self._path}: {error.strerror}"
            self._lack({meter.name: reason for meter in (*LOADS, THREADS)})

    def get_samples(self, resources: list[Any]) -> Iterator[Sample]:  # noqa: ARG002  always this machine
        """Yield one sample a meter; the resource is the host."""
        yield UPTIME.sample(self._uptime(), self._host, self._boot)
        if self.lacking:
            return
        *loads, threads, _ = table(self._path).split()
        for meter, load in zip(LOADS, loads, strict=True):
            yield meter.sample(float(load), self._host)
        yield THREADS.sample(int(threads.partition(b"/")[2]), self._host)


def _boot(proc: str) -> Metadata:
    """Which boot this is, and when it was by the clock of now, as far as the kernel tells."""
    boot = {}
    try:
        boot["boot_id"] = table(os.path.join(proc, "sys/kernel/random/boot_id")).decode().strip()
        seconds = table(os.path.join(proc, "stat")).partition(b"\nbtime ")[2].partition(b"\n")[0]
        boot["boot_time"] = iso(int(seconds) * SECOND)
    except (OSError, ValueError):
        pass
    return Metadata.of(boot)
