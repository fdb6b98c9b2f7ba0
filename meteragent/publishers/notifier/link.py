"""One connection to a broker that confirms what it took; apart from when it is made and made anew."""

import errno
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

from meteragent import bus
from meteragent.errors import Unavailable
from meteragent.notification_message import CONTENT_ENCODING, CONTENT_TYPE
from meteragent.notifications.bindings import Bindings, declare

HEARTBEAT = 30.0
"""Seconds between signs of life."""
ANSWER = 10.0
"""Seconds that a broker may take to answer a request, or to let us write."""
_DURABLE = 2
"""The delivery mode of what outlives its broker."""
_LOOK = 1.0
"""Seconds between two looks whether a sign of life is due, while confirmations are waited for."""


class Lost(Unavailable):
    """The link is of no use any more; a new one may be."""


class Unconfirmed(Unavailable):
    """The link is of no use any more, and the broker is slow or hung."""


class Outgoing(NamedTuple):
    """A message on its way."""

    routing_key: str
    body: bytes


class Link:
    """A connection with one channel that confirms; for one thread at a time.

    Life: constructed connected, ``send`` many times until it raises ``Lost``, then ``close``.
    """

    def __init__(
        self, url: str, tls: bus.TLS, exchange: str, bindings: Bindings | None, *, timeout: float, name: str
    ) -> None:
        """
        :param bindings: queues that are made where they are missing
        :param timeout: seconds that may pass without progress: until more can be sent or is confirmed
        :raises Unavailable: when no broker lets us in, or the queues cannot be had
        """
        self._exchange, self._timeout = exchange, timeout
        self._blocked = False
        self._sent = 0
        self._until = 0.0
        """When the time without progress is over."""
        self._waiting: dict[int, str] = {}
        """By number in this channel the routing keys of those that are not confirmed."""
        self._returned: set[str] = set()
        self._refused = 0
        self._connection = bus.connect(url, tls, HEARTBEAT, name=name)
        self._amqp = cast("Any", self._connection._connection)
        try:
            bus.patience(self._connection, min(timeout, ANSWER))
            self._amqp.on_blocked, self._amqp.on_unblocked = self._block, self._unblock
            if bindings is not None:
                declare(self._connection, bindings)
            self._channel = self._amqp.channel()
            self._channel.events["basic_ack"].add(self._acknowledge)
            self._channel.events["basic_nack"].add(self._refuse)
            self._channel.events["basic_return"].add(self._return)
            self._channel.confirm_select()
        except Exception as error:  # boundary: the library raises whatever lies below it
            self.close()
            raise Unavailable(bus.reason(error)) from None

    def is_alive(self) -> bool:
        """Whether it can still be used, as far as that is known here; gives a sign of life, too."""
        try:
            self._look()
            return True
        except Exception:  # boundary: as above; it is made anew
            return False

    def send(self, messages: Sequence[Outgoing]) -> None:
        """Publish, and wait until the broker has taken responsibility for all of them.

        :raises Unavailable: when it did not for each; which ones it took is not known
        :raises Lost: the same, and the link is to be closed
        :raises Unconfirmed: the same
        """
        if self._blocked:
            raise Unavailable(self._why_blocked())
        self._waiting, self._returned, self._refused = {}, set(), 0
        self._go_on()
        try:
            for message in messages:
                self._wait(lambda: self._blocked)
                self._publish(message)
                self._go_on()
                self._look()  # since over a slow line it takes long to send them all
            self._wait(lambda: bool(self._waiting))
        except TimeoutError:
            if self._blocked:  # it is still told when that ends
                raise Unavailable(self._why_blocked()) from None
            raise Unconfirmed(
                f"the broker did not confirm {len(self._waiting)} of {len(messages)} messages within "
                f"{self._timeout:g} s"
            ) from None
        except Exception as error:  # boundary: as above
            if self._blocked:  # and what was sent before fills all there is on the way
                raise Unconfirmed(self._why_blocked()) from None
            raise Lost(bus.reason(error)) from None
        if self._returned:
            raise Lost(  # a new link makes the queue that was deleted
                f"nobody listens to exchange {self._exchange!r} for {', '.join(sorted(self._returned))}: "
                "no queue is bound to it"
            )
        if self._refused:
            raise Unavailable(
                f"the broker refuses {self._refused} of {len(messages)} messages, as when a queue is full"
            )

    def close(self) -> None:
        """End it; safe twice."""
        bus.close(self._connection)

    def _publish(self, message: Outgoing) -> None:
        properties = {"delivery_mode": _DURABLE}
        prepared = self._channel.prepare_message(
            message.body,
            content_type=CONTENT_TYPE,
            content_encoding=CONTENT_ENCODING,
            properties=properties,
        )
        self._sent += 1
        self._waiting[self._sent] = message.routing_key
        self._channel.basic_publish(
            prepared, exchange=self._exchange, routing_key=message.routing_key, mandatory=True
        )

    def _go_on(self) -> None:
        """There is progress."""
        self._until = time.monotonic() + self._timeout

    def _wait(self, goes_on: Callable[[], bool]) -> None:
        """Take in what the broker tells while that goes on.

        :raises TimeoutError: when it goes on without progress for too long
        """
        while goes_on():
            left = self._until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            try:
                self._take(min(left, _LOOK))
            except TimeoutError:
                continue

    def _look(self) -> None:
        """Take in what the broker has told until now."""
        try:
            while True:
                self._take(0.0)
        except TimeoutError:
            return

    def _take(self, seconds: float) -> None:
        """Take in what the broker tells next, and give a sign of life when it is due.

        :raises TimeoutError: when it tells nothing in that time
        """
        self._amqp.heartbeat_tick()
        try:
            self._amqp.drain_events(timeout=seconds)
        except TimeoutError as error:
            if error.errno == errno.ETIMEDOUT:  # the other machine is gone, not just silent
                raise ConnectionResetError(error.errno, error.strerror) from None
            raise

    def _acknowledge(self, number: int, multiple: bool) -> None:
        self._settle(number, multiple=multiple)

    def _refuse(self, number: int, multiple: bool) -> None:
        self._refused += self._settle(number, multiple=multiple)

    def _settle(self, number: int, *, multiple: bool) -> int:
        """Take those that are meant from those that wait; how many they were."""
        numbers = [each for each in self._waiting if each <= number] if multiple else [number]
        settled = sum(self._waiting.pop(each, None) is not None for each in numbers)
        if settled:
            self._go_on()
        return settled

    def _return(self, error: Exception, exchange: str, routing_key: str, message: Any) -> None:
        del error, exchange, message
        self._returned.add(routing_key)

    def _block(self, reason: str) -> None:
        del reason  # the library tells always the same
        self._blocked = True

    def _unblock(self) -> None:
        self._blocked = False

    def _why_blocked(self) -> str:
        return "the broker takes nothing at present, as when it is short of memory or disk"
