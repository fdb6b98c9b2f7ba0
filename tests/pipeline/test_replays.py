"""What a person sends back from quarantine ends in the line that the publisher tells."""

import time
from typing import Any

import pytest

from meteragent.batch import Batch, Provenance, Published, Refusal
from meteragent.errors import Unavailable
from meteragent.journal.quarantine import Quarantine
from tests.journal.batches import batch
from tests.pipeline.bench import Bench, Recorder, ask_for_replay, times, until


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        (None, {"delivered": 2}),
        (Published(0, 1), {"duplicate": 2}),
        (Published(0, 0, 1), {"superseded": 2}),
        (Published(0, refused=[Refusal(0, "still")]), {"conflict": 1, "quarantined": 1}),
    ],
)
def test_a_replay_ends_in_the_line_that_the_publisher_tells(
    bench: Bench, outcome: Published | None, line: dict[str, int]
) -> None:
    """While the sink runs and other batches come in; what is refused again is kept with the new reason."""
    recorder = Recorder(
        behaviour=lambda values: (
            Published(0, refused=[Refusal(0, "conflict"), Refusal(1, "expired")])
            if values["position"].sequence == 1 and values["position"].sink == "sink"
            else outcome
            if values["position"].sink == "sink/replay"
            else None
        )
    )
    sink = bench.sink(recorder)
    sink.start()
    bench.journal.append(batch(2))
    until(lambda: sink.pending == 0)
    assert bench.line() == {"conflict": 1, "quarantined": 1}
    ask_for_replay(bench.path)
    extra = 0
    while len([call for call in recorder.calls if "/" in call["position"].sink]) < 2:
        bench.journal.append(batch(1))
        extra += 1
        time.sleep(0.002)
        assert extra < 1000, "replays come to their turn under load"
    until(lambda: sink.pending == 0 and bench.journal.positions.replays("sink") == [])
    expected = dict(line)
    expected["delivered"] = expected.get("delivered", 0) + extra
    assert bench.line() == expected
    quarantine = Quarantine(bench.path)
    assert [entry.reason for entry in quarantine.list()] == (["still"] * 2 if "conflict" in line else [])
    quarantine.close()


@pytest.mark.usefixtures("quick")
def test_a_replay_goes_to_those_that_refused_and_to_no_other(bench: Bench) -> None:
    """A file beside a store that refused has the sample already."""
    store = Recorder("store:", lambda _: Published(1, refused=[Refusal(0, "expired")]))
    file = Recorder("file:")
    sink = bench.sink(file, store)
    sink.start()
    bench.journal.append(batch(2))
    until(lambda: sink.pending == 0)
    store.behaviour = None
    ask_for_replay(bench.path)
    until(lambda: bench.line() == {"delivered": 2})
    assert file.volumes == [0, 1]
    assert store.volumes == [0, 1, 0]


@pytest.mark.usefixtures("quick")
def test_a_replay_is_one_position_until_it_is_settled(bench: Bench) -> None:
    """A store that took it before a kill tells the same again, and a later replay is another position."""
    recorder = Recorder(behaviour=lambda _: Published(0, refused=[Refusal(0, "no")]))
    sink = bench.sink(recorder)
    sink.start()
    bench.journal.append(batch(1))
    until(lambda: sink.pending == 0)
    recorder.behaviour = times(2, Unavailable("not now"))
    ask_for_replay(bench.path)
    until(lambda: bench.line() == {"delivered": 1})
    replays = [call["position"].sequence for call in recorder.calls if "/" in call["position"].sink]
    assert replays == [1, 1, 1]


@pytest.mark.usefixtures("quick")
def test_a_replay_for_a_publisher_that_is_gone_is_refused_again(bench: Bench) -> None:
    """The others have the sample already; a sink's only publisher stands for the one it had."""
    gone = Recorder("old:", lambda _: Published(0, refused=[Refusal(0, "no")]))
    other = Recorder("file:")
    for sink in (bench.sink(other, gone, name="two"), bench.sink(gone, name="one")):
        sink.start()
    bench.journal.append(batch(1))
    until(lambda: all(sink.pending == 0 for sink in bench.sinks))
    bench.stop()
    second, only = Recorder("new:"), Recorder("new:")
    ask_for_replay(bench.path)
    for sink in (bench.sink(other, second, name="two"), bench.sink(only, name="one")):
        sink.start()
    until(lambda: bench.line("one") == {"delivered": 1})
    until(lambda: bench.journal.positions.replays("two") == [])
    assert (other.volumes, second.volumes, only.volumes) == ([0], [], [0])
    assert bench.line("two") == {"quarantined": 1}
    quarantine = Quarantine(bench.path)
    assert [entry.reason for entry in quarantine.list()] == ["publisher old: is no longer configured"]
    quarantine.close()


@pytest.mark.usefixtures("quick")
def test_replays_hold_neither_the_head_nor_the_end(bench: Bench) -> None:
    """Each has its turn between two batches, and none is begun once the sink is to stop."""
    recorder = Recorder(behaviour=lambda values: Published(0, refused=_all(values)))
    sink = bench.sink(recorder)
    sink.start()
    bench.journal.append(batch(300))
    until(lambda: sink.pending == 0)
    recorder.behaviour = lambda _: time.sleep(0.01)
    ask_for_replay(bench.path)
    until(lambda: len(recorder.calls) > 3)
    began = time.monotonic()
    bench.journal.append(batch(1, 1000))
    until(lambda: sink.pending == 0)
    assert time.monotonic() - began < 1
    sink.stop()
    assert sink.wait_for_end(1)
    told = bench.line()
    assert told["quarantined"] > 100
    assert told["delivered"] + told["quarantined"] == 301


@pytest.mark.usefixtures("quick")
def test_a_replay_that_fails_goes_behind_the_others(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """It is told once, tried again when the others have had their turn, and the sink is in no trouble."""
    recorder = Recorder(behaviour=lambda values: Published(0, refused=_all(values)))
    sink = bench.sink(recorder)
    sink.start()
    bench.journal.append(batch(3))
    until(lambda: sink.pending == 0)
    caplog.clear()
    fails = [True]

    def behave(values: dict[str, Any]) -> None:
        if fails[0] and values["samples"][0].volume == 0:
            raise KeyError("column")

    recorder.behaviour = behave
    ask_for_replay(bench.path)
    until(lambda: [call["samples"][0].volume for call in recorder.calls[1:]][:5] == [0, 1, 2, 0, 0])
    assert bench.line() == {"delivered": 2, "quarantined": 1}
    assert sink.trouble == ""
    assert caplog.messages == [
        "sink sink: replay 1 can be offered later only: publisher list: failed: KeyError: 'column'"
    ]
    assert caplog.records[0].exc_info
    fails[0] = False
    until(lambda: bench.line() == {"delivered": 3})


@pytest.mark.usefixtures("quick")
def test_a_replay_says_who_yielded_its_sample(bench: Bench) -> None:
    """Host, polling source and pollster are those of the batch that it came with; its place is its own."""
    recorder = Recorder(behaviour=lambda _: Published(2, refused=[Refusal(2, "no"), Refusal(3, "no")]))
    sink = bench.sink(recorder)
    sink.start()
    whole = batch(4)
    came_from = [Provenance("all", "cpu", 2), Provenance("all", "none", 0), Provenance("slow", "disk", 1)]
    bench.journal.append(Batch(whole.samples, came_from, host="here"))
    until(lambda: sink.pending == 0)
    recorder.behaviour = None
    quarantine = Quarantine(bench.path)
    assert [(each.polling_source, each.pollster) for each in quarantine.list()] == [
        ("slow", "disk"),
        ("", ""),
    ]
    quarantine.close()
    ask_for_replay(bench.path)
    until(lambda: bench.line() == {"delivered": 4})
    first, second = (call["batch"] for call in recorder.calls[1:])
    assert (first.host, first.provenance) == ("here", [Provenance("slow", "disk", 1)])
    assert (second.host, second.provenance) == ("here", [])
    digests = {call["position"].digest for call in recorder.calls}
    assert len(digests) == 3
    assert {len(digest) for digest in digests} == {16}


def _all(values: dict[str, Any]) -> list[Refusal]:
    return [Refusal(index, "no") for index in range(len(values["samples"]))]
