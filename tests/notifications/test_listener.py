"""Tests that a listener on a real broker receives, acknowledges what is kept, and gives back what is not."""

import re
import socket
import time
from collections.abc import Sequence

import pytest

from meteragent import bus
from meteragent.errors import ConfigError, Unavailable
from meteragent.message import Message
from meteragent.notifications import reception
from meteragent.notifications.bindings import Bindings
from meteragent.notifications.listener import Listener, Terms
from tests.notifications.listening import (
    QUICK,
    Kept,
    Partly,
    ended_within,
    listening,
    numbered,
    opened,
    own_bindings,
    ready,
    send,
    waiting,
)
from tests.servers import RabbitMQ, eventually


def test_messages_are_taken_in_batches_and_then_acknowledged(rabbitmq: RabbitMQ) -> None:
    """All of them once, in order, with their headers; nothing is left in the queue."""
    kept, bindings = Kept(), own_bindings()
    with listening(rabbitmq.url(), bindings, kept.take) as listener:
        ready(listener)
        send(
            rabbitmq.url(), bindings, numbered(500), content_type="application/json", content_encoding="utf-8"
        )
        eventually(lambda: len(kept.messages) == 500)
        eventually(lambda: listener.pending == 0)
        assert listener.reception.received == 500
    assert kept.bodies == numbered(500)
    assert max(kept.batches) <= 50
    assert kept.messages[0].routing_key == bindings.queues[0]
    assert (kept.messages[0].content_type, kept.messages[0].content_encoding) == ("application/json", "utf-8")
    assert waiting(rabbitmq.url(), bindings) == 0


def taking(server: RabbitMQ, bindings: Bindings, kept: Kept) -> Listener:
    """A listener that has begun to take the first of 120 messages, which ends when ``kept`` is open."""
    kept.open.clear()
    listener = Listener(server.url(), bindings, QUICK, kept.take)
    listener.start()
    ready(listener)
    send(server.url(), bindings, numbered(120))
    eventually(lambda: kept.asked)
    return listener


def test_nothing_is_acknowledged_before_it_is_taken(rabbitmq: RabbitMQ) -> None:
    """A listener that is gone while messages are taken in leaves them at the broker."""
    kept, bindings = Kept(), own_bindings()
    listener = taking(rabbitmq, bindings, kept)
    assert listener.pending >= 50
    listener.stop()
    assert not listener.wait_for_end(0.5)
    kept.unavailable = Unavailable("no")
    kept.open.set()
    assert listener.wait_for_end(5)
    assert waiting(rabbitmq.url(), bindings) == 120


def test_stopping_ends_the_batch_that_is_taken_and_gives_back_the_rest(rabbitmq: RabbitMQ) -> None:
    """What is being taken is acknowledged; with what went back nothing is lost and nothing doubled."""
    kept, bindings = Kept(), own_bindings()
    listener = taking(rabbitmq, bindings, kept)
    listener.stop()
    kept.open.set()
    assert ended_within(listener) < 1.5
    assert len(kept.messages) == 50
    assert waiting(rabbitmq.url(), bindings) == 70


@pytest.mark.parametrize("answers", [True, False])
def test_what_is_not_taken_goes_back_and_comes_again(
    rabbitmq: RabbitMQ, caplog: pytest.LogCaptureFixture, answers: bool
) -> None:
    """While nothing is taken all messages are the broker's, and each is taken once in the end."""
    kept, bindings = Kept(), own_bindings()
    kept.unavailable, kept.answers_questions = Unavailable("the journal is full"), answers
    with listening(rabbitmq.url(), bindings, kept.take) as listener:
        ready(listener)
        send(rabbitmq.url(), bindings, numbered(300))
        told = "messages are not taken in: the journal is full"
        eventually(lambda: listener.trouble == told)
        eventually(lambda: waiting(rabbitmq.url(), bindings) >= 290)
        asked, until = kept.asked, time.monotonic() + 0.6
        while time.monotonic() < until:
            assert listener.trouble == told
            time.sleep(0.005)
        assert kept.asked - asked <= 3
        assert listener.pending <= 10
        kept.unavailable = None
        kept.wait_for(300)
        eventually(lambda: not listener.trouble)
    assert len(kept.messages) == 300
    assert waiting(rabbitmq.url(), bindings) == 0
    lines = [each.getMessage() for each in caplog.records]
    assert len([line for line in lines if "until they are taken in: the journal is full" in line]) == 1
    assert len([line for line in lines if "are taken in again" in line]) == 1


def test_a_hold_ends_though_nothing_is_left_to_try_it_with(
    rabbitmq: RabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one has taken what went back."""
    monkeypatch.setattr(reception, "KEPT", 0.5)
    kept, bindings = Kept(), own_bindings()
    kept.unavailable = Unavailable("the journal is full")
    with listening(rabbitmq.url(), bindings, kept.take) as listener:
        ready(listener)
        send(rabbitmq.url(), bindings, numbered(30))
        eventually(lambda: waiting(rabbitmq.url(), bindings) == 30)
        with opened(rabbitmq.url()) as channel:
            channel.queue_purge(bindings.queues[0])
        assert listener.trouble
        kept.unavailable = None
        ready(listener)
    assert kept.messages == []


def test_what_is_taken_in_part_is_acknowledged_in_part(rabbitmq: RabbitMQ) -> None:
    """The beginning of a batch that is kept does not come again."""
    kept, bindings = Kept(), own_bindings()
    kept.unavailable = Partly(20)
    with listening(rabbitmq.url(), bindings, kept.take) as listener:
        ready(listener)
        send(rabbitmq.url(), bindings, numbered(50))
        eventually(lambda: listener.reception.acknowledged == 20)
        kept.unavailable = None
        kept.wait_for(50)
    assert len(kept.messages) == 50


def test_a_fault_in_taking_loses_nothing(rabbitmq: RabbitMQ, caplog: pytest.LogCaptureFixture) -> None:
    """It is told once with its traceback, and the messages come again."""
    kept, bindings = Kept(), own_bindings()
    kept.unavailable, kept.answers_questions = ZeroDivisionError("division by zero"), False
    with listening(rabbitmq.url(), bindings, kept.take) as listener:
        ready(listener)
        send(rabbitmq.url(), bindings, numbered(30))
        eventually(lambda: "ZeroDivisionError: division by zero" in listener.trouble)
        eventually(lambda: kept.asked >= 3)
        kept.unavailable = None
        kept.wait_for(30)
    assert len(kept.messages) == 30
    assert len([each for each in caplog.records if each.exc_info]) == 1


def test_heartbeats_go_on_while_a_batch_is_taken(rabbitmq: RabbitMQ) -> None:
    """A batch that takes far longer than the broker's patience is acknowledged on the same connection."""
    kept, bindings = Kept(), own_bindings()
    terms = Terms(batch_size=10, batch_timeout=0.01, heartbeat=1)
    with listening(rabbitmq.url(), bindings, kept.take, terms) as listener:
        ready(listener)
        kept.open.clear()
        send(rabbitmq.url(), bindings, numbered(100))
        eventually(lambda: kept.asked)
        time.sleep(3.1)  # a broker waits for 2 to 3 heartbeats
        kept.open.set()
        eventually(lambda: len(kept.messages) == 100)
        assert listener.connections == 1


def test_queues_and_exchanges_are_declared_as_told(rabbitmq: RabbitMQ) -> None:
    """Durable, quorum or transient; a service that declares the same is not refused."""
    for queue_type, arguments in (("durable", {}), ("transient", {}), ("quorum", {"x-queue-type": "quorum"})):
        kept, bindings = Kept(), own_bindings(queue_type, exchanges=2)
        with listening(rabbitmq.url(), bindings, kept.take) as listener:
            ready(listener)
            durable = queue_type != "transient"
            with opened(rabbitmq.url()) as channel:
                for exchange in bindings.exchanges:
                    channel.exchange_declare(exchange, "topic", durable=durable, auto_delete=False)
                for queue in bindings.queues:
                    channel.queue_declare(queue, durable=durable, auto_delete=False, arguments=arguments)
            send(rabbitmq.url(), bindings, numbered(3))
            send(rabbitmq.url(), bindings, numbered(6), queue=1)
            eventually(lambda: len(kept.messages) == 9)  # noqa: B023  # it ends before the next kind
            assert listener.connections == 1
        assert {message.routing_key for message in kept.messages} == set(bindings.queues)
        assert sorted(kept.bodies) == sorted([*numbered(3), *numbered(6)])


def test_what_exists_is_used_as_it_is(rabbitmq: RabbitMQ) -> None:
    """Queue and exchange that a service has made of another kind are listened to and stay."""
    kept, bindings = Kept(), own_bindings("durable")
    with opened(rabbitmq.url()) as channel:
        channel.exchange_declare(bindings.exchanges[0], "topic", durable=False, auto_delete=False)
        channel.queue_declare(bindings.queues[0], durable=False, auto_delete=False)
    with listening(rabbitmq.url(), bindings, kept.take) as listener:
        ready(listener)
        send(rabbitmq.url(), bindings, numbered(7))
        eventually(lambda: len(kept.messages) == 7)
        assert listener.connections == 1
    with opened(rabbitmq.url()) as channel:
        channel.queue_declare(bindings.queues[0], durable=False, auto_delete=False)


def test_a_queue_that_is_deleted_is_made_anew(rabbitmq: RabbitMQ) -> None:
    """The broker's word that a consumer is cancelled is no end."""
    kept, bindings = Kept(), own_bindings()
    with listening(rabbitmq.url(), bindings, kept.take) as listener:
        ready(listener)
        with opened(rabbitmq.url()) as channel:
            channel.queue_delete(bindings.queues[0])
        eventually(lambda: listener.connections == 2)
        send(rabbitmq.url(), bindings, numbered(5))
        eventually(lambda: len(kept.messages) == 5)
        assert listener.connections == 2
    assert kept.bodies == numbered(5)
    assert waiting(rabbitmq.url(), bindings) == 0


def test_bodies_of_any_kind_are_passed_on(rabbitmq: RabbitMQ) -> None:
    """Empty, binary, and larger than a frame, as they were sent."""
    kept, bindings = Kept(), own_bindings()
    bodies = [b"", b"\x00\xff\xfe", "ü".encode("latin-1"), b"x" * 1_000_000, b"{}"]
    encoded = [("ü".encode(name), name) for name in ("utf-8", "latin-1", "utf-16", "utf-16-le")]
    with listening(rabbitmq.url(), bindings, kept.take) as listener:
        ready(listener)
        send(rabbitmq.url(), bindings, bodies)
        eventually(lambda: len(kept.messages) == len(bodies))
        for body, name in encoded:
            send(rabbitmq.url(), bindings, [body], content_encoding=name)
        eventually(lambda: len(kept.messages) == len(bodies) + len(encoded))
    assert kept.bodies == bodies + [body for body, _ in encoded]
    assert [each.content_encoding for each in kept.messages[len(bodies) :]] == [name for _, name in encoded]
    assert {type(body) for body in kept.bodies} == {bytes}
    assert kept.messages[0].content_type is None


def test_a_batch_is_bounded_in_bytes(rabbitmq: RabbitMQ) -> None:
    """16 MiB, unless a single message is larger; such a message is passed on alone."""
    kept, bindings = Kept(), own_bindings()
    sizes: list[int] = []

    def take(messages: Sequence[Message]) -> None:
        sizes.append(sum(len(message.body) for message in messages))
        kept.take(messages)

    with listening(rabbitmq.url(), bindings, take, Terms(batch_size=500, batch_timeout=0.5)) as listener:
        ready(listener)
        send(rabbitmq.url(), bindings, [*numbered(5, 6_000_000), b"x" * 17_000_000])
        eventually(lambda: len(kept.messages) == 6)
    assert sorted(size for size in sizes if size > 16 << 20) == [17_000_000]
    assert len(sizes) >= 3


def test_two_listeners_share_a_queue(rabbitmq: RabbitMQ) -> None:
    """Each message is taken by one of them."""
    one, other, bindings = Kept(), Kept(), own_bindings()
    with (
        listening(rabbitmq.url(), bindings, one.take) as first,
        listening(rabbitmq.url(), bindings, other.take) as second,
    ):
        ready(first)
        ready(second)
        send(rabbitmq.url(), bindings, numbered(400))
        eventually(lambda: len(one.messages) + len(other.messages) == 400)
    assert set(one.bodies) | set(other.bodies) == set(numbered(400))
    assert one.messages
    assert other.messages


def test_an_idle_listener_costs_almost_nothing(rabbitmq: RabbitMQ) -> None:
    """Less than two thousandths of a processor."""
    kept, bindings = Kept(), own_bindings()
    with listening(rabbitmq.url(), bindings, kept.take, Terms()) as listener:
        ready(listener)
        time.sleep(0.3)
        before = time.process_time()
        time.sleep(2)
        assert time.process_time() - before < 0.002 * 2 + 0.004


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("amqp://tester:wrong-secret@127.0.0.1:{port}//", "ACCESS_REFUSED - Login was refused"),
        ("amqp://tester:s3cret@127.0.0.1:{port}/nowhere", "NOT_ALLOWED - vhost nowhere not found"),
        ("amqp://tester:s3cret@127.0.0.1:1//", "127.0.0.1:1: connection refused"),
        ("amqp://tester:s3cret@nowhere.invalid//", "nowhere.invalid:5672: "),
        ("amqps://tester:s3cret@127.0.0.1:{port}//", "wrong version number"),
    ],
)
def test_what_keeps_it_from_its_bus_is_told_once(
    rabbitmq: RabbitMQ, caplog: pytest.LogCaptureFixture, url: str, reason: str
) -> None:
    """In one line without the password, and it goes on trying."""
    kept = Kept()
    with listening(url.format(port=rabbitmq.port), own_bindings(), kept.take) as listener:
        eventually(lambda: reason in listener.trouble)
        time.sleep(0.2)  # in which it tries twice
        assert reason in listener.trouble
    errors = [each.getMessage() for each in caplog.records if each.name.startswith("meteragent")]
    assert len(errors) == 1
    assert re.search(r"^bus \S+ cannot be listened to and is tried again: .*" + re.escape(reason), errors[0])
    assert "s3cret" not in caplog.text
    assert "wrong-secret" not in caplog.text


def test_stopping_before_the_bus_is_found_ends_at_once() -> None:
    """Also where a connection is being made that nobody answers."""
    kept = Kept()
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        url = f"amqp://u:p@127.0.0.1:{deaf.getsockname()[1]}//"
        listener = Listener(url, own_bindings(), QUICK, kept.take)
        listener.start()
        time.sleep(0.3)
        listener.stop()
        assert ended_within(listener) < 0.5


@pytest.mark.parametrize(
    ("url", "exchanges", "topics", "priorities", "told"),
    [
        ("http://h", ("x",), ("t",), ("info",), "has no known scheme"),
        ("amqp://h", (), ("t",), ("info",), "exchanges is empty"),
        ("amqp://h", ("x",), (), ("info",), "topics is empty"),
        ("amqp://h", ("x",), ("t",), (), "priorities is empty"),
        ("amqp://h", ("x",), ("a b",), ("info",), "topics: 'a b'; allowed: names without spaces"),
        ("amqp://h", ("x",), ("a.#",), ("info",), "topics: 'a.#'"),
        ("amqp://h", ("",), ("a",), ("info",), "exchanges: ''"),
        ("amqp://h", ("x",), ("ä" * 130,), ("info",), "is too long; allowed: 255 bytes"),
    ],
)
def test_what_cannot_be_listened_to_is_a_config_error(
    url: str, exchanges: tuple[str, ...], topics: tuple[str, ...], priorities: tuple[str, ...], told: str
) -> None:
    """When the listener is made, long before a broker could say so."""
    with pytest.raises(ConfigError, match=re.escape(told)):
        Listener(url, Bindings(exchanges, topics, priorities), QUICK, Kept().take)


def test_a_connection_is_known_by_its_name_and_waits_for_nothing_without_end(rabbitmq: RabbitMQ) -> None:
    """The system looks after it, too: keepalive, and an end to what is not confirmed."""

    connection = bus.connect(rabbitmq.url(), heartbeat=7, name="meteragent on here")
    try:
        raw = connection.connection
        assert raw.client_properties["connection_name"] == "meteragent on here"
        assert raw.heartbeat == 7
        sock = raw.transport.sock
        assert sock.gettimeout() == 10.0
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 7
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 14_000
    finally:
        bus.close(connection)
    assert not connection.connected
