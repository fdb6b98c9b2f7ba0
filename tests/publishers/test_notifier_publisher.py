"""``notifier:`` at a real broker: what it confirmed is there, and whatever goes wrong is tried again."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from meteragent import bus
from meteragent.batch import Batch, Published
from meteragent.clock import instant
from meteragent.config import load
from meteragent.errors import ConfigError, Unavailable
from meteragent.event import Event, Trait
from meteragent.notifications.dispatcher import Conversion, Dispatcher
from meteragent.notifications.envelope import unpack
from meteragent.notifications.polled import PolledSamples
from meteragent.notifications.received_events import ReceivedEvents
from meteragent.publishers.base import Publisher
from meteragent.publishers.notifier import link, sender
from meteragent.publishers.notifier.link import Outgoing
from meteragent.publishers.notifier.publisher import NotifierPublisher
from meteragent.publishers.notifier.sender import Sender
from meteragent.sample import Sample, accepted
from tests.proxy import Proxy
from tests.servers import Certificate, RabbitMQ, eventually

AT = instant("2026-03-01T10:00:00Z")


def samples(number: int, **fields: Any) -> list[Sample]:
    """So many accepted samples."""
    return [
        accepted(Sample("cpu", "cumulative", "ns", each, resource_id=f"r{each}", **fields), AT, "openstack")
        for each in range(number)
    ]


def event(number: int) -> Event:
    """One of many events."""
    return Event(f"m{number}", "volume.create.end", AT, [Trait("size", 2, number)])


class Bus:
    """A topic of its own at a broker, and the publishers that send there."""

    def __init__(self, server: RabbitMQ, folder: Path) -> None:
        self.server, self._folder = server, folder
        self.topic = f"t{uuid4().hex}"
        self.publishers: list[NotifierPublisher] = []
        self._connection = bus.connect(server.url())

    def publisher(self, options: str = "", port: int | None = None, secret: str = "s") -> NotifierPublisher:
        """One that sends there, signed."""
        file = self._folder / "meteragent.conf"
        file.write_text(f"[publisher]\ntelemetry_secret = {secret}\n")
        conf = load([str(file)], state_dir=str(self._folder)).conf
        places = f"topic={self.topic}&event_topic={self.topic}.e&exchange={self.topic}.x"
        url = f"{self.server.url('notifier', port)}?{places}&{options}".rstrip("&")
        made = NotifierPublisher(url, conf, "h")
        self.publishers.append(made)
        return made

    def channel(self) -> Any:
        """A new channel at the broker."""
        return self._connection.channel()

    def bodies(self, queue: str = "") -> list[Any]:
        """Takes the messages that wait in a queue, that for samples by default."""
        channel = self.channel()
        found = []
        while (message := channel.basic_get(queue or f"{self.topic}.sample", no_ack=True)) is not None:
            found.append(message)
        channel.close()
        return found

    def arrived(self) -> Conversion:
        """Takes all that waits, and tells what becomes of it."""
        dispatcher = Dispatcher({"polled": PolledSamples(), "events": ReceivedEvents()})
        found = Conversion([], [], [])
        for message in [*self.bodies(), *self.bodies(f"{self.topic}.e.sample")]:
            body = message.body.encode() if isinstance(message.body, str) else message.body
            conversion = dispatcher.dispatch(unpack(body, "application/json", "utf-8", "x.sample"))
            found.samples.extend(conversion.samples)
            found.events.extend(conversion.events)
            found.problems.extend(conversion.problems)
        return found

    def connect(self) -> None:
        """Connect again."""
        bus.close(self._connection)
        self._connection = bus.connect(self.server.url())

    def close(self) -> None:
        """End all connections."""
        for publisher in self.publishers:
            publisher.close()
        bus.close(self._connection)


@pytest.fixture
def place(rabbitmq: RabbitMQ, tmp_path: Path) -> Iterator[Bus]:
    """A topic at the broker of all tests."""
    made = Bus(rabbitmq, tmp_path)
    yield made
    made.close()


@pytest.fixture
def own(harmed: RabbitMQ, tmp_path: Path) -> Iterator[Bus]:
    """A topic at that broker."""
    made = Bus(harmed, tmp_path)
    yield made
    made.close()


@pytest.fixture
def proxy(rabbitmq: RabbitMQ) -> Iterator[Proxy]:
    """A way to the broker of all tests that can be blocked."""
    made = Proxy(rabbitmq.port).start()
    yield made
    made.stop()


def publish(publisher: NotifierPublisher, sent: list[Sample], *events: Event) -> Published:
    """Publish a batch."""
    return publisher.publish(sent, Batch(sent, events=list(events)))


def refusal(call: Callable[[], object]) -> str:
    """Why it is unavailable, behind the name of the bus."""
    with pytest.raises(Unavailable) as caught:
        call()
    told, _, reason = str(caught.value).partition(": ")
    assert told.startswith("amqp://tester@127.0.0.1:")
    assert "s3cret" not in str(caught.value)
    return reason


def test_what_is_published_arrives(place: Bus) -> None:
    """Samples and events, in queues that were made for them; many to a message."""
    publisher = place.publisher()
    assert isinstance(publisher, Publisher)
    assert publisher.guarantee == "idempotent"
    sent, events = samples(1200), [event(number) for number in range(3)]
    assert publish(publisher, sent, *events) == Published(1200)
    found = place.arrived()
    assert (found.samples, found.events, found.problems) == (sent, events, [])


def test_the_messages_are_those_of_the_ancestor(place: Bus) -> None:
    """Persistent, JSON in an envelope, of its publisher's name, signed."""
    publish(place.publisher(), samples(200))
    first, second = place.bodies()
    told = ("content_type", "content_encoding", "delivery_mode")
    assert [first.properties[name] for name in told] == ["application/json", "utf-8", 2]
    assert first.delivery_info["routing_key"] == f"{place.topic}.sample"
    notification = unpack(first.body.encode(), None, None, None)
    assert (notification.event_type, notification.priority) == ("metering", "sample")
    assert notification.document["publisher_id"] == "telemetry.publisher.h"
    assert len(notification.payload[0]["message_signature"]) == 64
    assert len(notification.payload) + len(unpack(second.body.encode(), None, None, None).payload) == 200


def test_nothing_is_nothing(place: Bus) -> None:
    """A batch of polls alone needs no broker."""
    publisher = place.publisher(port=1)
    assert publish(publisher, []) == Published(0)
    publisher.close()
    publisher.close()


def test_events_may_come_alone(place: Bus) -> None:
    """Then nothing is sent to the topic of samples."""
    publish(place.publisher(), [], event(1))
    assert place.bodies() == []
    assert place.arrived().samples == []
    publish(place.publisher(), [], event(1))
    assert place.arrived().events == [event(1)]


def test_several_topics_get_a_copy_each(place: Bus) -> None:
    """As with the ancestor."""
    publish(place.publisher(f"topic={place.topic}.2"), samples(1))
    assert [len(place.bodies(queue)) for queue in (f"{place.topic}.sample", f"{place.topic}.2.sample")] == [
        1,
        1,
    ]


def test_a_sample_that_cannot_be_sent_is_refused_alone(place: Bus) -> None:
    """The others are delivered; an event is named in the log."""
    deep: dict[str, Any] = {}
    for _ in range(97):
        deep = {"a": deep}
    sent = [*samples(1), *samples(1, resource_metadata=deep), *samples(1)]
    outcome = publish(place.publisher(), sent)
    assert outcome.delivered == 2
    assert [(each.index, each.reason) for each in outcome.refused] == [
        (1, "cannot be sent: nested deeper than 98 levels")
    ]
    assert len(place.arrived().samples) == 2


def test_an_event_that_cannot_be_sent_is_named(place: Bus, caplog: pytest.LogCaptureFixture) -> None:
    """Events have no quarantine at a sink."""
    deep: dict[str, Any] = {}
    for _ in range(97):
        deep = {"a": deep}
    publish(place.publisher(), [], event(1), Event("bad", "t", AT, [], deep))
    assert place.arrived().events == [event(1)]
    assert "1 of 2 events cannot be sent; event bad of type t: cannot be sent: nested deeper" in caplog.text


def test_an_event_that_cannot_be_sent_is_named_once(
    place: Bus, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    """However often its batch is tried."""
    deep: dict[str, Any] = {}
    for _ in range(97):
        deep = {"a": deep}
    publisher = place.publisher("timeout=0.3", port=proxy.port)
    bad = Event("bad", "t", AT, [], deep)
    publish(publisher, samples(1))
    proxy.hold()
    refusal(lambda: publish(publisher, [], event(1), bad))
    proxy.cut()
    proxy.release()
    assert caplog.text.count("cannot be sent") == 0
    publish(publisher, [], event(1), bad)
    assert caplog.text.count("1 of 2 events cannot be sent") == 1


def test_a_slow_line_takes_as_long_as_it_takes(place: Bus, proxy: Proxy) -> None:
    """What is sent at once may take longer than the time for an answer, as long as something is confirmed."""
    publisher = place.publisher("timeout=1.5", port=proxy.port)
    publish(publisher, samples(1))
    place.arrived()
    proxy.delay = 0.2
    large = samples(36, resource_metadata={"a": "x" * 60_000})
    began = time.monotonic()
    assert publish(publisher, large).delivered == 36
    assert time.monotonic() - began > 2 * 1.5
    proxy.delay = 0.0
    assert len(place.arrived().samples) == 36


def test_tls_files_are_looked_at_when_it_is_made(tmp_path: Path, certificate: Certificate) -> None:
    """Only where TLS is spoken; one that goes later is waited for."""
    file, authority = tmp_path / "meteragent.conf", tmp_path / "ca.pem"
    file.write_text(f"[notification]\ntls_ca_file = {authority}\n")
    conf = load([str(file)], state_dir=str(tmp_path)).conf
    NotifierPublisher("notifier://u:pw@127.0.0.1:1", conf, "h").close()
    url = "notifier://u:pw@127.0.0.1:1?tls=true"
    told = "publisher 'notifier://.*tls_ca_file = .*: no such file"
    with pytest.raises(ConfigError, match=told) as caught:
        NotifierPublisher(url, conf, "h")
    assert "pw" not in str(caught.value)
    authority.write_text(certificate.ca.read_text())
    publisher = NotifierPublisher(url, conf, "h")
    authority.unlink()
    with pytest.raises(Unavailable, match=r"tls_ca_file = .*: no such file"):
        publish(publisher, samples(1))
    publisher.close()


def test_queues_that_exist_are_used_as_they_are(place: Bus) -> None:
    """Of whatever kind they were made."""
    channel = place.channel()
    arguments = {"x-queue-type": "quorum"}
    channel.queue_declare(f"{place.topic}.sample", durable=True, auto_delete=False, arguments=arguments)
    channel.exchange_declare(f"{place.topic}.x", "topic", durable=False, auto_delete=False)
    publish(place.publisher(), samples(1))
    assert len(eventually(place.bodies)) == 1
    channel.close()


def test_a_full_queue_is_tried_again(place: Bus) -> None:
    """The broker refuses what does not fit in; once it does, all arrives."""
    channel = place.channel()
    arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
    channel.queue_declare(f"{place.topic}.sample", durable=True, auto_delete=False, arguments=arguments)
    publisher = place.publisher()
    reason = refusal(lambda: publish(publisher, samples(200)))
    assert reason == "the broker refuses 1 of 2 messages, as when a queue is full"
    assert len(place.bodies()) == 1
    publish(publisher, samples(1))
    assert len(place.bodies()) == 1
    channel.close()


def test_a_queue_that_was_deleted_is_made_anew(place: Bus) -> None:
    """Nothing is sent to nowhere."""
    publisher = place.publisher()
    publish(publisher, samples(1))
    channel = place.channel()
    channel.queue_delete(f"{place.topic}.sample")
    publish(publisher, samples(2))
    assert len(place.arrived().samples) == 2
    channel.exchange_delete(f"{place.topic}.x")
    publish(publisher, samples(3))
    assert len(place.arrived().samples) == 3
    channel.close()


def test_where_no_queue_is_bound_it_is_said(place: Bus) -> None:
    """By a sender that makes none, too."""
    channel = place.channel()
    channel.exchange_declare(f"{place.topic}.x", "topic", durable=True, auto_delete=False)
    sending = Sender(place.server.url(), f"{place.topic}.x")
    told = f"nobody listens to exchange '{place.topic}.x' for a.info: no queue is bound to it"
    assert refusal(lambda: sending.send([Outgoing("a.info", b"{}")])) == told
    sending.close()
    missing = Sender(place.server.url(), "missing")
    reason = refusal(lambda: missing.send([Outgoing("a.info", b"{}")]))
    assert reason == "NOT_FOUND - no exchange 'missing' in vhost '/'"
    missing.close()
    channel.close()


def test_a_lost_connection_is_made_anew_without_a_word(place: Bus, proxy: Proxy) -> None:
    """However it was lost between two batches."""
    publisher = place.publisher(port=proxy.port)
    publish(publisher, samples(1))
    proxy.cut()
    publish(publisher, samples(1))
    assert proxy.accepted == 2
    assert len(place.arrived().samples) == 2


def test_lost_confirmations_are_told_and_the_batch_is_sent_again(place: Bus, proxy: Proxy) -> None:
    """What the broker took meanwhile comes twice, with the same ids; nothing is missing."""
    publisher = place.publisher("timeout=0.5", port=proxy.port)
    publish(publisher, samples(1))
    place.arrived()
    proxy.hold()
    began = time.monotonic()
    reason = refusal(lambda: publish(publisher, samples(200)))
    assert reason == "the broker did not confirm 2 of 2 messages within 0.5 s"
    assert time.monotonic() - began < 3
    proxy.cut()
    proxy.release()
    publish(publisher, samples(200))
    found = place.arrived()
    assert {each.identity for each in found.samples} == {each.identity for each in samples(200)}


def test_a_broker_that_cannot_be_reached_is_unavailable(place: Bus, proxy: Proxy) -> None:
    """Until it can."""
    publisher = place.publisher(port=proxy.port)
    proxy.refusing = True
    assert "127.0.0.1" in refusal(lambda: publish(publisher, samples(1)))
    proxy.refusing = False
    publish(publisher, samples(1))
    assert len(place.arrived().samples) == 1


def test_a_wrong_password_is_told_without_it(place: Bus) -> None:
    """And tried again, as it may be set right."""
    publisher = place.publisher()
    publisher._sender._url = place.server.url().replace("s3cret", "wr0ng")
    with pytest.raises(Unavailable, match="ACCESS_REFUSED") as caught:
        publish(publisher, samples(1))
    assert "wr0ng" not in str(caught.value)


def test_an_idle_connection_is_kept_alive(place: Bus, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """By signs of life of its own, which the broker asks for; one without any from the broker is given up."""
    monkeypatch.setattr(link, "HEARTBEAT", 1.0)
    monkeypatch.setattr(sender, "HEARTBEAT", 1.0)
    publisher = place.publisher(port=proxy.port)
    publish(publisher, samples(1))
    hung = Proxy(place.server.port).start()
    try:
        other = place.publisher(port=hung.port)
        publish(other, samples(1))
        hung.hold()
        time.sleep(3.1)  # a broker waits for 2 to 3 heartbeats
        assert other._sender._link is None
    finally:
        hung.stop()
    publish(publisher, samples(1))
    assert proxy.accepted == 1


def test_a_frozen_broker_is_not_waited_for_without_end(own: Bus) -> None:
    """It is told after the time that the URL says, and found again."""
    publisher = own.publisher("timeout=1")
    publish(publisher, samples(1))
    own.server.freeze()
    began = time.monotonic()
    assert (
        refusal(lambda: publish(publisher, samples(1)))
        == "the broker did not confirm 1 of 1 messages within 1 s"
    )
    assert time.monotonic() - began < 5
    own.server.thaw()
    publish(publisher, samples(2))
    assert len(own.arrived().samples) >= 3


def alarm(server: RabbitMQ, watermark: str) -> None:
    """Let the broker think that it is short of memory, or has enough."""
    control(server, "set_vm_memory_high_watermark", watermark)


def control(server: RabbitMQ, *words: str) -> None:
    """Tell a broker something by its own means."""
    program = "/usr/lib/rabbitmq/bin/rabbitmqctl"
    environment = server._environment()
    done = subprocess.run([program, *words], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_broker_that_takes_nothing_blocks_nobody(own: Bus) -> None:
    """It is told within the time that the URL says, then at once, and goes on when the broker does."""
    publisher = own.publisher("timeout=1")
    publish(publisher, samples(1))
    alarm(own.server, "0.000001")
    began = time.monotonic()
    why = "the broker takes nothing at present, as when it is short of memory or disk"
    assert refusal(lambda: publish(publisher, samples(10_000))) == why
    assert time.monotonic() - began < 5
    assert refusal(lambda: publish(publisher, samples(1))) == why
    for _ in range(3):
        began = time.monotonic()
        assert refusal(lambda: publish(publisher, samples(1))) == why
        assert time.monotonic() - began < 0.5
    alarm(own.server, "0.9")
    eventually(lambda: taken(publisher))
    publish(publisher, samples(600))
    found = own.arrived()
    assert {each.identity for each in samples(600)} <= {each.identity for each in found.samples}


def taken(publisher: NotifierPublisher) -> bool:
    """Whether samples can be published again."""
    try:
        publish(publisher, samples(1))
    except Unavailable:
        return False
    return True
