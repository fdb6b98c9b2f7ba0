"""The pollster of what the processors did."""

import os
from pathlib import Path

import pytest

from meteragent.errors import PluginUnavailable
from meteragent.pollsters.cpu import CPUPollster

STAT = f"""\
cpu  5148 25 2924 248198 279 0 65 10 700 0
cpu0 2500 20 1400 124000 200 0 40 5 400 0
cpu1 2648 5 1524 124198 79 0 25 5 300 0
intr 1536086 {"0 1 0 14 " * 400}
ctxt 18446744073709551615
btime 1795260973
processes 18176
procs_running 2
procs_blocked 1
softirq 601713 0 74484 4 3234 247884 0 2 178527 0 97578
"""


def test_yields_times_and_counters(tmp_path: Path) -> None:
    """Each mode is a cumulative meter in seconds of the host; the rest is counted exactly."""
    (tmp_path / "stat").write_text(STAT)
    pollster = CPUPollster("web1", str(tmp_path), ticks=100)
    samples = list(pollster.get_samples(["web1"]))

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
        ("host.context.switches", "cumulative", "switch", 2**64 - 1),
        ("host.interrupts", "cumulative", "interrupt", 1536086),
        ("host.interrupts.soft", "cumulative", "interrupt", 601713),
        ("host.forks", "cumulative", "process", 18176),
        ("host.threads.running", "gauge", "thread", 2),
        ("host.threads.blocked", "gauge", "thread", 1),
    ]
    assert {sample.resource_id for sample in samples} == {"web1"}
    assert pollster.meters == CPUPollster.meters
    assert not pollster.lacking


def test_reads_anew_at_each_poll(tmp_path: Path) -> None:
    """Volumes are those of the moment of the poll, a counter that started again included."""
    (tmp_path / "stat").write_text(STAT)
    pollster = CPUPollster("web1", str(tmp_path), ticks=100)
    (tmp_path / "stat").write_text(STAT.replace("18176", "3").replace("cpu  5148", "cpu  12"))
    volumes = {sample.name: sample.volume for sample in pollster.get_samples([])}

    assert (volumes["host.forks"], volumes["host.cpu.user"]) == (3, 0.12)


def test_a_time_that_falls_a_little_stays_what_it_was(tmp_path: Path) -> None:
    """The kernel takes some back from iowait in hindsight; as a restart it would be counted twice."""
    pollster, volumes = None, []
    for iowait in (279, 250, 280, 139):
        (tmp_path / "stat").write_text(STAT.replace("248198 279", f"248198 {iowait}"))
        pollster = pollster or CPUPollster("web1", str(tmp_path), ticks=100)
        volumes += [s.volume for s in pollster.get_samples([]) if s.name == "host.cpu.iowait"]

    assert volumes == [2.79, 2.79, 2.8, 1.39]


def test_lacks_what_the_kernel_does_not_count(tmp_path: Path) -> None:
    """Modes and lines the kernel does not know are no meters of this machine; the reason is told."""
    (tmp_path / "stat").write_text("cpu  100 200 300 400\nintr 7\nctxt 8\nprocesses 9\n")
    pollster = CPUPollster("web1", str(tmp_path), ticks=100)

    assert [(sample.name, sample.volume) for sample in pollster.get_samples(["web1"])] == [
        ("host.cpu.user", 1.0),
        ("host.cpu.nice", 2.0),
        ("host.cpu.system", 3.0),
        ("host.cpu.idle", 4.0),
        ("host.cpu.count", 0),
        ("host.context.switches", 8),
        ("host.interrupts", 7),
        ("host.forks", 9),
    ]
    assert pollster.lacking["host.cpu.steal"] == "this kernel does not tell it"
    assert pollster.lacking["host.threads.blocked"] == f"{tmp_path}/stat has no procs_blocked"
    assert {*pollster.meters, *pollster.lacking} == set(CPUPollster.meters)


def test_disables_itself_without_times(tmp_path: Path) -> None:
    """Where processor times cannot be read there is nothing to poll."""
    with pytest.raises(PluginUnavailable, match="stat: No such file"):
        CPUPollster("web1", str(tmp_path))
    (tmp_path / "stat").write_text("btime 1\n")
    with pytest.raises(PluginUnavailable, match="does not begin with the processor times"):
        CPUPollster("web1", str(tmp_path))


def test_this_machine_was_busy_for_as_long_as_it_is_up() -> None:
    """The times of all modes of this machine are about the uptime of all its processors."""
    samples = {sample.name: sample.volume for sample in CPUPollster("web1").get_samples([])}
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    spent = sum(
        volume for name, volume in samples.items() if name.startswith("host.cpu.") and "count" not in name
    )

    assert samples["host.cpu.count"] == os.sysconf("SC_NPROCESSORS_ONLN")
    assert 0 < spent < 1.1 * uptime * samples["host.cpu.count"] + 10
