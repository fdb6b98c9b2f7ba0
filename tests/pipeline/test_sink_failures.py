"""What publishers do wrong costs nothing but time, and is told."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from meteragent.batch import Batch, Published, Refusal
from meteragent.errors import Rejected, Unavailable
from meteragent.journal.quarantine import Quarantine
from meteragent.pipeline.sink import Sink
from meteragent.pipeline.target import Target
from meteragent.publishers.file import FilePublisher
from tests.journal.batches import AT, batch, missed, poll
from tests.pipeline.bench import Behaviour, Bench, Recorder, times, until


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "error",
    [
        Unavailable("no route"),
        KeyError("host"),
        OSError("broken"),
        RecursionError(),
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
    ],
)
def test_what_fails_is_tried_again_and_said_once(
    bench: Bench, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a publisher raises, nothing is lost; one line in the log, with where when it is a fault."""
    recorder = Recorder(behaviour=times(4, error))
    sink = bench.sink(recorder)
    troubles = []
    note, recorder.behaviour = recorder.behaviour, None

    def behave(values: dict[str, Any]) -> Published | None:
        troubles.append(sink.trouble)
        assert note is not None
        return note(values)

    recorder.behaviour = behave
    sink.start()
    with caplog.at_level(logging.WARNING):
        bench.journal.append(batch(2))
        bench.journal.append(batch(2, 2))
        until(lambda: sink.pending == 0)
        until(lambda: not sink.trouble)
    assert len(recorder.calls) == 6
    assert [call["position"].sequence for call in recorder.calls] == [1] * 5 + [2]
    assert troubles[0] == ""
    assert all(str(error) in trouble for trouble in troubles[1:4])
    assert bench.line() == {"delivered": 4}
    waits, goes_on = caplog.records
    assert waits.getMessage().startswith("sink sink waits: ")
    assert bool(waits.exc_info and waits.exc_info[0]) != isinstance(error, Unavailable)
    assert goes_on.getMessage() == "sink sink goes on"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "told",
    [
        "yes",
        5,
        [2, 0, 0, []],
        Published(1),
        Published(3),
        Published(-1, 3),
        Published(1, refused=[Refusal(2, "beyond")]),
        Published(0, refused=[Refusal(0, "twice"), Refusal(0, "twice")]),
        Published(1, refused=[Refusal(-1, "before")]),
        Published(1, refused=[Refusal(0, 7)]),  # type: ignore[arg-type]
        Published("2"),  # type: ignore[arg-type]
    ],
)
def test_an_account_that_does_not_add_up_is_not_believed(bench: Bench, told: Any) -> None:
    """The sink waits and says so; the line of account stays right."""
    recorder = Recorder(behaviour=lambda _: told)
    sink = bench.sink(recorder)
    sink.start()
    bench.journal.append(batch(2))
    until(lambda: len(recorder.calls) > 2)
    assert "publisher list: failed: " in sink.trouble
    assert bench.line() == {"pending": 2}


@pytest.mark.usefixtures("quick")
def test_a_state_that_json_cannot_say_is_a_fault_of_the_publisher(bench: Bench) -> None:
    """It is told, and the state before it holds."""

    def behave(values: dict[str, Any]) -> None:
        values["state"]["seen"] = object()

    recorder = Recorder(behaviour=behave)
    sink = bench.sink(recorder)
    sink.start()
    bench.journal.append(batch(2))
    until(lambda: len(recorder.calls) > 2)
    assert "object" in sink.trouble
    assert [dict(call["state"]).keys() for call in recorder.calls[1:]] == [{"seen"}] * len(recorder.calls[1:])
    assert bench.line() == {"pending": 2}


def test_a_rejected_batch_goes_to_quarantine(bench: Bench) -> None:
    """Each sample with the reason, even one that is no text for a database; then the sink goes on."""
    recorder = Recorder(behaviour=times(1, Rejected("never \udcff")))
    bench.sink(recorder).start()
    bench.journal.append(batch(3))
    bench.journal.append(batch(1, 3))
    until(lambda: bench.sinks[0].pending == 0)
    assert bench.line() == {"quarantined": 3, "delivered": 1}
    quarantine = Quarantine(bench.path)
    assert {(entry.reason, entry.publisher) for entry in quarantine.list()} == {("never \\udcff", "list:")}
    quarantine.close()


def test_a_rejected_account_of_polls_is_said(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """There is no sample to put into quarantine, and nothing may be silent."""
    bench.sink(Recorder(behaviour=times(1, Rejected("another batch")))).start()
    bench.journal.append(Batch(polls=[poll(AT)]))
    until(lambda: bench.sinks[0].pending == 0)
    assert "publisher list: rejects the account of polls: another batch" in caplog.text


def test_a_sample_counts_as_the_worst_that_one_of_several_publishers_tells(bench: Bench) -> None:
    """Each is in one line of account, a refusal by any of them in quarantine, with who refused it."""

    def tell(outcome: Published) -> Behaviour:
        return lambda _: outcome

    first = Recorder("first:", tell(Published(3, 1, 1, [Refusal(0, "conflict", "5 or 6")])))
    second = Recorder("second:", tell(Published(4, refused=[Refusal(0, "no"), Refusal(5, "no")])))
    third = Recorder("third:", tell(Published(0, 6)))
    bench.sink(first, second, name="two").start()
    bench.sink(first, second, third, name="three").start()
    bench.journal.append(batch(6))
    until(lambda: all(sink.pending == 0 for sink in bench.sinks))
    assert bench.line("two") == {
        "conflict": 1,
        "quarantined": 1,
        "duplicate": 1,
        "superseded": 1,
        "delivered": 2,
    }
    assert bench.line("three") == {"conflict": 1, "quarantined": 1, "duplicate": 4}
    quarantine = Quarantine(bench.path)
    entries = [entry for entry in quarantine.list() if entry.sink == "two"]
    assert [(entry.reason, entry.detail, entry.publisher) for entry in entries] == [
        ("conflict", "5 or 6", "first:\nsecond:"),
        ("no", "", "second:"),
    ]
    quarantine.close()


@pytest.mark.usefixtures("quick")
def test_publishers_before_the_one_that_fails_are_not_asked_again(bench: Bench, tmp_path: Path) -> None:
    """A file in front of one that fails is written once for each batch, however often that is tried."""
    file = FilePublisher("file:lines", tmp_path)
    values: list[dict[str, Any]] = []

    def publish(given: Mapping[str, Any]) -> None:
        values.append(dict(given["state"]))
        file.publish(given["samples"], given["state"])

    failing = Recorder("failing:", times(3, Unavailable("no")))
    sink = Sink(
        "sink",
        [Target("file:lines", publish, file.close), failing.target],
        bool,
        bench.journal,
        "agent",
        mode="hold",
        max_lag=0,
    )
    bench.journal.listeners.append(sink.offer)
    bench.sinks.append(sink)
    sink.start()
    for number in range(3):
        bench.journal.append(batch(2, 2 * number))
    until(lambda: sink.pending == 0)
    assert len((tmp_path / "lines").read_bytes().splitlines()) == 6
    assert [bool(each) for each in values] == [False, True, True], "once for each batch"
    assert len(failing.calls) == 6
    assert bench.line() == {"delivered": 6}


def test_a_damaged_record_is_passed_over(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """By name, counted and kept; the batches around it are delivered."""
    recorder = Recorder()
    sink = bench.sink(recorder)
    bench.journal.listeners.clear()
    for number in range(3):
        bench.journal.append(batch(2, 2 * number))
    with bench.journal._file.transaction("journal open") as connection:
        connection.execute("update batch set payload = zeroblob(length(payload)) where sequence = 2")
    sink.start()
    until(lambda: sink.pending == 0)
    assert recorder.volumes == [0, 1, 4, 5]
    assert bench.line() == {"delivered": 4, "quarantined": 2}
    assert "passes over 2 samples and the account of polls with them: batch 2: damaged" in caplog.text


def test_a_publisher_that_fails_to_close_keeps_no_other_from_it(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, once and without a password."""
    password = "open sesame".title()

    def fail() -> None:
        raise OSError(f"no answer from amqp://agent:{password}@host/")

    last = Recorder("last:")
    sink = Sink(
        "sink",
        [Target("bad:", last.publish, fail), last.target],
        bool,
        bench.journal,
        "agent",
        mode="hold",
        max_lag=0,
    )
    sink.start()
    sink.stop()
    assert sink.wait_for_end(2)
    assert last.closed == 1
    assert caplog.text.count("publisher bad: failed to close") == 1
    assert "amqp://agent:***@host/" in caplog.text
    assert password not in caplog.text


@pytest.mark.usefixtures("quick")
def test_a_fault_of_ours_does_not_end_a_sink(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is raised between journal and publisher is told once with where, and tried again."""
    left = [4]

    def supports(meter: str) -> bool:
        left[0] -= 1
        if left[0] >= 0:
            raise OSError(f"no {meter}")
        return True

    recorder = Recorder()
    sink = Sink("sink", [recorder.target], supports, bench.journal, "agent", mode="hold", max_lag=0)
    bench.journal.listeners.append(sink.offer)
    bench.sinks.append(sink)
    sink.start()
    bench.journal.append(batch(2))
    until(lambda: sink.pending == 0)
    until(lambda: not sink.trouble)
    assert bench.line() == {"delivered": 2}
    assert caplog.messages == ["sink sink waits: OSError: no cpu", "sink sink goes on"]
    assert caplog.records[0].exc_info


@pytest.mark.parametrize("again", [False, True])
def test_the_account_of_a_rejected_batch_is_not_lost(
    bench: Bench, caplog: pytest.LogCaptureFixture, again: bool
) -> None:
    """Samples go to quarantine; polls and missed runs are offered alone, and it is said when that fails."""
    recorder = Recorder(behaviour=times(1 + again, Rejected("never")))
    bench.sink(recorder).start()
    whole = msgspec.structs.replace(batch(3), polls=[poll(AT)], missed=[missed(AT, AT + 5)])
    bench.journal.append(whole)
    until(lambda: bench.sinks[0].pending == 0)
    assert bench.line() == {"quarantined": 3}
    first, second = (call["batch"] for call in recorder.calls)
    assert first.samples
    assert (second.samples, second.provenance) == ([], [])
    assert (second.polls, second.missed) == (whole.polls, whole.missed)
    assert ("publisher list: rejects the account of polls: never" in caplog.text) == again


SECRET = "kafka://ann:s3/cret@host/topic"


@pytest.mark.usefixtures("quick")
def test_a_password_is_told_to_nobody(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in the log, nor as trouble, in quarantine, or in what the journal keeps."""
    error = ConnectionError(f"cannot reach {SECRET}")
    recorder = Recorder(SECRET, times(2, error))
    sink = bench.sink(recorder)
    sink.start()
    bench.journal.append(batch(1))
    until(lambda: sink.trouble)
    assert sink.trouble == (
        "publisher kafka://ann:***@host/topic failed: ConnectionError: cannot reach kafka://ann:***@host/topic"
    )
    until(lambda: sink.pending == 0)
    recorder.behaviour = times(1, Rejected(f"refused by {SECRET}"))
    bench.journal.append(batch(1, 1))
    until(lambda: sink.pending == 0)
    recorder.behaviour = times(1, Unavailable(f"no route to {SECRET}"))
    bench.journal.append(batch(1, 2))
    until(lambda: sink.pending == 0)
    quarantine = Quarantine(bench.path)
    (entry,) = quarantine.list()
    quarantine.close()
    assert entry.publisher == "kafka://ann:***@host/topic"
    assert entry.reason == "refused by kafka://ann:***@host/topic"
    assert "Traceback" in caplog.text
    assert "no route to kafka://ann:***@host/topic" in caplog.text
    assert "s3" not in caplog.text
    assert not any(b"s3/cret" in path.read_bytes() for path in bench.path.parent.iterdir())


def test_what_was_kept_under_a_url_with_its_password_is_found(bench: Bench) -> None:
    """And stands under the URL without it from then on, beside what other publishers keep."""

    def count(values: dict[str, Any]) -> None:
        values["state"]["seen"] = values["state"].get("seen", 0) + 1

    recorder = Recorder(SECRET, count)
    sink = bench.sink(recorder)
    bench.journal.positions.keep("sink", {SECRET: {"seen": 5}, "file:x": {"offset": 7}})
    sink.start()
    bench.journal.append(batch(1))
    until(lambda: sink.pending == 0)
    assert bench.journal.join("sink", "hold", 0).state == {
        "kafka://ann:***@host/topic": {"seen": 6}, "file:x": {"offset": 7},
    }  # fmt: skip


def test_a_long_reason_is_cut(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """However much a publisher tells, quarantine keeps what a person can read."""
    refusal = Refusal(0, "no " * 5000, "because " * 5000)
    bench.sink(Recorder(behaviour=lambda _: Published(0, refused=[refusal]))).start()
    bench.journal.append(batch(1))
    until(lambda: bench.sinks[0].pending == 0)
    quarantine = Quarantine(bench.path)
    (entry,) = quarantine.list()
    quarantine.close()
    assert (len(entry.reason), len(entry.detail)) == (501, 501)
    assert entry.reason.endswith("…")
    until(lambda: caplog.messages)
    assert len(caplog.messages[0]) < 700
