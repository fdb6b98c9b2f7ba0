"""TCP and UDP of this machine; apart because the kernel counts them for all interfaces together."""

import os
from collections.abc import Iterator
from typing import Any

from meteragent.errors import PluginUnavailable
from meteragent.machine import table
from meteragent.pollsters.base import Meter, Pollster
from meteragent.sample import Sample


def _count(name: str, unit: str, meaning: str) -> Meter:
    return Meter(f"host.{name}", "cumulative", unit, meaning)


def _level(name: str, unit: str, meaning: str) -> Meter:
    return Meter(f"host.{name}", "gauge", unit, meaning)


COUNTERS = {
    _count("tcp.incoming.segments", "segment", "Received."): ("Tcp", "InSegs"),
    _count("tcp.outgoing.segments", "segment", "Sent, without those sent again."): ("Tcp", "OutSegs"),
    _count("tcp.outgoing.segments.retransmit", "segment", "Sent again."): ("Tcp", "RetransSegs"),
    _count("tcp.incoming.segments.error", "segment", "Received damaged."): ("Tcp", "InErrs"),
    _count("tcp.outgoing.resets", "segment", "Sent to break a connection off."): ("Tcp", "OutRsts"),
    _count("tcp.connections.opened", "connection", "Asked for by this machine."): ("Tcp", "ActiveOpens"),
    _count("tcp.connections.accepted", "connection", "Asked for by others."): ("Tcp", "PassiveOpens"),
    _count("tcp.connections.failed", "connection", "Not come about, of both."): ("Tcp", "AttemptFails"),
    _count("tcp.connections.reset", "connection", "Broken off, by either side."): ("Tcp", "EstabResets"),
    _level("tcp.connections.open", "connection", "Established now, or closed by the other side only."): (
        "Tcp",
        "CurrEstab",
    ),
    _count("udp.incoming.datagrams", "packet", "Received and taken by a program."): ("Udp", "InDatagrams"),
    _count("udp.outgoing.datagrams", "packet", "Sent."): ("Udp", "OutDatagrams"),
    _count("udp.incoming.datagrams.error", "packet", "Received damaged, or without room for them."): (
        "Udp",
        "InErrors",
    ),
    _count("udp.incoming.datagrams.refused", "packet", "Received for a port that nobody has."): (
        "Udp",
        "NoPorts",
    ),
}
"""Protocol and field of each; what is counted of UDP over IPv6 stands elsewhere and is added."""
SOCKETS = {
    _level("sockets.used", "socket", "Sockets of all protocols, local ones included."): ("sockets", "used"),
    _level("tcp.sockets.used", "socket", "TCP sockets that listen or have a connection."): ("TCP", "inuse"),
    _level("tcp.sockets.orphan", "socket", "Connections that no program has any more."): ("TCP", "orphan"),
    _level("tcp.sockets.waiting", "socket", "Closed connections whose stragglers are awaited."): (
        "TCP",
        "tw",
    ),
    _level("tcp.memory", "B", "Memory of TCP buffers."): ("TCP", "mem"),
    _level("udp.sockets.used", "socket", "UDP sockets that have a port."): ("UDP", "inuse"),
    _level("udp.memory", "B", "Memory of UDP buffers."): ("UDP", "mem"),
}
"""Protocol and field of each; sockets of IPv6 stand elsewhere and are added."""
METERED = COUNTERS | SOCKETS

Fields = dict[tuple[str, str], int]


def _counters(path: str) -> Fields:
    """Fields of TCP and UDP, which stand in two lines each: names and volumes."""
    fields, lines = {}, table(path).decode().splitlines()
    for names, volumes in zip(lines[::2], lines[1::2], strict=False):
        protocol = names.partition(":")[0]
        if protocol in ("Tcp", "Udp"):
            for name, volume in zip(names.split()[1:], volumes.split()[1:], strict=False):
                fields[protocol, name] = int(volume)
    return fields


def _counters6(path: str) -> Fields:
    """Fields of UDP over IPv6, one in a line; those of TCP are counted together."""
    words = table(path).decode().partition("Udp6")[2].split()
    return {
        ("Udp6", name.removeprefix("Udp6")): int(volume)
        for name, volume in zip(words[::2], words[1::2], strict=False)
    }


def _sockets(path: str) -> Fields:
    """Fields of all protocols, each with its volume behind it in the protocol's line."""
    fields = {}
    for line in table(path).decode().splitlines():
        protocol, _, rest = line.partition(":")
        words = rest.split()
        for name, volume in zip(words[::2], words[1::2], strict=False):
            fields[protocol, name] = int(volume)
    return fields


TABLES = {"snmp": _counters, "snmp6": _counters6, "sockstat": _sockets, "sockstat6": _sockets}
"""How each is read; a kernel without IPv6 has only two of them."""


class TransportPollster(Pollster):
    """What TCP and UDP carried since boot over IPv4 and IPv6, the loopback included, and sockets now.

    Counted of the network namespace that the agent runs in.
    """

    default_discovery = "local_host"
    declares = tuple(METERED)
    meters = tuple(meter.name for meter in declares)

    def __init__(self, host: str, proc: str = "/proc", page: int = os.sysconf("SC_PAGE_SIZE")) -> None:
        """
        :param proc: folder where the kernel shows its tables
        :param page: bytes in a page
        :raises PluginUnavailable: when the counters cannot be read
        """
        self._host, self._tables = host, []
        net = os.path.join(proc, "net")
        for name, read in TABLES.items():
            path = os.path.join(net, name)
            try:
                read(path)
            except OSError as error:
                if name == "snmp":
                    raise PluginUnavailable(f"{path}: {error.strerror}") from None
            else:
                self._tables.append((path, read))
        known = self._fields()
        self._lack(
            {
                meter.name: f"the tables in {net} have no {field} of {protocol}"
                for meter, (protocol, field) in METERED.items()
                if (protocol, field) not in known
            }
        )
        self._metered = [
            (meter, key, page if key[1] == "mem" else 1) for meter, key in METERED.items() if key in known
        ]

    def get_samples(self, resources: list[Any]) -> Iterator[Sample]:  # noqa: ARG002  always this machine
        """Yield one sample a meter; the resource is the host."""
        fields = self._fields()
        for meter, key, size in self._metered:
            yield meter.sample(fields[key] * size, self._host)

    def _fields(self) -> Fields:
        """Those of all tables, both IPs added up."""
        fields: Fields = {}
        for path, read in self._tables:
            for (protocol, field), volume in read(path).items():
                key = protocol.removesuffix("6"), field
                fields[key] = fields.get(key, 0) + volume
        return fields
