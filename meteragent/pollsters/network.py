"""What the network interfaces of this machine carried; apart because interfaces come and go while it runs."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psutil

from meteragent.errors import PluginUnavailable
from meteragent.machine import as_unicode
from meteragent.pollsters.base import Meter, Pollster
from meteragent.sample import Metadata, Sample


def _meter(name: str, unit: str, meaning: str) -> Meter:
    return Meter(f"host.network.{name}", "cumulative", unit, meaning, "<host>.net.<name>")


COUNTERS = (
    ("bytes_recv", _meter("incoming.bytes", "B", "Received.")),
    ("bytes_sent", _meter("outgoing.bytes", "B", "Sent.")),
    ("packets_recv", _meter("incoming.packets", "packet", "Received.")),
    ("packets_sent", _meter("outgoing.packets", "packet", "Sent.")),
    ("errin", _meter("incoming.packets.error", "packet", "Received damaged.")),
    ("errout", _meter("outgoing.packets.error", "packet", "Not sent, for a fault of the link.")),
    (
        "dropin",
        _meter(
            "incoming.packets.drop", "packet", "Received and thrown away, for lack of room or of a taker."
        ),
    ),
    ("dropout", _meter("outgoing.packets.drop", "packet", "Thrown away before sending, for lack of room.")),
)
LOOPBACK = "lo"


def read_all() -> Mapping[str, Any]:
    """Raw counters: a reset is seen where usage is computed, and must not be hidden here."""
    return psutil.net_io_counters(pernic=True, nowrap=False)


class NetworkPollster(Pollster):
    """Bytes, packets, errors and drops of each interface but the loopback, since it came up."""

    default_discovery = "local_host"
    declares = tuple(meter for _, meter in COUNTERS)
    meters = tuple(meter.name for meter in declares)

    def __init__(self, host: str, read: Callable[[], Mapping[str, Any]] = read_all) -> None:
        """
        :param read: gives an object with psutil's counters for each interface
        :raises PluginUnavailable: when there is no interface but the loopback
        """
        self._host, self._read = host, read
        self._known: dict[str, tuple[str, Metadata]] = {}
        try:
            interfaces = read()
        except OSError as error:
            raise PluginUnavailable(f"interface counters cannot be read: {error}") from None
        if not interfaces.keys() - {LOOPBACK}:
            raise PluginUnavailable("no network interface but the loopback")

    def get_samples(self, resources: list[Any]) -> Iterator[Sample]:  # noqa: ARG002  always this machine
        """Yield the counters of each interface; the resource is ``<host>.net.<name>``."""
        interfaces = {name: counters for name, counters in self._read().items() if name != LOOPBACK}
        known = self._known
        if interfaces.keys() != known.keys():
            known = self._known = {
                name: (f"{self._host}.net.{shown}", Metadata.of({"interface": shown}))
                for name, shown in ((name, as_unicode(name)) for name in interfaces)
            }
        for name, counters in interfaces.items():
            resource, metadata = known[name]
            for field, meter in COUNTERS:
                yield meter.sample(getattr(counters, field), resource, metadata)
