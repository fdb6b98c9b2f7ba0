"""The dispatcher: who is asked, what is taken of them, and the identity of each sample."""

import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meteragent import wire
from meteragent.batch import Batch
from meteragent.clock import SECOND
from meteragent.errors import PluginError, Rejected
from meteragent.event import Event
from meteragent.meter_message import meter_message
from meteragent.notifications.base import Handler, Notification, RefusedSample
from meteragent.notifications.dispatcher import (
    MOST_BYTES,
    MOST_TOLD,
    MOST_YIELDED,
    Conversion,
    Dispatcher,
    matches,
)
from meteragent.notifications.origin import notified
from meteragent.notifications.polled import PolledSamples
from meteragent.sample import Metadata, Sample
from meteragent.signing import verify

AT = "2026-03-01 10:00:20.5"
INSTANT = 1_772_359_220_500_000


def notification(event_type: str = "a.b", priority: str = "info", **document: Any) -> Notification:
    """A notification of nothing much."""
    metadata = {"message_id": "m", "timestamp": AT}
    return Notification({"event_type": event_type, "payload": {}, "metadata": metadata} | document, priority)


def a_sample(**fields: Any) -> Sample:
    """What a handler yields."""
    usual: dict[str, Any] = {"name": "n", "type": "gauge", "unit": "u", "volume": 1, "resource_id": "r"}
    return Sample(**usual | fields)


class Yields(Handler):
    """A handler that yields what it is made with, for all event types."""

    event_types: Sequence[str] = ("*",)

    def __init__(self, *things: Any) -> None:
        self._things = things

    def convert(self, notification: Notification, problems: list[str]) -> Iterator[Any]:  # noqa: ARG002
        """Yield them; an exception among them is raised."""
        for each in self._things:
            if isinstance(each, Exception):
                raise each
            yield each


def dispatched(*handlers: Handler, **document: Any) -> Conversion:
    """What becomes of a notification."""
    return Dispatcher({str(number): each for number, each in enumerate(handlers)}).dispatch(
        notification(**document)
    )


@pytest.mark.parametrize(
    ("pattern", "event_type", "meant"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.b.c", False),
        ("a.b", "aXb", False),
        ("a.*", "a.b.c", True),
        ("a.?", "a.b", True),
        ("A.b", "a.b", False),
        (re.compile("a.b"), "aXb.c", True),
        (re.compile("b"), "a.b", False),
    ],
)
def test_event_types_are_names_globs_or_beginnings(
    pattern: str | re.Pattern[str], event_type: str, meant: bool
) -> None:
    """An expression means the beginning of an event type, a name the whole of it."""
    assert matches(pattern, event_type) is meant


def test_only_who_asks_for_event_type_and_priority_is_asked() -> None:
    """In the order of the handlers; whether anyone is can be told without asking."""

    class Few(Yields):
        event_types = ("a.*", "c")
        priorities = ("error",)

    dispatcher = Dispatcher({"few": Few(a_sample(name="few")), "all": Yields(a_sample(name="all"))})
    for event_type, priority, names in (
        ("a.b", "error", ["few"]),
        ("a.b", "info", ["all"]),
        ("b", "sample", ["all"]),
        ("b", "error", []),
    ):
        for _ in range(2):
            conversion = dispatcher.dispatch(notification(event_type, priority))
            assert [each.name for each in conversion.samples] == names
        assert dispatcher.handles(notification(event_type, priority)) is bool(names)


def test_a_handler_that_fails_keeps_what_it_yielded_and_harms_no_other() -> None:
    """Its fault is named in one line."""
    failing = Yields(a_sample(name="before"), KeyError("x\ny"), a_sample(name="after"))
    refusing = Yields(Rejected("payload: 5 is no mapping"))
    conversion = dispatched(failing, refusing, Yields(a_sample(name="other")))
    assert [each.name for each in conversion.samples] == ["before", "other"]
    assert conversion.problems == ["handler 0: KeyError: 'x\\ny'", "handler 1: payload: 5 is no mapping"]


def test_what_is_no_sample_is_refused_by_name() -> None:
    """The others are taken."""
    conversion = dispatched(
        Yields(a_sample(volume=None), a_sample(resource_id=None), 5, a_sample(volume=True), a_sample())
    )
    assert len(conversion.samples) == 1
    assert [each.partition(": refused: ")[0] for each in conversion.problems] == [
        "meter n", "meter n", "meter None", "meter n",
    ]  # fmt: skip


def test_a_sample_has_its_own_time_or_the_message_s() -> None:
    """Without either it is refused."""
    yields = Yields(a_sample(), a_sample(timestamp=5 * SECOND))
    conversion = dispatched(yields)
    assert [each.timestamp for each in conversion.samples] == [INSTANT, 5 * SECOND]
    conversion = dispatched(yields, metadata={"message_id": "m"})
    assert [each.timestamp for each in conversion.samples] == [5 * SECOND]
    assert "timestamp: missing" in conversion.problems[0]


def test_the_source_is_the_agent_s_unless_a_sample_names_one() -> None:
    """As one that another agent polled does."""
    handlers = {"it": Yields(a_sample(), a_sample(source="else"))}
    conversion = Dispatcher(handlers, "here").dispatch(notification())
    assert [each.source for each in conversion.samples] == ["here", "else"]


def test_samples_and_events_are_told_apart() -> None:
    """Whoever yields them."""
    event = Event("m", "a.b", INSTANT)
    conversion = dispatched(Yields(event, a_sample(), event))
    assert (len(conversion.samples), conversion.events) == (1, [event, event])


def test_a_handler_without_end_is_stopped() -> None:
    """What it yielded until then is kept."""

    class Endless(Yields):
        def convert(self, notification: Notification, problems: list[str]) -> Iterator[Any]:  # noqa: ARG002
            """Yield for ever."""
            while True:
                yield Event("m", "a.b", INSTANT)

    conversion = dispatched(Endless())
    assert len(conversion.events) == MOST_YIELDED
    assert conversion.problems == [f"the limit of {MOST_YIELDED} samples and events is reached"]


def test_a_handler_that_needs_what_is_not_offered_is_refused_at_once() -> None:
    """Not at the first notification."""

    class Greedy(Handler):
        def convert(self, notification: Notification, bus: Any) -> Iterable[Any]:
            """Never called."""
            del notification, bus
            return ()

    with pytest.raises(PluginError, match="needs the argument 'bus'"):
        Dispatcher({"greedy": Greedy()})


_SERIES = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("rs"), st.booleans()), max_size=8)


def yielding(series: list[tuple[str, str, bool]]) -> Yields:
    """A handler whose samples are of these names and resources, and good or not."""
    return Yields(
        *(
            a_sample(name=name, resource_id=resource, volume=1 if good else None)
            for name, resource, good in series
        )
    )


@given(_SERIES, _SERIES, st.booleans())
def test_an_origin_depends_on_the_message_and_its_maker_alone(
    series: list[tuple[str, str, bool]], others: list[tuple[str, str, bool]], before: bool
) -> None:
    """Whatever other handlers make of it, the same series too, and however often it is delivered."""
    own, more = {"own": yielding(series)}, {"more": yielding(others)}
    alone = Dispatcher(own).dispatch(notification()).samples
    both = Dispatcher(more | own if before else own | more).dispatch(notification()).samples
    assert {each.identity for each in alone} <= {each.identity for each in both}
    assert len({each.identity for each in both}) == len(both)
    metadata = {"message_id": "other", "timestamp": AT}
    other = Dispatcher(own).dispatch(notification(metadata=metadata)).samples
    assert not {each.origin for each in other} & {each.origin for each in alone}


@given(_SERIES)
def test_what_was_refused_takes_its_place_all_the_same(series: list[tuple[str, str, bool]]) -> None:
    """Accepted at a later delivery, after a definition was mended, it moves no other."""
    before = Dispatcher({"it": yielding(series)}).dispatch(notification()).samples
    mended = (
        Dispatcher({"it": yielding([(*each[:2], True) for each in series])}).dispatch(notification()).samples
    )
    assert {each.identity for each in before} <= {each.identity for each in mended}


def test_the_ordinal_counts_within_name_and_resource() -> None:
    """From 0."""
    found = dispatched(Yields(a_sample(), a_sample(name="o"), a_sample(), a_sample(resource_id="s"))).samples
    assert [each.origin for each in found] == [notified("m", "0", n) for n in (0, 0, 1, 0)]


@pytest.mark.parametrize("origin", [0, 7, 2**63 - 1])
def test_identity_is_kept_over_any_number_of_hops(origin: int) -> None:
    """A sample that another agent sends is the same sample here, and where it is sent on to."""
    polled = PolledSamples(partial(verify, secrets=["k"]))
    dispatcher = Dispatcher({"polled": polled})
    sent = [a_sample(timestamp=INSTANT, source="openstack", origin=origin, volume=10.0, monotonic_time=1.5)]
    for hop in range(3):
        payload = {"samples": [meter_message(each, "k") for each in sent]}
        document = {"payload": payload, "metadata": {"message_id": f"hop {hop}", "timestamp": AT}}
        conversion = dispatcher.dispatch(notification("telemetry.polling", "sample", **document))
        assert not conversion.problems
        assert [each.identity for each in conversion.samples] == [each.identity for each in sent]
        assert [each.volume for each in conversion.samples] == [10.0]
        sent = conversion.samples
    payload["samples"][0]["counter_volume"] = 11.0
    forged = dispatcher.dispatch(notification("telemetry.polling", "sample", payload=payload))
    assert not forged.samples
    assert "message_signature" in forged.problems[0]


class Foreign:
    """The ancestor's sample, which has an id made at random."""

    name, type, unit, volume, resource_id = "n", "gauge", "u", 1, "r"
    user_id = project_id = timestamp = None
    source = "openstack"

    def __init__(self) -> None:
        self.id = str(uuid.uuid1())
        self.resource_metadata: dict[str, Any] = {}


def test_samples_of_the_ancestor_s_kind_have_one_identity_at_each_delivery() -> None:
    """Their id says nothing, as each object has another."""
    first, second = (dispatched(Yields(Foreign())).samples[0] for _ in range(2))
    assert first.identity == second.identity


class Raising:
    """A sample whose attributes cannot be read."""

    __name__ = "raising"

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


@pytest.mark.parametrize(
    "odd",
    [
        a_sample(source=5), a_sample(source=""), a_sample(source="x" * 5000), a_sample(origin="x"),
        a_sample(origin=-1), a_sample(origin=2**63), a_sample(timestamp=2**70), a_sample(timestamp=True),
        a_sample(timestamp=5.5), a_sample(id=5, source=7), Raising(), object(), None, {"name": "n"},
    ],
)  # fmt: skip
def test_whatever_is_yielded_what_is_accepted_can_be_written_and_read(odd: Any) -> None:
    """One that cannot be is refused by itself; the journal would lose the others with it."""
    conversion = dispatched(Yields(a_sample(), odd, a_sample(name="o")))
    assert [each.name for each in conversion.samples] == ["n", "o"]
    assert len(conversion.problems) == 1
    assert wire.decode(wire.encode(Batch(conversion.samples)), 1).samples == conversion.samples


def test_metadata_that_is_repeated_is_bounded() -> None:
    """A message of a megabyte may ask for it in thousands of samples."""
    metadata = Metadata.of({"text": "x" * 1_000_000})
    many = [a_sample(resource_id=str(number), resource_metadata=metadata) for number in range(100)]
    conversion = dispatched(Yields(*many))
    assert len(conversion.samples) == MOST_BYTES // len(metadata.json)
    assert "one notification may have 67108864 bytes" in conversion.problems[0]


def test_problems_are_told_up_to_a_bound() -> None:
    """The others are counted, and a long one is cut."""

    class Complaining(Yields):
        def convert(self, notification: Notification, problems: list[str]) -> Iterator[Any]:  # noqa: ARG002
            """Tell much."""
            problems.append("x" * 10**6)
            problems += [str(number) for number in range(5000)]
            yield a_sample()

    conversion = dispatched(Complaining())
    assert len(conversion.samples) == 1
    assert len(conversion.problems) == MOST_TOLD + 1
    assert conversion.problems[-1] == f"and {5001 - MOST_TOLD} problems more"
    assert len(conversion.problems[0]) < 1000


@pytest.mark.parametrize("fault", [SystemExit(3), GeneratorExit(), RecursionError("deep"), MemoryError()])
def test_no_fault_of_a_handler_comes_out(fault: BaseException) -> None:
    """But Ctrl-C, which is the user's."""

    class Faulty(Handler):
        event_types = ("*",)

        def convert(self, notification: Notification, problems: list[str]) -> Iterable[Any]:  # noqa: ARG002
            """Raise it."""
            raise fault

    conversion = dispatched(Faulty(), Yields(a_sample()))
    assert len(conversion.samples) == 1
    assert type(fault).__name__ in conversion.problems[0]
    fault = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        dispatched(Faulty())


def test_what_could_not_be_made_is_counted() -> None:
    """Samples that were there by their number, else that something is missing; remarks count as nothing."""

    class Refusing(Yields):
        def convert(self, notification: Notification, problems: list[str]) -> Iterator[Any]:  # noqa: ARG002
            """Refuse by itself."""
            problems += [RefusedSample("row 1"), "a remark", RefusedSample("row 2")]
            yield a_sample(volume=None)

    conversion = dispatched(Refusing())
    assert (conversion.refused, conversion.incomplete, len(conversion.problems)) == (3, False, 4)
    assert dispatched(Yields(a_sample())).problems == []
    for failing in (Yields(KeyError("x")), Yields(Rejected("no")), Yields(Event("", "a.b", 1))):
        conversion = dispatched(failing)
        assert (conversion.refused, conversion.incomplete, conversion.handled) == (0, True, True)


def test_that_nobody_asks_is_told() -> None:
    """Apart from a handler that yields nothing."""
    dispatcher = Dispatcher({"it": Yields()})
    assert dispatcher.dispatch(notification()).handled
    assert not dispatcher.dispatch(notification(priority="debug")).handled


def test_a_handler_of_others_has_a_notification_of_its_own() -> None:
    """Whatever the document is made of; built-in ones change nothing and are given it as it is."""
    given: list[Notification] = []

    class Keeps(Yields):
        def convert(self, notification: Notification, problems: list[str]) -> Iterator[Any]:  # noqa: ARG002
            """Change it."""
            given.append(notification)
            notification.payload["more"] = 1
            yield from ()

    for payload in ({"big": 1 << 90, "odd": "\ud800", "deep": [[{}]]}, {"at": datetime(2026, 1, 1)}):
        before = dict(payload)
        own = notification(payload=payload)
        Dispatcher({"one": Keeps(), "two": Keeps()}).dispatch(own)
        assert own.payload == before
        assert [each.payload for each in given[-2:]] == [{**before, "more": 1}] * 2
        assert given[-1].priority == own.priority
