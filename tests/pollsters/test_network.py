"""The pollster of network interfaces."""

from typing import NamedTuple

import pytest

from meteragent.errors import PluginUnavailable
from meteragent.pollsters.network import NetworkPollster


class Counters(NamedTuple):
    """What psutil gives."""

    bytes_sent: int = 246359
    bytes_recv: int = 131515391
    packets_sent: int = 2157
    packets_recv: int = 3546
    errin: int = 1
    errout: int = 2
    dropin: int = 3
    dropout: int = 4


def test_yields_counters_of_an_interface() -> None:
    """What came in and what went out, in bytes and packets, with errors and drops."""
    pollster = NetworkPollster("web1", lambda: {"eth0": Counters()})
    samples = list(pollster.get_samples(["web1"]))

    assert [(sample.name, sample.unit, sample.volume) for sample in samples] == [
        ("host.network.incoming.bytes", "B", 131515391),
        ("host.network.outgoing.bytes", "B", 246359),
        ("host.network.incoming.packets", "packet", 3546),
        ("host.network.outgoing.packets", "packet", 2157),
        ("host.network.incoming.packets.error", "packet", 1),
        ("host.network.outgoing.packets.error", "packet", 2),
        ("host.network.incoming.packets.drop", "packet", 3),
        ("host.network.outgoing.packets.drop", "packet", 4),
    ]
    assert {(sample.type, sample.resource_id) for sample in samples} == {("cumulative", "web1.net.eth0")}
    assert samples[0].resource_metadata["interface"] == "eth0"


def test_leaves_out_the_loopback() -> None:
    """What never leaves the machine is no traffic."""
    pollster = NetworkPollster("web1", lambda: {"lo": Counters(), "eth0": Counters()})

    assert {sample.resource_id for sample in pollster.get_samples([])} == {"web1.net.eth0"}


def test_sees_interfaces_come_go_and_change_places() -> None:
    """Each poll yields the interfaces of its moment, each with its own counters."""
    tables = [
        {"eth0": Counters()},
        {"eth0": Counters(bytes_recv=1), "veth1": Counters(bytes_recv=2)},
        {"veth1": Counters(bytes_recv=3), "eth0": Counters(bytes_recv=4)},
        {"veth1": Counters(bytes_recv=5)},
    ]
    read = iter(tables)
    pollster = NetworkPollster("web1", lambda: next(read))

    def polled() -> dict[str, int | float]:
        samples = pollster.get_samples([])
        return {s.resource_id: s.volume for s in samples if s.name == "host.network.incoming.bytes"}

    assert polled() == {"web1.net.eth0": 1, "web1.net.veth1": 2}
    assert polled() == {"web1.net.veth1": 3, "web1.net.eth0": 4}
    assert polled() == {"web1.net.veth1": 5}


def test_a_name_that_is_no_text_costs_no_other_interface() -> None:
    """The kernel takes nearly any bytes for a name; those that are no UTF-8 are escaped."""
    samples = list(NetworkPollster("web1", lambda: {"a\udcff": Counters(), "b": Counters()}).get_samples([]))

    assert {sample.resource_id for sample in samples} == {"web1.net.a\\xff", "web1.net.b"}
    assert samples[0].resource_metadata["interface"] == "a\\xff"


def test_disables_itself_with_the_loopback_alone() -> None:
    """A machine without a network has nothing to poll."""
    with pytest.raises(PluginUnavailable, match="no network interface but the loopback"):
        NetworkPollster("web1", lambda: {"lo": Counters()})


def test_disables_itself_without_counters() -> None:
    """A kernel that shows no counters gives nothing to poll."""

    def read() -> dict[str, Counters]:
        raise FileNotFoundError(2, "No such file or directory", "/proc/net/dev")

    with pytest.raises(PluginUnavailable, match="/proc/net/dev"):
        NetworkPollster("web1", read)
