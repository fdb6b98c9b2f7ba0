"""Reads what the sensors of bare metal tell, as the service that manages it announces them."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from meteragent.documents import as_text, shown
from meteragent.errors import Rejected
from meteragent.notifications.base import Handler, Notification
from meteragent.notifications.declarative.rows import Faults, time_of
from meteragent.sample import Sample

_UNITS = {"Watts": "W", "Volts": "V"}
"""Units that are told in other words than elsewhere."""
_OFF = "Disabled"
"""What a sensor reads that is switched off."""


class Sensors(Handler):
    """The sensors of one kind; each is a resource."""

    event_types = ("hardware.ipmi*",)
    kind: ClassVar[str] = ""
    """What they are called in a notification."""
    passed_over: ClassVar[str | None] = None
    """Part of the ids of sensors that measure something else."""

    def convert(self, notification: Notification, problems: list[str]) -> Iterator[Sample]:
        """Yield a sample of each sensor; one that is no good harms no other."""
        told = notification.payload if isinstance(notification.payload, dict) else {}
        kinds = told.get("payload")
        sensors = kinds.get(self.kind) if isinstance(kinds, dict) else None
        if sensors is None:
            return
        if not isinstance(sensors, dict):
            raise Rejected(f"{self.kind}: {shown(sensors)} is no mapping of sensors")
        faults = Faults(problems)
        for name, sensor in sensors.items():
            try:
                sample = self._sample(told, sensor, notification)
            except Rejected as error:
                faults.add(f"sensor {shown(name)}: {error}")
            else:
                if sample is not None:
                    yield sample

    def _sample(self, told: Mapping[str, Any], sensor: Any, notification: Notification) -> Sample | None:
        """None of a sensor that is switched off.

        :raises Rejected: when something is missing, or cannot be read
        """
        if not isinstance(sensor, dict):
            raise Rejected(f"{shown(sensor)} is no mapping")
        node, sensor_id = told.get("node_uuid"), _text(sensor, "Sensor ID")
        if node is None:
            raise Rejected("node_uuid: missing")
        if self.passed_over is not None and self.passed_over in sensor_id:
            return None
        reading = _text(sensor, "Sensor Reading")
        if reading == _OFF:
            return None
        volume, unit = _read(reading)
        return Sample(
            f"hardware.ipmi.{self.kind.lower()}",
            "gauge",
            unit,
            volume,
            told.get("user_id"),
            told.get("project_id"),
            f"{as_text(node)}-{sensor_id.lower().replace(' ', '_')}",
            time_of(told.get("timestamp")),
            {
                **sensor,
                "node": node,
                "event_type": told.get("event_type"),
                "host": notification.document.get("publisher_id"),
            },
        )


class Temperatures(Sensors):
    """How warm it is."""

    kind = "Temperature"


class Currents(Sensors):
    """Electric currents; power stands among them, too."""

    kind, passed_over = "Current", "Pwr Consumption"


class Fans(Sensors):
    """How fast the fans turn."""

    kind = "Fan"


class Voltages(Sensors):
    """Electric potentials."""

    kind = "Voltage"


def _text(told: Mapping[str, Any], key: str) -> str:
    value = told.get(key)
    if not isinstance(value, str):
        raise Rejected(f"{key}: missing" if value is None else f"{key}: {shown(value)} is no text")
    return value


def _read(reading: str) -> tuple[float, str]:
    """Volume and unit of a text as ``26 (+/- 0.500) degrees C``."""
    number, space, rest = reading.partition(" ")
    unit = rest.rpartition(" ")[2]
    try:
        if space:
            return float(number), _UNITS.get(unit, unit)
    except ValueError:
        pass
    raise Rejected(f"Sensor Reading: {shown(reading)} is no number with a unit")
