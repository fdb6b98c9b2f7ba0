"""Tests of `meteragent notification tap`: it shows what arrives, and takes nothing from anybody."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from meteragent import bus
from meteragent.notifications.bindings import Bindings, declare
from tests.cli.conftest import Program
from tests.proxy import Proxy
from tests.servers import RabbitMQ, eventually

UPLOAD = {
    "event_type": "image.upload", "message_id": "m1", "priority": "INFO", "timestamp": "2026-03-01 10:00:00",
    "payload": {"id": "i", "size": 7, "owner": "p"},
}  # fmt: skip


class Taps:
    """Runs the command, each in a process of its own, on an exchange that an agent reads, too."""

    def __init__(self, server: RabbitMQ, folder: Path) -> None:
        self.server, self.folder, self.exchange = server, folder, f"x{uuid4().hex}"
        self.topic = f"t{uuid4().hex}"
        self.connection = bus.connect(server.url())
        own = (self.exchange,)
        declare(self.connection, Bindings(own, (self.topic,), ("info",), own=own))
        self.config = folder / "meteragent.conf"
        self.config.write_text(
            f"[notification]\nmessaging_urls = {server.url()}\nexchanges = nix, {self.exchange}\n"
            f"topics = {self.topic}\n"
        )
        self.running: list[subprocess.Popen[str]] = []

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Begin to listen in."""
        environment = {**os.environ, "HOME": str(self.folder), "PYTHONWARNINGS": "error"}
        words = ("notification", "tap", *words, "--config-file", str(self.config))
        made = subprocess.Popen(
            [sys.executable, "-m", "meteragent", *words, "--state-dir", str(self.folder)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        self.running.append(made)
        assert made.stderr is not None
        assert "listening in on the topics" in made.stderr.readline()
        return made

    def send(self, message: Any, priority: str = "info") -> None:
        """Put a message on the bus."""
        channel: Any = self.connection.channel()
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        prepared = channel.prepare_message(body, content_type="application/json")
        channel.basic_publish(prepared, exchange=self.exchange, routing_key=f"{self.topic}.{priority}")
        channel.close()

    def waiting(self) -> int:
        """Messages that wait for the agent."""
        channel: Any = self.connection.channel()
        found: int = channel.queue_declare(f"{self.topic}.info", passive=True).message_count
        channel.close()
        return found

    def close(self) -> None:
        """End all."""
        for each in self.running:
            each.kill()
            each.communicate()
        bus.close(self.connection)


@pytest.fixture
def taps(rabbitmq: RabbitMQ, tmp_path: Path) -> Iterator[Taps]:
    """At the broker of all tests."""
    made = Taps(rabbitmq, tmp_path)
    yield made
    made.close()


def test_it_shows_what_arrives_and_what_becomes_of_it(taps: Taps) -> None:
    """A line each, as it comes; the messages wait for the agent as before."""
    tap = taps.start("--limit", "4", "-f", "json")
    taps.send(UPLOAD)
    assert tap.stdout is not None
    first = json.loads(tap.stdout.readline())
    taps.send(
        {**UPLOAD, "event_type": "door.open\x1b[2J\u009b", "message_id": "m2", "priority": "audit"}, "audit"
    )
    taps.send(b"x\x1b[2J")
    taps.send(
        {**UPLOAD, "event_type": "telemetry.polling", "payload": {"samples": [1]}, "priority": "sample"}
    )
    out, err = tap.communicate(timeout=20)
    lines = [json.loads(line) for line in out.splitlines()]
    assert (tap.returncode, err) == (0, "")
    assert not {"\x1b", "\u009b"}.intersection(out)
    told = [tuple(each.values())[1:] for each in (first, *lines)]
    assert told[0] == ("image.upload", "m1", "converted", 1, 1, [])
    assert told[1] == ("door.open\x1b[2J\u009b", "m2", "ignored", 0, 0, [])
    assert told[2][:5] == ("", "", "refused", 0, 0)
    assert told[2][5][0].startswith("message: not JSON")
    assert told[3][5] == ["sample 1, meter None: 1 is no mapping"]
    assert first["time"].endswith("Z")
    assert taps.waiting() == 3


def test_a_table_comes_line_by_line(taps: Taps) -> None:
    """Nothing in it steers the terminal; further problems stand below."""
    tap = taps.start("--stop-after", "30", "--limit", "1")
    problems = {"samples": [1, {"counter_name": "\x1b[2J"}]}
    taps.send({**UPLOAD, "event_type": "telemetry.polling\x9b", "payload": problems, "priority": "sample"})
    taps.send({**UPLOAD, "event_type": "telemetry.polling", "payload": problems, "priority": "sample"})
    out, _ = tap.communicate(timeout=20)
    header, first = out.splitlines()
    assert header.split() == ["time", "event_type", "message_id", "result", "samples", "events", "problems"]
    assert first.split()[1:6] == ["telemetry.polling\\x9b", "m1", "ignored", "0", "0"]
    tap = taps.start("--stop-after", "30", "--limit", "1")
    taps.send({**UPLOAD, "event_type": "telemetry.polling", "payload": problems, "priority": "sample"})
    out, _ = tap.communicate(timeout=20)
    assert out.splitlines()[1].endswith("0        0       sample 1, meter None: 1 is no mapping")
    assert out.splitlines()[2] == r"    sample 2, meter '\x1b[2J': timestamp: missing"


def test_only_some_event_types_are_shown(taps: Taps) -> None:
    """By a pattern, and what is refused; the limit counts those that are shown, brackets are themselves."""
    tap = taps.start("--event-type", "image.*", "--limit", "1", "-f", "json")
    for event_type in ("door.open", "image.upload", "image.delete"):
        taps.send({**UPLOAD, "event_type": event_type})
    taps.send(b"x")
    out, _ = tap.communicate(timeout=20)
    assert [json.loads(line)["event_type"] for line in out.splitlines()] == ["image.upload"]
    tap = taps.start("--event-type", "image.[a]", "--limit", "2", "-f", "json")
    for message in ({**UPLOAD, "event_type": "image.a"}, b"x", {**UPLOAD, "event_type": "image.[a]"}):
        taps.send(message)
    out, _ = tap.communicate(timeout=20)
    told = [json.loads(line) for line in out.splitlines()]
    assert [(each["event_type"], each["result"]) for each in told] == [
        ("", "refused"),
        ("image.[a]", "converted"),
    ]


def test_it_ends_when_told_to(taps: Taps, rabbitmq: RabbitMQ) -> None:
    """By Ctrl-C or after a time, with 0 and without a word; nothing of it is left at the broker."""
    tap = taps.start()
    assert tap.stdout is not None
    assert tap.stdout.readline().startswith("time ")  # which is written after the hint
    tap.send_signal(signal.SIGINT)
    out, err = tap.communicate(timeout=10)
    assert (tap.returncode, out, err) == (0, "", "")
    tap = taps.start("--stop-after", "0.5")
    assert (tap.wait(10), tap.communicate()[1]) == (0, "")
    tap = taps.start()
    tap.kill()
    program = "/usr/lib/rabbitmq/bin/rabbitmqctl"

    def queues() -> str:
        told = [program, "-q", "--no-table-headers", "list_queues", "name"]
        return subprocess.run(
            told, env=rabbitmq._environment(), capture_output=True, text=True, check=True
        ).stdout

    eventually(lambda: "amq.gen" not in queues())


def test_a_lost_connection_ends_it_with_a_reason(taps: Taps, rabbitmq: RabbitMQ) -> None:
    """In one line, with 1."""
    proxy = Proxy(rabbitmq.port).start()
    try:
        tap = taps.start("--url", rabbitmq.url(port=proxy.port))
        proxy.cut()
        _, err = tap.communicate(timeout=20)
        assert tap.returncode == 1
        assert err.startswith(f"meteragent: amqp://tester@127.0.0.1:{proxy.port}")
        assert err.count("\n") == 1
    finally:
        proxy.stop()


@pytest.mark.parametrize(
    ("options", "words", "told"),
    [
        ("", [], "which message bus? Give --url, or [notification] messaging_urls in a config file"),
        ("", ["--url", "amqp://u:pw@127.0.0.1:1"], "amqp://u@127.0.0.1:1: 127.0.0.1:1: connection refused"),
        ("", ["--url", "memory://"], "memory://: is of a kind that this command cannot use; allowed: amqp"),
        ("topics =", ["--url", "amqp://127.0.0.1:1"], "topics is empty: nothing would be listened to"),
    ],
)
def test_what_cannot_be_listened_in_on_is_told(
    program: Program, config: Path, options: str, words: list[str], told: str
) -> None:
    """In one line."""
    (config / "meteragent.conf").write_text(f"[notification]\n{options}\n")
    ended = program("notification", "tap", *words)
    assert ended.code == 1
    assert ended.err.startswith(f"meteragent: {told}")


def test_where_there_is_no_exchange_nothing_is_made(
    program: Program, config: Path, rabbitmq: RabbitMQ
) -> None:
    """It is told who makes them."""
    (config / "meteragent.conf").write_text("[notification]\nexchanges = nix, none\n")
    ended = program("notification", "tap", "--url", rabbitmq.url())
    assert ended.code == 1
    assert "none of the exchanges nix, none is there: no service has sent anything yet" in ended.err
