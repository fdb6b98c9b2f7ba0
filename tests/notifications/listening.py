"""What the tests of listeners share: a place that messages are taken to, queues of their own, and senders."""

import contextlib
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from meteragent import bus
from meteragent.errors import Unavailable
from meteragent.message import Message
from meteragent.notifications.bindings import Bindings, declare
from meteragent.notifications.listener import Listener, Terms
from meteragent.notifications.taker import Take
from tests.servers import eventually

QUICK = Terms(
    batch_size=50, batch_timeout=0.05, heartbeat=2, reconnects=(0.05, 0.4), retries=(0.25, 0.5)
)  # fmt: skip


class Kept:
    """Takes messages and keeps them; may be told to be unavailable."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.batches: list[int] = []
        self.asked = 0
        """How often, with messages or without."""
        self.unavailable: Exception | None = None
        self.answers_questions = True
        """Whether it tells that it is unavailable already when it is given nothing."""
        self.open = threading.Event()
        """Taking waits for it."""
        self.open.set()

    def take(self, messages: Sequence[Message]) -> None:
        """Keep them."""
        self.asked += 1
        self.open.wait(30)
        if self.unavailable is not None and (messages or self.answers_questions):
            self.messages += messages[: getattr(self.unavailable, "taken", 0)]
            raise self.unavailable
        self.messages += messages
        self.batches.append(len(messages))

    @property
    def bodies(self) -> list[bytes]:
        """Of the messages that it keeps."""
        return [message.body for message in list(self.messages)]

    @property
    def distinct(self) -> int:
        """How many different ones."""
        return len(set(self.bodies))

    def wait_for(self, distinct: int) -> None:
        """Wait until so many different ones have come."""
        eventually(lambda: self.distinct >= distinct)

    @property
    def most_copies(self) -> int:
        """How often the one came that came most often."""
        return max(Counter(self.bodies).values(), default=0)


class Partly(Unavailable):
    """Some are kept."""

    def __init__(self, taken: int) -> None:
        super().__init__("the journal is full")
        self.taken = taken


def own_bindings(queue_type: str = "durable", exchanges: int = 1) -> Bindings:
    """Queues and exchanges that no other test knows; the exchanges are made with the queues."""
    name = uuid.uuid4().hex[:12]
    names = tuple(f"x{number}-{name}" for number in range(exchanges))
    return Bindings(names, (f"t-{name}",), ("info", "sample"), queue_type, own=names)


@contextlib.contextmanager
def listening(url: str, bindings: Bindings, take: Take, terms: Terms = QUICK) -> Iterator[Listener]:
    """A listener that has started, and ends with this."""
    listener = Listener(url, bindings, terms, take)
    listener.start()
    try:
        yield listener
    finally:
        listener.stop()
        assert listener.wait_for_end(10.0)


def ended_within(listener: Listener) -> float:
    """Seconds that it takes to end, and not more than five."""
    began = time.monotonic()
    listener.stop()
    assert listener.wait_for_end(5)
    return time.monotonic() - began


def ready(listener: Listener, seconds: float = 15.0) -> None:
    """Wait until it listens."""
    eventually(lambda: not listener.trouble, seconds)


def troubled(listener: Listener, told: str) -> None:
    """Wait until it tells that."""
    eventually(lambda: told in listener.trouble)


def send(url: str, bindings: Bindings, bodies: Iterable[bytes], queue: int = 0, **about: Any) -> None:
    """Publish messages; the broker has all of them when this ends."""
    import amqp

    with opened(url) as channel:
        channel.tx_select()
        for body in bodies:
            message = amqp.Message(body, delivery_mode=2, **about)
            channel.basic_publish(message, bindings.exchanges[0], bindings.queues[queue])
        channel.tx_commit()


@contextlib.contextmanager
def opened(url: str) -> Iterator[Any]:
    """A channel."""
    connection = bus.connect(url)
    bus.patience(connection, 60.0)
    try:
        yield connection.channel()
    finally:
        bus.close(connection)


def made(url: str, bindings: Bindings) -> None:
    """Let the queues be there before a listener is."""
    connection = bus.connect(url)
    declare(connection, bindings)
    bus.close(connection)


def waiting(url: str, bindings: Bindings) -> int:
    """Messages in the queues that are not delivered to anyone."""
    with opened(url) as channel:
        return sum(channel.queue_declare(queue, passive=True).message_count for queue in bindings.queues)


def numbered(number: int, size: int = 0) -> list[bytes]:
    """So many bodies, each another."""
    return [f"{each}".encode().ljust(size) for each in range(number)]
