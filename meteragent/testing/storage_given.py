"""What the contract suite of storage gives to drivers; apart, because its parts share it."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import msgspec
import pytest

from meteragent.batch import Batch, Missed, Poll, Position, Provenance, Published
from meteragent.clock import SECOND, Clock
from meteragent.event import DATETIME, INTEGER, TEXT, Event, Trait
from meteragent.sample import Metadata, Sample
from meteragent.storage.base import EventQuery, Query, StorageDriver

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
NOON = 1_790_000_000 * SECOND // HOUR * HOUR
"""An instant at the beginning of an hour."""


class FixedClock(Clock):
    """A wall clock that stands where a test puts it."""

    def __init__(self, now: int = NOON) -> None:
        self.now = now

    def wall(self) -> int:
        """Where it was put."""
        return self.now


class OpenDriver(Protocol):
    """Opens the store of this test; each call gives another driver of the same store."""

    def __call__(
        self, *, read_only: bool = False, retention: float | None = None, clock: Clock | None = None
    ) -> StorageDriver:
        """A driver."""


def a_sample(**fields: Any) -> Sample:
    """A sample as accepted, other than usual in the given fields."""
    usual: dict[str, Any] = {
        "name": "cpu",
        "type": "gauge",
        "unit": "%",
        "volume": 10,
        "user_id": "user",
        "project_id": "project",
        "resource_id": "host",
        "timestamp": NOON,
        "resource_metadata": Metadata.of({"flavor": "small"}),
        "source": "openstack",
        "user_name": "User",
        "project_name": "Project",
    }
    return Sample(**(usual | fields))


def an_event(**fields: Any) -> Event:
    """An event, other than usual in the given fields."""
    traits = [Trait("state", TEXT, "active"), Trait("memory_mb", INTEGER, 512), Trait("at", DATETIME, NOON)]
    usual: dict[str, Any] = {
        "message_id": "one",
        "event_type": "compute.instance.exists",
        "generated": NOON,
        "traits": traits,
    }
    return Event(**(usual | fields))


def a_poll(tick: int, outcome: Any = "complete", **fields: Any) -> Poll:
    """A poll row."""
    poll = Poll("all", tick, "host", tick, tick + SECOND, 2, 2, outcome)
    return msgspec.structs.replace(poll, **fields)


def at(sequence: int, **fields: Any) -> Position:
    """A position."""
    return msgspec.structs.replace(Position("agent", "epoch", "store", sequence), **fields)


class StorageCase(ABC):
    """A part of the contract, with a driver at hand."""

    @abstractmethod
    @pytest.fixture
    def open_driver(self) -> OpenDriver:
        """Override with a fixture: how a driver of this test's own empty store is opened."""

    @pytest.fixture
    def driver(self, open_driver: OpenDriver) -> Iterator[StorageDriver]:
        """A driver that writes."""
        driver = open_driver()
        yield driver
        driver.close()


class Writer:
    """Records one batch after the other."""

    def __init__(self, driver: StorageDriver) -> None:
        self.driver, self.sequence = driver, 0

    def __call__(self, *samples: Sample) -> Published:
        """Record samples."""
        return self.batch(Batch(list(samples)))

    def batch(self, batch: Batch) -> Published:
        """Record a batch at the next position."""
        self.sequence += 1
        return self.driver.record(batch, at(self.sequence))

    def events(self, *events: Event) -> Published:
        """Record events."""
        return self.batch(Batch(events=list(events)))

    def polled(
        self, tick: int, resources: str, outcome: Any = "complete", host: str = "", **fields: Any
    ) -> Published:
        """Record a poll of some resources, one letter each, with its samples."""
        samples = [a_sample(resource_id=name, timestamp=tick) for name in resources]
        poll = a_poll(tick, outcome, samples=len(samples), **fields)
        came_from = [Provenance(poll.polling_source, poll.pollster, len(samples))]
        return self.batch(Batch(samples, came_from, polls=[poll], host=host))

    def missed(
        self, start: int, end: int, ticks: int, reason: str = "overrun", source: str = "all", host: str = ""
    ) -> Published:
        """Record a missed run."""
        return self.batch(Batch(missed=[Missed(source, start, end, ticks, reason)], host=host))


def everything(driver: StorageDriver, query: Query | None = None, size: int = 1000) -> list[Sample]:
    """All samples of a store, page by page."""
    found: list[Sample] = []
    page = driver.samples(query or Query(), size)
    found += page.samples
    while page.after is not None:
        page = driver.samples(query or Query(), size, page.after)
        found += page.samples
    return found


def all_events(driver: StorageDriver, query: EventQuery | None = None, size: int = 1000) -> list[Event]:
    """All events of a store with their notifications, page by page."""
    wanted = query or EventQuery(raw=True)
    found: list[Event] = []
    page = driver.events(wanted, size)
    found += page.events
    while page.after is not None:
        page = driver.events(wanted, size, page.after)
        found += page.events
    return found


def as_text(found: Iterable[Any]) -> list[str]:
    """Sorted, as text, which tells 10 from 10.0 and 0.0 from -0.0."""
    return sorted(map(repr, found))
