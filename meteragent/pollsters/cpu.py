"""Processor time of this machine by mode; apart because all of it is one read of the kernel's."""

from collections.abc import Callable, Iterator
from typing import Any

import psutil

from meteragent.errors import PluginUnavailable
from meteragent.pollsters.base import Pollster
from meteragent.sample import Sample

MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
"""The kernel counts each moment of each processor in exactly one of them; guests are in user and nice."""
COUNT = "host.cpu.count"


class CPUPollster(Pollster):
    """Seconds that all processors together spent in each mode since boot, and how many are online."""

    default_discovery = "local_host"
    meters = (*(f"host.cpu.{mode}" for mode in MODES), COUNT)

    def __init__(
        self,
        host: str,
        times: Callable[[], Any] = psutil.cpu_times,
        count: Callable[[], int | None] = psutil.cpu_count,
    ) -> None:
        """
        :param times: gives an object with an attribute in seconds for each mode the kernel knows
        :param count: gives the number of processors online
        :raises PluginUnavailable: when the processor times cannot be read
        """
        try:
            known = times()
        except OSError as error:
            raise PluginUnavailable(f"processor times cannot be read: {error}") from None
        self._host, self._times, self._count = host, times, count
        self._modes = [(mode, f"host.cpu.{mode}") for mode in MODES if hasattr(known, mode)]
        self.lacking = {
            f"host.cpu.{mode}": "this kernel does not tell it" for mode in MODES if not hasattr(known, mode)
        }
        if not count():
            self.lacking[COUNT] = "this system does not tell it"
        self.meters = tuple(meter for meter in CPUPollster.meters if meter not in self.lacking)

    def get_samples(self, resources: list[Any]) -> Iterator[Sample]:  # noqa: ARG002  always this machine
        """Yield one sample a meter; the resource is the host."""
        times = self._times()
        for mode, meter in self._modes:
            yield Sample(
                name=meter, type="cumulative", unit="s", volume=getattr(times, mode), resource_id=self._host
            )
        if COUNT not in self.lacking and (count := self._count()):
            yield Sample(name=COUNT, type="gauge", unit="cpu", volume=count, resource_id=self._host)
