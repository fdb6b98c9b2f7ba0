"""What the network interfaces of this machine carried; apart because interfaces come and go while it runs."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psutil

from meteragent.errors import PluginUnavailable
from meteragent.pollsters.base import Pollster
from meteragent.sample import Metadata, Sample

COUNTERS = (
    ("bytes_recv", "host.network.incoming.bytes", "B"),
    ("bytes_sent", "host.network.outgoing.bytes", "B"),
    ("packets_recv", "host.network.incoming.packets", "packet"),
    ("packets_sent", "host.network.outgoing.packets", "packet"),
    ("errin", "host.network.incoming.packets.error", "packet"),
    ("errout", "host.network.outgoing.packets.error", "packet"),
    ("dropin", "host.network.incoming.packets.drop", "packet"),
    ("dropout", "host.network.outgoing.packets.drop", "packet"),
)
LOOPBACK = "lo"


def read_all() -> Mapping[str, Any]:
    """Raw counters: a reset is seen where usage is computed, and must not be hidden here."""
    return psutil.net_io_counters(pernic=True, nowrap=False)


class NetworkPollster(Pollster):
    """Bytes, packets, errors and drops of each interface but the loopback, since it came up."""

    default_discovery = "local_host"
    meters = tuple(meter for _, meter, _ in COUNTERS)

    def __init__(self, host: str, read: Callable[[], Mapping[str, Any]] = read_all) -> None:
        """
        :param read: gives an object with psutil's counters for each interface
        :raises PluginUnavailable: when there is no interface but the loopback
        """
        self._host, self._read = host, read
        self.lacking: dict[str, str] = {}
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
                name: (f"{self._host}.net.{name}", Metadata.of({"interface": name})) for name in interfaces
            }
        for name, counters in interfaces.items():
            resource, metadata = known[name]
            for field, meter, unit in COUNTERS:
                yield Sample(
                    name=meter,
                    type="cumulative",
                    unit=unit,
                    volume=getattr(counters, field),
                    resource_id=resource,
                    resource_metadata=metadata,
                )
