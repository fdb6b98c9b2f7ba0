"""Samples and events are the same at a central agent, however many agents send them on."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meteragent.clock import instant
from meteragent.event import Event
from meteragent.event_message import event_message
from meteragent.journal.quarantine import HEAD
from meteragent.meter_message import meter_message
from meteragent.notification_message import LEVELS, notification
from meteragent.notifications.dispatcher import Conversion, Dispatcher
from meteragent.notifications.envelope import unpack
from meteragent.notifications.polled import PolledSamples
from meteragent.notifications.received_events import ReceivedEvents
from meteragent.publishers.notifier.payloads import MOST_BYTES, payloads
from meteragent.sample import Metadata, Sample, accepted
from meteragent.signing import verify
from tests.notifications.test_received_events import EVENTS
from tests.test_meter_message import ORIGINS, SAMPLES, cpu

AT = instant("2026-03-01T10:00:00Z")
TIMES = st.integers(instant("0001-01-02T00:00:00Z"), instant("9999-12-30T00:00:00Z"))


def sent(samples: Sequence[Sample], events: Sequence[Event] = (), secret: str = "s") -> list[bytes]:
    """The bodies that a publisher sends, none of which may be refused."""
    refused: dict[int, str] = {}
    told = {"publisher_id": "telemetry.publisher.h", "priority": "sample", "at": AT}
    bodies = [
        notification(event_type, payload, **told)  # type: ignore[arg-type]
        for event_type, made in (
            ("metering", payloads(samples, lambda sample: meter_message(sample, secret), refused)),
            ("event", payloads(events, lambda event: event_message(event, secret), refused)),
        )
        for payload in made
    ]
    assert not refused
    return bodies


def arrived(bodies: Sequence[bytes], secret: str = "s") -> Conversion:
    """What an agent makes of them that accepts only what is signed."""

    def signed(message: Any) -> bool:
        return verify(message, [secret])

    dispatcher = Dispatcher({"polled": PolledSamples(signed), "events": ReceivedEvents(signed)}, "elsewhere")
    found = Conversion([], [], [])
    for body in bodies:
        conversion = dispatcher.dispatch(unpack(body, "application/json", "utf-8", "metering.sample"))
        found.samples.extend(conversion.samples)
        found.events.extend(conversion.events)
        found.problems.extend(conversion.problems)
    return found


def stamped(sample: Sample, at: int, origin: int) -> Sample:
    """The sample as an agent accepts it."""
    return msgspec.structs.replace(accepted(sample, at, "src"), origin=origin)


@given(st.lists(st.builds(stamped, SAMPLES, TIMES, ORIGINS), max_size=5), st.lists(EVENTS, max_size=3))
def test_identity_and_content_are_the_same_over_two_hops(samples: list[Sample], events: list[Event]) -> None:
    """Each field with its type to the last digit, the origin, and the id that is shown."""
    once = arrived(sent(samples, events))
    twice = arrived(sent(once.samples, once.events))
    for found in (once, twice):
        assert (found.samples, found.events, found.problems) == (samples, events, [])
        assert [type(each.volume) for each in found.samples] == [type(each.volume) for each in samples]
        assert [each.identifier for each in found.samples] == [each.identifier for each in samples]


@pytest.mark.parametrize("volume", [10, 10.0, 2**53 + 1, 2**64 - 1, -(2**63), 0.1, -0.0, 1e22, 5e-324])
def test_a_volume_is_the_same_to_the_last_digit(volume: float) -> None:
    """Integers stay integers, floats floats."""
    (found,) = arrived(sent([cpu(volume=volume)])).samples
    assert repr(found.volume) == repr(volume)


def test_a_sample_of_the_ancestor_keeps_its_identity_on_the_next_hop() -> None:
    """Its origin is derived from its message id once, and told from then on."""
    message = {**meter_message(cpu(), ""), "message_id": "11111111-1111-1111-1111-111111111111"}
    told = {"publisher_id": "ceilometer.polling", "priority": "sample", "at": AT}
    body = notification("metering", json.dumps([message]).encode(), **told)  # type: ignore[arg-type]
    first = arrived([body], "").samples
    assert first[0].origin
    assert arrived(sent(first)).samples == first


def test_a_batch_that_is_sent_again_is_the_same_messages() -> None:
    """With the same ids, so that whoever looks at these knows them again."""
    samples = [cpu(volume=volume, resource_id=f"r{volume}") for volume in range(1200)]
    first, again = ([unpack(body, None, None, None).document for body in sent(samples)] for _ in range(2))
    assert first == again
    assert len({each["metadata"]["message_id"] for each in first}) == len(first) > 1


@given(st.lists(st.builds(stamped, SAMPLES, TIMES, ORIGINS), min_size=1, max_size=5), st.integers(30, 150))
def test_a_message_is_as_large_as_a_quarantine_keeps_whole(samples: list[Sample], times: int) -> None:
    """And not much smaller, where there are enough samples."""
    bodies = sent(samples * times)
    assert max(map(len, bodies)) <= HEAD
    assert min(map(len, bodies[:-1]), default=HEAD) > HEAD // 2


def test_a_sample_that_is_larger_goes_alone() -> None:
    """Order is kept."""
    large = cpu(resource_metadata={"text": "x" * MOST_BYTES})
    bodies = sent([cpu(), large, large, cpu(), cpu()])
    assert [len(unpack(body, None, None, None).payload) for body in bodies] == [1, 1, 1, 2]
    assert arrived(bodies).samples == [cpu(), large, large, cpu(), cpu()]


def nested(levels: int) -> dict[str, Any]:
    """Metadata of so many levels."""
    inner: Any = 1
    for _ in range(levels):
        inner = {"a": inner}
    return dict(inner)


def test_a_sample_that_cannot_be_sent_harms_no_other() -> None:
    """It is refused with the reason; what is as deep as may be arrives."""
    deepest = cpu(resource_metadata=nested(LEVELS - 3))
    assert arrived(sent([deepest])).samples == [deepest]
    samples = [cpu(), cpu(resource_metadata=nested(LEVELS - 2)), cpu(resource_metadata=nested(LEVELS))]
    refused: dict[int, str] = {}
    (made,) = payloads(samples, lambda sample: meter_message(sample, "s"), refused)
    assert len(json.loads(made)) == 1
    assert refused == {
        1: "cannot be sent: nested deeper than 98 levels",
        2: "cannot be sent: nested deeper than 100 levels",
    }


def test_an_event_that_is_too_large_for_any_reader_is_refused() -> None:
    """Its bytes are counted as they are in the envelope, where each quotation mark is two."""
    event = Event("m", "t", AT, [], {"text": '"' * 3_000_000})
    refused: dict[int, str] = {}
    assert not list(payloads([event], lambda event: event_message(event, None), refused))
    assert refused == {0: "cannot be sent: a message of more than 10000000 bytes"}
    almost = msgspec.structs.replace(event, raw={"text": "x" * 9_900_000})
    assert arrived(sent([], [almost], ""), "").events == [almost]


def test_metadata_of_the_largest_size_can_be_sent() -> None:
    """Whatever letters it is made of."""
    for letter in ('"', "\\", "\x01", "ü"):
        count = ((1 << 20) - 20) // len(msgspec.json.encode(letter)[1:-1])
        large = cpu(resource_metadata={"text": letter * count}, unit=letter * 4096)
        assert len(Metadata.of(large.resource_metadata).json) > (1 << 20) - 30
        assert arrived(sent([large])).samples == [large]
