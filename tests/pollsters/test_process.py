"""The pollster of processes by state and user."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meteragent.errors import PluginUnavailable, Unavailable
from meteragent.machine import user_name
from meteragent.pollsters.process import ProcessPollster

ME = f"web1.user.{os.getuid()}"


class Proc:
    """A folder with processes as a kernel shows them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("self", "sys", "irq"):
            (folder / name).mkdir()

    def put(self, pid: int, state: str = "S", time: int = 0, start: int = 1, pages: int = 0) -> None:
        """Let a process be there."""
        folder = self.folder / str(pid)
        folder.mkdir(exist_ok=True)
        (folder / "stat").write_text(
            f"{pid} (a) b (c) {state} 0 1 1 0 -1 4194560 5 6 7 8 {time} 1 9 9 20 0 1 0 {start} 99 {pages} 0\n"
        )

    def end(self, pid: int) -> None:
        """Let a process be gone."""
        shutil.rmtree(self.folder / str(pid))


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    """Two processes."""
    proc = Proc(tmp_path)
    proc.put(1, time=100, pages=3)
    proc.put(7, time=50, start=5, pages=4)
    return proc


def polled(pollster: ProcessPollster) -> dict[tuple[str, str], int | float]:
    """Volumes by meter, without the prefix, and resource."""
    return {(s.name.removeprefix("host."), s.resource_id): s.volume for s in pollster.get_samples([])}


def test_counts_each_process_in_one_state(proc: Proc) -> None:
    """Letters that mean nearly the same are counted as one state."""
    for pid, state in enumerate("RDtTZIX", start=20):
        proc.put(pid, state)
    volumes = polled(ProcessPollster("web1", str(proc.folder)))

    assert {meter: volume for (meter, resource), volume in volumes.items() if resource == "web1"} == {
        "processes.count": 9,
        "processes.running": 1,
        "processes.sleeping": 2,
        "processes.blocked": 1,
        "processes.stopped": 2,
        "processes.zombie": 2,
        "processes.idle": 1,
    }


def test_users_have_memory_and_processes(proc: Proc) -> None:
    """Of each user with his name, whatever the processes are called."""
    samples = list(ProcessPollster("web1", str(proc.folder), page=4096).get_samples([]))
    mine = {sample.name: sample for sample in samples if sample.resource_id == ME}

    assert mine["host.user.memory"].volume == 7 * 4096
    assert mine["host.user.processes"].volume == 2
    assert {sample.user_id for sample in mine.values()} == {user_name(os.getuid())}
    assert mine["host.user.cpu"].resource_metadata["uid"] == os.getuid()


def test_time_is_what_processes_were_seen_to_take(proc: Proc) -> None:
    """It begins at 0 with the agent, never falls when a process ends, and takes a new one's time whole."""
    pollster = ProcessPollster("web1", str(proc.folder), ticks=100)
    assert polled(pollster)["user.cpu", ME] == 0
    proc.put(7, time=80, start=5)  # 30 more
    proc.put(8, time=200, start=900)  # begun since, of which one tick is the system's
    assert polled(pollster)["user.cpu", ME] == (30 + 201) / 100
    proc.end(8)
    assert polled(pollster)["user.cpu", ME] == (30 + 201) / 100
    proc.put(7, time=9, start=1000)  # another process under an old number
    assert polled(pollster)["user.cpu", ME] == (30 + 201 + 10) / 100


@settings(deadline=None, max_examples=50)
@given(st.lists(st.dictionaries(st.integers(2, 4), st.integers(0, 9)), max_size=8))
def test_time_is_told_once_and_never_falls(rounds: list[dict[int, int]]) -> None:
    """Whatever processes begin, work and end between polls, their time is told once."""
    with tempfile.TemporaryDirectory() as folder:
        proc, living, taken, told = Proc(Path(folder)), dict[int, tuple[int, int]](), 0, [0.0]
        proc.put(1)
        pollster = ProcessPollster("web1", folder, ticks=100)
        polled(pollster)
        for number, work in enumerate(rounds, start=2):
            for pid in set(living) - set(work):
                proc.end(pid)
                del living[pid]
            for pid, ticks in work.items():
                start, before = living.get(pid, (number, 0))
                living[pid] = start, before + ticks
                taken += ticks + (start == number)  # the tick of the system that each has
                proc.put(pid, time=before + ticks, start=start)
            told.append(polled(pollster)["user.cpu", ME])

    assert told == sorted(told)
    assert told[-1] * 100 == pytest.approx(taken)  # each is polled before it ends


def test_a_process_that_ends_while_it_is_read_is_none(proc: Proc) -> None:
    """Nor is one whose folder is there and whose table is not."""
    pollster = ProcessPollster("web1", str(proc.folder))
    (proc.folder / "7/stat").unlink()
    (proc.folder / "9").symlink_to("nowhere")

    assert polled(pollster)["processes.count", "web1"] == 1


def test_a_poll_that_fails_tells_no_time_twice(proc: Proc) -> None:
    """A process that cannot be read once is not taken for a new one by the next poll."""
    pollster = ProcessPollster("web1", str(proc.folder), ticks=100)
    polled(pollster)
    proc.end(7)
    (proc.folder / "7/stat").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        polled(pollster)
    proc.end(7)
    proc.put(7, time=55, start=5)

    assert polled(pollster)["user.cpu", ME] == 0.05


def test_a_poll_that_fails_half_way_counts_nothing_twice(proc: Proc) -> None:
    """What processes that were read before took is told by the next poll, once."""
    pollster = ProcessPollster("web1", str(proc.folder), ticks=100)
    polled(pollster)
    proc.put(1, time=200, pages=3)
    proc.put(7, time=150, start=5, pages=4)
    last = [name for name in os.listdir(proc.folder) if name.isdigit()][-1]
    stat = proc.folder / last / "stat"
    stat.rename(proc.folder / "kept")
    stat.mkdir()
    with pytest.raises(IsADirectoryError):
        polled(pollster)
    stat.rmdir()
    (proc.folder / "kept").rename(stat)

    assert polled(pollster)["user.cpu", ME] == 2.0


def test_too_many_processes_are_told(proc: Proc) -> None:
    """Rather than a part of them as if it were all."""
    pollster = ProcessPollster("web1", str(proc.folder), limit=1)
    with pytest.raises(Unavailable, match="2 processes are more than the 1 that are read"):
        list(pollster.get_samples([]))


def test_disables_itself_where_others_are_hidden(proc: Proc) -> None:
    """Processes that are not shown cannot be counted."""
    proc.end(1)
    with pytest.raises(PluginUnavailable, match="does not show all processes"):
        ProcessPollster("web1", str(proc.folder))


def test_sees_what_a_process_of_this_machine_takes() -> None:
    """A program that computes for a while is counted for its user."""
    pollster = ProcessPollster("web1")
    before = polled(pollster)["user.cpu", ME]
    busy = "import time\nwhile time.process_time() < 0.2: pass\nprint(flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        after = polled(pollster)
        child.kill()

    assert after["user.cpu", ME] - before >= 0.19
    assert after["user.memory", ME] > 1_000_000
