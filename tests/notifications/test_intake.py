"""Messages on their way into the journal and the store, and once more out of quarantine."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meteragent.batch import Batch, Refused
from meteragent.errors import Held, Unavailable
from meteragent.event import Event
from meteragent.journal import status
from meteragent.journal.journal import Journal, Settings
from meteragent.journal.quarantine import Quarantine
from meteragent.journal.status import MessageAccount
from meteragent.message import Message, Received
from meteragent.notifications import converter as converting
from meteragent.notifications.base import Notification
from meteragent.notifications.converter import Converter
from meteragent.notifications.declarative import meter_definition
from meteragent.notifications.declarative.meters import DeclarativeMeters
from meteragent.notifications.dispatcher import Dispatcher
from meteragent.notifications.intake import Accept, Intake
from meteragent.notifications.outcome import gather
from meteragent.notifications.reserved import Reserved
from meteragent.storage.base import Query
from meteragent.storage.sqlite.driver import SQLiteDriver
from tests.notifications.arriving import Does, message, sample
from tests.publishers.test_store_sink import line, run

SMALL = Settings(reserve=1 << 16)


def converter(*handlers: Any, timeout: float = 30.0) -> Converter:
    """A converter with these handlers, or one that makes a sample of each message."""
    named = {f"handler{number}": each for number, each in enumerate(handlers)} or {"size": Does()}
    return Converter(Dispatcher(named), timeout)


class Bench:
    """An intake with its journal."""

    def __init__(self, folder: Path, options: Settings = SMALL) -> None:
        self.path = folder / "journal.db"
        self.journal = Journal(self.path, options)
        self.journal.join("store", "hold", 0)
        self.intake = self.make(converter())

    def make(self, made: Converter, accept: Accept | None = None, pause: float = 30.0) -> Intake:
        """An intake beside the one that is there."""
        journal = self.journal
        return Intake(made, accept or journal.append, journal.check, journal.replays, pause)

    def accept(self, check: Callable[[Received], None]) -> Accept:
        """What journals a batch where that lets it."""

        def accepted(
            batch: Batch,
            refused: Sequence[Refused] = (),
            read: int | None = None,
            received: Received | None = None,
        ) -> Batch:
            check(received or Received())
            return self.journal.append(batch, refused, read, received)

        return accepted

    def ask(self) -> int:
        """Ask for the replay of all that is in quarantine; how many entries that is."""
        quarantine = Quarantine(self.path)
        found = quarantine.list()
        quarantine.replay([entry.id for entry in found], "ann")
        quarantine.close()
        return len(found)

    def reasons(self) -> list[str]:
        """Of all that is in quarantine."""
        quarantine = Quarantine(self.path)
        found = [entry.reason for entry in quarantine.list()]
        quarantine.close()
        return found

    def account(self) -> MessageAccount:
        """The line of messages; all of them balance."""
        told = status.read(self.path)
        assert told.balanced
        return told.messages


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """An intake whose only handler makes a sample of each message."""
    made = Bench(tmp_path)
    yield made
    made.intake.stop()
    assert made.intake.wait_for_end(5)
    made.journal.close()


def volumes(journal: Journal) -> list[int | float]:
    """Of all samples in a journal."""
    found: list[int | float] = []
    sequence = 0
    while (record := journal.read(sequence)) is not None:
        found += [each.volume for each in record.batch.samples]
        sequence = record.batch.sequence
    return found


def test_what_messages_become_is_on_disk_when_they_are_taken(bench: Bench) -> None:
    """Samples, events and the account of both, in one batch."""
    event = Event("m", "a.b", 5)
    bench.intake.change(converter(Does(lambda notification, _: [sample(notification), event], ("a.*",))))
    bench.intake.take([message(1), message(2, "other"), Message(b"{", "n.info")])
    record = bench.journal.read(0)
    assert record is not None
    assert [each.volume for each in record.batch.samples] == [1]
    assert record.batch.events == [event]
    assert bench.account() == MessageAccount(3, 1, 1, 1)
    assert bench.journal.last == 1


def test_a_large_batch_is_journaled_in_parts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it before it is taken, each message whole."""
    monkeypatch.setattr(converting, "MOST_SAMPLES", 10)
    three = Does(lambda notification, _: [sample(notification, f"s{number}") for number in range(3)])
    bench.intake.change(converter(three))
    bench.intake.take([message(number) for number in range(10)])
    assert bench.journal.last == 3
    assert volumes(bench.journal) == [number for number in range(10) for _ in range(3)]
    assert bench.account() == MessageAccount(10, 10)


def test_what_is_not_taken_is_told_by_its_place(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The messages before it are not to be offered again: they would be counted twice."""
    monkeypatch.setattr(converting, "MOST_SAMPLES", 2)
    room = 2

    def check(_: Received) -> None:
        if bench.journal.last == room:
            raise Unavailable("journal full: 5 of 5 bytes")

    intake = bench.make(converter(), bench.accept(check))
    messages = [message(number) for number in range(7)]
    with pytest.raises(Held, match="journal full: 5 of 5 bytes") as held:
        intake.take(messages)
    assert held.value.taken == 4
    assert bench.account() == MessageAccount(4, 4)
    room = 9
    intake.take(messages[held.value.taken :])
    assert volumes(bench.journal) == [0, 1, 2, 3, 4, 5, 6]
    assert bench.account() == MessageAccount(7, 7)
    intake.stop()
    assert intake.wait_for_end(5)


def test_nothing_is_converted_while_nothing_is_accepted(tmp_path: Path) -> None:
    """With no messages it is asked whether it is."""
    bench = Bench(tmp_path, Settings(reserve=1 << 16, max_size=10))
    counted = Does()
    intake = bench.make(converter(counted))
    intake.take([])
    assert bench.journal.last == 0
    intake.take([message(1)])
    for messages in ([], [message(2)]):
        with pytest.raises(Held, match="journal full") as held:
            intake.take(messages)
        assert held.value.taken == 0
    assert counted.asked == 1
    intake.stop()
    assert intake.wait_for_end(5)
    with pytest.raises(Held, match="the agent ends"):
        intake.take([])
    bench.journal.close()


def test_messages_with_texts_that_cannot_be_kept_are_set_aside(bench: Bench) -> None:
    """Those alone, and no message waits for ever."""

    def odd(notification: Notification, _: list[str]) -> Iterator[Any]:
        user = "\ud800" if notification.payload["size"] == 2 else "ann"
        yield sample(notification, user_id=user)

    bench.intake.change(converter(Does(odd)))
    bench.intake.take([message(number) for number in range(4)])
    assert volumes(bench.journal) == [0, 1, 3]
    assert bench.account() == MessageAccount(4, 3, 0, 1)
    assert bench.reasons() == ["meter 'size': user_id: '\\ud800' is no valid Unicode"]


def test_a_fault_that_is_no_message_s_comes_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever gave the messages keeps them."""

    def encode(_: Batch) -> bytes:
        raise ValueError("what?")

    monkeypatch.setattr("meteragent.wire.encode", encode)
    with pytest.raises(ValueError, match=r"what\?"):
        bench.intake.take([message(1)])
    monkeypatch.undo()
    assert bench.account() == MessageAccount()


def test_a_message_that_we_fail_with_is_set_aside_alone(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the fault, which is told once with its place; the others are taken, and nothing comes again."""

    def fails(messages: Sequence[Message], outcomes: Any) -> Any:
        if any(b'"bad' in each.body for each in messages):
            raise KeyError("what?")
        return gather(messages, outcomes)

    monkeypatch.setattr(converting, "gather", fails)
    bad = Message(b'{"bad": 1}')
    bench.intake.take([message(1), bad, message(2), bad, message(3)])
    assert volumes(bench.journal) == [1, 2, 3]
    assert bench.account() == MessageAccount(5, 3, 0, 2)
    assert bench.reasons() == ["KeyError: 'what?'"] * 2
    told = [each for each in caplog.records if each.exc_info]
    assert [each.getMessage() for each in told] == ["a message is quarantined for a fault: KeyError: 'what?'"]


def test_what_was_taken_before_a_fault_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must not be offered again: it would be counted twice."""
    monkeypatch.setattr(converting, "MOST_SAMPLES", 2)

    def check(_: Received) -> None:
        if bench.journal.last:
            raise KeyError("what?")

    intake = bench.make(converter(), bench.accept(check))
    with pytest.raises(Held, match=r"KeyError: 'what\?'") as held:
        intake.take([message(number) for number in range(5)])
    assert held.value.taken == 2
    with pytest.raises(KeyError):
        intake.take([message(2)])
    assert bench.account() == MessageAccount(2, 2)


def test_other_handlers_wait_for_none_that_hangs(bench: Bench) -> None:
    """A reload goes on; what is being converted ends with the former ones."""
    begun, go = threading.Event(), threading.Event()

    def slow(notification: Notification, _: list[str]) -> Iterator[Any]:
        begun.set()
        go.wait(5)
        yield sample(notification, volume=1)

    bench.intake.change(converter(Does(slow)))
    thread = threading.Thread(target=bench.intake.take, args=([message(5)],))
    thread.start()
    assert begun.wait(5)
    bench.intake.change(converter())
    go.set()
    thread.join(5)
    bench.intake.take([message(7)])
    assert volumes(bench.journal) == [1, 7]


def test_batches_without_samples_pass_through_sinks(bench: Bench, tmp_path: Path) -> None:
    """As those of messages that nobody asks for."""
    driver = SQLiteDriver("sqlite:///samples.db", tmp_path)
    bench.intake.change(converter(Does(event_types=("a.b",))))
    bench.intake.take([message(1, "other"), Message(b"{")])
    bench.ask()
    bench.intake.offer_replays()
    bench.intake.take([message(2)])
    run(bench.journal, driver)
    assert [each.volume for each in driver.samples(Query(), 100).samples] == [2]
    assert line(bench.path) == {"delivered": 1}
    driver.close()


def test_listeners_take_turns(bench: Bench) -> None:
    """Handlers are called in one thread at a time, and each message is counted once."""
    inside = threading.Lock()

    def alone(notification: Notification, _: list[str]) -> Iterator[Any]:
        assert inside.acquire(blocking=False)
        time.sleep(0.0005)
        inside.release()
        yield sample(notification)

    bench.intake.change(converter(Does(alone)))

    def listen(first: int) -> None:
        for number in range(first, first + 20):
            bench.intake.take([message(number)])

    threads = [threading.Thread(target=listen, args=(20 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(volumes(bench.journal)) == list(range(80))
    assert bench.account() == MessageAccount(80, 80)


METERS = """
metric:
  - {name: size, event_type: a.b, type: gauge, unit: B, volume: $.payload.size, resource_id: $.payload.id}
  - {name: count, event_type: a.b, type: delta, unit: n, volume: $.payload.bad, resource_id: $.payload.id}
"""
FRONT = """
metric:
  - {name: front, event_type: a.b, type: gauge, unit: B, volume: $.payload.size, resource_id: $.payload.id}
  - {name: count, event_type: a.b, type: delta, unit: n, volume: $.payload.count, resource_id: $.payload.id}
  - {name: size, event_type: a.b, type: gauge, unit: B, volume: $.payload.size, resource_id: $.payload.id}
"""


def defined(text: str) -> Converter:
    """A converter with definitions."""
    definitions, problems = meter_definition.load([("meters", text)], {}, Reserved((), (), 256))
    assert not problems
    return converter(DeclarativeMeters(definitions))


def test_a_replay_adds_what_was_missing_and_nothing_twice(bench: Bench, tmp_path: Path) -> None:
    """Though a definition that has nothing to do with it was put in front of the others meanwhile."""
    driver = SQLiteDriver("sqlite:///samples.db", tmp_path)
    bench.intake.change(defined(METERS))
    bench.intake.take(
        [message(number, payload={"id": f"r{number}", "size": 7, "count": 3}) for number in range(3)]
    )
    run(bench.journal, driver)
    assert bench.account() == MessageAccount(3, 3)
    told = status.read(bench.path)
    assert (told.read, told.journaled, told.refused) == (6, 3, 3)
    assert bench.reasons() == ["meter count: refused: volume: None is no number"] * 3
    before = driver.samples(Query(), 100).samples
    assert [each.name for each in before] == ["size"] * 3

    assert bench.ask() == 3
    bench.intake.change(defined(FRONT))
    bench.intake.offer_replays()
    run(bench.journal, driver)
    after = driver.samples(Query(), 100).samples
    assert {each.identity for each in before} < {each.identity for each in after}
    assert sorted(each.name for each in after) == ["count"] * 3 + ["front"] * 3 + ["size"] * 3
    assert line(bench.path) == {"delivered": 9, "duplicate": 3}
    told = status.read(bench.path)
    assert told.balanced
    assert (told.read, told.journaled, told.refused, told.discarded) == (12, 12, 0, 0)
    assert bench.account() == MessageAccount(3, 3)
    assert bench.reasons() == []

    bench.intake.take([message(0, payload={"id": "r0", "size": 7, "count": 3})])
    run(bench.journal, driver)
    assert len(driver.samples(Query(), 100).samples) == 9
    assert line(bench.path) == {"delivered": 9, "duplicate": 6}
    driver.close()


def test_messages_that_nothing_came_of_are_converted_when_they_can_be(bench: Bench) -> None:
    """Or ignored, or set aside again with the new reason."""
    broken = Does(lambda *_: 1 // 0)
    bench.intake.change(converter(broken))
    bench.intake.take([message(1), message(2, "gone"), message(3, "bad"), Message(b"{", "n.info")])
    assert bench.account() == MessageAccount(4, 0, 0, 4)
    assert bench.ask() == 4

    def mended(notification: Notification, _: list[str]) -> Iterator[Any]:
        yield sample(notification, volume="x" if notification.event_type == "bad" else 5)

    bench.intake.change(converter(Does(mended, ("a.b", "bad"))))
    bench.intake.offer_replays()
    assert volumes(bench.journal) == [5]
    assert bench.account() == MessageAccount(4, 1, 1, 2)
    assert bench.reasons()[0] == "meter size: refused: volume: 'x' is no number"
    assert bench.reasons()[1].startswith("message: not JSON")
    bench.intake.offer_replays()
    assert bench.account() == MessageAccount(4, 1, 1, 2)


def test_a_replay_that_hangs_stays_in_quarantine(bench: Bench) -> None:
    """With that as its reason."""
    bench.intake.take([Message(b"{"), message(1, payload=5)])
    held = threading.Event()

    def hangs(_: Notification, __: list[str]) -> None:
        held.wait(5)

    bench.ask()
    bench.intake.change(converter(Does(hangs), timeout=0.05))
    bench.intake.offer_replays()
    held.set()
    assert bench.reasons()[1] == "handler handler0: no answer within 0.05 s"
    assert bench.account() == MessageAccount(2, 0, 0, 2)


def test_a_replay_waits_while_nothing_is_accepted(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """It is told once, and done at a later look; messages of buses have their turn meanwhile."""
    bench.intake.take([message(1, payload=5), message(2, payload=5)])
    bench.ask()
    full = True

    def check(received: Received) -> None:
        if full and received.replayed == 1:
            raise Unavailable("journal full")

    caplog.clear()
    caplog.set_level(logging.WARNING, "meteragent.notifications.intake")
    good = converter(Does(lambda notification, _: [sample_of(notification)]))
    intake = bench.make(good, bench.accept(check))
    for _ in range(3):
        intake.offer_replays()
    assert caplog.messages == ["replay 1 of a message can be done later only: journal full"]
    assert bench.account() == MessageAccount(2, 1, 0, 1)
    full = False
    intake.offer_replays()
    assert bench.account() == MessageAccount(2, 2)
    intake.change(converter())


def test_replays_are_not_converted_in_vain(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Where nothing is accepted each look tries one of them, each time another, and it is told once."""
    bench.intake.take([message(number, payload=5) for number in range(6)])
    bench.ask()
    full = True

    def check(received: Received) -> None:
        if full:
            tried.append(received.replayed)
            raise Unavailable("journal full")

    tried: list[int] = []
    caplog.clear()
    counted = Does(lambda notification, _: [sample_of(notification)])
    intake = bench.make(converter(counted), bench.accept(check))
    for _ in range(8):
        intake.offer_replays()
    assert tried == [1, 2, 3, 4, 5, 6, 1, 2]
    assert counted.asked == 8
    assert caplog.messages == ["replay 1 of a message can be done later only: journal full"]
    full = False
    intake.offer_replays()
    assert bench.account() == MessageAccount(6, 6)
    assert counted.asked == 14


def sample_of(notification: Notification) -> Any:
    """A sample that needs nothing of the payload."""
    told = Notification({**notification.document, "payload": {"id": "r", "size": 9}})
    return sample(told)


def test_damage_in_quarantine_is_told_and_keeps_no_other_waiting(bench: Bench) -> None:
    """It is left there with the reason."""
    bench.intake.take([message(1, payload=5), message(2, payload=5)])
    bench.ask()
    other = apsw.Connection(str(bench.path))
    other.execute("update quarantine set payload = x'01c1' where id = 1")
    other.close()
    bench.intake.change(converter(Does(lambda notification, _: [sample_of(notification)])))
    bench.intake.offer_replays()
    assert bench.account() == MessageAccount(2, 1, 0, 1)
    assert bench.reasons()[0].startswith("entry 1: damaged: ")


def test_replays_are_looked_for_now_and_then(bench: Bench) -> None:
    """In a thread that ends when it is asked to."""
    bench.intake.take([message(1, payload=5)])
    intake = bench.make(converter(Does(lambda notification, _: [sample_of(notification)])), pause=0.01)
    intake.start()
    time.sleep(0.05)
    assert bench.account().converted == 0
    bench.ask()
    until = time.monotonic() + 5
    while bench.account().converted == 0:
        assert time.monotonic() < until
        time.sleep(0.01)
    intake.stop()
    intake.stop()
    assert intake.wait_for_end(5)
    assert not [each for each in threading.enumerate() if each.name == "replay messages"]


def test_an_end_waits_for_what_is_being_taken(bench: Bench) -> None:
    """The journal may be closed after it."""
    begun, go = threading.Event(), threading.Event()

    def slow(notification: Notification, _: list[str]) -> Iterator[Any]:
        begun.set()
        go.wait(5)
        yield sample(notification)

    intake = bench.make(converter(Does(slow)))
    thread = threading.Thread(target=intake.take, args=([message(1)],))
    thread.start()
    assert begun.wait(5)
    intake.stop()
    assert not intake.wait_for_end(0.05)
    go.set()
    assert intake.wait_for_end(5)
    thread.join()
    assert bench.account() == MessageAccount(1, 1)


_PAYLOAD = st.sampled_from(
    [{"id": "r", "size": 1}, {"id": "r", "size": "x"}, {"id": "s"}, 5, {}, {"id": "t", "size": 2}]
)
_TYPES = st.sampled_from(["a.b", "odd", "none"])


@settings(max_examples=25, deadline=None)
@given(
    sent=st.lists(st.tuples(_PAYLOAD, _TYPES), max_size=8), acts=st.lists(st.sampled_from("rcd"), max_size=6)
)
def test_the_account_holds_whatever_comes_and_whoever_replays(
    tmp_path_factory: pytest.TempPathFactory, sent: list[tuple[Any, str]], acts: list[str]
) -> None:
    """Each message is in one line; a replay with the same definitions changes no line of messages."""
    bench = Bench(tmp_path_factory.mktemp("account"))

    def makes(notification: Notification, _: list[str]) -> Iterator[Any]:
        if notification.event_type == "odd":
            yield sample_of(notification)
        yield sample(notification)

    bench.intake.change(converter(Does(makes, ("a.b", "odd"))))
    bench.intake.take([message(number, kind, payload=told) for number, (told, kind) in enumerate(sent)])
    before = bench.account()
    assert before.received == len(sent)
    refused = status.read(bench.path).refused
    for act in acts:
        quarantine = Quarantine(bench.path)
        entries = quarantine.list()
        if act == "d" and entries:
            quarantine.discard([entries[0].id], "ann")
        quarantine.close()
        if act == "r":
            bench.ask()
            bench.intake.offer_replays()
        if act == "c":
            bench.intake.take([message(99)])
        told = bench.account()
        assert told.received == told.converted + told.ignored + told.quarantined + told.discarded
        assert told.quarantined <= before.quarantined
        assert status.read(bench.path).refused <= refused
    bench.intake.stop()
    assert bench.intake.wait_for_end(5)
    bench.journal.close()
