"""The pollster of processor time."""

from typing import NamedTuple

import pytest

from meteragent.errors import PluginUnavailable
from meteragent.pollsters.cpu import CPUPollster


class Times(NamedTuple):
    """What psutil gives on Linux, guests and all."""

    user: float = 51.48
    nice: float = 0.25
    system: float = 29.24
    idle: float = 2481.98
    iowait: float = 2.79
    irq: float = 0.0
    softirq: float = 0.65
    steal: float = 0.1
    guest: float = 7.0
    guest_nice: float = 0.0


class OldTimes(NamedTuple):
    """What an old kernel counts."""

    user: float = 1.0
    nice: float = 2.0
    system: float = 3.0
    idle: float = 4.0


def test_yields_each_mode_and_the_count() -> None:
    """Each mode is a cumulative meter in seconds of the host, and the processors are counted."""
    samples = list(CPUPollster("web1", Times, lambda: 2).get_samples(["web1"]))

    assert [(sample.name, sample.type, sample.unit, sample.volume) for sample in samples] == [
        ("host.cpu.user", "cumulative", "s", 51.48),
        ("host.cpu.nice", "cumulative", "s", 0.25),
        ("host.cpu.system", "cumulative", "s", 29.24),
        ("host.cpu.idle", "cumulative", "s", 2481.98),
        ("host.cpu.iowait", "cumulative", "s", 2.79),
        ("host.cpu.irq", "cumulative", "s", 0.0),
        ("host.cpu.softirq", "cumulative", "s", 0.65),
        ("host.cpu.steal", "cumulative", "s", 0.1),
        ("host.cpu.count", "gauge", "cpu", 2),
    ]
    assert {sample.resource_id for sample in samples} == {"web1"}


def test_lacks_what_the_kernel_does_not_count() -> None:
    """Modes the kernel does not know are no meters of this machine; the reason is told."""
    pollster = CPUPollster("web1", OldTimes, lambda: None)

    assert pollster.meters == ("host.cpu.user", "host.cpu.nice", "host.cpu.system", "host.cpu.idle")
    assert [sample.name for sample in pollster.get_samples(["web1"])] == list(pollster.meters)
    assert pollster.lacking["host.cpu.steal"] == "this kernel does not tell it"
    assert pollster.lacking["host.cpu.count"] == "this system does not tell it"
    assert set(pollster.meters) | set(pollster.lacking) == set(CPUPollster.meters)


def test_disables_itself_without_times() -> None:
    """Where processor times cannot be read there is nothing to poll."""

    def times() -> Times:
        raise FileNotFoundError(2, "No such file or directory", "/proc/stat")

    with pytest.raises(PluginUnavailable, match="/proc/stat"):
        CPUPollster("web1", times)
