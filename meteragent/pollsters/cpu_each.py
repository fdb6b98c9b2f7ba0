"""Processor time of this machine processor by processor; apart because few want so many samples."""

import os
from collections.abc import Iterator
from typing import Any

from meteragent.errors import PluginUnavailable
from meteragent.machine import table
from meteragent.pollsters.base import Pollster
from meteragent.pollsters.cpu import MODES, Rising
from meteragent.sample import Metadata, Sample

EACH = tuple(
    mode._replace(
        name=mode.name.replace("host.cpu.", "host.cpu.each."),
        meaning=f"``{mode.name}`` of one processor.",
        resource="<host>.cpu.<number>",
    )
    for mode in MODES
)


class CPUEachPollster(Pollster):
    """Seconds that each processor spent in each mode since boot; none of one that is offline."""

    default_discovery = "local_host"
    declares = EACH
    meters = tuple(meter.name for meter in declares)

    def __init__(self, host: str, proc: str = "/proc", ticks: int = os.sysconf("SC_CLK_TCK")) -> None:
        """
        :param proc: folder where the kernel shows its tables
        :param ticks: in which the kernel counts a second
        :raises PluginUnavailable: when the times of single processors cannot be read
        """
        self._host, self._ticks, self._path = host, ticks, os.path.join(proc, "stat")
        self._times = Rising()
        self._known: dict[bytes, tuple[str, Metadata]] = {}
        try:
            lines = _lines(self._path)
        except OSError as error:
            raise PluginUnavailable(f"{self._path}: {error.strerror}") from None
        if not lines:
            raise PluginUnavailable(f"{self._path} tells of no single processor")
        known = len(lines[0]) - 1
        self._lack({meter.name: "this kernel does not tell it" for meter in EACH[known:]})

    def get_samples(self, resources: list[Any]) -> Iterator[Sample]:  # noqa: ARG002  always this machine
        """Yield the times of each processor; the resource is ``<host>.cpu.<number>``."""
        for processor, *times in _lines(self._path):
            if processor not in self._known:
                number = int(processor[3:])
                self._known[processor] = f"{self._host}.cpu.{number}", Metadata.of({"cpu": number})
            resource, metadata = self._known[processor]
            # guests follow, who are counted already
            for meter, time in zip(EACH, self._times.held(processor, times), strict=False):
                yield meter.sample(time / self._ticks, resource, metadata)


def _lines(path: str) -> list[list[bytes]]:
    """Name and times of each processor."""
    lines = table(path).split(b"\nintr ", 1)[0].splitlines()
    return [line.split() for line in lines if line.startswith(b"cpu") and not line.startswith(b"cpu ")]
