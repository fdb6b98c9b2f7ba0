"""Tests that a listener survives what happens to brokers and networks, and that no message is lost by it."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from meteragent.bus import TLS
from meteragent.errors import Unavailable
from meteragent.notifications.listener import Listener, Terms
from tests.notifications.listening import (
    QUICK,
    Kept,
    ended_within,
    listening,
    made,
    numbered,
    own_bindings,
    ready,
    send,
    troubled,
    waiting,
)
from tests.proxy import Proxy
from tests.servers import Certificate, RabbitMQ, eventually


@pytest.fixture
def broker(harmed: RabbitMQ) -> RabbitMQ:
    """A broker to which harm is done."""
    return harmed


@pytest.fixture
def proxy(broker: RabbitMQ) -> Iterator[Proxy]:
    """A network to which harm is done."""
    proxy = Proxy(broker.port).start()
    try:
        yield proxy
    finally:
        proxy.stop()


def test_connections_that_are_cut_lose_nothing(
    broker: RabbitMQ, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    """Every message is taken, at most those in flight twice; each loss and return is told once."""
    kept, bindings = Kept(), own_bindings()
    with listening(broker.url(port=proxy.port), bindings, kept.take) as listener:
        ready(listener)
        for part in range(3):
            bodies = [b"%d-%d" % (part, number) for number in range(1000)]
            sender = threading.Thread(target=send, args=(broker.url(), bindings, bodies))
            sender.start()
            kept.wait_for(1000 * part + 100)
            proxy.cut()
            sender.join()
            kept.wait_for(1000 * (part + 1))
        assert listener.reconnects == 3
        assert listener.reception.redelivered > 0
        eventually(lambda: listener.pending == 0)
    assert kept.most_copies <= 4
    assert waiting(broker.url(), bindings) == 0
    lines = [each.getMessage() for each in caplog.records if each.name.startswith("meteragent")]
    assert len([line for line in lines if " is lost and is tried again: " in line]) == 3
    assert len([line for line in lines if " is back after " in line]) == 3
    assert "s3cret" not in caplog.text


def test_a_bus_that_is_lost_at_once_is_looked_for_ever_more_rarely(broker: RabbitMQ, proxy: Proxy) -> None:
    """Though a message was acknowledged; at once after a connection that has lasted, though it was quiet."""
    kept, bindings = Kept(), own_bindings()
    terms = msgspec.structs.replace(QUICK, reconnects=(0.02, 1.0))

    def lost() -> float:
        proxy.cut()
        began, before = time.monotonic(), listener.connections
        eventually(lambda: listener.connections > before)
        return time.monotonic() - began

    with listening(broker.url(port=proxy.port), bindings, kept.take, terms) as listener:
        ready(listener)
        for number in range(7):
            send(broker.url(), bindings, [b"%d" % number])
            eventually(lambda number=number: listener.reception.acknowledged > number)  # type: ignore[misc]
            lost()
        assert lost() > 0.4
        time.sleep(1.1)
        assert lost() < 0.4


def test_a_connection_that_goes_silent_is_made_anew(broker: RabbitMQ, proxy: Proxy) -> None:
    """Though nobody says that it has ended: no sign of life came for twice the heartbeat."""
    kept, bindings = Kept(), own_bindings()
    terms = msgspec.structs.replace(QUICK, heartbeat=1)
    with listening(broker.url(port=proxy.port), bindings, kept.take, terms) as listener:
        ready(listener)
        send(broker.url(), bindings, numbered(10))
        kept.wait_for(10)
        proxy.hold()
        began = time.monotonic()
        eventually(lambda: listener.trouble)
        assert 1.0 < time.monotonic() - began < 5.0
        proxy.release()
        ready(listener)
        send(broker.url(), bindings, [b"more"])
        kept.wait_for(11)


def test_stopping_does_not_wait_for_a_broker_that_hangs(broker: RabbitMQ, proxy: Proxy) -> None:
    """It ends in time, in the midst of a batch, too, and what it has not acknowledged comes to another."""
    kept, bindings = Kept(), own_bindings()
    with listening(broker.url(port=proxy.port), bindings, kept.take) as listener:
        ready(listener)
        proxy.hold()
        assert ended_within(listener) < 1.5
    proxy.cut()
    proxy.release()
    send(broker.url(), bindings, numbered(3))
    with listening(broker.url(), bindings, kept.take):
        kept.wait_for(3)


def test_stopping_does_not_read_all_that_was_sent_ahead(broker: RabbitMQ) -> None:
    """Thousands of messages on their way do not hold it up."""
    kept, bindings = Kept(), own_bindings()
    kept.open.clear()
    made(broker.url(), bindings)
    send(broker.url(), bindings, numbered(5_000, 2_000))
    listener = Listener(broker.url(), bindings, Terms(batch_size=100, prefetch=5_000), kept.take)
    listener.start()
    eventually(lambda: kept.asked)
    kept.open.set()
    assert ended_within(listener) < 1.5
    eventually(lambda: waiting(broker.url(), bindings) + len(kept.messages) == 5_000)


def test_a_broker_that_wants_its_acknowledgement_sooner_gets_the_messages_back(broker: RabbitMQ) -> None:
    """After its consumer timeout a new channel is made, and what was being taken meanwhile comes once more.

    What is not taken is not held here, so that no time runs out for it.
    """
    kept, bindings = Kept(), own_bindings()
    other, others = Kept(), own_bindings()
    other.unavailable = Unavailable("the journal is full")
    with (
        listening(broker.url(), bindings, kept.take) as slow,
        listening(broker.url(), others, other.take) as full,
    ):
        ready(slow)
        ready(full)
        send(broker.url(), others, numbered(100))
        eventually(lambda: full.trouble)
        kept.open.clear()
        send(broker.url(), bindings, numbered(10))
        eventually(lambda: slow.connections == 2)
        kept.open.set()
        eventually(lambda: kept.distinct == 10 and slow.pending == 0)
        eventually(lambda: slow.reception.acknowledged >= 10)
        time.sleep(0.6)  # a broker looks twice a second whose time is over
        assert full.connections == 1
        assert full.pending == 0
        other.unavailable = None
        other.wait_for(100)
    assert kept.most_copies == 2
    assert waiting(broker.url(), bindings) == 0
    assert len(other.messages) == 100


def test_tls_verifies_the_broker(broker: RabbitMQ, certificate: Certificate, tmp_path: Path) -> None:
    """With the authority that it comes from messages arrive; with another one, or another name, never."""
    kept, bindings = Kept(), own_bindings()
    good = Terms(batch_size=10, batch_timeout=0.05, tls=TLS(ca_file=str(certificate.ca)))
    with listening(broker.url("amqps"), bindings, kept.take, good) as listener:
        ready(listener)
        send(broker.url(), bindings, numbered(300, 5_000))
        kept.wait_for(300)
    for tls in (TLS(), TLS(ca_file=str(Certificate(tmp_path / "other").ca))):
        with listening(broker.url("amqps"), bindings, kept.take, Terms(tls=tls)) as listener:
            troubled(listener, "its certificate is not accepted: ")
    elsewhere = broker.url("amqps").replace("127.0.0.1", "127.0.0.2")
    with listening(elsewhere, bindings, kept.take, good) as listener:
        eventually(lambda: listener.trouble != "is not connected yet")
        assert kept.distinct == 300


def test_any_of_several_brokers_will_do(broker: RabbitMQ) -> None:
    """As oslo writes them, with one user for all: the one that is down does not matter."""
    kept, bindings = Kept(), own_bindings()
    url = f"rabbit://tester:s3cret@127.0.0.1:1,127.0.0.1:{broker.port}/"
    with listening(url, bindings, kept.take) as listener:
        ready(listener)
        send(broker.url(), bindings, numbered(3))
        kept.wait_for(3)
        assert listener.connections == 1
    assert kept.bodies == numbered(3)


def test_freezing_the_broker_is_noticed_and_ends(broker: RabbitMQ) -> None:
    """A broker that hangs and comes back is listened to again; stopping meanwhile takes no longer."""
    kept, bindings = Kept(), own_bindings()
    terms = msgspec.structs.replace(QUICK, heartbeat=1)
    with listening(broker.url(), bindings, kept.take, terms) as listener:
        ready(listener)
        broker.freeze()
        try:
            eventually(lambda: listener.trouble)
            hung = Listener(broker.url(), bindings, QUICK, kept.take)
            hung.start()
            time.sleep(0.2)
            assert ended_within(hung) < 1.5
        finally:
            broker.thaw()
        ready(listener, 30)
        send(broker.url(), bindings, numbered(5))
        kept.wait_for(5)
