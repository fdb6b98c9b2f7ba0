"""The pollster of disk input and output."""

import sys
import threading
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest

from meteragent.errors import PluginUnavailable
from meteragent.pollsters.disk import DiskPollster


class Counters(NamedTuple):
    """What psutil gives on Linux."""

    read_count: int = 37849
    write_count: int = 28773
    read_bytes: int = 1292915712
    write_bytes: int = 1531617280
    read_time: int = 9426
    write_time: int = 9189
    read_merged_count: int = 7911
    write_merged_count: int = 24560
    busy_time: int = 5004


class FewCounters(NamedTuple):
    """What psutil gives on a system that times nothing."""

    read_count: int = 1
    write_count: int = 2
    read_bytes: int = 3
    write_bytes: int = 4


def block(folder: Path, *disks: str, without_hardware: tuple[str, ...] = ()) -> str:
    """The kernel's folder of block devices; partitions have no place in it."""
    for name in disks:
        (folder / name / "device").mkdir(parents=True)
    for name in without_hardware:
        (folder / name).mkdir()
    return str(folder)


def test_yields_counters_of_a_disk(tmp_path: Path) -> None:
    """Bytes and requests are as they were counted, milliseconds become seconds."""
    pollster = DiskPollster("web1", lambda: {"vda": Counters()}, block(tmp_path, "vda"))
    samples = list(pollster.get_samples(["web1"]))

    assert [(sample.name, sample.unit, sample.volume) for sample in samples] == [
        ("host.disk.read.bytes", "B", 1292915712),
        ("host.disk.write.bytes", "B", 1531617280),
        ("host.disk.read.requests", "request", 37849),
        ("host.disk.write.requests", "request", 28773),
        ("host.disk.read.time", "s", 9.426),
        ("host.disk.write.time", "s", 9.189),
        ("host.disk.busy.time", "s", 5.004),
    ]
    assert {(sample.type, sample.resource_id) for sample in samples} == {("cumulative", "web1.disk.vda")}
    assert dict(samples[0].resource_metadata.items()) == {"device": "vda"}


def test_leaves_out_what_is_no_disk(tmp_path: Path) -> None:
    """Partitions, devices without hardware, optical and floppy drives are not metered."""
    folder = block(
        tmp_path, "sda", "nvme0n1", "cciss!c0d0", "sr0", "fd0", without_hardware=("loop0", "dm-0", "zram0")
    )
    names = ("sda", "sda1", "nvme0n1", "nvme0n1p1", "cciss/c0d0", "sr0", "fd0", "loop0", "dm-0", "zram0")
    pollster = DiskPollster("web1", lambda: dict.fromkeys(names, Counters()), folder)

    assert {sample.resource_id for sample in pollster.get_samples([])} == {
        "web1.disk.sda",
        "web1.disk.nvme0n1",
        "web1.disk.cciss/c0d0",
    }


def test_sees_disks_come_and_go(tmp_path: Path) -> None:
    """A disk plugged in is metered, one that is gone is not, and its name is looked up anew."""
    devices = {"sda": Counters()}
    pollster = DiskPollster("web1", lambda: dict(devices), block(tmp_path, "sda", "sdb"))

    def polled() -> set[str]:
        return {sample.resource_id for sample in pollster.get_samples([])}

    assert polled() == {"web1.disk.sda"}
    devices["sdb"] = Counters()
    assert polled() == {"web1.disk.sda", "web1.disk.sdb"}
    del devices["sdb"]
    assert polled() == {"web1.disk.sda"}
    (tmp_path / "sdb" / "device").rmdir()
    devices["sdb"] = Counters()
    assert polled() == {"web1.disk.sda"}


def test_calls_may_overlap(tmp_path: Path) -> None:
    """Several polling sources may ask at once while disks come and go."""
    folder, turns, errors = block(tmp_path, "sd7", "sd40", "sd80"), count(), list[Exception]()

    def read() -> dict[str, Counters]:
        start = next(turns) * 7 % 50
        return {f"sd{number}": Counters() for number in range(start, start + 50)}

    pollster = DiskPollster("web1", read, folder)

    def poll() -> None:
        try:
            for _ in range(60):
                assert 1 <= len({sample.resource_id for sample in pollster.get_samples([])}) <= 3
        except Exception as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=poll) for _ in range(3)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    finally:
        sys.setswitchinterval(interval)
    assert errors == []


def test_lacks_what_is_not_counted(tmp_path: Path) -> None:
    """Counters that the kernel does not keep are no meters of this machine; the reason is told."""
    pollster = DiskPollster("web1", lambda: {"sda": FewCounters()}, block(tmp_path, "sda"))

    assert [sample.name for sample in pollster.get_samples([])] == list(pollster.meters)
    assert pollster.lacking["host.disk.busy.time"] == "this kernel does not count it"
    assert set(pollster.meters) | set(pollster.lacking) == set(DiskPollster.meters)


def test_disables_itself_without_disks(tmp_path: Path) -> None:
    """A machine with loop devices alone has nothing to poll."""
    folder = block(tmp_path, without_hardware=("loop0",))
    with pytest.raises(PluginUnavailable, match="no disk with hardware behind it in "):
        DiskPollster("web1", lambda: {"loop0": Counters()}, folder)


def test_disables_itself_without_counters(tmp_path: Path) -> None:
    """A kernel that shows no counters gives nothing to poll."""

    def read() -> dict[str, Counters]:
        raise NotImplementedError("diskstats not found")

    with pytest.raises(PluginUnavailable, match="disk counters cannot be read: diskstats not found"):
        DiskPollster("web1", read, block(tmp_path, "sda"))
