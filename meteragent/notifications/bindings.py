"""Which queues a listener reads, and how they come to be at a broker.

Apart from the listener, since this is all that it asks a broker to keep.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from meteragent import bus
from meteragent.errors import ConfigError

if TYPE_CHECKING:
    from kombu.connection import Connection

LONGEST = 255
"""Bytes of the name of a queue or an exchange."""
OWN = ("ceilometer",)
"""Exchanges to which agents send."""


class Bindings(msgspec.Struct, frozen=True):
    """Topics and priorities make the queues, each bound to every exchange that is there."""

    exchanges: tuple[str, ...]
    topics: tuple[str, ...]
    priorities: tuple[str, ...]
    queue_type: str = "durable"
    """What is missing is made as: durable, quorum or transient."""
    own: tuple[str, ...] = OWN
    """Exchanges that are made where they are missing.

    No other is: a service that found its own of another kind than it makes could not send, nor make any call.
    """

    @classmethod
    def of(cls, options: Any) -> "Bindings":
        """What the group ``notification`` says."""
        names = tuple(options.exchanges), tuple(options.topics), tuple(options.priorities)
        return cls(*names, options.queue_type)

    @property
    def queues(self) -> list[str]:
        """Names of the queues, which are their routing keys, too."""
        return list(dict.fromkeys(f"{topic}.{each}" for topic in self.topics for each in self.priorities))

    def check(self) -> None:
        """Look whether a broker could have such.

        :raises ConfigError: whose first word is the option
        """
        for option in ("exchanges", "topics", "priorities"):
            names = getattr(self, option)
            if not names:
                raise ConfigError(
                    f"{option} is empty: nothing would be listened to; allowed: one or more names"
                )
            for name in names:
                if not name or not name.isprintable() or set(name) & set(" *#"):
                    raise ConfigError(f"{option}: {name!r}; allowed: names without spaces, * and #")
        for option, names in (("exchanges", self.exchanges), ("topics", self.queues)):
            for name in names:
                if len(name.encode()) > LONGEST:
                    raise ConfigError(
                        f"{option}: the name {name[:40]!r}… is too long; allowed: {LONGEST} bytes"
                    )


def declare(connection: "Connection", bindings: Bindings) -> tuple[str, ...]:
    """Let all queues and our own exchanges be there, bound; what exists stays as it is.

    :return: exchanges that are missing, since others make them
    :raises Exception: what the bus library raises when its broker refuses, or is lost
    """
    from kombu.transport.virtual import Channel

    channel = bus.channel(connection)
    if isinstance(channel, Channel):
        _declare_emulated(channel, bindings)
        channel.close()
        return ()
    quorum = {"arguments": {"x-queue-type": "quorum"}} if bindings.queue_type == "quorum" else {}
    for queue in bindings.queues:
        _ensure(channel.queue_declare, (queue,), {**_kind(bindings), **quorum})
    channel.close()
    return bind(connection, bindings)


def bind(connection: "Connection", bindings: Bindings) -> tuple[str, ...]:
    """Let the queues be bound to all exchanges that are there by now, our own made where they are missing.

    :return: exchanges that are missing, since others make them
    :raises Exception: what the bus library raises when its broker refuses, or is lost
    """
    channel = bus.channel(connection)
    for exchange in bindings.exchanges:
        if exchange in bindings.own:
            _ensure(channel.exchange_declare, (exchange, "topic"), _kind(bindings))
    there = present(channel, bindings.exchanges)
    for queue in bindings.queues:
        for exchange in there:
            channel.queue_bind(queue, exchange, queue, nowait=True)  # else hundreds of round trips
    for queue in bindings.queues[-1:]:
        channel.queue_declare(queue, passive=True)  # a binding that was refused is told with this answer
    channel.close()
    return tuple(exchange for exchange in bindings.exchanges if exchange not in there)


def present(channel: Any, exchanges: Iterable[str]) -> list[str]:
    """Which of them are there; the broker logs an error for each that is not."""
    from amqp.exceptions import NotFound

    there = []
    for exchange in exchanges:
        with suppress(NotFound):
            channel.exchange_declare(exchange, "topic", passive=True)
            there.append(exchange)
    return there


def _kind(bindings: Bindings) -> dict[str, object]:
    return {"durable": bindings.queue_type != "transient", "auto_delete": False}


def _ensure(declared: Callable[..., object], name: tuple[str, ...], kind: Mapping[str, object]) -> None:
    """Make what is missing. What is refused closes the channel, which the library opens again."""
    from amqp.exceptions import NotFound, PreconditionFailed

    try:
        declared(*name, passive=True)
    except NotFound:
        try:
            declared(*name, **kind)
        except PreconditionFailed:  # a service was faster, and made it of another kind
            declared(*name, passive=True)


def _declare_emulated(channel: Any, bindings: Bindings) -> None:
    """Where exchanges and queues are but names that the library keeps."""
    from kombu.transport.virtual import NotEquivalentError

    for exchange in bindings.exchanges:
        with suppress(NotEquivalentError):  # someone in this process has made it of another kind
            channel.exchange_declare(exchange, "topic", durable=bindings.queue_type != "transient")
    for queue in bindings.queues:
        channel.queue_declare(queue)
        for exchange in bindings.exchanges:
            channel.queue_bind(queue, exchange, queue)
