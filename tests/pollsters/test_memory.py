"""The pollster of memory and swap."""

from pathlib import Path

import pytest

from meteragent.errors import PluginUnavailable
from meteragent.pollsters.memory import MemoryPollster

MEMINFO = """\
MemTotal:       24684092 kB
MemFree:        24169968 kB
MemAvailable:   24142940 kB
Buffers:             836 kB
Cached:           150396 kB
SwapCached:           11 kB
Active:            86376 kB
Inactive:         213264 kB
Active(anon):      27780 kB
SwapTotal:       2097148 kB
SwapFree:        2096124 kB
Dirty:                48 kB
Shmem:             69508 kB
Slab:             137468 kB
Committed_AS:     999220 kB
HugePages_Total:       0
DirectMap1G:    25165824 kB
"""
VMSTAT = """\
nr_free_pages 6042492
pswpin 3
pswpout 40000000000000
zswpin 7
"""


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A folder with both tables as a kernel wrote them."""
    (tmp_path / "meminfo").write_text(MEMINFO)
    (tmp_path / "vmstat").write_text(VMSTAT)
    return tmp_path


def test_yields_memory_and_swap(proc: Path) -> None:
    """Levels are gauges in bytes, what was swapped since boot is cumulative."""
    pollster = MemoryPollster("web1", str(proc), page=4096)
    samples = {sample.name: sample for sample in pollster.get_samples(["web1"])}

    assert {name: sample.volume for name, sample in samples.items()} == {
        "host.memory.total": 24684092 * 1024,
        "host.memory.used": (24684092 - 24142940) * 1024,
        "host.memory.available": 24142940 * 1024,
        "host.memory.free": 24169968 * 1024,
        "host.memory.buffers": 836 * 1024,
        "host.memory.cached": 150396 * 1024,
        "host.memory.shared": 69508 * 1024,
        "host.memory.slab": 137468 * 1024,
        "host.memory.active": 86376 * 1024,
        "host.memory.inactive": 213264 * 1024,
        "host.memory.dirty": 48 * 1024,
        "host.memory.committed": 999220 * 1024,
        "host.memory.swap.total": 2097148 * 1024,
        "host.memory.swap.used": 1024 * 1024,
        "host.memory.swap.in": 3 * 4096,
        "host.memory.swap.out": 40000000000000 * 4096,
    }
    assert {name for name, sample in samples.items() if sample.type == "cumulative"} == {
        "host.memory.swap.in",
        "host.memory.swap.out",
    }
    assert {(sample.unit, sample.resource_id) for sample in samples.values()} == {("B", "web1")}
    assert pollster.meters == MemoryPollster.meters
    assert not pollster.lacking


def test_counts_swap_in_pages_of_this_machine(proc: Path) -> None:
    """A page is as long as this machine's, not always 4 KiB."""
    pollster = MemoryPollster("web1", str(proc), page=65536)

    assert {s.name: s.volume for s in pollster.get_samples([])}["host.memory.swap.in"] == 3 * 65536


def test_reads_anew_at_each_poll(proc: Path) -> None:
    """Volumes are those of the moment of the poll."""
    pollster = MemoryPollster("web1", str(proc))
    (proc / "meminfo").write_text(MEMINFO.replace("24169968", "1"))

    assert {s.name: s.volume for s in pollster.get_samples([])}["host.memory.free"] == 1024


def test_lacks_what_the_table_has_not(proc: Path) -> None:
    """A missing field is no meter here, nor is one computed of it; nothing is 0 for being unknown."""
    (proc / "meminfo").write_text("MemTotal: 8 kB\nMemFree: 4 kB\n")
    (proc / "vmstat").write_text("nr_free_pages 1\npswpin 3\n")
    pollster = MemoryPollster("web1", str(proc))

    assert pollster.meters == ("host.memory.total", "host.memory.free", "host.memory.swap.in")
    assert [sample.name for sample in pollster.get_samples([])] == list(pollster.meters)
    assert pollster.lacking["host.memory.used"] == f"{proc}/meminfo has no MemAvailable"
    assert pollster.lacking["host.memory.swap.out"] == f"{proc}/vmstat has no pswpout"
    assert set(pollster.meters) | set(pollster.lacking) == set(MemoryPollster.meters)


def test_lacks_swap_traffic_without_its_table(proc: Path) -> None:
    """Memory is metered also where the kernel keeps no events."""
    (proc / "vmstat").unlink()
    pollster = MemoryPollster("web1", str(proc))

    assert len(list(pollster.get_samples([]))) == 14
    assert pollster.lacking["host.memory.swap.in"] == f"{proc}/vmstat: No such file or directory"


def test_disables_itself_without_a_table(tmp_path: Path) -> None:
    """Where the kernel shows no memory table there is nothing to poll."""
    with pytest.raises(PluginUnavailable, match="meminfo: No such file"):
        MemoryPollster("web1", str(tmp_path))
    (tmp_path / "meminfo").write_text("nothing known\n")
    with pytest.raises(PluginUnavailable, match="none of the fields that are metered"):
        MemoryPollster("web1", str(tmp_path))
