"""Tests that the exchanges of others are not made but waited for, and that what has come is bound."""

import random
import threading
import time
from collections.abc import Iterator

import amqp
import msgspec
import pytest

from meteragent import bus
from meteragent.notifications.bindings import Bindings
from meteragent.notifications.listener import Listener, Terms
from meteragent.notifications.lookout import Lookout
from tests.notifications.listening import Kept, listening, made, numbered, opened, own_bindings, ready, send
from tests.proxy import Proxy
from tests.servers import RabbitMQ, eventually

LOOKING = Terms(batch_size=50, batch_timeout=0.05, looks=(0.1, 0.4))


@pytest.fixture
def bindings(rabbitmq: RabbitMQ) -> Iterator[Bindings]:
    """To an exchange of others, and to that of the agents, neither of which is there."""
    bindings = own_bindings()
    yield msgspec.structs.replace(
        bindings, exchanges=(*bindings.exchanges, "ceilometer"), own=("ceilometer",)
    )
    with opened(rabbitmq.url()) as channel:
        channel.exchange_delete("ceilometer")


@pytest.fixture
def proxy(rabbitmq: RabbitMQ) -> Iterator[Proxy]:
    """A way to the broker whose connections are counted."""
    made = Proxy(rabbitmq.port).start()
    yield made
    made.stop()


def there(server: RabbitMQ, exchange: str) -> bool:
    """Whether a broker has it."""
    with opened(server.url()) as channel:
        try:
            channel.exchange_declare(exchange, "topic", passive=True)
        except amqp.exceptions.NotFound:
            return False
        return True


def make(server: RabbitMQ, exchange: str, *, durable: bool = False) -> None:
    """Make it as a service does."""
    with opened(server.url()) as channel:
        channel.exchange_declare(exchange, "topic", durable=durable, auto_delete=False)


def told(caplog: pytest.LogCaptureFixture, words: str) -> int:
    """In how many lines a bus was told of with these words."""
    lines = [each.getMessage() for each in caplog.records if each.name.startswith("meteragent")]
    return len([line for line in lines if words in line])


@pytest.mark.parametrize("durable", [True, False])
def test_an_exchange_that_comes_later_is_bound(
    rabbitmq: RabbitMQ, bindings: Bindings, caplog: pytest.LogCaptureFixture, durable: bool
) -> None:
    """The service that makes it is not refused, of whatever kind it wants it; nobody else makes it."""
    caplog.set_level("INFO")
    kept, exchange = Kept(), bindings.exchanges[0]
    with listening(rabbitmq.url(), bindings, kept.take, LOOKING) as listener:
        ready(listener)
        eventually(lambda: there(rabbitmq, "ceilometer"))
        time.sleep(0.3)
        assert not there(rabbitmq, exchange)
        assert listener.lookout.missing == (exchange,)
        assert not listener.trouble
        make(rabbitmq, exchange, durable=durable)
        eventually(lambda: not listener.lookout.missing, 2.0)
        send(rabbitmq.url(), bindings, numbered(20))
        kept.wait_for(20)
        assert (listener.connections, len(kept.messages)) == (1, 20)
    assert told(caplog, f"waits for the exchanges {exchange}, which their services make") == 1
    assert told(caplog, f"is bound to the exchanges {exchange}, which have come") == 1


def test_an_exchange_that_was_made_anew_is_bound_again(rabbitmq: RabbitMQ, bindings: Bindings) -> None:
    """Its bindings went with it, without a word; our own is made anew, too."""
    kept, exchange = Kept(), bindings.exchanges[0]
    make(rabbitmq, exchange)
    with listening(rabbitmq.url(), bindings, kept.take, LOOKING) as listener:
        ready(listener)
        assert not listener.lookout.missing
        with opened(rabbitmq.url()) as channel:
            channel.exchange_delete(exchange)
            channel.exchange_delete("ceilometer")
        make(rabbitmq, exchange, durable=True)
        eventually(lambda: there(rabbitmq, "ceilometer"))
        send(rabbitmq.url(), bindings, numbered(5))
        kept.wait_for(5)


def test_looking_does_not_disturb_what_comes(rabbitmq: RabbitMQ, bindings: Bindings, proxy: Proxy) -> None:
    """Nothing comes twice, the connection stays, and what was sent ahead is not read for it."""
    kept, bindings = Kept(), msgspec.structs.replace(bindings, priorities=("info",))
    make(rabbitmq, bindings.exchanges[0])
    made(rabbitmq.url(), bindings)
    send(rabbitmq.url(), bindings, numbered(3000))
    kept.open.clear()
    always = Terms(batch_size=50, prefetch=3000, looks=(0.02, 0.02))
    with listening(rabbitmq.url(port=proxy.port), bindings, kept.take, always) as listener:
        eventually(lambda: proxy.accepted > 5)
        assert listener.pending <= 100
        kept.open.set()
        kept.wait_for(3000)
        assert listener.connections == 1
    assert kept.bodies == numbered(3000)


def test_a_look_that_fails_is_told_once_and_taken_again(
    rabbitmq: RabbitMQ, bindings: Bindings, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    """Until then what was missing stays missing."""
    exchange = bindings.exchanges[0]
    made(rabbitmq.url(), bindings)
    url = rabbitmq.url(port=proxy.port)
    lookout = Lookout(lambda: bus.connect(url), bindings, (0.1, 0.1), bus.label(url), random.Random())
    proxy.refusing = True
    lookout.begin((exchange,))
    try:
        make(rabbitmq, exchange)
        eventually(lambda: proxy.accepted > 3)
        assert lookout.missing == (exchange,)
        proxy.refusing = False
        eventually(lambda: not lookout.missing)
    finally:
        lookout.end()
    assert told(caplog, "cannot look whether exchanges have come: ") == 1
    assert "s3cret" not in caplog.text


def test_looks_become_rare_and_end_with_the_listener(
    rabbitmq: RabbitMQ, bindings: Bindings, proxy: Proxy
) -> None:
    """A broker logs an error for each exchange that it does not find."""
    terms = Terms(batch_timeout=0.05, looks=(0.05, 30.0))
    listener = Listener(rabbitmq.url(port=proxy.port), bindings, terms, Kept().take)
    listener.start()
    ready(listener)
    time.sleep(1.0)
    assert 1 + 2 <= proxy.accepted <= 1 + 5
    (look,) = [each for each in threading.enumerate() if each.name == f"look {listener.label}"]
    listener.stop()
    assert listener.wait_for_end(5)
    look.join(1.0)
    assert not look.is_alive()


def test_a_lost_connection_is_no_second_news(
    rabbitmq: RabbitMQ, bindings: Bindings, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    """What is waited for is told once, whatever becomes of the connection."""
    caplog.set_level("INFO")
    with listening(rabbitmq.url(port=proxy.port), bindings, Kept().take, LOOKING) as listener:
        ready(listener)
        proxy.cut()
        eventually(lambda: listener.connections == 2)
        time.sleep(0.5)
        looks = [each for each in threading.enumerate() if each.name == f"look {listener.label}"]
        assert len(looks) == 1
    assert told(caplog, "waits for the exchanges") == 1
