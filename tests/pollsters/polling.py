"""A poller with what it needs, for tests of polls."""

import textwrap
import threading
import time
from collections.abc import Mapping
from typing import Any

from meteragent.batch import Batch, Poll, Refused
from meteragent.clock import Clock
from meteragent.discovery.discoverer import Discoverer
from meteragent.pollsters.ancestor import Manager
from meteragent.pollsters.definition import PollingSource, merged, parse
from meteragent.pollsters.limits import Limits
from meteragent.pollsters.poller import Collected, Poller
from meteragent.pollsters.sharing import Sharing
from meteragent.pollsters.states import States
from meteragent.sample import Sample
from meteragent.testing.fakes import CallPollster, sample


def source(text: str = "meters: ['*']", name: str = "s", interval: int = 10) -> PollingSource:
    """A polling source, its further keys as YAML."""
    rest = textwrap.indent(textwrap.dedent(text), "    ")
    sources, _ = parse(f"sources:\n  - name: {name}\n    interval: {interval}\n{rest}\n", "polling.yaml")
    (one,) = merged(sources)
    return one


def many(count: int, **fields: Any) -> CallPollster:
    """Yields so many samples."""
    return CallPollster(lambda _: (sample(volume=number, **fields) for number in range(count)))


class Polling:
    """Polls pollsters and keeps what is journaled."""

    def __init__(
        self,
        pollsters: Mapping[str, Any],
        text: str = "meters: ['*']",
        *,
        name: str = "s",
        interval: int = 10,
        discoveries: Mapping[str, Any] | None = None,
        conf: Any = None,
        clock: Clock | None = None,
        limits: Limits | None = None,
        journal: Any = None,
        sharing: Sharing | None = None,
        states: States | None = None,
    ) -> None:
        self.collected = Collected()
        self._before = set(threading.enumerate())
        manager = Manager(conf)
        manager.discoverer = Discoverer(discoveries or {}, host="web1", manager=manager)
        self.clock = clock or Clock()
        self.poller = Poller(
            source(text, name, interval), pollsters, manager, journal or self.collected,
            clock=self.clock, limits=limits, sharing=sharing, states=states,
            sample_source="test", host="web1",
        )  # fmt: skip

    def poll(self, tick: int | None = None) -> None:
        """Poll at a tick, without one now; only what comes of it is kept."""
        self.collected.batches.clear()
        self.collected.refused.clear()
        self.collected.read = 0
        self.poller.poll(self.clock.wall() if tick is None else tick)
        self.check()

    def settled(self) -> bool:
        """Whether no call runs on, soon: the idle threads are let go, and no other is left."""
        self.poller.close()
        end = time.monotonic() + 5
        while set(threading.enumerate()) - self._before and time.monotonic() < end:
            time.sleep(0.005)
        return not set(threading.enumerate()) - self._before

    def check(self) -> None:
        """What always holds: the parts of each batch and of the account add up."""
        for batch in self.batches:
            assert sum(run.samples for run in batch.provenance) == len(batch.samples)
        assert self.collected.read == len(self.samples) + sum(each.samples for each in self.refused)

    @property
    def batches(self) -> list[Batch]:
        """All of them."""
        return self.collected.batches

    @property
    def samples(self) -> list[Sample]:
        """Of all batches."""
        return [sample for batch in self.batches for sample in batch.samples]

    @property
    def refused(self) -> list[Refused]:
        """All of them."""
        return self.collected.refused

    @property
    def rows(self) -> list[Poll]:
        """The poll rows of all batches."""
        return [row for batch in self.batches for row in batch.polls]

    def row(self, pollster: str) -> Poll:
        """The one poll row of a pollster."""
        (row,) = [row for row in self.rows if row.pollster == pollster]
        return row
