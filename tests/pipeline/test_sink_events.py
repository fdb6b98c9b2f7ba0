"""Events on their way through a sink: all of them, whatever meters it takes and whatever is rejected."""

from pathlib import Path
from typing import Any

import pytest

from meteragent.batch import Batch, Published
from meteragent.errors import Rejected
from meteragent.journal.journal import Journal, Settings
from meteragent.publishers.store import StorePublisher
from meteragent.storage.sqlite.driver import SQLiteDriver
from meteragent.testing.storage_given import HOUR, NOON, FixedClock, all_events, an_event, at, everything
from tests.journal.batches import AT, batch, killed, missed, poll, sample
from tests.pipeline.bench import Bench, Recorder, until
from tests.publishers.test_store_sink import line, run

EVENTS = [an_event(), an_event(message_id="two")]


def _given(recorder: Recorder) -> list[tuple[int, int, int]]:
    """Samples, events, and poll rows and missed runs, of each call."""
    return [
        (
            len(call["samples"]),
            len(call["batch"].events),
            len(call["batch"].polls) + len(call["batch"].missed),
        )
        for call in recorder.calls
    ]


@pytest.mark.parametrize("meters", ["", "cpu", "nothing"])
def test_a_batch_of_events_alone_is_passed_on(bench: Bench, meters: str) -> None:
    """By every sink, whatever meters it takes; the account counts samples only."""
    recorder = Recorder()
    bench.sink(recorder, meters=meters).start()
    bench.journal.append(Batch(events=EVENTS))
    bench.journal.append(Batch())
    until(lambda: bench.sinks[0].pending == 0)
    assert [call["batch"].events for call in recorder.calls] == [EVENTS]
    assert bench.line() == {}


def test_events_go_with_the_samples_that_a_sink_takes(bench: Bench) -> None:
    """All of them, at the head and from the journal, with the others left out."""
    recorder = Recorder()
    sink = bench.sink(recorder, meters="disk")
    mixed = Batch([sample(1), sample(2, "disk")], events=EVENTS)
    bench.journal.append(mixed)
    bench.journal.listeners.clear()
    bench.journal.append(mixed)
    sink.start()
    until(lambda: sink.pending == 0)
    assert [[each.name for each in call["samples"]] for call in recorder.calls] == [["disk"]] * 2
    assert [call["batch"].events for call in recorder.calls] == [EVENTS] * 2
    assert bench.line() == {"delivered": 2, "unmatched": 2}


def test_what_is_rejected_keeps_no_events_out(bench: Bench) -> None:
    """Samples go to quarantine, their batch's events and polls are published without them."""

    def behave(values: dict[str, Any]) -> Published | None:
        if values["samples"]:
            raise Rejected("no samples here")
        return None

    recorder = Recorder(behaviour=behave)
    bench.sink(recorder).start()
    bench.journal.append(Batch(batch(2).samples, events=EVENTS))
    bench.journal.append(Batch(batch(2).samples, events=EVENTS, polls=[poll(AT)]))
    until(lambda: bench.sinks[0].pending == 0)
    assert _given(recorder) == [(2, 2, 0), (0, 2, 0), (2, 2, 1), (0, 2, 1)]
    assert bench.line() == {"quarantined": 4}


@pytest.mark.parametrize("account", [Batch(polls=[poll(AT)]), Batch(missed=[missed(1, 2)]), Batch()])
def test_events_that_are_rejected_keep_no_polls_out(
    bench: Bench, account: Batch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said how many they are, and of which message the first is."""

    def behave(values: dict[str, Any]) -> Published | None:
        if values["batch"].events:
            raise Rejected("no events here")
        return None

    recorder = Recorder(behaviour=behave)
    bench.sink(recorder).start()
    bench.journal.append(Batch(events=EVENTS, polls=account.polls, missed=account.missed))
    until(lambda: bench.sinks[0].pending == 0)
    polls = len(account.polls) + len(account.missed)
    assert _given(recorder) == [(0, 2, polls), (0, 0, 1)][: 1 + polls]
    assert "publisher list: rejects 2 events, the first of message 'one': no events here" in caplog.messages


def test_events_are_kept_once_over_a_kill(tmp_path: Path) -> None:
    """Killed after the store has a batch and before the position moved; samples and events alike."""
    driver = SQLiteDriver("sqlite:///samples.db", tmp_path)
    path = tmp_path / "journal.db"
    journal = Journal(path, Settings(reserve=1 << 16))
    journal.join("store", "hold", 0)
    journal.append(Batch(batch(2).samples, events=EVENTS))
    journal.append(Batch(events=[an_event(message_id="three")]))
    copy = killed(path, tmp_path / "copy")
    run(journal, driver)
    journal.close()
    after = Journal(copy, Settings(reserve=1 << 16))
    run(after, driver)
    after.close()
    assert line(path) == line(copy) == {"delivered": 2}
    assert sorted(each.message_id for each in all_events(driver)) == ["one", "three", "two"]
    assert len(everything(driver)) == 2
    driver.close()


def test_the_store_lets_old_events_go(tmp_path: Path) -> None:
    """With the samples that are too old, between two batches."""
    driver = SQLiteDriver("sqlite:///samples.db", tmp_path)
    driver.record(Batch(events=EVENTS), at(1))
    publisher = StorePublisher(driver, retention=3600, clock=FixedClock(NOON + 5 * HOUR))
    late = an_event(message_id="late", generated=NOON + 5 * HOUR)
    publisher.publish(Batch(events=[late]), at(2))
    assert all_events(driver) == [late]
    publisher.close()
