"""How long work on this machine waited for processors, memory and disks; apart, as not each kernel tells."""

import os
from collections.abc import Iterator
from typing import Any

from meteragent.errors import PluginUnavailable
from meteragent.machine import table
from meteragent.pollsters.base import Meter, Pollster
from meteragent.sample import Sample

AREAS = {"cpu": "a processor", "memory": "memory", "io": "a disk"}
SHARES = {"some": "some thread", "full": "every thread that had work"}


def _meters(area: str, share: str) -> tuple[Meter, Meter]:
    name, waited = f"host.pressure.{area}.{share}", f"{SHARES[share]} waited for {AREAS[area]}"
    return (
        Meter(name, "cumulative", "s", f"Time in which {waited}."),
        Meter(f"{name}.avg10", "gauge", "%", f"Part of the last 10 s in which {waited}."),
    )


LINES = {
    area: {
        share.encode(): _meters(area, share)
        for share in SHARES
        if (area, share) != ("cpu", "full")  # always 0: something runs where a processor is waited for
    }
    for area in AREAS
}
"""The two meters of each line of each table."""


class PressurePollster(Pollster):
    """Seconds since boot in which threads waited for what they needed, and the part of the last ten."""

    default_discovery = "local_host"
    declares = tuple(meter for lines in LINES.values() for both in lines.values() for meter in both)
    meters = tuple(meter.name for meter in declares)

    def __init__(self, host: str, proc: str = "/proc") -> None:
        """
        :param proc: folder where the kernel shows its tables
        :raises PluginUnavailable: when the kernel tells nothing of it
        """
        self._host, self._proc = host, proc
        lacking: dict[str, str] = {}
        self._tables = {}
        for area, lines in LINES.items():
            path = os.path.join(proc, "pressure", area)
            try:
                table(path)
            except OSError as error:  # not supported is told by the open or by the read
                reason = f"{path}: {error.strerror}"
                lacking |= {meter.name: reason for both in lines.values() for meter in both}
            else:
                self._tables[path] = lines
        if not self._tables:
            raise PluginUnavailable(f"this kernel does not tell of pressure: {reason}")
        self._lack(lacking)

    def get_samples(self, resources: list[Any]) -> Iterator[Sample]:  # noqa: ARG002  always this machine
        """Yield two samples a line; the resource is the host."""
        for path, lines in self._tables.items():
            for line in table(path).splitlines():
                share, avg10, *_, total = line.split()
                if share in lines:
                    waited, part = lines[share]
                    yield waited.sample(int(total.removeprefix(b"total=")) / 1_000_000, self._host)
                    yield part.sample(float(avg10.removeprefix(b"avg10=")), self._host)
