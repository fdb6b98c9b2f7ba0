"""``notifier://host/…`` sends samples and events over a message bus to other agents, signed."""

import logging
from collections.abc import Iterator
from typing import Any

from meteragent.batch import Batch, Published, Refusal
from meteragent.bus import TLS
from meteragent.bus_url import parsed
from meteragent.clock import Clock
from meteragent.errors import ConfigError
from meteragent.event import Event
from meteragent.event_message import event_message
from meteragent.meter_message import meter_message
from meteragent.notification_message import notification
from meteragent.plain import without_password
from meteragent.publishers.base import Publisher
from meteragent.publishers.notifier.destination import EVENT_TOPIC, TOPIC, destination
from meteragent.publishers.notifier.link import Outgoing
from meteragent.publishers.notifier.payloads import payloads
from meteragent.publishers.notifier.sender import Sender
from meteragent.sample import Sample

LOG = logging.getLogger(__name__)


class NotifierPublisher(Publisher):
    """Sends what the ancestor's publisher of this name sends, until the broker has confirmed it.

    Each sample keeps its identity, so that one that is sent again, since a confirmation was lost, is known
    again where it arrives. The account of polls is not sent.
    """

    guarantee = "idempotent"

    def __init__(self, url: str, conf: Any, host: str, clock: Clock | None = None) -> None:
        """
        :raises ConfigError: when the URL or the TLS files cannot be used
        """
        to = destination(url, conf)
        tls = TLS.of(conf.notification)
        if parsed(to.url).secure:
            _check(tls, url)
        self._to, self._clock = to, clock or Clock()
        self._secret, self._publisher_id = conf.publisher.telemetry_secret, f"telemetry.publisher.{host}"
        self._sender = Sender(to.url, to.exchange, to.bindings, tls=tls, timeout=to.timeout)

    def publish(self, samples: list[Sample], batch: Batch) -> Published:
        """Send samples and events.

        :raises Unavailable: when the broker does not take them now
        """
        if not samples and not batch.events:
            return Published(0)
        self._sender.connect()  # before they are written and signed, which would be in vain
        refused, unsendable = dict[int, str](), dict[int, str]()
        self._sender.send(self._messages(samples, batch.events, refused, unsendable))
        self._tell(batch.events, unsendable)  # not before, as a batch may be tried many times
        refusals = [Refusal(index, reason) for index, reason in sorted(refused.items())]
        return Published(len(samples) - len(refusals), refused=refusals)

    def close(self) -> None:
        """End the connection."""
        self._sender.close()

    def _messages(
        self, samples: list[Sample], events: list[Event], refused: dict[int, str], unsendable: dict[int, str]
    ) -> Iterator[Outgoing]:
        """All that is to be sent; samples and events that cannot be are noted with the reason."""
        for payload in payloads(samples, lambda sample: meter_message(sample, self._secret), refused):
            body = self._body(TOPIC, payload)
            for topic in dict.fromkeys(self._to.topics):
                yield Outgoing(f"{topic}.sample", body)
        for payload in payloads(events, lambda event: event_message(event, self._secret), unsendable):
            yield Outgoing(f"{self._to.event_topic}.sample", self._body(EVENT_TOPIC, payload))

    def _body(self, event_type: str, payload: bytes) -> bytes:
        return notification(
            event_type,
            payload,
            publisher_id=self._publisher_id,
            priority="sample",
            at=self._clock.wall(),
        )

    def _tell(self, events: list[Event], unsendable: dict[int, str]) -> None:
        """Name the first event that cannot be sent; events have no quarantine."""
        for index, reason in list(unsendable.items())[:1]:
            LOG.error(
                "%s: %d of %d events cannot be sent; event %s of type %s: %s",
                self._to.label, len(unsendable), len(events), events[index].message_id,
                events[index].event_type, reason,
            )  # fmt: skip


def _check(tls: TLS, url: str) -> None:
    try:
        tls.check()
    except ConfigError as error:
        raise ConfigError(f"publisher {without_password(url)!r}: [notification] {error}") from None
