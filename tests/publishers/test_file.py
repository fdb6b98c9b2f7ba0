"""``file:`` writes each sample once, as lines that other programs read."""

import json
import os
from pathlib import Path

import pytest

from meteragent.errors import ConfigError, Unavailable
from meteragent.publishers.base import State
from meteragent.publishers.file import FilePublisher
from meteragent.sample import Sample, accepted


def samples(first: int, count: int = 3) -> list[Sample]:
    """Accepted samples whose volumes count up."""
    return [
        accepted(
            Sample("m", "gauge", "B", number, resource_id="r", resource_metadata={"a": [1, None]}),
            1_790_000_000_000_000 + number,
            "openstack",
        )
        for number in range(first, first + count)
    ]


class Kept:
    """What a sink keeps for a publisher: as it was when last told to."""

    def __init__(self) -> None:
        self.durable: dict[str, object] = {}

    def state(self) -> State:
        """As it is handed to the publisher."""
        return State(dict(self.durable), self.keep)

    def keep(self, state: object) -> None:
        """Called by the publisher, and by the sink when the position moves."""
        self.durable = dict(state)  # type: ignore[call-overload]


def publish(publisher: FilePublisher, kept: Kept, batch: list[Sample]) -> None:
    """Publish and move the position."""
    state = kept.state()
    publisher.publish(batch, state)
    kept.keep(state)


def volumes(path: Path) -> list[int]:
    """The volumes in a file, line by line."""
    return [json.loads(line)["volume"] for line in path.read_text().splitlines()]


def test_a_line_has_everything(tmp_path: Path) -> None:
    """Native names, time with Z, metadata as JSON, the id of the identity; the file is private."""
    publisher, kept = FilePublisher("file:lines", tmp_path), Kept()
    publish(publisher, kept, samples(1, 1))
    line = json.loads((tmp_path / "lines").read_text())
    assert line["timestamp"] == "2026-09-21T14:13:20.000001Z"
    assert line["resource_metadata"] == {"a": [1, None]}
    assert line["id"] == samples(1, 1)[0].identifier
    assert (line["name"], line["type"], line["unit"], line["source"]) == ("m", "gauge", "B", "openstack")
    assert (tmp_path / "lines").stat().st_mode & 0o777 == 0o600


def test_a_batch_that_comes_again_stands_there_once(tmp_path: Path) -> None:
    """Killed between the write and the position, the next run writes the batch in place of itself."""
    kept = Kept()
    publisher = FilePublisher("file:lines", tmp_path)
    publish(publisher, kept, samples(0))
    publisher.publish(samples(3), kept.state())  # the position does not move
    publisher.close()
    publisher = FilePublisher("file:lines", tmp_path)
    publish(publisher, kept, samples(3))
    assert volumes(tmp_path / "lines") == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("torn", [1, 7, 100, 200])
def test_what_a_kill_tore_is_removed(tmp_path: Path, torn: int) -> None:
    """Even of the very first batch, and whatever length of it had been written."""
    kept = Kept()
    publisher = FilePublisher("file:lines", tmp_path)
    publisher.publish(samples(0), kept.state())
    publisher.close()
    os.truncate(tmp_path / "lines", torn)
    publisher = FilePublisher("file:lines", tmp_path)
    publish(publisher, kept, samples(0))
    assert volumes(tmp_path / "lines") == [0, 1, 2]


def test_what_was_in_the_file_before_stays(tmp_path: Path) -> None:
    """A sink that begins with a file of somebody's adds to it, on a line of its own."""
    (tmp_path / "lines").write_text('{"volume": 99}')
    publish(FilePublisher("file:lines", tmp_path), Kept(), samples(0))
    assert volumes(tmp_path / "lines") == [99, 0, 1, 2]


def test_a_file_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    """As log rotation does; nothing is written into the old one any more."""
    publisher, kept = FilePublisher("file:lines", tmp_path), Kept()
    publish(publisher, kept, samples(0))
    (tmp_path / "lines").rename(tmp_path / "old")
    publish(publisher, kept, samples(3))
    assert volumes(tmp_path / "old") == [0, 1, 2]
    assert volumes(tmp_path / "lines") == [3, 4, 5]


def test_an_emptied_file_is_gone_on_with(tmp_path: Path) -> None:
    """Truncated by somebody, it has what came after; no hole of zeros."""
    publisher, kept = FilePublisher("file:lines", tmp_path), Kept()
    publish(publisher, kept, samples(0))
    os.truncate(tmp_path / "lines", 0)
    publish(publisher, kept, samples(3))
    assert volumes(tmp_path / "lines") == [3, 4, 5]


def test_two_writers_of_one_file_are_refused(tmp_path: Path) -> None:
    """The second waits until the first has let go."""
    first, second = FilePublisher("file:lines", tmp_path), FilePublisher("file:lines", tmp_path)
    publish(first, Kept(), samples(0))
    with pytest.raises(Unavailable, match="another agent or sink is writing to it"):
        second.publish(samples(3), Kept().state())
    first.close()
    publish(second, Kept(), samples(3))
    assert volumes(tmp_path / "lines") == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("url", ["file:", "file://", "file:sub", "file:///"])
def test_what_names_no_file_is_refused(tmp_path: Path, url: str) -> None:
    """At start, with an example."""
    (tmp_path / "sub").mkdir()
    with pytest.raises(ConfigError, match=r"names no file, e\.g"):
        FilePublisher(url, tmp_path)


@pytest.mark.parametrize(
    ("name", "reason"), [("missing/lines", "No such file or directory"), ("pipe", "is no regular file")]
)
def test_a_file_that_cannot_be_written_is_tried_again(tmp_path: Path, name: str, reason: str) -> None:
    """One line with path and reason."""
    if name == "pipe":
        os.mkfifo(tmp_path / name)
    with pytest.raises(Unavailable, match=f"{name}: {reason}"):
        FilePublisher(f"file:{name}", tmp_path).publish(samples(0), Kept().state())
