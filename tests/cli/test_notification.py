"""Tests of `meteragent notification test`: what becomes of each line, and what is wrong with it."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Distribution, Outcome, Program

METERS = """
metric:
- {name: size, event_type: "image.*", type: gauge, unit: B, volume: $.payload.size, resource_id: $.payload.id}
"""
EVENTS = "- {event_type: 'image.*', traits: {size: {fields: payload.size, type: int}}}"
PLUGINS = """
from meteragent.sample import Sample


class Doors:
    event_types = ("door.*",)
    priorities = ("info", "warn")

    def convert(self, notification, problems):
        if notification.payload is None:
            problems.append("payload: missing")
            return
        yield Sample(name="door.opened", type="delta", unit="opening", volume=1,
                     resource_id=notification.payload["door"])


class Broken:
    def __init__(self):
        raise RuntimeError("cannot be made")


class Half:
    def __init__(self, by=2):
        self.by = by

    def trait_values(self, match_list):
        return [value / self.by for _, value in match_list]
"""
ENTRY_POINTS = """
[meteragent.notification]
doors = elsewhere:Doors
broken = elsewhere:Broken
[meteragent.trait]
half = elsewhere:Half
missing = nowhere:It
"""


def upload(**fields: Any) -> dict[str, Any]:
    """The notification of an image, as it lies on the bus."""
    return {
        "event_type": "image.upload", "publisher_id": "image.host", "message_id": "m", "priority": "INFO",
        "timestamp": "2026-03-01 10:00:20.5", "payload": {"id": "i", "size": 7, "owner": "p"},
    } | fields  # fmt: skip


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """A file with one notification, one that is none, and one that nobody asks for."""
    file = tmp_path / "notifications.jsonl"
    wrapped = {"oslo.version": "2.0", "oslo.message": json.dumps(upload())}
    delivered = {
        "event_type": "image.upload",
        "metadata": {"message_id": "m"},
        "payload": upload()["payload"],
    }
    written = [wrapped, upload(event_type="other"), delivered]
    first, *others = map(json.dumps, written)
    file.write_text("\n".join([first, "no JSON", "", *others]) + "\n")
    return file


def told(ended: Outcome) -> list[tuple[Any, ...]]:
    """Line, result and name or text of each row."""
    return [(row["line"], row["result"], row["name"] or row["text"]) for row in ended.rows]


def test_each_line_is_converted_and_what_is_wrong_is_told(
    program: Program, lines: Path, tmp_path: Path
) -> None:
    """An envelope or a bare message, by the definitions given; a line that is wrong harms no other."""
    meters = tmp_path / "meters.yaml"
    meters.write_text(METERS)
    ended = program("notification", "test", "--meters", str(meters), str(lines), "-f", "json")
    assert ended.code == 1
    assert told(ended)[:3] == [
        (1, "sample", "size"),
        (2, "problem", "message: not JSON: JSON is malformed: invalid character (byte 4)"),
        (4, "problem", "event type 'other': no handler asks for it"),
    ]
    assert "timestamp: missing" in told(ended)[3][2]
    assert ended.rows[0] == {
        "line": 1, "result": "sample", "timestamp": "2026-03-01T10:00:20.500000Z", "name": "size",
        "type": "gauge", "unit": "B", "volume": 7, "resource_id": "i", "project_id": None, "user_id": None,
        "text": None,
    }  # fmt: skip


def test_without_definitions_all_handlers_are_asked(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From standard input; the exit code is 0 when nothing is wrong."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(upload()).encode())))
    ended = program("notification", "test", "-f", "json")
    assert (ended.code, ended.err) == (0, "")
    assert told(ended) == [(1, "sample", "image.size"), (1, "event", "image.upload")]
    assert "resource_id=i" in ended.rows[1]["text"]


def test_definitions_in_the_config_folder_count_before_those_built_in(
    program: Program, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one name the user's is asked."""
    (config / "meters.d").mkdir()
    (config / "meters.d" / "mine.yaml").write_text(METERS.replace("name: size", "name: image.size"))
    (config / "event_definitions.yaml").write_text(EVENTS)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(upload()).encode())))
    ended = program("notification", "test", "-f", "json")
    assert [(row["name"], row["project_id"]) for row in ended.rows] == [
        ("image.size", None),
        ("image.upload", None),
    ]
    assert ended.rows[1]["text"].endswith("size=7")


def test_handlers_and_trait_plugins_of_others_are_used(
    program: Program, distribution: Distribution, tmp_path: Path
) -> None:
    """A broken one is named, and harms no other."""
    distribution(PLUGINS, ENTRY_POINTS)
    lines, events = tmp_path / "lines", tmp_path / "events.yaml"
    opened = upload(event_type="door.opened", payload={"door": "front"})
    lines.write_text("\n".join(map(json.dumps, [opened, opened | {"payload": None, "priority": "warn"}])))
    ended = program("notification", "test", str(lines), "-f", "json")
    assert (1, "sample", "door.opened") in told(ended)
    assert (2, "problem", "payload: missing") in told(ended)
    assert "notification:broken: RuntimeError: cannot be made" in ended.err
    assert "trait:missing is not used: ModuleNotFoundError: No module named 'nowhere'" in ended.err
    events.write_text(
        "- {event_type: '*', traits: {half: {fields: payload.size, type: float, plugin: {name: half,"
        " parameters: {by: 4}}}}}"
    )
    lines.write_text(json.dumps(upload()))
    ended = program("notification", "test", "--events", str(events), str(lines), "-f", "json")
    assert ended.rows, ended.err
    assert ended.rows[0]["text"].endswith("half=1.75")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("/nowhere",), "/nowhere: cannot be read: no such file or directory"),
        (("/",), "/: cannot be read: is a directory"),
        (("--meters", "/nowhere", "-"), "/nowhere: cannot be read: no such file or directory"),
        (("--events", "/dev/null", "-"), None),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(
    program: Program, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], told: str | None
) -> None:
    """An empty document has no definitions, and is no error."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    ended = program("notification", "test", *arguments, "-f", "json")
    if told is None:
        assert ended.code in (0, 1)
    else:
        assert (ended.code, ended.err) == (1, f"meteragent: {told}\n")


def test_a_definition_that_cannot_be_used_stands_below_the_table(program: Program, tmp_path: Path) -> None:
    """With file and line; the others are asked, and the exit code is 1."""
    meters, lines = tmp_path / "meters.yaml", tmp_path / "lines"
    meters.write_text(
        METERS + "- {name: bad, event_type: x, type: odd, unit: B, volume: 1, resource_id: r}\n"
    )
    lines.write_text(json.dumps(upload()))
    ended = program("notification", "test", "--meters", str(meters), str(lines), "-f", "json")
    assert (ended.code, told(ended)) == (1, [(1, "sample", "size")])
    assert ended.err.startswith(f"meteragent: {meters}:4: ")
