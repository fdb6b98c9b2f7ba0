"""Publishes notifications by number, and tells which of them the broker has confirmed; a process of its own.

    python -m benchmarks.bus_publisher URL COUNT [--rate …] [--told FILE] …

Confirms are pipelined. What was not confirmed when a connection is lost is sent again with the same
message id, as services do: the broker may then have it twice.
"""

import argparse
import contextlib
import json
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import amqp

from benchmarks.bus_notifications import SETS, Bodies

EXCHANGE, QUEUE = "nova", "notifications.info"
WINDOW = 4_000
"""Messages that are not confirmed yet at most."""
PATIENCE = 10.0
"""Seconds without any confirm, after which a connection is given up."""


def connect(url: str) -> Any:
    """A connection to the broker of a URL, by the plain library."""
    place = urlsplit(url)
    connection = amqp.Connection(
        host=f"{place.hostname}:{place.port or 5672}",
        userid=unquote(place.username or "guest"),
        password=unquote(place.password or "guest"),
        virtual_host=unquote(place.path[1:]) or "/",
        connect_timeout=5,
        read_timeout=PATIENCE,
        write_timeout=PATIENCE,
    )
    connection.connect()
    return connection


class Destination(NamedTuple):
    """Where notifications are sent to, by the URL of a broker; made there as a service makes it."""

    url: str
    exchange: str = EXCHANGE
    queue: str = QUEUE
    queue_type: str = "classic"

    def declare(self, channel: Any) -> None:
        """Make the exchange and the queue, both to outlive their broker."""
        channel.exchange_declare(self.exchange, "topic", durable=True, auto_delete=False)
        arguments = {"x-queue-type": self.queue_type} if self.queue_type != "classic" else None
        channel.queue_declare(self.queue, durable=True, auto_delete=False, arguments=arguments)
        channel.queue_bind(self.queue, self.exchange, self.queue)


class BrokerGone(Exception):
    """A broker let nobody in for too long."""


class Publisher:
    """Sends bodies until each is confirmed, over a connection that it makes anew as often as it is lost.

    Life: constructed, ``publish`` any number of times, ``close``.
    """

    def __init__(self, destination: Destination, away: float = 30.0) -> None:
        """
        :param away: seconds after which a broker that lets nobody in is given up
        """
        self._destination, self._away = destination, away
        self._connection: Any = None
        self._channel: Any = None
        self._sent = 0
        self._under_way: dict[int, tuple[int, bytes]] = {}
        self.confirmed: set[int] = set()
        self.lost = 0
        """How often the connection was lost."""

    def publish(self, messages: Iterable[tuple[int, bytes]]) -> None:
        """Send them; returns when the broker has each.

        :raises BrokerGone: when it lets nobody in for too long
        """
        source = iter(messages)
        while True:
            try:
                self._open()
                for number, body in source:
                    self._send(number, body)
                    if len(self._under_way) >= WINDOW:
                        self._hear(WINDOW // 2)
                return self._hear(0)
            except (OSError, amqp.exceptions.AMQPError) as error:
                self.lost += 1
                print(f"lost with {len(self._under_way)} under way: {error!r}", file=sys.stderr, flush=True)
                self.close()
                source = chain(list(self._under_way.values()), source)

    def close(self) -> None:
        """Leave the broker."""
        if self._connection is not None:
            with contextlib.suppress(OSError, AttributeError, amqp.exceptions.AMQPError):
                self._connection.close()
        self._connection = None

    def _open(self) -> None:
        deadline = time.monotonic() + self._away
        while self._connection is None:
            try:
                connection = connect(self._destination.url)
                self._channel = connection.channel()
                self._destination.declare(self._channel)
                self._channel.confirm_select()
            except (OSError, amqp.exceptions.AMQPError) as error:
                if time.monotonic() > deadline:
                    raise BrokerGone(f"nobody is let in for {self._away:g} s: {error}") from None
                time.sleep(0.2)
                continue
            self._channel.events["basic_ack"].add(self._acknowledged)
            self._channel.events["basic_nack"].add(self._refused)
            self._connection, self._sent = connection, 0
            self._under_way.clear()

    def _send(self, number: int, body: bytes) -> None:
        self._sent += 1
        self._under_way[self._sent] = (number, body)
        message = amqp.Message(
            body, content_type="application/json", content_encoding="utf-8", delivery_mode=2
        )
        self._channel.basic_publish(message, self._destination.exchange, self._destination.queue)

    def _hear(self, left: int) -> None:
        """Wait until no more than so many are under way."""
        while len(self._under_way) > left:
            self._connection.drain_events(timeout=PATIENCE)

    def _acknowledged(self, tag: int, multiple: bool) -> None:
        tags = [each for each in self._under_way if each <= tag] if multiple else [tag]
        self.confirmed.update(self._under_way.pop(each)[0] for each in tags)

    def _refused(self, tag: int, multiple: bool) -> None:
        raise OSError(f"message {tag} was refused by the broker{' with all before it' * multiple}")


class Paced:
    """Numbers, so many a second, until no more are asked for."""

    def __init__(self, numbers: range, rate: float, twice: int) -> None:
        """
        :param rate: how many a second; 0 for all at once
        :param twice: each so-and-so-manieth comes twice; 0 for none
        """
        self._numbers, self._rate, self._twice = numbers, rate, twice
        self.given = 0
        self.stopped = False

    def __iter__(self) -> Iterator[int]:
        began = time.monotonic()
        for place, number in enumerate(self._numbers):
            if self.stopped:
                return
            if self._rate and place % 20 == 0:
                time.sleep(max(0.0, began + place / self._rate - time.monotonic()))
            self.given += 1
            yield number
            if self._twice and number % self._twice == 0:
                yield number

    def stop(self, *_: Any) -> None:
        """Give no more."""
        self.stopped = True


def main() -> None:
    """Publish what the arguments say, or until SIGTERM; what the broker has is told when all is over."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bus_publisher", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("count", type=int)
    parser.add_argument("--rate", type=float, default=0, help="notifications a second; 0: as fast as can be")
    parser.add_argument("--twice", type=int, default=0, help="each so-and-so-manieth is sent twice; 0: none")
    parser.add_argument("--kinds", choices=SETS, default="mixed", help="which event types")
    parser.add_argument("--run", type=int, default=1, help="tells the message ids of runs apart")
    parser.add_argument("--exchange", default=EXCHANGE)
    parser.add_argument("--queue", default=QUEUE)
    parser.add_argument("--queue-type", default="classic", help="classic or quorum")
    parser.add_argument("--told", type=Path, help="file for what the broker has, in JSON")
    chosen = parser.parse_args()
    destination = Destination(chosen.url, chosen.exchange, chosen.queue, chosen.queue_type)
    bodies, publisher = Bodies(SETS[chosen.kinds], chosen.run), Publisher(destination)
    numbers = Paced(range(chosen.count), chosen.rate, chosen.twice)
    signal.signal(signal.SIGTERM, numbers.stop)
    try:
        publisher.publish((number, bodies.body(number)) for number in numbers)
        publisher.close()
    finally:
        confirmed = sorted(publisher.confirmed)
        told = {"sent": numbers.given, "confirmed": confirmed, "lost": publisher.lost}
        if chosen.told:
            chosen.told.write_text(json.dumps(told))
        print(f"{numbers.given} sent, {len(confirmed)} confirmed, connection lost {publisher.lost} times")


if __name__ == "__main__":
    main()
