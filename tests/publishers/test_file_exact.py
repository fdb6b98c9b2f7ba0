"""Each sample is one line of the file, once, whatever happens to agent, disk or file meanwhile."""

import json
import multiprocessing
import os
import resource
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meteragent.errors import ConfigError, Unavailable
from meteragent.journal.journal import Journal, Settings
from meteragent.pipeline.sink import Sink
from meteragent.pipeline.target import Target
from meteragent.publishers.base import State
from meteragent.publishers.file import FilePublisher
from tests.journal.batches import batch


class Kept(State):
    """A state whose last kept content is known."""

    def __init__(self, values: Mapping[str, Any] = {}) -> None:
        self.kept: dict[str, Any] = dict(values)
        super().__init__(values, lambda state: setattr(self, "kept", dict(state)))

    def after_kill(self) -> "Kept":
        """What the next start is given when the position did not move."""
        return Kept(self.kept)

    def moved(self) -> "Kept":
        """What the next batch is given when it did."""
        return Kept(dict(self))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the samples go."""
    return tmp_path / "samples.jsonl"


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[FilePublisher]:
    """A publisher to that file."""
    made = FilePublisher("file:samples.jsonl", tmp_path)
    yield made
    made.close()


def volumes(path: Path) -> list[float]:
    """Of the lines of a file, each whole."""
    text = path.read_bytes()
    assert text.endswith(b"\n") or not text
    return [json.loads(line)["volume"] for line in text.splitlines()]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("file:samples.jsonl", "samples.jsonl"),
        ("file://samples.jsonl", "samples.jsonl"),
        ("file:sub/samples.jsonl", "sub/samples.jsonl"),
        ("file:samples.jsonl?max_bytes=5", "samples.jsonl"),
    ],
)
def test_a_relative_path_lies_below_the_state_folder(tmp_path: Path, url: str, name: str) -> None:
    """An absolute one is taken as it is."""
    assert FilePublisher(url, tmp_path).path == tmp_path / name
    assert FilePublisher("file:///var/log/x", tmp_path).path == Path("/var/log/x")


@pytest.mark.parametrize("url", ["file:", "file://", "file:.", "file:///", "file:sub/..", "file:a\0b"])
def test_a_url_that_names_no_file_is_refused(tmp_path: Path, url: str) -> None:
    """At the start, with an example."""
    (tmp_path / "sub").mkdir()
    with pytest.raises(ConfigError, match=r"names no file, e\.g\. file:samples\.jsonl"):
        FilePublisher(url, tmp_path)


def test_what_was_there_before_stays(path: Path, publisher: FilePublisher) -> None:
    """Also when the very first batch is cut off by a kill, and when its last line is not ended."""
    path.write_bytes(b'{"volume": 70}\n{"volume": 71}')
    state = Kept()
    publisher.publish(batch(3).samples, state)
    again = state.after_kill()
    assert again["offset"] == 29
    publisher.publish(batch(3).samples, again)
    assert volumes(path) == [70, 71, 0, 1, 2]
    publisher.publish(batch(1, 3).samples, again.moved())
    assert volumes(path) == [70, 71, 0, 1, 2, 3]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_batch_that_was_cut_off_anywhere_is_written_once(tmp_path: Path, data: st.DataObject) -> None:
    """Killed before, in or after the write, whether the position moved or not: each line is there once.

    One that a batch has twice is there twice, as it is counted.
    """
    path = tmp_path / "samples.jsonl"
    path.unlink(missing_ok=True)
    before = data.draw(st.sampled_from((b"", b'{"volume": -1}\n')))
    if before:
        path.write_bytes(before)
    state = Kept()
    expected: list[float] = [-1] if before else []
    publisher = FilePublisher("file:samples.jsonl", tmp_path)
    for number in range(data.draw(st.integers(1, 6))):
        samples = batch(data.draw(st.integers(0, 3)), 10 * number).samples
        samples += data.draw(st.lists(st.sampled_from(samples), max_size=2)) if samples else []
        for _ in range(data.draw(st.integers(0, 2))):
            length = path.stat().st_size if path.exists() else 0
            publisher.publish(samples, state)
            written = path.stat().st_size if path.exists() else 0
            if written > length:
                os.truncate(path, data.draw(st.integers(length, written)))
            state = state.after_kill()
            publisher.close()
            publisher = FilePublisher("file:samples.jsonl", tmp_path)
        publisher.publish(samples, state)
        state = state.moved()
        expected += [sample.volume for sample in samples]
        assert not path.exists() or sorted(volumes(path)) == sorted(expected)
    publisher.close()


def _feed(folder: Path) -> None:
    """A journal and a file sink, until killed."""
    journal = Journal(folder / "journal.db", Settings(reserve=1 << 16))
    file = FilePublisher("file:samples.jsonl", folder)
    target = Target("file:", lambda values: file.publish(values["samples"], values["state"]), file.close)
    sink = Sink("file", [target], bool, journal, "agent", mode="hold", max_lag=0)
    journal.listeners.append(sink.offer)
    sink.start()
    number = journal.last
    while True:
        journal.append(batch(20, 20 * number))
        number += 1
        sink.wait_for_room(1)


def test_killed_again_and_again_each_line_is_there_once(tmp_path: Path) -> None:
    """A process with journal, sink and file is killed at random; the volumes go on without a hole."""
    spawn = multiprocessing.get_context("spawn")
    path = tmp_path / "samples.jsonl"
    length = 0
    for round_ in range(6):
        process = spawn.Process(target=_feed, args=(tmp_path,))
        process.start()
        deadline = time.monotonic() + 10
        while not path.exists() or path.stat().st_size <= length:
            assert time.monotonic() < deadline
        time.sleep(0.013 * round_)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        length = path.stat().st_size
    journal = Journal(tmp_path / "journal.db", Settings(reserve=1 << 16))
    file = FilePublisher("file:samples.jsonl", tmp_path)
    target = Target("file:", lambda values: file.publish(values["samples"], values["state"]), file.close)
    sink = Sink("file", [target], bool, journal, "agent", mode="hold", max_lag=0)
    sink.start()
    while sink.pending:
        time.sleep(0.001)
    sink.stop()
    assert sink.wait_for_end(2)
    assert volumes(path) == list(range(20 * journal.last))
    journal.close()


def test_a_file_that_was_moved_away_is_begun_anew(path: Path, publisher: FilePublisher) -> None:
    """The old one keeps its lines, the new one gets the rest, a torn batch in it included."""
    state = Kept()
    publisher.publish(batch(2).samples, state)
    path.rename(f"{path}.1")
    state = state.moved()
    publisher.publish(batch(2, 2).samples, state)
    publisher.publish(batch(2, 2).samples, state.after_kill())
    assert volumes(Path(f"{path}.1")) == [0, 1]
    assert volumes(path) == [2, 3]


def test_another_file_with_the_same_inode_is_not_cut(path: Path, publisher: FilePublisher) -> None:
    """File systems give the number of a removed file to the next one."""
    state = Kept()
    publisher.publish(batch(2).samples, state)
    path.write_bytes(b'{"volume": 7}\n' * 100)
    publisher.publish(batch(2, 2).samples, state.moved())
    assert volumes(path) == [7] * 100 + [2, 3]


@pytest.mark.parametrize(
    "state",
    [
        {"inode": "x", "offset": 0, "tail": ""},
        {"inode": 1, "offset": -5, "tail": ""},
        {"inode": 1, "offset": 0, "tail": "zz"},
        {"inode": 1, "offset": 1, "tail": "aabbcc"},
        {"offset": 3},
    ],
)
def test_a_state_that_makes_no_sense_is_not_followed(
    path: Path, publisher: FilePublisher, state: dict[str, Any]
) -> None:
    """Damage in the journal must not cut the file."""
    path.write_bytes(b'{"volume": 7}\n')
    if state.get("inode") == 1:
        state = {**state, "inode": path.stat().st_ino}
    publisher.publish(batch(1).samples, Kept(state))
    assert volumes(path) == [7, 0]


def test_two_on_one_file_are_refused(tmp_path: Path, path: Path, publisher: FilePublisher) -> None:
    """The second waits until the first lets go, and never writes meanwhile, however often it tries."""
    other = FilePublisher(f"file://{path}", tmp_path)
    state, others = Kept(), Kept()
    publisher.publish(batch(1).samples, state)
    for _ in range(3):
        with pytest.raises(Unavailable, match=r"samples\.jsonl: another agent or sink is writing to it"):
            other.publish(batch(1, 5).samples, others)
    publisher.publish(batch(1, 1).samples, state.moved())
    publisher.close()
    other.publish(batch(1, 5).samples, others)
    other.close()
    assert volumes(path) == [0, 1, 5]


def test_what_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    """A folder or pipe under that name, a missing folder; each as soon as it is mended goes on."""
    publisher = FilePublisher("file:sub/samples.jsonl", tmp_path)
    path = publisher.path
    state = Kept()
    with pytest.raises(Unavailable, match=r"sub/samples\.jsonl: its folder does not exist; make it"):
        publisher.publish(batch(1).samples, state)
    path.mkdir(parents=True)
    with pytest.raises(Unavailable, match="is a directory"):
        publisher.publish(batch(1).samples, state)
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(Unavailable, match="is no regular file"):
        publisher.publish(batch(1).samples, state)
    path.unlink()
    publisher.publish(batch(1).samples, state)
    publisher.close()
    assert volumes(path) == [0]


@pytest.mark.parametrize("name", ["pipe", "/dev/null", "socket"])
def test_a_device_or_pipe_is_refused_at_the_start(tmp_path: Path, name: str) -> None:
    """It never becomes a file by waiting."""
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        with pytest.raises(ConfigError, match="names a device or a pipe"):
            FilePublisher(f"file:{name}", tmp_path)


def test_a_name_that_cannot_be_looked_at_is_told_when_it_is_used(tmp_path: Path) -> None:
    """The agent starts, since that may be mended meanwhile."""
    publisher = FilePublisher(f"file:{'x' * 300}", tmp_path)
    with pytest.raises(Unavailable, match="file name too long"):
        publisher.publish(batch(1).samples, Kept())


def test_a_batch_that_has_become_smaller_is_not_doubled(path: Path, tmp_path: Path) -> None:
    """Killed with batches whose positions had not moved, and the sink takes fewer meters afterwards."""
    batches = [batch(3), batch(3, 3), batch(3, 6)]
    publisher, state = FilePublisher("file:samples.jsonl", tmp_path), Kept()
    for each in batches:
        publisher.publish(each.samples, state)
        state = state.moved()
    publisher.close()
    os.truncate(path, path.stat().st_size - 10)
    publisher, state = FilePublisher("file:samples.jsonl", tmp_path), Kept({})
    state.update(inode=path.stat().st_ino, offset=0, tail="")
    for each in batches:
        publisher.publish([sample for sample in each.samples if sample.volume not in (1, 3, 5)], state)
        state = state.moved()
    publisher.close()
    assert volumes(path) == [0, 1, 2, 3, 4, 5, 6, 7, 8]


def test_lines_of_batches_that_the_journal_forgot_stay(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A journal that went back in time goes on behind them; a batch that it still holds is not doubled."""
    publisher, state = FilePublisher("file:samples.jsonl", tmp_path), Kept()
    publisher.publish(batch(2).samples, state)
    backup = state.moved()
    for number in (2, 4, 6):
        state = state.moved()
        publisher.publish(batch(2, number).samples, state)
    publisher.close()
    publisher = FilePublisher("file:samples.jsonl", tmp_path)
    for number in (2, 20, 22):
        publisher.publish(batch(2, number).samples, backup.moved())  # and its position does not move
        publisher.publish(batch(2, number).samples, backup)
        backup = backup.moved()
    publisher.close()
    assert volumes(path) == [0, 1, 2, 3, 4, 5, 6, 7, 20, 21, 22, 23]
    assert caplog.text.count("holds 4 lines of batches that the journal does not know") == 1


def test_another_batch_takes_the_place_of_one_that_did_not_count(
    path: Path, publisher: FilePublisher
) -> None:
    """As when a replay failed with a later publisher: its lines come again with it."""
    state = Kept()
    publisher.publish(batch(1).samples, state)
    state = state.moved()
    publisher.publish(batch(3, 10).samples, Kept(state))
    publisher.publish(batch(2, 1).samples, state)
    publisher.publish(batch(3, 10).samples, state.moved())
    assert volumes(path) == [0, 1, 2, 10, 11, 12]


def _write_to_read_only(folder: Path) -> None:
    os.setgid(65534)
    os.setuid(65534)
    with pytest.raises(Unavailable, match=r"samples\.jsonl: permission denied"):
        FilePublisher("file:samples.jsonl", folder).publish(batch(1).samples, Kept())


def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    """As who may not write there sees it."""
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o555)
    if os.getuid():
        with pytest.raises(Unavailable, match="permission denied"):
            FilePublisher("file:samples.jsonl", folder).publish(batch(1).samples, Kept())
        return
    for parent in (folder, *folder.parents):
        parent.chmod(parent.stat().st_mode | 0o055)
        if parent.parent == Path("/tmp"):
            break
    process = multiprocessing.get_context("fork").Process(target=_write_to_read_only, args=(folder,))
    process.start()
    process.join(10)
    assert process.exitcode == 0


@pytest.fixture
def limit() -> Iterator[int]:
    """No file of this process may be longer than so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    length = 2500
    resource.setrlimit(resource.RLIMIT_FSIZE, (length, before[1]))
    yield length
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_no_torn_line(
    path: Path, publisher: FilePublisher, request: pytest.FixtureRequest
) -> None:
    """What could be written of a batch is taken back at once, and it is written whole when there is room."""
    state = Kept()
    publisher.publish(batch(4).samples, state)
    state = state.moved()
    request.getfixturevalue("limit")
    for _ in range(2):
        with pytest.raises(Unavailable, match="file too large"):
            publisher.publish(batch(10, 4).samples, state)
        assert volumes(path) == [0, 1, 2, 3]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    publisher.publish(batch(10, 4).samples, state)
    assert volumes(path) == list(range(14))
    assert soft < path.stat().st_size


def test_a_batch_without_samples_touches_nothing(path: Path, publisher: FilePublisher) -> None:
    """The account of polls is nothing for a file."""
    publisher.publish([], Kept())
    assert not path.exists()
