"""What a storage driver is: a plugin that keeps samples and answers; an agent has exactly one."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import msgspec

from meteragent.batch import Batch, Poll, Position, Published
from meteragent.sample import Sample

EXPIRED = "expired"
"""Reason of a refusal: the sample is older than the retention."""


class Query(msgspec.Struct, frozen=True):
    """Which samples are asked for; times are microseconds since the epoch, [start, end)."""

    meter: str | None = None
    resource_id: str | None = None
    project_id: str | None = None
    start: int | None = None
    end: int | None = None


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


class StorageDriver(ABC):
    """Keeps each sample once.

    Life: constructed with the connection URL, opened for writing by the agent or for reading only
    by a command, ``close`` once, safe without use. One thread at a time may call it.
    """

    @abstractmethod
    def record(self, batch: Batch, position: Position) -> Published:
        """Keep samples, poll rows and position in one durable transaction.

        A position that is already there changes nothing and returns the counts of the first time.
        Same identity and content is a duplicate; other content with origin 0 is superseded, with
        another origin refused as ``CONFLICT``; older than the retention is refused as ``EXPIRED``.

        :raises Unavailable: when it cannot be kept now
        :raises Rejected: when it can never be kept, e.g. another batch has this position
        """

    @abstractmethod
    def samples(self, query: Query, limit: int, after: tuple[int, ...] | None = None) -> Page:
        """Samples, newest first, at most ``limit``, going on behind ``after``."""

    @abstractmethod
    def meters(self) -> list[Meter]:
        """All meters, by name; one that was sent with several types or units has a row for each."""

    @abstractmethod
    def resources(self) -> list[Resource]:
        """All resources, by id."""

    @abstractmethod
    def polls(self, start: int | None = None, end: int | None = None) -> Iterator[Poll]:
        """Poll rows by tick, those of all hosts."""

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
        """Forget samples, polls and what only they needed; how many samples went.

        :param before: microseconds since the epoch; may keep up to an hour more
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the store."""
