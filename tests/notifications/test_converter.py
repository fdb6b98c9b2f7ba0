"""What messages become, and that no message and no handler harms another one."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from meteragent import wire
from meteragent.errors import Rejected, Unavailable
from meteragent.event import Event, Trait
from meteragent.message import Message
from meteragent.notifications import converter as module
from meteragent.notifications.base import Notification, Refused, RefusedSample
from meteragent.notifications.converter import Converter
from meteragent.notifications.dispatcher import Dispatcher
from meteragent.notifications.outcome import Converted
from tests.notifications.arriving import Convert, Does, message, sample

MADE: list[Converter] = []


def converter(timeout: float = 30.0, /, **handlers: Does) -> Converter:
    """A converter with these handlers, or one that makes a sample of each message."""
    MADE.append(Converter(Dispatcher(handlers or {"size": Does()}), timeout))
    return MADE[-1]


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """No thread outlives its test."""
    yield
    while MADE:
        MADE.pop().close()


def check(messages: int, converted: Converted) -> None:
    """The laws: each message is in one line, and each sample that was read is journaled or refused."""
    received = converted.received
    assert received.messages == messages
    assert received.converted + received.ignored + received.quarantined == messages
    assert converted.read == len(converted.batch.samples) + received.refused
    assert wire.decode(wire.encode(converted.batch), 1).samples == converted.batch.samples


def test_messages_become_one_batch_in_their_order() -> None:
    """With the account of them, and of their samples."""
    event = Event("m", "a.b", 5, [Trait("size", 2, 5)])
    both = Does(lambda notification, _: [event, sample(notification)], ("a.*",))
    converted = converter(both=both).convert([message(0), message(1, "other"), message(2)])
    assert [each.resource_id for each in converted.batch.samples] == ["r0", "r2"]
    assert converted.batch.events == [event, event]
    assert (converted.received.converted, converted.received.ignored, converted.received.aside) == (2, 1, [])
    assert converted.read == 2
    check(3, converted)


def test_no_messages_become_nothing() -> None:
    """That is no error."""
    converted = converter().convert([])
    assert (converted.batch.samples, converted.batch.events, converted.outcomes) == ([], [], [])
    check(0, converted)


DEEP, BEGUN = 1000, b'{"event_type": "a", "message_id": "m", "payload": '
POISON: dict[str, tuple[Message, str]] = {
    "undecodable": (Message(b"\xff\xfe\x00", "n.info"), "message: "),
    "empty": (Message(b"", "n.info"), "message: not JSON: "),
    "no mapping": (Message(b"[1]", "n.info"), "message: [1] is no mapping"),
    "no event type": (message(event_type=...), "event_type: missing"),  # type: ignore[arg-type]
    "no message id": (message(message_id=...), "message_id: missing"),
    "event type of a wrong type": (message(event_type=5), "event_type: 5 is no text"),  # type: ignore[arg-type]
    "message id of a wrong type": (message(message_id=[]), "message_id: [] is no text"),
    "too large": (message(padding="x" * 10_000_000), "message: 10000"),
    "too deep": (
        Message(BEGUN + b"[" * DEEP + b"]" * DEEP + b"}", "n.info"),
        "message: nested deeper than 100 levels",
    ),
    "NaN": (Message(BEGUN + b'{"size": NaN}}', "n.info"), "message: not JSON: NaN"),
    "no priority": (Message(b'{"event_type": "a", "message_id": "m"}'), "priority: missing"),
    "unknown encoding": (Message(b"{}", "n.info", None, "rot13"), "content encoding: 'rot13' is none of"),
    "unknown envelope": (Message(b'{"oslo.version": "3.0", "oslo.message": "{}"}'), "oslo.version: '3.0' is"),
    "payload of a wrong type": (message(payload=[]), "handler size: TypeError"),
    "volume of a wrong type": (message(payload={"id": "r", "size": {}}), "meter size: refused: volume: {}"),
    "no time": (message(timestamp="yesterday"), "meter size: refused: timestamp: 'yesterday'"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(POISON))
def test_a_message_that_is_no_good_is_set_aside_alone(name: str) -> None:
    """With the reason and all of it; the messages before and behind it are converted."""
    poison, reason = POISON[name]
    converted = converter().convert([message(1), poison, message(2)])
    assert [each.resource_id for each in converted.batch.samples] == ["r1", "r2"]
    (aside,) = converted.received.aside
    assert aside.reason.startswith(reason)
    assert (aside.message, aside.whole, aside.samples) == (poison, True, 0)
    check(3, converted)


def test_what_can_be_read_of_a_message_is_told_with_it() -> None:
    """So that it can be found among the others."""
    converted = converter().convert([message(7, message_id="m7", priority="loud"), message(event_type=...)])  # type: ignore[arg-type]
    first, second = converted.received.aside
    assert (first.event_type, first.message_id, first.reason.partition(":")[0]) == ("a.b", "m7", "priority")
    assert (second.event_type, second.message_id) == ("", "m0")


def partly(notification: Notification, problems: list[str]) -> Iterator[Any]:
    """A sample, one that is refused, and one that the handler itself refuses."""
    yield sample(notification)
    yield sample(notification, "nan", volume=float("nan"))
    problems.append(RefusedSample("row 3: no id"))


def test_a_message_of_which_samples_are_refused_is_converted_and_kept() -> None:
    """For those that were refused, which count as read."""
    converted = converter(partly=Does(partly)).convert([message(1), message(2)])
    assert [each.name for each in converted.batch.samples] == ["size", "size"]
    first, second = converted.received.aside
    assert (first.reason, first.detail) == ("meter nan: refused: volume: nan is not finite", "row 3: no id")
    assert (first.samples, first.whole, first.message_id, second.message_id) == (2, False, "m1", "m2")
    assert (converted.received.converted, converted.read) == (2, 6)
    check(2, converted)


@pytest.mark.parametrize("way", ["the handler fails", "a part is refused", "another handler fails"])
def test_a_message_that_is_converted_but_for_a_part_is_kept(way: str) -> None:
    """It is not known how many samples are missing, so none counts; replayed, they are all made."""

    def fails(notification: Notification, problems: list[str]) -> Iterator[Any]:
        yield sample(notification)
        if way == "a part is refused":
            problems.append(Refused("event a.b: refused: trait x: 'y' is no integer"))
        elif way == "the handler fails":
            raise Rejected("payload: has no list")

    others = {"other": Does(lambda *_: 1 // 0)} if way == "another handler fails" else {}
    converted = converter(30.0, fails=Does(fails), **others).convert([message(1)])
    (aside,) = converted.received.aside
    assert (aside.whole, aside.samples, len(converted.batch.samples)) == (False, 0, 1)
    assert (converted.received.converted, converted.read) == (1, 1)


def test_a_remark_is_logged_now_and_then_and_keeps_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A million messages with the same remark say so once."""

    def remarks(notification: Notification, problems: list[str]) -> Iterator[Any]:
        yield sample(notification)
        problems.append(f"trait size: {notification.payload['size']} is left out")

    made = converter(remarks=Does(remarks))
    for start in range(0, 200, 50):
        converted = made.convert([message(start + number) for number in range(50)])
        assert converted.received.aside == []
        assert converted.received.converted == 50
    assert caplog.messages == [
        "notification of event type 'a.b' is converted, with a remark: trait size: 0 is left out"
    ]


def test_a_message_with_remarks_alone_is_set_aside() -> None:
    """Something was to come of it, and nothing came."""
    silent = Does(lambda _, problems: problems.append("door has no id"))
    (aside,) = converter(silent=silent).convert([message()]).received.aside
    assert (aside.reason, aside.whole) == ("door has no id", True)


def test_a_message_that_tells_nothing_is_converted() -> None:
    """A handler asked for it and says that all is well."""
    converted = converter(nothing=Does(lambda *_: None)).convert([message()])
    assert (converted.received.converted, converted.received.aside) == (1, [])


def test_many_problems_are_told_up_to_a_bound() -> None:
    """In the order in which they came."""
    many = Does(lambda _, problems: problems.extend(f"row {number}" for number in range(5000)))
    (aside,) = converter(many=many).convert([message()]).received.aside
    assert (aside.reason, aside.detail.splitlines()[0]) == ("row 0", "row 1")
    assert aside.detail.splitlines()[-1] == "and 4000 problems more"


def ends(_: Notification, __: list[str]) -> Iterator[Any]:
    """Ends the process, it wants."""
    raise SystemExit(3)


def interrupts(_: Notification, __: list[str]) -> Iterator[Any]:
    """As the user would with Ctrl-C."""
    raise KeyboardInterrupt


def endless(notification: Notification, _: list[str]) -> Iterator[Any]:
    """Has no end."""
    while True:
        yield sample(notification)


def changes(notification: Notification, _: list[str]) -> Iterator[Any]:
    """Changes what the others are to be given."""
    notification.payload.clear()
    notification.document.clear()
    notification.document.update(event_type="x", metadata={"message_id": "other"})
    raise ValueError("done")
    yield


def closes_badly(notification: Notification, _: list[str]) -> Iterator[Any]:
    """Raises when it is closed."""
    try:
        yield sample(notification)
        raise ValueError("no")
    finally:
        raise OSError("worse")


@pytest.mark.parametrize("does", [ends, interrupts, endless, changes, closes_badly])
def test_no_handler_harms_another(does: Convert) -> None:
    """Whatever it raises, however much it yields, whatever it changes: the others are asked as ever."""
    alone = converter(size=Does()).convert([message(number) for number in range(3)])
    beside = converter(bad=Does(does, ("a.1",)), size=Does())
    messages = [message(0), message(1, "a.1"), message(2)]
    found: list[Converted] = []
    while sum(each.received.messages for each in found) < 3:
        found.append(beside.convert(messages[sum(each.received.messages for each in found) :]))
    samples = [each for one in found for each in one.batch.samples]
    assert {each.identity for each in alone.batch.samples} <= {each.identity for each in samples}
    (aside,) = [each for one in found for each in one.received.aside]
    assert not aside.whole
    assert aside.message == messages[1]


def test_an_event_that_the_journal_cannot_keep_is_refused() -> None:
    """A batch that could not be read again would take the other messages with it."""
    bad: list[Any] = [
        Event(5, "a.b", 1), Event("m", "a.b", "now"), Event("m", "a.b", 1, [Trait("t", 9, 1)]),  # type: ignore[arg-type]
        Event("m", "a.b", 1, [Trait("t", 1, None)]), Event("m", "a.b", 1, [], {"x": object()}),  # type: ignore[arg-type]
        Event("m", "a.b", 1, [], {"x": 1 << 70}), Event("m", "\ud800", 1), Event("", "a.b", 1),
        Event("m", "x" * 5000, 1), Event("m", "a.b", 1 << 62),
    ]  # fmt: skip
    loop: dict[str, Any] = {}
    loop["x"] = loop
    bad.append(Event("m", "a.b", 1, [], loop))
    good = Event("m", "a.b", 1)
    converted = converter(events=Does(lambda *_: [good, *bad])).convert([message()])
    assert converted.batch.events == [good]
    (aside,) = converted.received.aside
    assert len(aside.detail.splitlines()) == len(bad) - 1
    assert (aside.whole, aside.samples) == (False, 0)
    check(1, converted)


def test_an_event_may_be_changed_by_its_handler_later() -> None:
    """It does not change what is journaled."""
    raw: dict[str, Any] = {"a": 1}
    made = Does(lambda *_: [Event("m", "a.b", 1, [], raw)])
    converted = converter(made=made).convert([message()])
    raw["a"] = object()
    assert converted.batch.events[0].raw == {"a": 1}


HOLD = threading.Event()


def hangs(notification: Notification, _: list[str]) -> Iterator[Any]:
    """Waits for something that does not come, and cannot be told to stop."""
    yield sample(notification)
    while not HOLD.is_set():
        try:
            HOLD.wait(0.01)
        except BaseException:
            continue


@pytest.fixture
def released() -> Iterator[None]:
    """What hangs ends with the test."""
    HOLD.clear()
    yield
    HOLD.set()


@pytest.mark.usefixtures("released")
def test_a_handler_that_hangs_costs_its_message(caplog: pytest.LogCaptureFixture) -> None:
    """It is not asked while it hangs, and others are; what it would have made waits for a replay."""
    bad = Does(hangs, ("bad.*",))
    made = converter(0.1, bad=bad, size=Does())
    messages = [message(0), message(1, "bad.b"), message(2), message(3, "bad.b")]
    first = made.convert(messages)
    check(2, first)
    (aside,) = first.received.aside
    assert (aside.reason, aside.whole) == ("handler bad: no answer within 0.1 s", True)
    assert (aside.message_id, aside.event_type) == ("m1", "bad.b")
    assert [each.resource_id for each in first.batch.samples] == ["r0"]
    second = made.convert(messages[2:])
    check(2, second)
    assert [each.resource_id for each in second.batch.samples] == ["r2", "r3"]
    (aside,) = second.received.aside
    assert (aside.reason, aside.whole) == ("handler bad: not asked, since a call of it still hangs", False)
    assert bad.asked == 1
    assert "handler bad: no answer within 0.1 s" in caplog.text
    HOLD.set()
    until = time.monotonic() + 5
    while made._hung and time.monotonic() < until:
        made._barred()
        time.sleep(0.01)
    assert [each.name for each in made.convert([message(4, "bad.b")]).batch.samples] == ["size", "size"]
    assert bad.asked == 2


def test_a_loop_that_hangs_is_ended() -> None:
    """The handler is asked again, unless it hung too often of late."""
    asked: list[str] = []

    def loops(notification: Notification, _: list[str]) -> Iterator[Any]:
        asked.append(notification.event_type)
        while notification.payload["size"] % 2:
            pass
        yield sample(notification)

    made = converter(0.05, loops=Does(loops))
    for number in range(module.HANGS):
        (aside,) = made.convert([message(2 * number + 1)]).received.aside
        assert aside.reason == "handler loops: no answer within 0.05 s"
        until = time.monotonic() + 5
        while made._hung and time.monotonic() < until:
            made._barred()
            time.sleep(0.01)
        if number < module.HANGS - 1:
            assert len(made.convert([message(2 * number)]).batch.samples) == 1
    count = len(asked)
    (aside,) = made.convert([message(2)]).received.aside
    assert aside.reason.startswith(
        f"handler loops: not asked, it has hung {module.HANGS} times; asked again in"
    )
    assert len(asked) == count
    made._hangs["loops"][0] -= module.REST
    assert len(made.convert([message(2)]).batch.samples) == 1


def test_many_messages_may_take_longer_than_one() -> None:
    """The time is for each of them."""

    def slow(notification: Notification, _: list[str]) -> Iterator[Any]:
        time.sleep(0.02)
        yield sample(notification)

    converted = converter(0.2, slow=Does(slow)).convert([message(number) for number in range(20)])
    assert len(converted.batch.samples) == 20


def test_a_batch_ends_when_it_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its samples, or by its bytes; with whole messages, and one at least."""
    many = Does(lambda notification, _: (sample(notification, resource_id=f"r{n}") for n in range(9000)))
    made = converter(many=many)
    messages = [message(number) for number in range(4)]
    assert made.convert(messages).received.messages == 3
    assert made.convert(messages[3:]).received.messages == 1
    large = [message(number, padding="x" * 3_000_000) for number in range(4)]
    assert converter().convert(large).received.messages == 4, "of which little is kept"
    whole = Does(lambda notification, _: [Event("m", "a.b", 1, [], notification.document)])
    assert converter(whole=whole).convert(large).received.messages == 3, (
        "the event holds as much as the message"
    )
    metadata = Does(lambda notification, _: [sample(notification, resource_metadata={"x": "x" * 900_000})])
    many_messages = [message(number) for number in range(20)]
    assert converter(metadata=metadata).convert(many_messages).received.messages == 10
    poison = [Message(b"x" * 70_000)] * 200
    assert converter().convert(poison).received.messages == 128
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    assert converter().convert(messages).received.messages == 1


def test_threads_that_cannot_be_had_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost: the messages are not taken."""

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(Unavailable, match="notifications: no thread for it: can't start new thread"):
        converter().convert([message()])


def test_what_no_unicode_can_say_costs_its_message_only() -> None:
    """The batch is sifted when the journal refuses it."""

    def odd(notification: Notification, _: list[str]) -> Iterator[Any]:
        yield sample(notification)
        if notification.payload["size"] == 1:
            yield sample(notification, "odd", user_id="\ud800")

    made = converter(odd=Does(odd))
    messages = [message(0), message(1), message(2), Message(b"{")]
    converted = made.convert(messages)
    with pytest.raises(ValueError, match="surrogates not allowed"):
        wire.encode(converted.batch)
    sifted = made.sift(messages, converted)
    assert [each.resource_id for each in sifted.batch.samples] == ["r0", "r2"]
    assert sifted.received.aside[0].reason == "meter 'odd': user_id: '\\ud800' is no valid Unicode"
    assert len(sifted.received.aside) == 2
    check(4, sifted)


def test_an_end_lets_threads_end() -> None:
    """None is left behind by a converter that is closed."""
    before = {*threading.enumerate()}
    made = converter()
    made.convert([message()])
    (thread,) = {*threading.enumerate()} - before
    made.close()
    thread.join(5)
    assert not thread.is_alive()


_TEXT = st.text(max_size=8)
_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)
_MESSAGE = st.one_of(
    st.builds(Message, st.binary(max_size=30), _TEXT, st.none() | _TEXT, st.none() | _TEXT),
    st.builds(lambda value: Message(json.dumps(value).encode(), "n.info"), _VALUE),
    st.builds(
        lambda fields, number: message(number, **fields),
        st.dictionaries(
            st.sampled_from(
                ("message_id", "priority", "timestamp", "payload", "publisher_id", "_context_user")
            ),
            _VALUE | st.builds(lambda size: {"id": "r", "size": size}, _VALUE),
        ),
        st.integers(0, 3),
    ),
    st.builds(lambda size: message(payload={"id": "r", "size": size}), st.integers(0, 9)),
    st.just(message(event_type="ignored")),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_MESSAGE, max_size=6))
@example([message(), Message(b"\xff"), message(event_type="ignored")])
def test_every_message_stands_in_one_line(messages: list[Message]) -> None:
    """Whatever it holds; and each sample that there was is journaled or refused."""

    def several(notification: Notification, problems: list[str]) -> Iterator[Any]:
        payload = notification.payload
        yield sample(notification)
        for number in range(payload["size"] % 5):
            yield sample(notification, "odd", volume=None if number % 2 else number)
        if payload["size"] > 5:
            problems.append("large")

    made = converter(several=Does(several, ("a.*",)))
    converted = made.convert(messages)
    check(len(messages), converted)
    assert all(each.samples == 0 for each in converted.received.aside if each.whole)
    assert [each.message for each in converted.received.aside if each.whole] == [
        each for each in messages if made.convert([each]).received.quarantined
    ]
    made.close()


def test_troubles_are_logged_by_kind(caplog: pytest.LogCaptureFixture) -> None:
    """A flood of messages that are no good fills no log."""
    caplog.set_level(logging.WARNING)
    converted = converter().convert([Message(b"{" + b" " * number, "n.info") for number in range(100)])
    assert converted.received.quarantined == 100
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(
        "notification of no event type that can be read is quarantined: message: not JSON"
    )
