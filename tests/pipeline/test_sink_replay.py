"""What a person sends back from quarantine ends in the line that the publisher tells."""

import time

import pytest

from meteragent.batch import Published, Refusal
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
