"""Listens in on a message bus without taking anything from anybody; apart from what is made of it."""

import time
from collections.abc import Iterator
from typing import Any

from meteragent import bus
from meteragent.bus import TLS
from meteragent.errors import NotFound, Unavailable
from meteragent.message import Message
from meteragent.notifications.bindings import Bindings, present
from meteragent.notifications.subscription import Subscription

AHEAD = 100
"""Messages that the broker sends before those that came are looked at."""
HELD, HELD_BYTES = 10_000, 64 << 20
"""Messages, and bytes, that the broker holds for it; of more than that, the oldest are left out."""
HEARTBEAT = 30.0
_LOOK = 0.2
"""Seconds between two looks whether it is time to end."""


class Tap:
    """A queue of its own, which ends with the connection, bound to the exchanges that there are; AMQP only.

    Life: constructed connected, ``messages``, ``close``.
    """

    def __init__(self, url: str, bindings: Bindings, tls: TLS | None = None) -> None:
        """
        :raises NotFound: when none of the exchanges is there
        :raises Unavailable: when no broker lets us in
        """
        self._label, self._arrived = bus.label(url), list[Message]()
        self._tags: list[Any] = []
        try:
            self._connection = bus.connect(url, tls, HEARTBEAT, name="meteragent tap")
        except Unavailable as error:
            raise Unavailable(f"{self._label}: {error}") from None
        try:
            queue = self._bound(bindings)
            self._subscription = Subscription(self._connection, [queue], self._take)
            self._subscription.consume(AHEAD)
        except Exception as error:  # boundary: the bus library raises whatever lies below it
            bus.close(self._connection)
            if isinstance(error, NotFound):
                raise
            raise Unavailable(f"{self._label}: {bus.reason(error)}") from None

    def messages(self, seconds: float | None = None) -> Iterator[Message]:
        """What is sent from now on, for so long or without end.

        :raises Unavailable: when the connection is lost
        """
        end = None if seconds is None else time.monotonic() + seconds
        while end is None or time.monotonic() < end:
            try:
                left = _LOOK if end is None else min(_LOOK, max(0.0, end - time.monotonic()))
                self._subscription.listen(left, lambda: bool(self._arrived))
                self._subscription.keep_alive()
                came, self._arrived = self._arrived, []
                tags, self._tags = self._tags, []
                self._subscription.acknowledge(tags)
            except Exception as error:  # boundary: as above
                raise Unavailable(f"{self._label}: {bus.reason(error)}") from None
            yield from came

    def close(self) -> None:
        """End it, and with it the queue."""
        self._subscription.close(0.5)

    def _take(self, message: Message, tag: Any, again: bool) -> None:
        del again
        self._arrived.append(message)
        self._tags.append(tag)

    def _bound(self, bindings: Bindings) -> str:
        """The name of a new queue to which goes what goes to those of an agent."""
        channel = bus.channel(self._connection)
        there = present(channel, bindings.exchanges)
        if not there:
            raise NotFound(
                f"{self._label}: none of the exchanges {', '.join(bindings.exchanges)} is there: no service "
                "has sent anything yet"
            )
        arguments = {"x-max-length": HELD, "x-max-length-bytes": HELD_BYTES}
        made = channel.queue_declare("", exclusive=True, auto_delete=True, durable=False, arguments=arguments)
        for exchange in there:
            for key in bindings.queues:
                channel.queue_bind(made.queue, exchange, key, nowait=True)
        channel.queue_declare(made.queue, passive=True)  # a binding that was refused is told with this answer
        channel.close()
        return str(made.queue)
