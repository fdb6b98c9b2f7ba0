"""What a storage driver is: a plugin that keeps samples and answers; an agent has exactly one."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import msgspec

from meteragent.batch import Batch, Poll, Position, Published
from meteragent.errors import Unavailable
from meteragent.event import Event, Kind
from meteragent.sample import Sample
from meteragent.storage.event_query import EventQuery
from meteragent.storage.query import Query, Statistic

__all__ = [
    "EXPIRED",
    "MOST_STATISTICS",
    "EventPage",
    "EventQuery",
    "Gap",
    "Meter",
    "Page",
    "Query",
    "Renewal",
    "Resource",
    "Statistic",
    "StorageDriver",
    "TraitKind",
]

EXPIRED = "expired"
"""Reason of a refusal: the sample is older than the retention."""
MOST_STATISTICS = 1_000_000
"""Rows that one question for statistics may have."""

_BY_ITSELF = "use the means of the database itself while the agent is stopped"


class Meter(msgspec.Struct, frozen=True):
    """A meter that has samples."""

    name: str
    type: str
    unit: str


class Resource(msgspec.Struct, frozen=True):
    """A resource that has samples."""

    resource_id: str
    source: str


class Gap(msgspec.Struct, frozen=True):
    """A run of ticks at which a series should have a sample and has none: those in [start, end)."""

    polling_source: str
    resource_id: str
    name: str
    start: int
    end: int
    ticks: int
    reason: str


class Page(msgspec.Struct, frozen=True):
    """Samples, newest first, and the key to go on with (None at the end)."""

    samples: list[Sample]
    after: tuple[int, ...] | None


class EventPage(msgspec.Struct, frozen=True):
    """Events, newest first, and the key to go on with (None at the end)."""

    events: list[Event]
    after: tuple[int, ...] | None


class TraitKind(msgspec.Struct, frozen=True):
    """A trait that events of a type have, and of which type its values are."""

    event_type: str
    name: str
    kind: Kind


class Renewal(msgspec.Struct, frozen=True):
    """An agent whose journal, restored from a backup, goes on under another epoch."""

    agent: str
    epoch: str
    renewed: str


class StorageDriver(ABC):
    """Keeps each sample and each event once.

    Life: constructed with the connection URL, opened for writing by the agent or for reading only
    by a command, ``close`` once, safe without use. One thread at a time may call it, but for
    ``interrupt``. Every answer to a ``Query`` or an ``EventQuery`` raises QueryError when the query makes
    no sense (``check_query``, ``check_event_query``), QueryTimeout when it takes longer than the query
    allows, Unavailable when it was interrupted; a signal handler of Python runs while it is worked out.
    """

    shared: ClassVar[bool] = True
    """Whether other processes can read the store while an agent has it open. Where they cannot, commands
    ask the agent, so a driver made for reading works beside the one that records, in the same process."""

    @abstractmethod
    def record(self, batch: Batch, position: Position) -> Published:
        """Keep samples, events, poll rows and position in one durable transaction.

        A position that is already there with the same digest and selection changes nothing and returns
        the counts of the first time. With another selection, its samples are kept where they are not,
        and those that are there from the first time count as delivered. Another digest shows that the
        agent's journal went back in time, which is said once; the batch is kept as a new one.
        Same identity and content is a duplicate; other content with origin 0 is superseded, with
        another origin refused as ``CONFLICT``; older than the retention is refused as ``EXPIRED``.

        An event is known by (generated, message_id, event_type); one that is there stays as it is. Those
        older than the retention are left out, and so is what cannot be stored of an event, or all of it:
        nothing that an event says keeps a batch from being recorded. The log tells so, once for a batch.
        What is returned counts samples only.

        :raises Unavailable: when it cannot be kept now
        :raises Rejected: when it can never be kept
        """

    @abstractmethod
    def samples(self, query: Query, limit: int, after: tuple[int, ...] | None = None) -> Page:
        """Samples, newest first, at most ``limit``, going on behind ``after``."""

    @abstractmethod
    def newest(self, query: Query) -> Iterator[Sample]:
        """Of each series its newest sample, those for which the query holds.

        By resource, meter and source; of several at the newest instant the one with the highest
        origin. An older sample never stands for a newest one that the query excludes.
        """

    @abstractmethod
    def statistics(
        self, query: Query, aggregates: Sequence[str], group_by: Sequence[str] = (), period: int | None = None
    ) -> list[Statistic]:
        """Aggregates over the samples for which the query holds; none where there is no sample.

        By group (None first), meter, unit and period. Periods begin at multiples of their length
        since the epoch, so the first and last may reach over the ends of the query's range; samples
        beyond these do not count.

        ``count``, ``min``, ``max``, ``cardinality/FIELD`` and a ``sum`` of integers are exact, whatever
        their size, and integers where the volumes are; another ``sum`` is within 1e-12 of the sum of
        magnitudes, ``avg`` within 1e-12 of their mean, ``stddev``, that of the population, within 1e-9
        of itself plus 1e-15 of the largest magnitude, which wants two passes or shifted volumes.

        :param period: microseconds, None for one period
        :raises QueryError: for what ``check_statistics`` refuses, for more than MOST_STATISTICS rows, and
            for a sum, average or deviation that is too large for a double, also on the way, naming
            the meter
        """

    @abstractmethod
    def interrupt(self) -> None:
        """From any thread: the call that runs, if one does, ends with Unavailable."""

    @abstractmethod
    def meters(self) -> list[Meter]:
        """All meters, by name; one that was sent with several types or units has a row for each."""

    @abstractmethod
    def resources(self) -> list[Resource]:
        """All resources, by id."""

    @abstractmethod
    def events(self, query: EventQuery, limit: int, after: tuple[int, ...] | None = None) -> EventPage:
        """Events, newest first, at most ``limit``, going on behind ``after``.

        A page ends earlier, too, with the event by which its traits and notifications reach
        ``event_row.PAGE_BYTES``.
        """

    @abstractmethod
    def event_types(self) -> list[str]:
        """The types that have events, by name."""

    @abstractmethod
    def traits(self, event_type: str | None = None) -> list[TraitKind]:
        """The traits that events have, by event type and name; one with several types has a row for each.

        :param event_type: a pattern as that of an ``EventQuery``; None for all
        :raises QueryError: when it is none that a store can take
        """

    @abstractmethod
    def polls(
        self, start: int | None = None, end: int | None = None, *, host: str | None = None
    ) -> Iterator[Poll]:
        """Poll rows by tick.

        :param host: only those of this one (``Batch.host``); None for all
        """

    @abstractmethod
    def gaps(self, start: int | None = None, end: int | None = None) -> Iterator[Gap]:
        """Where samples are missing, and why.

        A series is expected at a tick when it had a sample at the last complete poll of its
        pollster before that tick; a missed tick concerns every series of its polling source.
        Where none is expected, one gap with empty ``resource_id`` and ``name`` tells of it. A run
        of missed ticks that lies in [start, end) only in part is given whole. Polling sources of
        one name on two hosts (``Batch.host``) are two, each with its own polls and series; a
        series that several of them bring is expected of each.
        """

    @abstractmethod
    def expire(self, before: int) -> int:
        """Forget samples, events, polls and what only they needed; how many samples went.

        :param before: microseconds since the epoch; may keep up to an hour more
        """

    def backup(self, folder: Path) -> Iterator[tuple[int, int]]:
        """Copy the store, as it is at the first step, into files ``samples.*``, a part at each further step.

        For a driver made for reading; others may record meanwhile. After each step the bytes that are
        copied and those in all; there is no step where there is no store yet.

        :raises Unavailable: when it cannot be copied
        """
        del folder
        raise Unavailable(f"a store is not copied by its driver {type(self).__name__}; {_BY_ITSELF}")

    def restore(self, folder: Path, renewal: Renewal, aside: str) -> Iterator[tuple[int, int]]:
        """Put what ``backup`` copied in the place of the store, a part at each step, in the end at once.

        Yields how much is copied and of how much; as long as that is less, nothing has changed yet.

        For a driver made for reading, before any other call. What the agent recorded under its former
        epoch counts as recorded under the new one.

        :param aside: ending under which a store that is there is kept; empty when there must be none
        :raises ConfigError: when there is one
        :raises Unavailable: when it cannot be restored; nothing has changed then
        """
        del folder, renewal, aside
        raise Unavailable(f"a store is not restored by its driver {type(self).__name__}; {_BY_ITSELF}")

    @abstractmethod
    def close(self) -> None:
        """Let go of the store."""
