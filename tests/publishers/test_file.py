"""``file:`` writes samples as lines that other programs read; that each is there once is tried elsewhere."""

import json
import os
from pathlib import Path

from meteragent.publishers.base import State
from meteragent.publishers.file import FilePublisher
from meteragent.sample import Sample, accepted
from tests.journal.batches import AT, batch


def test_a_line_has_everything(tmp_path: Path) -> None:
    """Native names, time with Z, metadata as JSON, the id of the identity; the file is private."""
    publisher = FilePublisher("file:lines", tmp_path)
    sample = accepted(
        Sample("cpu", "gauge", "%", 1, resource_id="r", resource_metadata={"a": [1, None]}),
        AT + 1,
        "openstack",
    )
    publisher.publish([sample], State({}, lambda _: None))
    publisher.close()
    line = json.loads((tmp_path / "lines").read_text())
    assert line["timestamp"] == "2027-01-15T08:00:00.000001Z"
    assert line["resource_metadata"] == {"a": [1, None]}
    assert line["id"] == sample.identifier
    assert (line["name"], line["type"], line["unit"], line["source"]) == ("cpu", "gauge", "%", "openstack")
    assert (tmp_path / "lines").stat().st_mode & 0o777 == 0o600


def test_an_emptied_file_is_gone_on_with(tmp_path: Path) -> None:
    """Truncated by somebody, it has what came after; no hole of zeros."""
    publisher, state = FilePublisher("file:lines", tmp_path), State({}, lambda _: None)
    publisher.publish(batch(3).samples, state)
    os.truncate(tmp_path / "lines", 0)
    publisher.publish(batch(2, 3).samples, state)
    publisher.close()
    lines = (tmp_path / "lines").read_text().splitlines()
    assert [json.loads(line)["volume"] for line in lines] == [3, 4]
