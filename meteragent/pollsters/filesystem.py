"""How full the file systems of this machine are; apart because one of them may hang."""

import logging
import os
import queue
import select
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import psutil

from meteragent.errors import PluginUnavailable, Unavailable
from meteragent.machine import as_unicode
from meteragent.pollsters.base import Meter, Pollster
from meteragent.sample import Metadata, Sample


def _meter(name: str, unit: str, meaning: str) -> Meter:
    return Meter(f"host.filesystem.{name}", "gauge", unit, meaning, "<host>.fs.<mountpoint>")


SIZE = _meter("size", "B", "Room for data.")
USED = _meter("used", "B", "Room taken.")
AVAILABLE = _meter(
    "available",
    "B",
    "Room that users may still take; less than size minus used where some is reserved for root.",
)
INODES = _meter(
    "inodes.size",
    "inode",
    "Files and folders it can hold; none of the inode meters where inodes are made as needed (btrfs, vfat).",
)
INODES_USED = _meter("inodes.used", "inode", "Files and folders it holds.")
INODES_AVAILABLE = _meter("inodes.available", "inode", "Files and folders that users may still make.")
IMAGES = frozenset(("squashfs", "erofs", "iso9660", "udf"))
"""Kinds that are written once and always full."""
LOCAL = frozenset(("ext2", "ext3", "ext4", "xfs", "vfat"))
"""Kinds whose size the kernel tells from memory: a thread of its own costs more than the question."""
PATIENCE = 2.0
"""Seconds that one file system may take to answer; the kernel answers from memory, in microseconds."""

LOG = logging.getLogger(__name__)

Answer = os.statvfs_result | OSError


class Partition(Protocol):
    """What psutil tells of a mounted file system."""

    @property
    def device(self) -> str: ...
    @property
    def mountpoint(self) -> str: ...
    @property
    def fstype(self) -> str: ...


class FileSystem(NamedTuple):
    """A file system to be read, with what stands in its samples."""

    mountpoint: str
    resource: str
    metadata: Metadata
    local: bool


class MountWatch:
    """Tells whether the mount table changed, for a hundredth of what reading the table costs."""

    def __init__(self, path: str = "/proc/self/mountinfo") -> None:
        file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, file)
        self._poll = select.poll()
        self._poll.register(file, select.POLLPRI)

    def __call__(self) -> bool:
        """Whether it changed since the last call."""
        return bool(self._poll.poll(0))


class Asker:
    """Asks file systems in a thread of its own, since a call that hangs cannot be called off."""

    def __init__(self, statvfs: Callable[[str], os.statvfs_result]) -> None:
        self._statvfs = statvfs
        self._rounds = queue.SimpleQueue[tuple[list[str], dict[str, Answer], threading.Lock] | None]()
        self.asking: str | None = None
        """The mountpoint whose answer is awaited."""
        self.given_up = False
        self.thread = threading.Thread(target=self._run, name="file systems", daemon=True)
        self.thread.start()

    def ask(self, mountpoints: Iterable[str], patience: float) -> dict[str, Answer]:
        """All answers, or those there are after ``patience`` seconds; then this asker is given up."""
        asked, answers, working = list(mountpoints), dict[str, Answer](), threading.Lock()
        working.acquire()
        self._rounds.put((asked, answers, working))
        if not working.acquire(timeout=patience):
            self.given_up = True
            asked.clear()  # the thread goes no further once its call returns
            self._rounds.put(None)
        return answers.copy()

    def _run(self) -> None:
        while (turn := self._rounds.get()) is not None:
            asked, answers, working = turn
            for mountpoint in asked:
                self.asking = mountpoint
                answers |= _answers(self._statvfs, [mountpoint])
            self.asking = None
            working.release()


class FileSystemPollster(Pollster):
    """Bytes and inodes of each file system on a disk: how many it has, holds and can still take.

    One sample set a device, under the place where it was mounted first. A file system that does
    not answer is left out until it does, and the poll told incomplete; the others are read all the same.
    """

    default_discovery = "local_host"
    declares = (SIZE, USED, AVAILABLE, INODES, INODES_USED, INODES_AVAILABLE)
    meters = tuple(meter.name for meter in declares)

    def __init__(
        self,
        host: str,
        partitions: Callable[[], Sequence[Partition]] = psutil.disk_partitions,
        statvfs: Callable[[str], os.statvfs_result] = os.statvfs,
        mounts_changed: Callable[[], bool] | None = None,
        patience: float = PATIENCE,
    ) -> None:
        """
        :param partitions: lists the mounted file systems in the order of their mounting
        :param mounts_changed: tells whether that list changed since it was asked last
        :param patience: seconds to wait for one file system
        :raises PluginUnavailable: when no file system on a disk is mounted
        """
        self._host, self._partitions, self._statvfs, self._patience = host, partitions, statvfs, patience
        self._lock = threading.Lock()
        self._asker: Asker | None = None
        self._hanging: dict[str, threading.Thread] = {}
        self._unreadable: set[str] = set()
        self._stale = False
        """Whether the mounts changed since they were listed: it is told once only."""
        try:
            self._mounts_changed = MountWatch() if mounts_changed is None else mounts_changed
            self._found = _on_disks(host, partitions())
        except OSError as error:
            raise PluginUnavailable(f"mounted file systems cannot be listed: {error}") from None
        if not self._found:
            raise PluginUnavailable("no file system on a disk is mounted")

    def get_samples(self, resources: list[Any]) -> Iterator[Sample]:  # noqa: ARG002  always this machine
        """Yield the samples of each file system; the resource is ``<host>.fs.<mountpoint>``.

        :raises Unavailable: after the samples of the others, naming those that could not be read
        """
        with self._lock:
            self._stale = self._mounts_changed() or self._stale
            if self._stale:
                self._found = _on_disks(self._host, self._partitions())
                self._stale = False
            found = self._found
            answers = _answers(self._statvfs, [mounted.mountpoint for mounted in found if mounted.local])
            answers |= self._ask([mounted.mountpoint for mounted in found if not mounted.local])
        faults = []
        for mounted in found:
            answer = answers.get(mounted.mountpoint)
            if isinstance(answer, os.statvfs_result):
                yield from _samples(mounted, answer)
            elif isinstance(answer, PermissionError):
                self._note_unreadable(mounted.mountpoint)
            else:
                reason = answer.strerror if answer else f"no answer within {self._patience:g} s"
                faults.append(f"{mounted.mountpoint}: {reason}")
        if faults:
            raise Unavailable("; ".join(faults))

    def _ask(self, mountpoints: list[str]) -> dict[str, Answer]:
        """Answers of those that answer; when one hangs, another thread asks the rest."""
        self._hanging = {place: thread for place, thread in self._hanging.items() if thread.is_alive()}
        asked = [place for place in mountpoints if place not in self._hanging]
        answers: dict[str, Answer] = {}
        while asked:
            asker = self._asker = self._asker or Asker(self._statvfs)
            answers |= asker.ask(asked, self._patience)
            if asker.given_up:
                self._asker = None
                if asker.asking is not None:
                    self._hanging[asker.asking] = asker.thread
            asked = [place for place in asked if place not in answers and place not in self._hanging]
        return answers

    def _note_unreadable(self, mountpoint: str) -> None:
        """Say once what this user may not read: it stays so, and is no reason to call polls incomplete."""
        if mountpoint not in self._unreadable:
            self._unreadable.add(mountpoint)
            LOG.warning("file system %s is not metered: permission denied", mountpoint)


def _answers(statvfs: Callable[[str], os.statvfs_result], mountpoints: Iterable[str]) -> dict[str, Answer]:
    answers: dict[str, Answer] = {}
    for mountpoint in mountpoints:
        try:
            answers[mountpoint] = statvfs(mountpoint)
        except OSError as error:
            answers[mountpoint] = error
    return answers


def _on_disks(host: str, partitions: Iterable[Partition]) -> tuple[FileSystem, ...]:
    """Those on devices other than images, each device once, without those hidden below another."""
    visible = {partition.mountpoint: partition for partition in partitions}
    devices: dict[str, Partition] = {}
    for partition in visible.values():
        if partition.fstype not in IMAGES and not partition.device.startswith(("/dev/loop", "/dev/ram")):
            devices.setdefault(partition.device, partition)
    return tuple(
        FileSystem(
            partition.mountpoint,
            f"{host}.fs.{as_unicode(partition.mountpoint)}",
            Metadata.of(
                {
                    "device": as_unicode(partition.device),
                    "mountpoint": as_unicode(partition.mountpoint),
                    "fstype": partition.fstype,
                }
            ),
            partition.fstype in LOCAL,
        )
        for partition in devices.values()
    )


def _samples(mounted: FileSystem, answer: os.statvfs_result) -> Iterator[Sample]:
    block = answer.f_frsize
    volumes = [
        (SIZE, answer.f_blocks * block),
        (USED, (answer.f_blocks - answer.f_bfree) * block),
        (AVAILABLE, answer.f_bavail * block),
    ]
    if answer.f_files:  # some kinds make inodes as they need them and tell none
        volumes += [
            (INODES, answer.f_files),
            (INODES_USED, answer.f_files - answer.f_ffree),
            (INODES_AVAILABLE, answer.f_favail),
        ]
    for meter, volume in volumes:
        yield meter.sample(volume, mounted.resource, mounted.metadata)
