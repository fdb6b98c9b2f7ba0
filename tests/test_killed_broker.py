"""A broker that is killed, with listeners and publishers at it; in one test, since a broker starts slowly."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest

from tests.notifications.listening import (
    QUICK,
    Kept,
    listening,
    numbered,
    own_bindings,
    ready,
    send,
    waiting,
)
from tests.publishers.test_notifier_publisher import Bus, publish, refusal, samples
from tests.servers import RabbitMQ, eventually

TERMS = msgspec.structs.replace(QUICK, batch_size=500)


@contextmanager
def listeners(broker: RabbitMQ) -> Iterator[None]:
    """Those of a durable and of a passing queue when it is killed, and one that starts while it is down."""
    kept, late, bindings, others = Kept(), Kept(), own_bindings(), own_bindings("quorum")
    passing, fleeting = Kept(), own_bindings("transient")
    kept.open.clear()
    with ExitStack() as stack:
        first = stack.enter_context(listening(broker.url(), bindings, kept.take, TERMS))
        ready(first)
        send(broker.url(), bindings, numbered(2000))
        eventually(lambda: kept.asked)
        second = stack.enter_context(listening(broker.url(), fleeting, passing.take, TERMS))
        ready(second)
        broker.kill()
        eventually(lambda: first.trouble)
        kept.open.set()
        third = stack.enter_context(listening(broker.url(), others, late.take, TERMS))
        eventually(lambda: "connection refused" in third.trouble)
        yield
        for each in (first, second, third):
            ready(each, 40)
        send(broker.url(), others, numbered(50))
        send(broker.url(), fleeting, numbered(50))
        eventually(lambda: late.distinct == passing.distinct == 50)
        eventually(lambda: kept.distinct == 2000 and first.pending == 0)
        eventually(lambda: first.reception.acknowledged >= 2000)
    assert waiting(broker.url(), bindings) == 0


def test_a_broker_that_is_killed_loses_nothing_of_what_is_durable(
    harmed: RabbitMQ, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """While it is down a listener tries on and starts, too; then all is taken and nothing is left.

    A queue that is not durable is made anew. What a publisher was confirmed is there, the rest is sent again.
    """
    place = Bus(harmed, tmp_path)
    publisher = place.publisher()
    try:
        publish(publisher, samples(700))
        with listeners(harmed):
            assert refusal(lambda: publish(publisher, samples(5))).startswith("127.0.0.1:")
            harmed.start()
            place.connect()
            publish(publisher, samples(5))
            assert len(place.arrived().samples) == 705
    finally:
        place.close()
    assert "s3cret" not in caplog.text
