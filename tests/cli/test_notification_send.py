"""Tests of `meteragent notification send`: what is sent, and that nothing is sent of what is no good."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from meteragent import bus
from meteragent.notifications.base import Notification
from meteragent.notifications.bindings import Bindings, declare
from meteragent.notifications.dispatcher import Dispatcher
from meteragent.notifications.envelope import unpack
from meteragent.notifications.polled import PolledSamples
from tests.cli.conftest import Program
from tests.servers import RabbitMQ

UPLOAD: dict[str, Any] = {"event_type": "image.upload", "payload": {"id": "i", "size": 7}}


class Place:
    """An exchange of its own with queues that this test reads."""

    def __init__(self, url: str) -> None:
        self.url, self.exchange, self.topic = url, f"x{uuid4().hex}", f"t{uuid4().hex}"
        self._connection = bus.connect(url)
        own = (self.exchange,)
        declare(self._connection, Bindings(own, (self.topic,), ("info", "error", "sample"), own=own))

    @property
    def arguments(self) -> list[str]:
        """What sends there."""
        return ["--url", self.url, "--exchange", self.exchange, "--topic", self.topic]

    def arrived(self, priority: str = "info") -> list[Notification]:
        """Takes what waits in a queue."""
        channel: Any = self._connection.channel()
        found = []
        while (message := channel.basic_get(f"{self.topic}.{priority}", no_ack=True)) is not None:
            found.append(unpack(message.body.encode(), None, None, message.delivery_info["routing_key"]))
        channel.close()
        return found

    def close(self) -> None:
        """End the connection."""
        bus.close(self._connection)


@pytest.fixture
def place(rabbitmq: RabbitMQ) -> Iterator[Place]:
    """A place at the broker of all tests."""
    made = Place(rabbitmq.url())
    yield made
    made.close()


def test_what_a_notification_lacks_is_filled_in(program: Program, place: Place, tmp_path: Path) -> None:
    """And each that was confirmed is shown; what it tells itself stays."""
    told = {
        **UPLOAD,
        "message_id": "m",
        "publisher_id": "image.h",
        "timestamp": "2026-03-01 10:00:00",
        "priority": "ERROR",
        "_context_user_id": "ann",
    }
    file = tmp_path / "lines"
    file.write_text(f"{json.dumps(UPLOAD)}\n\n{json.dumps(told)}\n")
    ended = program("notification", "send", *place.arguments, str(file), "-f", "json")
    assert (ended.code, ended.err) == (0, "")
    (filled,), (whole,) = place.arrived(), place.arrived("error")
    assert ended.rows == [
        {"line": 1, "message_id": filled.metadata["message_id"], "event_type": "image.upload",
         "routing_key": f"{place.topic}.info"},
        {"line": 3, "message_id": "m", "event_type": "image.upload", "routing_key": f"{place.topic}.error"},
    ]  # fmt: skip
    assert filled.payload == UPLOAD["payload"]
    assert filled.metadata["timestamp"]
    assert filled.document["publisher_id"].startswith("meteragent.")
    assert (whole.document["publisher_id"], whole.document["ctxt"]["user_id"]) == ("image.h", "ann")
    assert whole.metadata == {"message_id": "m", "timestamp": "2026-03-01 10:00:00"}


def test_a_notification_may_be_in_any_form(
    program: Program, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an envelope, or as a listener delivers it; from standard input, too, with the priority given."""
    forms = [
        {"oslo.version": "2.0", "oslo.message": json.dumps({**UPLOAD, "message_id": "m1"})},
        {**UPLOAD, "metadata": {"message_id": "m2", "timestamp": None}, "ctxt": {"user_id": "ann"}},
        {**UPLOAD, "message_id": None},
    ]
    text = "\n".join(map(json.dumps, forms))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert program("notification", "send", *place.arguments, "--priority", "error").code == 0
    first, second, third = place.arrived("error")
    assert first.metadata["message_id"] == "m1"
    assert (second.metadata["message_id"], second.document["ctxt"]["user_id"]) == ("m2", "ann")
    assert len(third.metadata["message_id"]) == 36


def test_a_sample_is_sent_as_another_agent_would(program: Program, place: Place, config: Path) -> None:
    """Signed, of this moment, with an identity of its own each time."""
    (config / "meteragent.conf").write_text("[publisher]\ntelemetry_secret = s\n")
    words = ["--sample", "cpu.util=12.5,%", "--resource", "r1", "--project", "p", "--user", "u"]
    words += ["--metadata", "flavor=small", "--metadata", "note=a=b"]
    for _ in range(2):
        assert program("notification", "send", *place.arguments, *words).code == 0
    last = ["--sample", "door=3", "--resource", "r", "--type", "delta", "--timestamp", "2026-03-01"]
    assert program("notification", "send", *place.arguments, *last).code == 0
    found = place.arrived("sample")
    assert all(len(each.payload["samples"][0]["message_signature"]) == 64 for each in found)
    dispatcher = Dispatcher({"polled": PolledSamples()})
    first, second, third = [sample for each in found for sample in dispatcher.dispatch(each).samples]
    assert (first.name, first.type, first.unit, first.volume) == ("cpu.util", "gauge", "%", 12.5)
    assert (first.resource_id, first.project_id, first.user_id) == ("r1", "p", "u")
    assert first.resource_metadata.items() == {"flavor": "small", "note": "a=b"}.items()
    assert first.origin != second.origin
    assert (third.type, third.unit, repr(third.volume), third.timestamp) == (
        "delta",
        "",
        "3",
        1772323200000000,
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("x", "not JSON: JSON is malformed: invalid character (byte 0)"),
        ("[]", "[] is no mapping"),
        ('{"payload": {}}', "event_type: missing"),
        ('{"event_type": 5}', "event_type: 5 is no text"),
        ('{"event_type": "x", "priority": "loud"}', "priority: 'loud' is none of audit, critical"),
        ('{"oslo.version": "2.0", "oslo.message": "x"}', "not JSON"),
        ('{"event_type": "\xff"}', "not JSON"),
    ],
)
def test_nothing_is_sent_when_a_line_is_no_good(
    program: Program, place: Place, tmp_path: Path, line: str, told: str
) -> None:
    """It is named with its number and what is wrong."""
    file = tmp_path / "lines"
    file.write_bytes(f"{json.dumps(UPLOAD)}\n{line}\n".encode("latin-1"))
    ended = program("notification", "send", *place.arguments, str(file))
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f"meteragent: line 2: {told}")
    assert ended.err.endswith("; nothing is sent\n")
    assert place.arrived() == []


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--sample", "cpu", "--resource", "r"], 1, "--sample 'cpu' has no =; allowed: METER=VOLUME[,UNIT]"),
        (["--sample", "cpu=x", "--resource", "r"], 1, "--sample: volume: 'x' is no number"),
        (["--sample", "cpu=nan", "--resource", "r"], 1, "--sample: volume: 'nan' is not finite"),
        (["--sample", "=1", "--resource", "r"], 1, "--sample: name: empty"),
        (["--sample", "", "--resource", "r"], 1, "--sample '' has no ="),
        (["--sample", "a=1", "--resource", "r", "--metadata", "x"], 1, "--metadata 'x' has no =;"),
        (["--sample", "a=1"], 2, "--sample needs --resource ID"),
        (["--sample", "a=1", "--resource", "r", "FILE"], 2, "--sample and a FILE do not go together"),
        (["--user", "u"], 2, "--user belongs to a sample; give --sample METER=VOLUME, too"),
        (["--priority", "loud"], 2, "argument --priority: invalid choice: 'loud'"),
        (["/nowhere"], 1, "/nowhere: cannot be read: no such file or directory"),
    ],
)  # fmt: skip
def test_a_wrong_call_is_told_in_one_line(program: Program, words: list[str], code: int, told: str) -> None:
    """Before any bus is asked."""
    ended = program("notification", "send", "--url", "amqp://127.0.0.1:1", *words)
    assert ended.code == code
    assert told in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "which message bus? Give --url, or [notification] messaging_urls in a config file"),
        (["--url", "redis://h"], "redis://h:6379: is of a kind that this command cannot use"),
        (["--url", "kafka://u:pw@h"], "URL of a message bus: 'kafka://' has no known scheme"),
        (["--url", "amqp://u:pw@127.0.0.1:1"], "amqp://u@127.0.0.1:1: 127.0.0.1:1: connection refused"),
    ],
)  # fmt: skip
def test_a_bus_that_cannot_be_used_is_told(program: Program, words: list[str], told: str) -> None:
    """In one line, without a password."""
    ended = program("notification", "send", *words, "--sample", "a=1", "--resource", "r")
    assert ended.code == 1
    assert ended.err.startswith(f"meteragent: {told}")
    assert "pw" not in ended.err


def test_where_nobody_listens_it_is_told(program: Program, place: Place) -> None:
    """Nothing is sent to nowhere."""
    words = ["--sample", "a=1", "--resource", "r"]
    ended = program("notification", "send", *place.arguments, "--topic", "else", *words)
    assert ended.code == 1
    assert f"nobody listens to exchange '{place.exchange}' for else.sample: no queue is bound" in ended.err
    ended = program("notification", "send", *place.arguments, "--exchange", "missing", *words)
    assert "NOT_FOUND - no exchange 'missing'" in ended.err


def test_the_bus_of_the_config_is_meant(program: Program, place: Place, config: Path) -> None:
    """The first, where no other is given."""
    (config / "meteragent.conf").write_text(f"[notification]\nmessaging_urls = {place.url}\n")
    words = [*place.arguments[2:], "--sample", "a=1", "--resource", "r"]
    assert program("notification", "send", *words).code == 0
    assert len(place.arrived("sample")) == 1
