"""A connection from which messages come: what arrives, what is acknowledged, whether it is alive.

Apart from the listener, which decides what to do about it.
"""

import errno
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from meteragent import bus
from meteragent.errors import Unavailable
from meteragent.message import Message
from meteragent.notifications.read_ahead import read_ahead

if TYPE_CHECKING:
    from kombu.connection import Connection

PATIENCE = 10.0
"""Seconds in which a broker has to answer a request."""

Arrived = Callable[[Message, Any, bool], None]
"""Given a message, its tag, and whether it was delivered before."""


class Subscription:
    """Queues of a broker that speaks AMQP.

    Life: constructed on an open connection, ``consume`` and ``cancel`` any number of times, ``close`` once.
    For one thread.
    """

    def __init__(
        self,
        connection: "Connection",
        queues: Sequence[str],
        arrived: Arrived,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection, self._queues, self._arrived = connection, queues, arrived
        self._monotonic = monotonic
        self._raw: Any = connection._connection
        read_ahead(self._raw)
        self.channel: Any = None
        """The one on which messages come; none while there is no consumer."""
        self._sent = self._received = -1
        self._said = self._heard = monotonic()
        self._closing: float | None = None
        """Until when what still comes is waited out."""

    def consume(self, prefetch: int) -> None:
        """Let messages come.

        :param prefetch: messages of each queue that the broker sends ahead of their acknowledgement
        """
        bus.patience(self._connection, PATIENCE)
        self.channel = bus.channel(self._connection)
        self.channel.auto_decode = False  # else a body comes as text, which no longer fits its label
        # quorum queues refuse one that counts for all consumers of a channel
        self.channel.basic_qos(0, prefetch, False)
        for number, queue in enumerate(self._queues):
            self.channel.basic_consume(
                queue, no_ack=False, callback=self._delivered, consumer_tag=f"meteragent-{number}"
            )

    def cancel(self) -> None:
        """Let no more come; what is not acknowledged goes back to its queue."""
        channel, self.channel = self.channel, None
        if channel is None:
            return
        bus.patience(self._connection, PATIENCE)
        for number in range(len(self._queues)):
            channel.basic_cancel(f"meteragent-{number}", nowait=True)
        channel.basic_qos(0, 1, False)  # behind its answer nothing comes any more
        channel.close()

    def acknowledge(self, tags: Sequence[Any]) -> None:
        """Let the broker forget these, and all that came before the last of them."""
        if tags:
            bus.patience(self._connection, PATIENCE)
            self.channel.basic_ack(tags[-1], multiple=True)

    def listen(self, seconds: float, enough: Callable[[], bool]) -> None:
        """Let messages arrive for so long, or until there are enough.

        :raises Unavailable: when there was no sign of life for too long
        """
        end = self._monotonic() + seconds
        # once, as it is a call of the system, at which other threads run: it may last twice as long
        bus.patience(self._connection, max(seconds, 0.001))
        while not enough() and end > self._monotonic():
            if not self._wait():
                break
        now = self._monotonic()
        if self._raw.bytes_recv != self._received:
            self._received, self._heard = self._raw.bytes_recv, now
        elif now - self._heard > 2 * self._raw.heartbeat:
            raise Unavailable(f"no sign of life for {now - self._heard:.0f} s")

    def pause(self) -> None:
        """Say that nobody listens for now, so that silence means nothing."""
        self._heard = self._monotonic()

    def keep_alive(self) -> None:
        """Give a sign of life where one is due; to be called several times in each heartbeat."""
        now = self._monotonic()
        if self._raw.bytes_sent != self._sent:
            self._sent, self._said = self._raw.bytes_sent, now
        elif now - self._said >= self._raw.heartbeat / 3:
            bus.patience(self._connection, PATIENCE)
            self._raw.send_heartbeat()

    def close(self, seconds: float) -> None:
        """End the connection in about that time, whatever the broker does."""
        self._closing = self._monotonic() + seconds
        bus.close(self._connection, seconds / 2)

    def _wait(self) -> bool:
        """Read one frame; whether there was one."""
        # not drain_events, which goes on for as long as parts of a large message come
        try:
            self._raw.blocking_read()
        except TimeoutError as error:
            if error.errno == errno.ETIMEDOUT:  # as the system says it of a connection
                raise
            return False
        return True

    def _delivered(self, raw: Any) -> None:
        if self._closing is not None and self._monotonic() > self._closing:
            raise TimeoutError("what was sent ahead is not read to its end")
        if self.channel is not None and self._closing is None:
            told, about = raw.properties, raw.delivery_info
            message = Message(
                body=as_bytes(raw.body),
                routing_key=about["routing_key"],
                content_type=told.get("content_type"),
                content_encoding=told.get("content_encoding"),
            )
            self._arrived(message, raw.delivery_tag, about["redelivered"])


class Emulated(Subscription):
    """Queues that the bus library emulates, as in Redis, in a folder or in memory."""

    def consume(self, prefetch: int) -> None:
        """Let messages come."""
        self.channel = bus.channel(self._connection)
        self.channel.basic_qos(0, prefetch, False)
        for number, queue in enumerate(self._queues):
            self.channel.basic_consume(queue, False, self._delivered, f"meteragent-{number}")

    def cancel(self) -> None:
        """Let no more come; what is not acknowledged goes back to its queue."""
        channel, self.channel = self.channel, None
        if channel is not None:
            _give_back(channel)
            channel.close()

    def acknowledge(self, tags: Sequence[Any]) -> None:
        """Let these be forgotten."""
        for tag in tags:
            self.channel.basic_ack(tag)

    def listen(self, seconds: float, enough: Callable[[], bool]) -> None:
        """Let messages arrive for so long, or until there are enough."""
        if self.channel is None:
            time.sleep(seconds)
            return
        end = self._monotonic() + seconds
        try:
            while not enough() and (left := end - self._monotonic()) > 0.0:
                self._connection.transport.drain_events(self._raw, timeout=left)
        except TimeoutError:
            pass

    def keep_alive(self) -> None:
        """There is nothing to be kept alive."""

    def close(self, seconds: float) -> None:
        """End the connection."""
        channel, self.channel = self.channel, None
        try:
            if channel is not None:
                _give_back(channel)
        finally:
            bus.close(self._connection, seconds)

    def _delivered(self, raw: Any) -> None:
        if self.channel is None:
            return  # the library reads on while it closes a channel, and then gives back what came
        about = raw.delivery_info
        message = Message(
            body=as_bytes(raw.body),
            routing_key=_label(about.get("routing_key")) or "",
            content_type=_label(raw.content_type),
            content_encoding=_label(raw.content_encoding),
        )
        self._arrived(message, raw.delivery_tag, bool(about.get("redelivered")))


def subscription(connection: "Connection", queues: Sequence[str], arrived: Arrived) -> Subscription:
    """The kind that fits a connection."""
    emulated = connection.connection is connection.transport
    return (Emulated if emulated else Subscription)(connection, queues, arrived)


def as_bytes(body: Any) -> bytes:
    """The body of a message as it was sent, whatever the library made of it."""
    if isinstance(body, bytes):
        return body
    return body.encode("utf-8", "backslashreplace") if isinstance(body, str) else bytes(body or b"")


def _label(told: Any) -> str | None:
    """What is told of a message, where it is text: an emulated bus passes on whatever JSON is sent."""
    return told if told is None or isinstance(told, str) else str(told)


def _give_back(channel: Any) -> None:
    """What is not acknowledged; the library would tell of it on standard error."""
    channel.qos.restore_unacked()
