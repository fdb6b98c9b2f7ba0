"""The pollster of TCP and UDP."""

import socket
from pathlib import Path

import pytest

from meteragent.errors import PluginUnavailable
from meteragent.pollsters.transport import TransportPollster

SNMP = """\
Ip: Forwarding DefaultTTL InReceives
Ip: 2 64 3529
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs \
OutSegs RetransSegs InErrs OutRsts InCsumErrors
Tcp: 1 200 120000 -1 154 126 11 5 2 3488 18446744073709551615 7 1 26 0
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors
Udp: 40 3 2 41 0 0 0 0 0
UdpLite: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti
UdpLite: 9 9 9 9 9 9 9 9
"""
SNMP6 = """\
Ip6InReceives                   \t7
Udp6InDatagrams                 \t100
Udp6NoPorts                     \t200
Udp6InErrors                    \t300
Udp6OutDatagrams                \t400
UdpLite6InDatagrams             \t9
UdpLite6OutDatagrams            \t9
"""
SOCKSTAT = """\
sockets: used 34
TCP: inuse 11 orphan 1 tw 2 alloc 14 mem 203
UDP: inuse 5 mem 4
UDPLITE: inuse 9
RAW: inuse 9
FRAG: inuse 9 memory 9
"""
SOCKSTAT6 = "TCP6: inuse 2\nUDP6: inuse 3\nUDPLITE6: inuse 9\nFRAG6: inuse 9 memory 9\n"


@pytest.fixture
def net(tmp_path: Path) -> Path:
    """A folder with tables as a kernel wrote them."""
    folder = tmp_path / "net"
    folder.mkdir()
    for name, text in {"snmp": SNMP, "snmp6": SNMP6, "sockstat": SOCKSTAT, "sockstat6": SOCKSTAT6}.items():
        (folder / name).write_text(text)
    return folder


def test_yields_counters_and_sockets(net: Path) -> None:
    """Both IPs are added up; what was counted is exact, what is held now a gauge."""
    pollster = TransportPollster("web1", str(net.parent), page=4096)
    samples = {sample.name: sample for sample in pollster.get_samples(["web1"])}

    assert {name.removeprefix("host."): sample.volume for name, sample in samples.items()} == {
        "tcp.incoming.segments": 3488,
        "tcp.outgoing.segments": 2**64 - 1,
        "tcp.outgoing.segments.retransmit": 7,
        "tcp.incoming.segments.error": 1,
        "tcp.outgoing.resets": 26,
        "tcp.connections.opened": 154,
        "tcp.connections.accepted": 126,
        "tcp.connections.failed": 11,
        "tcp.connections.reset": 5,
        "tcp.connections.open": 2,
        "udp.incoming.datagrams": 140,
        "udp.outgoing.datagrams": 441,
        "udp.incoming.datagrams.error": 302,
        "udp.incoming.datagrams.refused": 203,
        "sockets.used": 34,
        "tcp.sockets.used": 13,
        "tcp.sockets.orphan": 1,
        "tcp.sockets.waiting": 2,
        "tcp.memory": 203 * 4096,
        "udp.sockets.used": 8,
        "udp.memory": 4 * 4096,
    }
    gauges = {name for name, sample in samples.items() if sample.type == "gauge"}
    assert {name for name in gauges if "sockets" not in name and "memory" not in name} == {
        "host.tcp.connections.open"
    }
    assert {sample.resource_id for sample in samples.values()} == {"web1"}
    assert not pollster.lacking


def test_a_kernel_without_ipv6_counts_the_rest(net: Path) -> None:
    """The tables of IPv6 are not needed."""
    (net / "snmp6").unlink()
    (net / "sockstat6").unlink()
    volumes = {s.name: s.volume for s in TransportPollster("web1", str(net.parent)).get_samples([])}

    assert (volumes["host.udp.incoming.datagrams"], volumes["host.tcp.sockets.used"]) == (40, 11)


def test_lacks_what_the_tables_have_not(net: Path) -> None:
    """Meters of what is missing are none of this machine; the reason is told."""
    (net / "sockstat").unlink()
    (net / "snmp").write_text("Tcp: InSegs\nTcp: 5\n")
    pollster = TransportPollster("web1", str(net.parent))

    assert [sample.name for sample in pollster.get_samples([])] == list(pollster.meters)
    assert pollster.lacking["host.tcp.outgoing.segments"] == f"the tables in {net} have no OutSegs of Tcp"
    assert pollster.lacking["host.tcp.memory"] == f"the tables in {net} have no mem of TCP"
    assert {*pollster.meters, *pollster.lacking} == set(TransportPollster.meters)


def test_disables_itself_without_counters(tmp_path: Path) -> None:
    """A kernel without a network gives nothing to poll."""
    with pytest.raises(PluginUnavailable, match="net/snmp: No such file"):
        TransportPollster("web1", str(tmp_path))


def test_counts_a_connection_and_a_datagram_of_this_machine() -> None:
    """A connection through the loopback is opened by one side and accepted by the other."""
    pollster = TransportPollster("web1")
    before = {sample.name: sample.volume for sample in pollster.get_samples([])}
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        server.accept()[0].close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        one.sendto(b"x", one.getsockname())
        one.recv(1)
    after = {sample.name: sample.volume for sample in pollster.get_samples([])}

    for meter in ("tcp.connections.opened", "tcp.connections.accepted", "udp.outgoing.datagrams"):
        assert after[f"host.{meter}"] > before[f"host.{meter}"]
