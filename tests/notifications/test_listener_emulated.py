"""Tests that a listener works where the bus library emulates queues: in memory, in a folder, in Redis."""

import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from kombu.entity import Exchange
from kombu.messaging import Producer

from meteragent import bus
from meteragent.bus import TLS
from meteragent.errors import Unavailable
from meteragent.notifications.bindings import Bindings
from meteragent.notifications.listener import Listener, Terms
from tests.notifications.listening import (
    QUICK,
    Kept,
    ended_within,
    listening,
    numbered,
    own_bindings,
    ready,
    troubled,
)
from tests.proxy import Proxy
from tests.servers import Certificate, Redis, eventually


@pytest.fixture(params=["memory", "filesystem", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a bus is that is emulated."""
    if request.param == "redis":
        server: Redis = request.getfixturevalue("redis_server")
        return server.url()
    return "memory://" if request.param == "memory" else f"filesystem://{tmp_path}"


def publish(url: str, bindings: Bindings, bodies: Iterable[bytes], queue: int = 0) -> None:
    """Send to a topic exchange as a service does."""
    connection = bus.connect(url)
    exchange = Exchange(bindings.exchanges[0], "topic")
    producer = Producer(connection.channel(), exchange=exchange)
    for body in bodies:
        producer.publish(
            body,
            routing_key=bindings.queues[queue],
            content_type="application/json",
            content_encoding="utf-8",
        )
    bus.close(connection)


def test_messages_are_taken_and_forgotten_and_those_in_hand_at_the_end_go_back(url: str) -> None:
    """Each is taken once, with its headers, from each queue; what went back is taken by the next listener."""
    kept, bindings = Kept(), own_bindings()
    with listening(url, bindings, kept.take) as listener:
        ready(listener)
        publish(url, bindings, [b'{"a": "\xc3\xbc"}', *numbered(19)])
        publish(url, bindings, [b"other"], queue=1)
        eventually(lambda: len(kept.messages) == 21)
        eventually(lambda: listener.pending == 0)
    assert set(kept.bodies) == {b'{"a": "\xc3\xbc"}', *numbered(19), b"other"}
    assert {message.routing_key for message in kept.messages} == set(bindings.queues)
    assert kept.messages[0].content_type == "application/json"
    patient = Listener(url, bindings, Terms(batch_size=100, batch_timeout=30.0), kept.take)
    patient.start()
    ready(patient)
    publish(url, bindings, numbered(10))
    eventually(lambda: patient.pending >= 10)
    patient.stop()
    assert patient.wait_for_end(5)
    assert patient.received == 10
    assert len(kept.messages) == 21
    with listening(url, bindings, kept.take):
        eventually(lambda: len(kept.messages) == 31)
    assert sorted(kept.bodies[21:]) == numbered(10)


def test_labels_that_are_no_text_are_made_text(url: str) -> None:
    """Who emulates queues passes on whatever a sender puts there."""
    kept, bindings = Kept(), own_bindings()
    with listening(url, bindings, kept.take) as listener:
        ready(listener)
        connection = bus.connect(url)
        producer = Producer(connection.channel(), exchange=Exchange(bindings.exchanges[0], "topic"))
        producer.publish(b"{}", bindings.queues[0], content_type=["a"], content_encoding=5)
        bus.close(connection)
        kept.wait_for(1)
    assert (kept.messages[0].content_type, kept.messages[0].content_encoding) == ("['a']", "5")


def test_what_is_not_taken_comes_again(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    """It goes back to its queue, and nothing is printed about it."""
    kept, bindings = Kept(), own_bindings()
    kept.unavailable = Unavailable("the journal is full")
    with listening(url, bindings, kept.take) as listener:
        ready(listener)
        publish(url, bindings, numbered(20))
        troubled(listener, "the journal is full")
        eventually(lambda: listener.pending == 0)
        kept.unavailable = None
        kept.wait_for(20)
    assert len(kept.messages) == 20
    assert capfd.readouterr() == ("", "")


def test_a_lost_redis_is_found_again(redis_server: Redis, caplog: pytest.LogCaptureFixture) -> None:
    """What was not acknowledged before the loss is given back by Redis after an hour only; the rest comes."""
    kept, bindings = Kept(), own_bindings()
    proxy = Proxy(redis_server.port).start()
    try:
        with listening(redis_server.url(proxy.port), bindings, kept.take) as listener:
            ready(listener)
            publish(redis_server.url(), bindings, numbered(5))
            kept.wait_for(5)
            eventually(lambda: listener.pending == 0)
            proxy.cut()
            eventually(lambda: listener.connections == 2)
            ready(listener)
            publish(redis_server.url(), bindings, [b"more"])
            kept.wait_for(6)
    finally:
        proxy.stop()
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis://:wrong-secret@127.0.0.1:{port}/0", "invalid username-password pair"),
        ("redis://127.0.0.1:{port}/0", "Authentication required"),
        ("redis://:x@127.0.0.1:1/0", "Connection refused"),
        ("redis://:s3cret@127.0.0.1:{port}/99", "DB index is out of range"),
        ("filesystem:///proc/nothing/here", "/proc/nothing"),
    ],
)
def test_what_keeps_it_from_its_bus_is_told(
    redis_server: Redis, caplog: pytest.LogCaptureFixture, url: str, reason: str
) -> None:
    """In one line, once, without the password."""
    with listening(url.format(port=redis_server.port), own_bindings(), Kept().take) as listener:
        troubled(listener, reason)
        time.sleep(0.2)
    told = [each for each in caplog.records if each.name.startswith("meteragent")]
    assert len(told) == 1
    assert told[0].exc_info is None
    assert "wrong-secret" not in caplog.text


def test_a_redis_that_hangs_does_not_hold_up_the_end(redis_server: Redis) -> None:
    """Stopping takes as long as elsewhere."""
    kept = Kept()
    proxy = Proxy(redis_server.port).start()
    try:
        listener = Listener(redis_server.url(proxy.port), own_bindings(), QUICK, kept.take)
        listener.start()
        ready(listener)
        proxy.hold()
        time.sleep(0.3)
        assert ended_within(listener) < 2.0
    finally:
        proxy.stop()


def test_redis_is_verified_where_it_speaks_tls(tmp_path: Path) -> None:
    """With the authority that it comes from messages arrive, else never."""
    certificate = Certificate(tmp_path / "certificate")
    server = Redis(certificate)
    try:
        server.start()
        kept, bindings = Kept(), own_bindings()
        good = Terms(batch_timeout=0.05, tls=TLS(ca_file=str(certificate.ca)))
        with listening(server.url(scheme="rediss"), bindings, kept.take, good) as listener:
            ready(listener)
            publish(server.url(), bindings, numbered(5))
            kept.wait_for(5)
        with listening(server.url(scheme="rediss"), bindings, kept.take) as listener:
            troubled(listener, "certificate verify failed")
            assert listener.connections == 0
        assert kept.bodies == numbered(5)
    finally:
        server.stop()
