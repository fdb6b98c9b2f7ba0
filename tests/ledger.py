"""What a journal keeps of one polling source, and the verdict on it; shared by the tests of the scheduler."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from meteragent.batch import Missed
from meteragent.clock import SECOND
from meteragent.errors import Unavailable
from meteragent.testing.fakes import FakeClock


class Ledger:
    """What a journal would keep of one source, and what it owes at every moment."""

    def __init__(self, interval: int, offset: int) -> None:
        self.interval, self.offset = interval * SECOND, offset
        self.polled: list[int] = []
        self.missed: list[Missed] = []
        self.last: int | None = None
        self.full = False

    def poll(self, at: int) -> None:
        if self.full:
            raise Unavailable("the journal is full")
        self.polled.append(at)
        self.last = max(at, self.last or 0)

    def miss(self, run: Missed) -> None:
        if self.full:
            raise Unavailable("the journal is full")
        self.missed.append(run)
        self.last = max(run.end - 1, self.last or 0)

    def on_grid(self, at: int) -> bool:
        return (at - self.offset) % self.interval == 0

    def verify(self) -> None:
        """Say where the promise of ``Schedule`` is broken."""
        half = self.interval // 2
        assert all(other - one >= half for one, other in pairwise(self.polled)), "polled twice or too fast"
        runs = [(run.start, run.end, run) for run in self.missed]
        spans = sorted(runs + [(at, at + 1, None) for at in self.polled], key=lambda span: span[0])
        for (_, end, one), (start, _, other) in pairwise(spans):
            assert end <= start, f"{one} and {other or start} overlap"
        starts = [at for at in self.polled if not self.on_grid(at)]
        starts += [run.start for run in self.missed if run.ticks and not self.on_grid(run.start)]
        begun = None
        for start, end, run in spans:
            if begun is not None:
                self._verify_between(begun, start, starts)
            begun = end
            if run is not None:
                within = (end - 1 - self.offset) // self.interval - (start - 1 - self.offset) // self.interval
                assert run.ticks == within + (run.ticks > 0 and not self.on_grid(start)), run

    def _verify_between(self, end: int, start: int, starts: Sequence[int]) -> None:
        """At most one grid instant lies in [end, start), close behind a poll at start."""
        grid = end + (self.offset - end) % self.interval
        if grid < start:
            near = any(0 < grid - at < self.interval // 2 for at in starts)
            assert near, f"{grid} is neither polled nor missed"
            assert grid + self.interval >= start, f"{grid + self.interval} is neither polled nor missed"


def until(clock: FakeClock, waits: int) -> Callable[[float], bool]:
    """Waits by moving the clock, and stops the ticker with the so-and-so-manieth real wait."""
    left = [waits]

    def wait(seconds: float) -> bool:
        clock.advance(seconds)
        left[0] -= seconds > 0
        return left[0] <= 0

    return wait
