"""Which queues a listener reads, and how they come to be at a broker.

Apart from the listener, since this is all that it asks a broker to keep.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from meteragent.errors import ConfigError

if TYPE_CHECKING:
    from kombu.connection import Connection

LONGEST = 255
"""Bytes of the name of a queue or an exchange."""


class Bindings(msgspec.Struct, frozen=True):
    """Topics and priorities make the queues, each bound to every exchange."""

    exchanges: tuple[str, ...]
    topics: tuple[str, ...]
    priorities: tuple[str, ...]
    queue_type: str = "durable"
    """What is missing is made as: durable, quorum or transient."""

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


def declare(connection: "Connection", bindings: Bindings) -> None:
    """Let all queues and exchanges be there, bound; what exists stays as it is.

    :raises Exception: what the bus library raises when its broker refuses, or is lost
    """
    from kombu.transport.virtual import Channel

    channel = _channel(connection)
    if isinstance(channel, Channel):
        _declare_emulated(channel, bindings)
    else:
        _declare(connection, bindings)
    channel.close()


def _channel(connection: "Connection") -> Any:
    # not connection.channel(), which opens a lost connection again behind our back
    return connection.transport.create_channel(connection._connection)


def _declare(connection: "Connection", bindings: Bindings) -> None:
    kind = {"durable": bindings.queue_type != "transient", "auto_delete": False}
    quorum = {"arguments": {"x-queue-type": "quorum"}} if bindings.queue_type == "quorum" else {}
    for exchange in bindings.exchanges:
        _ensure(connection, "exchange_declare", (exchange, "topic"), kind)
    for queue in bindings.queues:
        _ensure(connection, "queue_declare", (queue,), {**kind, **quorum})
    _bind(connection, bindings)


def _ensure(connection: "Connection", method: str, name: tuple[str, ...], kind: Mapping[str, object]) -> None:
    """Make what is missing. What is refused closes the channel, hence the new ones."""
    from amqp.exceptions import NotFound, PreconditionFailed

    try:
        _asked(connection, method, name, {"passive": True})
    except NotFound:
        try:
            _asked(connection, method, name, kind)
        except PreconditionFailed:  # a service was faster, and made it of another kind
            _asked(connection, method, name, {"passive": True})


def _asked(connection: "Connection", method: str, name: tuple[str, ...], kind: Mapping[str, object]) -> None:
    channel = _channel(connection)
    getattr(channel, method)(*name, **kind)
    channel.close()


def _bind(connection: "Connection", bindings: Bindings) -> None:
    channel = _channel(connection)
    for queue in bindings.queues:
        for exchange in bindings.exchanges:
            channel.queue_bind(queue, exchange, queue, nowait=True)  # else hundreds of round trips
    for queue in bindings.queues[-1:]:
        channel.queue_declare(queue, passive=True)  # a binding that was refused is told with this answer
    channel.close()


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
