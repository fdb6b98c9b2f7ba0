"""A sink takes every batch once, in order and at its own pace."""

import threading
import time
from pathlib import Path

import msgspec
import pytest

from meteragent.batch import Batch, Published, Refusal
from meteragent.errors import Unavailable
from meteragent.journal.quarantine import Quarantine
from meteragent.pipeline.sink import DRAIN, QUEUE, QUEUED
from tests.journal.batches import AT, batch, killed, poll, sample
from tests.pipeline.bench import Bench, Recorder, held, times, until


def test_at_the_head_batches_are_handed_over_and_not_read(bench: Bench) -> None:
    """The very batch that was journaled, shared by all sinks."""
    first, second = Recorder(), Recorder()
    for name, recorder in (("first", first), ("second", second)):
        bench.sink(recorder, name=name).start()
    appended = []
    for number in range(10):
        appended.append(bench.journal.append(batch(2, 2 * number)))
        until(lambda: all(sink.pending == 0 for sink in bench.sinks))
    assert bench.journal.reads == 0
    for recorder in (first, second):
        assert [call["batch"] for call in recorder.calls] == appended
        assert all(call["batch"] is given for call, given in zip(recorder.calls, appended, strict=True))
        assert [call["position"].sequence for call in recorder.calls] == list(range(1, 11))
    assert bench.line("first") == {"delivered": 20}


def test_a_sink_that_lags_reads_the_journal_until_it_is_at_the_head_again(bench: Bench) -> None:
    """No batch is left out or taken twice at the change from one to the other."""
    recorder = Recorder()
    sink = bench.sink(recorder)
    for number in range(30):
        bench.journal.append(batch(1, number))
    assert sink.pending == 30
    sink.start()
    until(lambda: sink.pending == 0)
    reads = bench.journal.reads
    assert reads == 30 - QUEUE, "the others were handed over"
    for number in range(30, 40):
        bench.journal.append(batch(1, number))
        until(lambda: sink.pending == 0)
    assert recorder.volumes == list(range(40))
    assert bench.journal.reads == reads


def test_large_batches_wait_in_the_journal_instead_of_in_memory(bench: Bench) -> None:
    """Those handed over have no more samples than one batch is more than the bound."""
    recorder = Recorder()
    sink = bench.sink(recorder)
    for count in (1, QUEUED, 1, 1):
        bench.journal.append(batch(count))
    sink.start()
    until(lambda: sink.pending == 0)
    assert [len(call["batch"].samples) for call in recorder.calls] == [1, QUEUED, 1, 1]
    assert bench.journal.reads == 2


def test_a_position_says_which_batch_and_which_part_of_it(bench: Bench) -> None:
    """The digest is that of the journal, handed over or read back; the selection is empty for all samples."""
    every, few, others = Recorder(), Recorder(), Recorder()
    for recorder, name, meters in ((every, "every", ""), (few, "few", "cpu"), (others, "others", "disk")):
        bench.sink(recorder, name=name, meters=meters)
    batches = [batch(2), batch(1, 5, name="disk")]
    batches.append(msgspec.structs.replace(batches[0], samples=[batches[0].samples[0], *batches[1].samples]))
    for each in [*batches, *batches]:
        bench.journal.append(each)
    for sink in bench.sinks:
        sink.start()
    until(lambda: all(sink.pending == 0 for sink in bench.sinks))
    assert bench.journal.reads
    places = [call["position"] for call in every.calls]
    assert [len(place.digest) for place in places] == [16] * 6
    assert [place.digest for place in places[:3]] == [place.digest for place in places[3:]]
    assert len({place.digest for place in places}) == 3
    assert {place.selection for place in places} == {b""}
    chosen = {call["position"].sequence: call["position"] for call in few.calls}
    rest = {call["position"].sequence: call["position"] for call in others.calls}
    assert (chosen[1].selection, rest[2].selection) == (b"", b"")
    assert len({b"", chosen[3].selection, rest[3].selection}) == 3
    assert chosen[3].digest == rest[3].digest == places[2].digest
    assert chosen[6].selection == chosen[3].selection


def test_the_first_refusal_of_a_run_is_said(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """A store that refuses everything does not go unnoticed, and does not fill the log."""
    refuse = Recorder(
        behaviour=lambda values: Published(
            0, refused=[Refusal(index, "expired") for index in range(len(values["samples"]))]
        )
    )
    bench.sink(refuse).start()
    for number in range(3):
        bench.journal.append(batch(2, 2 * number))
    until(lambda: bench.sinks[0].pending == 0)
    until(lambda: caplog.messages)
    assert caplog.messages == [
        "sink sink: 2 of 2 samples are refused; publisher list: tells of the first: expired; `meteragent"
        " quarantine list` shows these and any later ones"
    ]


def test_order_is_that_of_the_journal_however_many_append(bench: Bench) -> None:
    """Two threads append as fast as they can; the sink sees each sequence once and in order."""
    recorder = Recorder()
    bench.sink(recorder).start()

    def feed() -> None:
        for _ in range(50):
            bench.journal.append(batch(1))

    threads = [threading.Thread(target=feed) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: bench.sinks[0].pending == 0)
    assert [call["position"].sequence for call in recorder.calls] == list(range(1, 101))


def test_samples_of_other_meters_are_counted_as_unmatched(bench: Bench) -> None:
    """Publishers see the others with who yielded them, and always the account of polls."""
    recorder = Recorder(
        behaviour=lambda values: (
            Published(len(values["samples"]) - 1, refused=[Refusal(0, "no")]) if values["samples"] else None
        )
    )
    bench.sink(recorder, meters="cpu").start()
    mixed = batch(3)
    mixed = msgspec.structs.replace(mixed, samples=[sample(9, "disk"), *mixed.samples[:2]], polls=[poll(AT)])
    bench.journal.append(mixed)
    bench.journal.append(batch(4, name="disk"))
    bench.journal.append(Batch(polls=[poll(AT + 1)]))
    until(lambda: bench.sinks[0].pending == 0)
    assert bench.line() == {"delivered": 1, "quarantined": 1, "unmatched": 5}
    assert [len(call["samples"]) for call in recorder.calls] == [2, 0]
    assert recorder.calls[0]["batch"].provenance[0].samples == 2
    assert recorder.calls[1]["batch"].polls == [poll(AT + 1)]
    quarantine = Quarantine(bench.path)
    (entry,) = quarantine.list()
    quarantine.close()
    assert entry.sequence == 1, "and the sample is that of the whole batch"


def test_waiting_for_room_ends_when_there_is_some_or_no_hope(bench: Bench) -> None:
    """A source is slowed to the pace of a sink at the head, never by one that is in trouble."""
    gate = threading.Event()
    slow = Recorder(behaviour=held(gate))
    sink = bench.sink(slow)
    sink.start()
    for _ in range(QUEUE + 1):
        bench.journal.append(batch(1))
    until(lambda: slow.calls)
    began = time.monotonic()
    bench.journal.append(batch(1))
    sink.wait_for_room(0.05)
    assert time.monotonic() - began >= 0.05
    gate.set()
    sink.wait_for_room(5)
    assert time.monotonic() - began < 2
    until(lambda: sink.pending == 0)
    slow.behaviour = times(1000, Unavailable("no"))
    for _ in range(QUEUE + 2):
        bench.journal.append(batch(1))
    until(lambda: sink.trouble)
    began = time.monotonic()
    sink.wait_for_room(5)
    assert time.monotonic() - began < 1


def test_what_waits_when_it_is_stopped_is_published_if_that_is_quick(bench: Bench) -> None:
    """A store is then as far as the journal; a sink far behind does not keep the agent from ending."""
    recorder = Recorder()
    sink = bench.sink(recorder)
    for number in range(20):
        bench.journal.append(batch(1, number))
    sink.start()
    sink.stop()
    assert sink.wait_for_end(2)
    assert recorder.volumes == list(range(20))
    slow = bench.sink(Recorder(behaviour=lambda _: time.sleep(0.05)), name="slow")
    for number in range(50):
        bench.journal.append(batch(1, number))
    slow.start()
    began = time.monotonic()
    slow.stop()
    while not slow.wait_for_end(0.1):
        slow.stop()  # which gives it no more time
    # whatever is in flight at the end of that time is waited for
    assert DRAIN <= time.monotonic() - began < DRAIN + 0.5
    assert slow.pending


def test_a_sink_in_trouble_stops_at_once(bench: Bench) -> None:
    """It does not sit out its pause; what waits is there at the next start."""
    recorder = Recorder(behaviour=times(1000, Unavailable("no")))
    sink = bench.sink(recorder)
    sink.start()
    bench.journal.append(batch(1))
    until(lambda: len(recorder.calls) > 3)
    began = time.monotonic()
    sink.stop()
    assert sink.wait_for_end(2)
    assert time.monotonic() - began < 0.5
    assert recorder.closed == 1
    assert bench.line() == {"pending": 1}


def test_a_publisher_that_hangs_is_not_waited_for(bench: Bench) -> None:
    """Join tells that it has not ended; the batch in flight is not counted."""
    gate = threading.Event()
    recorder = Recorder(behaviour=held(gate))
    sink = bench.sink(recorder)
    sink.start()
    bench.journal.append(batch(1))
    until(lambda: recorder.calls)
    sink.stop()
    assert not sink.wait_for_end(0.05)
    assert bench.line() == {"pending": 1}
    gate.set()
    assert sink.wait_for_end(2)


def test_a_sink_that_was_never_started_lets_go_too(bench: Bench) -> None:
    """As happens when a later part of the start fails."""
    recorder = Recorder()
    sink = bench.sink(recorder)
    sink.stop()
    assert sink.wait_for_end(1)
    bench.sinks.clear()
    assert recorder.closed == 1


def test_a_detached_sink_goes_on_at_the_head(bench: Bench) -> None:
    """What it missed while its publisher hung is counted; the batch in flight counts as missed."""
    gate = threading.Event()
    recorder = Recorder(behaviour=held(gate))
    sink = bench.sink(recorder, mode="detach")
    sink.start()
    bench.journal.append(batch(1))
    until(lambda: recorder.calls)
    for number in range(1, 10):
        bench.journal.append(batch(1, number, padding=300))
    gate.set()
    until(lambda: sink.pending == 0)
    told = bench.line()
    assert told["detached"] >= 8
    assert told["detached"] + told["delivered"] == 10
    assert recorder.volumes[-1] == 9


@pytest.mark.usefixtures("quick")
def test_after_a_kill_the_batch_in_flight_comes_again_with_the_same_position(
    bench: Bench, tmp_path: Path
) -> None:
    """So that a publisher that has it already can tell."""
    gate = threading.Event()
    first = Recorder(behaviour=held(gate))
    bench.sink(first).start()
    bench.journal.append(batch(2))
    until(lambda: first.calls)
    after = Bench(killed(bench.path, tmp_path / "copy"))
    gate.set()
    second = Recorder()
    after.sink(second).start()
    until(lambda: after.sinks[0].pending == 0)
    assert second.calls[0]["position"] == first.calls[0]["position"]
    assert second.calls[0]["position"].epoch == after.journal.epoch
    assert after.line() == {"delivered": 2}
    after.close()
