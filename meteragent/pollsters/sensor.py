"""Temperatures, fans and batteries of this machine; apart because each of them is a chip of its own."""

import os
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from meteragent.errors import PluginUnavailable
from meteragent.machine import table
from meteragent.pollsters.base import Meter, Pollster
from meteragent.sample import Metadata, Sample

_CHANNEL, _BATTERY = "<host>.sensor.<chip>.<channel>", "<host>.battery.<name>"
TEMPERATURE = Meter("host.temperature", "gauge", "Cel", "Temperature of a part, as its label says.", _CHANNEL)
FAN = Meter(
    "host.fan.speed", "gauge", "rpm", "Turns a minute, as fans count them; 0 when it stands.", _CHANNEL
)
CHARGE = Meter("host.battery.charge", "gauge", "%", "How full it is.", _BATTERY)
ENERGY = Meter("host.battery.energy", "gauge", "J", "What is in it.", _BATTERY)
CHANNELS = {"temp": (TEMPERATURE, 1, 1000), "fan": (FAN, 1, 1)}
BATTERY = {"capacity": (CHARGE, 1, 1), "energy_now": (ENERGY, 36, 10_000)}
"""Meter of each file, and the kernel's unit in ours: thousandths of a degree, microwatt hours."""


class Sensor(NamedTuple):
    """A file to be read, with what stands in its samples."""

    path: str
    meter: Meter
    times: int
    divisor: int
    resource: str
    metadata: Metadata


class SensorPollster(Pollster):
    """What the sensors say now; one that does not answer, as in a disk that sleeps, is left out meanwhile."""

    default_discovery = "local_host"
    declares = (TEMPERATURE, FAN, CHARGE, ENERGY)
    meters = tuple(meter.name for meter in declares)

    def __init__(self, host: str, sys: str = "/sys") -> None:
        """
        :param sys: folder where the kernel shows devices
        :raises PluginUnavailable: when there is none to be read
        """
        self._host = host
        self._chips = os.path.join(sys, "class", "hwmon")
        self._supplies = os.path.join(sys, "class", "power_supply")
        self._names = self._list()
        self._sensors = self._find()
        present = {sensor.meter for sensor in self._sensors}
        if not present:
            raise PluginUnavailable(f"no sensor in {self._chips} and no battery in {self._supplies}")
        self._lack({meter.name: "this machine shows none" for meter in self.declares if meter not in present})

    def get_samples(self, resources: list[Any]) -> Iterator[Sample]:  # noqa: ARG002  always this machine
        """Yield what each sensor says; the resource is the sensor or the battery."""
        names = self._list()
        if names != self._names:
            self._names = names
            self._sensors = self._find()
        for path, meter, times, divisor, resource, metadata in self._sensors:
            volume: int | float | None = _number(path)
            if volume is not None:
                volume *= times
                yield meter.sample(volume / divisor if divisor > 1 else volume, resource, metadata)

    def _list(self) -> list[str]:
        """Folders of chips and supplies."""
        return [
            os.path.join(folder, name) for folder in (self._chips, self._supplies) for name in _files(folder)
        ]

    def _find(self) -> list[Sensor]:
        """All sensors; of two that share resource and meter the one that answers now."""
        found: dict[tuple[str, Meter], Sensor] = {}
        silent: list[Sensor] = []
        for folder in self._names:
            battery = os.path.dirname(folder) == self._supplies
            for sensor in self._battery(folder) if battery else self._chip(folder):
                if _number(sensor.path) is None:
                    silent.append(sensor)
                else:
                    found.setdefault((sensor.resource, sensor.meter), sensor)
        for sensor in silent:  # it may answer later, as when a disk wakes up
            found.setdefault((sensor.resource, sensor.meter), sensor)
        return list(found.values())

    def _chip(self, folder: str) -> Iterator[Sensor]:
        name = _text(os.path.join(folder, "name"))
        # numbers of chips change from boot to boot, what they sit on does not
        device = os.path.join(folder, "device")
        chip = os.path.basename(os.path.realpath(device)) if os.path.exists(device) else name
        for file in _files(folder):
            match = re.fullmatch(r"((temp|fan)\d+)_input", file)
            if match:
                channel, kind = match.groups()
                label = _text(os.path.join(folder, f"{channel}_label")) or channel
                resource = f"{self._host}.sensor.{chip or os.path.basename(folder)}.{channel}"
                metadata = Metadata.of({"chip": name, "label": label})
                yield Sensor(os.path.join(folder, file), *CHANNELS[kind], resource, metadata)

    def _battery(self, folder: str) -> Iterator[Sensor]:
        if _text(os.path.join(folder, "type")) == "Battery":
            name = os.path.basename(folder)
            resource, metadata = f"{self._host}.battery.{name}", Metadata.of({"battery": name})
            for file in _files(folder):
                if file in BATTERY:
                    yield Sensor(os.path.join(folder, file), *BATTERY[file], resource, metadata)


def _files(folder: str) -> list[str]:
    """Names in a folder; none when it is not there, or went away meanwhile."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _number(path: str) -> int | None:
    """What a file says now; None when it says nothing."""
    try:
        return int(table(path))
    except (OSError, ValueError):
        return None


def _text(path: str) -> str:
    try:
        return table(path).decode(errors="backslashreplace").strip()
    except OSError:
        return ""
