"""The pollster of file systems."""

import contextlib
import errno
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from meteragent.errors import PluginUnavailable, Unavailable
from meteragent.pollsters.filesystem import FileSystemPollster, MountWatch
from meteragent.sample import Sample


class Mounted(NamedTuple):
    """What psutil gives for a mounted file system."""

    device: str
    mountpoint: str
    fstype: str = "ext4"


def answer(files: int = 1000) -> os.statvfs_result:
    """What the kernel says of a file system with 100 blocks of 4096 bytes."""
    # bsize, frsize, blocks, bfree, bavail, files, ffree, favail, flag, namemax
    return os.statvfs_result((1 << 20, 4096, 100, 40, 35, files, files // 2, files // 4, 0, 255))


def pollster(
    *mounted: Mounted,
    statvfs: Callable[[str], os.statvfs_result] = lambda _: answer(),
    patience: float = 5.0,
) -> FileSystemPollster:
    """A pollster of a mount table that does not change."""
    return FileSystemPollster("web1", lambda: mounted, statvfs, lambda: False, patience)


def resources(samples: Iterator[Sample]) -> list[str]:
    """The resources in the order of their first samples."""
    return list(dict.fromkeys(sample.resource_id for sample in samples))


def until_fault(samples: Iterator[Sample]) -> tuple[list[str], str]:
    """The resources that a poll still yields, and the fault it ends with."""
    seen = []
    try:
        for sample in samples:
            seen.append(sample.resource_id)
    except Unavailable as error:
        return list(dict.fromkeys(seen)), str(error)
    raise AssertionError("the poll was told complete")


def until_complete(polled: FileSystemPollster) -> list[str]:
    """The resources of the first poll that ends without a fault, within 5 s."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        with contextlib.suppress(Unavailable):
            return resources(polled.get_samples([]))
        time.sleep(0.001)
    raise AssertionError("no poll was complete")


def test_yields_bytes_and_inodes() -> None:
    """Sizes are in bytes, in units of the fragment and not of the preferred block."""
    samples = list(pollster(Mounted("/dev/vda1", "/srv")).get_samples(["web1"]))

    assert [(sample.name, sample.unit, sample.volume) for sample in samples] == [
        ("host.filesystem.size", "B", 409600),
        ("host.filesystem.used", "B", 245760),
        ("host.filesystem.available", "B", 143360),
        ("host.filesystem.inodes.size", "inode", 1000),
        ("host.filesystem.inodes.used", "inode", 500),
        ("host.filesystem.inodes.available", "inode", 250),
    ]
    assert {(sample.type, sample.resource_id) for sample in samples} == {("gauge", "web1.fs./srv")}
    assert dict(samples[0].resource_metadata.items()) == {
        "device": "/dev/vda1",
        "mountpoint": "/srv",
        "fstype": "ext4",
    }


def test_yields_no_inodes_where_none_are_counted() -> None:
    """A file system that makes inodes as it needs them has no inode meters, rather than zeros."""
    samples = pollster(Mounted("/dev/vda1", "/"), statvfs=lambda _: answer(files=0)).get_samples([])

    assert [s.name for s in samples] == [f"host.filesystem.{it}" for it in ("size", "used", "available")]


def test_meters_a_device_once() -> None:
    """A device mounted at several places is metered where it was mounted first."""
    table = (Mounted("/dev/vda1", "/"), Mounted("/dev/vda2", "/var"), Mounted("/dev/vda1", "/a"))

    assert resources(pollster(*table).get_samples([])) == ["web1.fs./", "web1.fs./var"]


def test_leaves_out_images_and_what_is_hidden() -> None:
    """Read-only images and loop devices are no disks; what another mount covers cannot be read."""
    table = (
        Mounted("/dev/vda1", "/"),
        Mounted("/dev/loop3", "/snap/x", "squashfs"),
        Mounted("/dev/loop4", "/mnt/image"),
        Mounted("/dev/sr0", "/media/cdrom", "iso9660"),
        Mounted("/dev/vdb", "/data"),
        Mounted("/dev/vdc", "/data"),
    )
    samples = list(pollster(*table).get_samples([]))

    assert resources(iter(samples)) == ["web1.fs./", "web1.fs./data"]
    assert samples[-1].resource_metadata["device"] == "/dev/vdc"


def test_one_that_hangs_hides_no_other() -> None:
    """The others are read in the same poll and in later ones, the fault is told, and it comes back."""
    release, asked = threading.Event(), list[str]()

    def statvfs(mountpoint: str) -> os.statvfs_result:
        asked.append(mountpoint)
        if mountpoint == "/hung":
            release.wait(10)
        return answer()

    table = (
        Mounted("/dev/a", "/", "nfs4"),
        Mounted("/dev/b", "/hung", "nfs4"),
        Mounted("/dev/c", "/var", "nfs4"),
    )
    polled = pollster(*table, statvfs=statvfs, patience=0.1)
    others = ["web1.fs./", "web1.fs./var"]
    try:
        assert until_fault(polled.get_samples([])) == (others, "/hung: no answer within 0.1 s")
        assert asked == ["/", "/hung", "/var"]

        began = time.monotonic()
        assert until_fault(polled.get_samples([])) == (others, "/hung: no answer within 0.1 s")
        assert time.monotonic() - began < 0.1, "waited again for one known to hang"
        assert asked.count("/hung") == 1
    finally:
        release.set()
    assert until_complete(polled) == ["web1.fs./", "web1.fs./hung", "web1.fs./var"]


def test_several_that_hang_hide_no_other() -> None:
    """Each that hangs costs one wait and one thread; what stands behind it is read."""
    release = threading.Event()

    def statvfs(mountpoint: str) -> os.statvfs_result:
        if mountpoint.startswith("/hung"):
            release.wait(10)
        return answer()

    table = (
        Mounted("/dev/a", "/hung1", "nfs4"),
        Mounted("/dev/b", "/hung2", "nfs4"),
        Mounted("/dev/c", "/var", "nfs4"),
    )
    try:
        seen, fault = until_fault(pollster(*table, statvfs=statvfs, patience=0.05).get_samples([]))
    finally:
        release.set()
    assert seen == ["web1.fs./var"]
    assert fault == "/hung1: no answer within 0.05 s; /hung2: no answer within 0.05 s"


def test_one_that_fails_hides_no_other() -> None:
    """An error of one file system is told after the samples of the others."""

    def statvfs(mountpoint: str) -> os.statvfs_result:
        if mountpoint == "/bad":
            raise OSError(errno.EIO, os.strerror(errno.EIO), mountpoint)
        return answer()

    table = (Mounted("/dev/a", "/bad", "nfs4"), Mounted("/dev/b", "/var", "nfs4"))
    polled = pollster(*table, statvfs=statvfs)

    assert until_fault(polled.get_samples([])) == (["web1.fs./var"], "/bad: Input/output error")


def test_one_that_may_not_be_read_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """What this user may not see makes no poll incomplete; the log names it at the first poll only."""

    def statvfs(mountpoint: str) -> os.statvfs_result:
        if mountpoint == "/root/x":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), mountpoint)
        return answer()

    polled = pollster(Mounted("/dev/a", "/root/x"), Mounted("/dev/b", "/"), statvfs=statvfs)
    with caplog.at_level(logging.WARNING):
        assert resources(polled.get_samples([])) == ["web1.fs./"]
        assert resources(polled.get_samples([])) == ["web1.fs./"]
    assert caplog.messages == ["file system /root/x is not metered: permission denied"]


def test_mounts_that_could_not_be_listed_are_listed_at_the_next_poll() -> None:
    """The kernel tells a change once; what was unmounted must not be told by the folder below it."""
    table, changes = [Mounted("/dev/a", "/"), Mounted("/dev/b", "/gone")], iter([True, False, False])
    faults = [None, OSError(errno.EMFILE, os.strerror(errno.EMFILE)), None]

    def partitions() -> list[Mounted]:
        fault = faults.pop(0)
        if fault is not None:
            raise fault
        return list(table)

    polled = FileSystemPollster("web1", partitions, lambda _: answer(), lambda: next(changes))
    del table[1]
    with pytest.raises(OSError, match="Too many open files"):
        resources(polled.get_samples([]))
    assert resources(polled.get_samples([])) == ["web1.fs./"]


def test_lists_mounts_again_only_when_they_changed() -> None:
    """A mount shows at the next poll; without one the table is not read."""
    table, changes, read = [Mounted("/dev/a", "/")], iter([False, True, False]), [0]

    def partitions() -> list[Mounted]:
        read[0] += 1
        return list(table)

    polled = FileSystemPollster("web1", partitions, lambda _: answer(), lambda: next(changes))
    table.append(Mounted("/dev/b", "/new"))
    assert resources(polled.get_samples([])) == ["web1.fs./"]
    assert resources(polled.get_samples([])) == ["web1.fs./", "web1.fs./new"]
    assert resources(polled.get_samples([])) == ["web1.fs./", "web1.fs./new"]
    assert read == [2]


def test_mountpoint_that_is_no_text_can_be_journaled() -> None:
    """Bytes that are no UTF-8 are escaped in the id and the metadata, and asked for as they are."""
    asked: list[str] = []

    def statvfs(mountpoint: str) -> os.statvfs_result:
        asked.append(mountpoint)
        return answer()

    odd = os.fsdecode(b"/mnt/\xff")
    samples = list(pollster(Mounted("/dev/a", odd), statvfs=statvfs).get_samples([]))

    assert asked == [odd]
    assert samples[0].resource_id == "web1.fs./mnt/\\xff"
    assert samples[0].resource_metadata["mountpoint"] == "/mnt/\\xff"


def test_disables_itself_without_file_systems() -> None:
    """A machine with nothing mounted from a disk has nothing to poll."""
    with pytest.raises(PluginUnavailable, match="no file system on a disk is mounted"):
        pollster(Mounted("/dev/loop0", "/snap/x", "squashfs"))


def test_disables_itself_without_a_mount_table() -> None:
    """A system that shows no mount table gives nothing to poll."""

    def partitions() -> list[Mounted]:
        raise FileNotFoundError(2, "No such file or directory", "/proc/self/mounts")

    with pytest.raises(PluginUnavailable, match="/proc/self/mounts"):
        FileSystemPollster("web1", partitions)


def test_watch_is_quiet_while_nothing_is_mounted() -> None:
    """A fresh watch, and one asked again, see no change."""
    watch = MountWatch()
    watch()

    assert not watch()


MOUNTS_SEEN = """
import subprocess
from meteragent.pollsters.filesystem import MountWatch

watch = MountWatch()
seen = [watch()]
subprocess.run(["mount", "-t", "tmpfs", "none", "/mnt"], check=True)
seen += [watch(), watch()]
subprocess.run(["umount", "/mnt"], check=True)
print(seen + [watch(), watch()])
"""


def test_watch_tells_each_change_once() -> None:
    """The kernel's own mount table is seen to change by a mount and by its end."""
    private = ["unshare", "--user", "--map-root-user", "--mount"]
    try:
        subprocess.run([*private, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user may not make a mount namespace")
    told = subprocess.run(
        [*private, sys.executable, "-c", MOUNTS_SEEN], check=True, capture_output=True, text=True
    )

    assert told.stdout == "[False, True, False, True, False]\n"


def test_kinds_that_answer_from_memory_need_no_thread() -> None:
    """They are asked where they are read, also those that fail; a kind that may hang is not."""
    asked: dict[str, threading.Thread] = {}

    def statvfs(mountpoint: str) -> os.statvfs_result:
        asked[mountpoint] = threading.current_thread()
        if mountpoint == "/bad":
            raise OSError(errno.EIO, "Input/output error")
        return answer()

    table = (Mounted("/dev/a", "/"), Mounted("/dev/b", "/bad", "xfs"), Mounted("nas:/x", "/far", "nfs4"))
    seen, fault = until_fault(pollster(*table, statvfs=statvfs).get_samples([]))

    assert (seen, fault) == (["web1.fs./", "web1.fs./far"], "/bad: Input/output error")
    here = threading.current_thread()
    assert {place for place, thread in asked.items() if thread is not here} == {"/far"}
