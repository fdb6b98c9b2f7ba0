"""How busy this machine is and for how long it has been up; apart because neither belongs to a device."""

import functools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from meteragent.pollsters.base import Pollster
from meteragent.sample import Sample

LOADS = ("host.load.1min", "host.load.5min", "host.load.15min")
UPTIME = "host.uptime"

since_boot = functools.partial(time.clock_gettime, time.CLOCK_BOOTTIME)
"""Seconds since boot; unlike the wall clock minus the boot time it neither steps nor drifts."""


class LoadPollster(Pollster):
    """Processes that run or wait to, averaged over 1, 5 and 15 minutes, and seconds since boot."""

    default_discovery = "local_host"
    meters: Sequence[str] = (*LOADS, UPTIME)

    def __init__(
        self,
        host: str,
        loads: Callable[[], tuple[float, float, float]] = os.getloadavg,
        uptime: Callable[[], float] = since_boot,
    ) -> None:
        """
        :param loads: gives the three averages, or raises OSError
        :param uptime: gives the seconds since boot, suspended ones included
        """
        self._host, self._loads, self._uptime = host, loads, uptime
        self.lacking: dict[str, str] = {}
        try:
            loads()
        except OSError as error:
            reason = f"load averages cannot be read: {error.strerror or 'this system does not tell them'}"
            self.lacking = dict.fromkeys(LOADS, reason)
            self.meters = (UPTIME,)

    def get_samples(self, resources: list[Any]) -> Iterator[Sample]:  # noqa: ARG002  always this machine
        """Yield one sample a meter; the resource is the host."""
        yield Sample(name=UPTIME, type="cumulative", unit="s", volume=self._uptime(), resource_id=self._host)
        if self.lacking:
            return
        for meter, load in zip(LOADS, self._loads(), strict=True):
            yield Sample(name=meter, type="gauge", unit="process", volume=load, resource_id=self._host)
