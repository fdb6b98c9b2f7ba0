"""The pollster of control groups."""

import contextlib
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from meteragent.errors import PluginUnavailable, Unavailable
from meteragent.machine import user_name
from meteragent.pollsters.cgroup import CgroupPollster

CONTAINER = "0123456789abcdef" * 4


class Tree:
    """Folders as a kernel shows control groups and block devices."""

    def __init__(self, folder: Path) -> None:
        self.root, self.devices = folder / "cgroup", folder / "block"
        self.root.mkdir()
        (self.root / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids\n")
        self.devices.mkdir()
        for number, name in {"8:0": "sda", "8:16": "cciss!c0d0", "11:0": "sr0"}.items():
            self.plug(number, name)
        (self.devices / "253:0").mkdir()

    def plug(self, number: str, name: str) -> None:
        """Let a disk be there."""
        device = self.devices.parent / "devices" / name
        (device / "device").mkdir(parents=True)
        (self.devices / number).symlink_to(device)

    def put(self, path: str, microseconds: int = 0) -> Path:
        """Let a group be there."""
        folder = self.root / path
        folder.mkdir(parents=True)
        (folder / "cpu.stat").write_text(f"usage_usec {microseconds}\nuser_usec 1\nsystem_usec 2\n")
        (folder / "memory.current").write_text("9007199254740993\n")
        (folder / "memory.swap.current").write_text("4096\n")
        (folder / "pids.current").write_text("7\n")
        (folder / "io.stat").write_text(
            "8:0 rbytes=10 wbytes=20 rios=3 wios=4 dbytes=5 dios=6\n"
            "253:0 rbytes=10 wbytes=20 rios=3 wios=4 dbytes=5 dios=6\n"
            "8:16 rbytes=1 wbytes=2 rios=3 wios=4 cost.usage=7\n"
            "11:0 rbytes=1 wbytes=2 rios=3 wios=4\n"
            "7:0 \n"
        )
        return folder

    def pollster(self, limit: int = 100) -> CgroupPollster:
        """One that reads it."""
        return CgroupPollster("web1", str(self.root), str(self.devices), limit)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """One group."""
    tree = Tree(tmp_path)
    tree.put("cron.service", microseconds=2_500_001)
    return tree


def test_yields_what_a_group_uses(tree: Tree) -> None:
    """What a mapped device read was read from the disk below it, and counts once; drives are no disks."""
    samples = list(tree.pollster().get_samples(["web1"]))

    assert [(s.name.removeprefix("host.cgroup."), s.type, s.unit, s.volume) for s in samples[:8]] == [
        ("cpu", "cumulative", "s", 2.500001),
        ("memory", "gauge", "B", 9007199254740993),
        ("memory.swap", "gauge", "B", 4096),
        ("threads", "gauge", "thread", 7),
        ("disk.read.bytes", "cumulative", "B", 10),
        ("disk.write.bytes", "cumulative", "B", 20),
        ("disk.read.requests", "cumulative", "request", 3),
        ("disk.write.requests", "cumulative", "request", 4),
    ]
    assert [sample.volume for sample in samples[8:]] == [1, 2, 3, 4]
    assert [(each.resource_id, dict(each.resource_metadata)) for each in samples[::4]] == [
        ("web1.cgroup./cron.service", {"cgroup": "/cron.service", "unit": "cron.service"}),
        *(
            (
                f"web1.disk.{disk}.cgroup./cron.service",
                {"cgroup": "/cron.service", "unit": "cron.service", "device": disk},
            )
            for disk in ("sda", "cciss/c0d0")
        ),
    ]
    assert {sample.user_id for sample in samples} == {None}


@pytest.mark.parametrize(
    ("path", "metadata", "user"),
    [
        ("system.slice", {"unit": "system.slice"}, None),
        ("user.slice/user-0.slice", {"unit": "user-0.slice"}, 0),
        ("user.slice/user-0.slice/session-3.scope", {"unit": "session-3.scope"}, 0),
        ("user.slice/user-4000000000.slice", {"unit": "user-4000000000.slice"}, 4_000_000_000),
        (
            f"system.slice/docker-{CONTAINER}.scope",
            {"unit": f"docker-{CONTAINER}.scope", "container": CONTAINER},
            None,
        ),
        (f"docker/{CONTAINER}", {"container": CONTAINER}, None),
        (
            f"a.slice/b.slice/c.slice/cri-containerd-{CONTAINER}.scope",
            {"unit": f"cri-containerd-{CONTAINER}.scope", "container": CONTAINER},
            None,
        ),
        ("odd \\x2d name", {}, None),
        ("a.scope/user.slice/user-0.slice", {"unit": "user-0.slice"}, None),
    ],
)
def test_tells_units_containers_and_users(
    tree: Tree, path: str, metadata: dict[str, str], user: int | None
) -> None:
    """The path says which unit or container it is, and whose; a container has users of its own."""
    tree.put(path)
    (sample,) = (
        sample
        for sample in tree.pollster().get_samples([])
        if sample.resource_id == f"web1.cgroup./{path}" and sample.name == "host.cgroup.cpu"
    )

    assert dict(sample.resource_metadata.items()) == {"cgroup": f"/{path}", **metadata}
    assert sample.user_id == (None if user is None else user_name(user))


def reads(pollster: CgroupPollster) -> dict[str, int | float]:
    """Bytes that the group has read from each disk."""
    return {
        sample.resource_id.removeprefix("web1.disk.").removesuffix(".cgroup./cron.service"): sample.volume
        for sample in pollster.get_samples([])
        if sample.name == "host.cgroup.disk.read.bytes"
    }


def test_each_disk_is_told_as_the_kernel_counts_it(tree: Tree) -> None:
    """Whatever was polled before, and by whom: one that is taken away has no part in what others count."""
    file, pollster = tree.root / "cron.service/io.stat", tree.pollster()
    disk = "8:{} rbytes={} wbytes=0 rios=0 wios=0\n"
    file.write_text(disk.format(0, 100) + disk.format(16, 50))
    assert reads(pollster) == {"sda": 100, "cciss/c0d0": 50}

    (tree.devices / "8:16").unlink()
    file.write_text(disk.format(0, 110))
    assert reads(pollster) == {"sda": 110}

    tree.plug("8:16", "sdc")
    file.write_text(disk.format(0, 120) + disk.format(16, 5))
    assert reads(pollster) == reads(tree.pollster()) == {"sda": 120, "sdc": 5}


def test_a_disk_that_a_group_has_not_used_is_told(tree: Tree) -> None:
    """What it is used for between two polls would not be seen without the first."""
    (tree.root / "cron.service/io.stat").write_text("8:0 rbytes=1 wbytes=0 rios=0 wios=0\n")
    assert reads(tree.pollster()) == {"sda": 1, "cciss/c0d0": 0}


def test_kernels_that_do_not_end_lines_are_read(tree: Tree) -> None:
    """Some tell devices without traffic in front of the next one."""
    (tree.root / "cron.service/io.stat").write_text("7:1 7:0 8:0 rbytes=1 wbytes=0 rios=0 wios=0\n8:16 ")
    assert reads(tree.pollster()) == {"sda": 1, "cciss/c0d0": 0}


def test_a_poll_that_ends_early_leaves_nothing(tree: Tree) -> None:
    """Else groups that are gone would be remembered, one more each time."""
    pollster = tree.pollster()
    list(pollster.get_samples([]))
    before = repr(vars(pollster))
    tree.put("brief.service")
    samples = iter(pollster.get_samples([]))
    for _ in range(20):  # of the 24 there are
        next(samples)
    del samples

    assert repr(vars(pollster)) == before


def test_a_group_that_is_made_again_counts_anew(tree: Tree) -> None:
    """What the former one of its name had is forgotten once a poll has missed it."""
    pollster = tree.pollster()
    list(pollster.get_samples([]))
    shutil.rmtree(tree.root / "cron.service")
    list(pollster.get_samples([]))
    (tree.put("cron.service") / "io.stat").write_text("8:0 rbytes=1 wbytes=0 rios=0 wios=0\n")
    assert reads(pollster) == {"sda": 1, "cciss/c0d0": 0}


def test_groups_are_metered_down_to_a_depth(tree: Tree) -> None:
    """What is below is part of the group above it anyway."""
    tree.put("a/b/c/d")
    tree.put("a/b/c/d/e")
    found = {sample.resource_id for sample in tree.pollster().get_samples([]) if ".disk." not in sample.name}

    assert found == {"web1.cgroup./cron.service", "web1.cgroup./a/b/c/d"}


def test_too_many_groups_are_told(tree: Tree) -> None:
    """After the samples of those that are metered."""
    tree.put("other.service")
    samples = tree.pollster(limit=1).get_samples([])

    assert len([next(samples) for _ in range(12)]) == 12
    with pytest.raises(Unavailable, match="more than the 1 control groups that are metered"):
        next(samples)


def test_groups_come_go_and_lack_files(tree: Tree) -> None:
    """A group that is gone yields nothing, one without a controller the rest, at any moment of a poll."""
    pollster = tree.pollster()
    assert len(list(pollster.get_samples([]))) == 12
    folder = tree.put("z.service")
    (folder / "memory.swap.current").unlink()
    (folder / "io.stat").unlink()
    assert len(list(pollster.get_samples([]))) == 12 + 3
    samples = pollster.get_samples([])
    next(samples)
    shutil.rmtree(tree.root / "cron.service")
    shutil.rmtree(folder)
    assert len(list(samples)) == 0
    assert list(pollster.get_samples([])) == []


def test_a_file_that_cannot_be_read_fails_the_poll(tree: Tree) -> None:
    """Rather than the meter being left out as if the group had it not."""
    (tree.root / "cron.service/pids.current").unlink()
    (tree.root / "cron.service/pids.current").mkdir()
    with pytest.raises(IsADirectoryError):
        list(tree.pollster().get_samples([]))


def test_lacks_what_has_no_controller(tree: Tree) -> None:
    """Controllers that are left to version 1, or are not built in, take their meters away."""
    (tree.root / "cgroup.controllers").write_text("cpu pids\n")
    pollster = tree.pollster()

    assert pollster.meters == ("host.cgroup.cpu", "host.cgroup.threads")
    assert [sample.name for sample in pollster.get_samples([])] == list(pollster.meters)
    assert pollster.lacking["host.cgroup.memory"] == f"{tree.root} has no controller memory"
    assert {*pollster.meters, *pollster.lacking} == set(CgroupPollster.meters)


def test_lacks_the_traffic_of_disks_that_are_not_listed(tree: Tree) -> None:
    """As within a container that is shown no devices."""
    shutil.rmtree(tree.devices)
    pollster = tree.pollster()

    assert len(list(pollster.get_samples([]))) == 4
    assert pollster.lacking["host.cgroup.disk.read.bytes"] == f"{tree.devices} is not there"


def test_disables_itself_without_version_2(tmp_path: Path) -> None:
    """Control groups of version 1, or none, give nothing to poll."""
    with pytest.raises(PluginUnavailable, match=r"no control groups of version 2 in .*: No such file"):
        CgroupPollster("web1", str(tmp_path))


@contextlib.contextmanager
def real_group() -> Iterator[tuple[str, str]]:
    """Where this machine has control groups of version 2, and the name of a new one."""
    mounts = Path("/proc/self/mountinfo").read_text()
    mounted = re.search(r"^\S+ \S+ \S+ \S+ (\S+) .* - cgroup2 ", mounts, re.MULTILINE)
    name = f"test-{uuid.uuid4().hex}"
    try:
        Path(mounted[1] if mounted else "/nowhere", name).mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    assert mounted
    try:
        yield mounted[1], name
    finally:
        Path(mounted[1], name).rmdir()


def test_counts_the_time_of_a_process_that_ended() -> None:
    """A real group keeps what its processes took."""
    with real_group() as (root, name):
        busy = "import sys, time; open(sys.argv[1], 'w').write('0')\nwhile time.process_time() < 0.2: pass"
        subprocess.run([sys.executable, "-c", busy, f"{root}/{name}/cgroup.procs"], check=True)
        samples = {
            s.name: s.volume
            for s in CgroupPollster("web1", root).get_samples([])
            if s.resource_id.endswith(name)
        }

    assert samples["host.cgroup.cpu"] >= 0.1
