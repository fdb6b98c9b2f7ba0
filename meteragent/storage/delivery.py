"""What a file store asks of a batch: keys of its samples, where they come from, whether it came before."""

import logging
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from meteragent.batch import Batch, Position, Published, Refusal
from meteragent.errors import Rejected
from meteragent.sample import Metadata, Sample

LOG = logging.getLogger(__name__)

SeriesKey = tuple[str, str, str]
"""(source, resource_id, meter)"""
AttributesKey = tuple[str, str, str | None, str | None, str | None, str | None, bytes]
"""(type, unit, project_id, user_id, user_name, project_name, metadata as JSON)"""
MeterKey = tuple[str, str, str]
"""(name, type, unit)"""
Part = tuple[str, str, str] | None
"""(host, polling source, pollster) that samples come from; None for samples that were not polled."""

SERIES = ("source", "resource_id", "name")
"""Fields of a sample that its series has."""
_TOLD = ("type", "unit", "project_id", "user_id", "user_name", "project_name", "resource_metadata.json")
"""Those that its attributes have, in the order of AttributesKey, which never changes: SQLite keeps a digest
of it."""
ATTRIBUTES = (_TOLD[-1], *_TOLD[:-1])
"""The same, those first that differ most."""

_OF_SERIES = attrgetter(*SERIES)
_OF_ATTRIBUTES = attrgetter(*_TOLD)


def recorded(record: Callable[[Batch, Position], Published], batch: Batch, position: Position) -> Published:
    """Record a batch, if need be without its events: what these say shall not keep out its samples.

    :raises Rejected: when it can never be kept without them, either
    """
    try:
        return record(batch, position)
    except Rejected as error:
        if not batch.events:
            raise
        published = record(msgspec.structs.replace(batch, events=[]), position)
        first = batch.events[0]
        LOG.error(
            "%s; its %d events are left out, the first of message %.80r of type %.80r",
            error, len(batch.events), first.message_id, first.event_type,
        )  # fmt: skip
        return published


def said_of_new_agent(position: Position) -> str:
    """What is said of an agent that was at work before the store knows of it."""
    return f"is new to this agent; its {position.sequence - 1} batches before this one are not in it"


def said_of_former_journal(position: Position) -> str:
    """What is said of a position at which the journal holds another batch now."""
    return (
        f"{place_of(position)} held another batch: the agent's journal went back in time, to a backup"
        " perhaps; what it recorded before stays, and nothing that comes now is taken for it"
    )


def place_of(position: Position) -> str:
    """A position, as a person is told of it."""
    return f"position {position.sequence} of agent {position.agent}, sink {position.sink}"


def parts(batch: Batch) -> Iterator[tuple[Part, int, int]]:
    """Where the samples of a batch come from: a part, and the indices [first, last) of what it brought."""
    first = 0
    for each in batch.provenance:
        last = first + each.samples
        yield (batch.host, each.polling_source, each.pollster), first, last
        first = last
    yield None, first, len(batch.samples)


def series_key(sample: Sample) -> SeriesKey:
    """What is measured."""
    return (sample.source or "", sample.resource_id, sample.name)


def series_keys(samples: Sequence[Sample]) -> Iterator[SeriesKey]:
    """Keys to look up what is known, fast; that of a sample without a source is none that a store knows."""
    return map(_OF_SERIES, samples)


def attributes_key(sample: Sample) -> AttributesKey:
    """What is told with a sample."""
    return (
        sample.type, sample.unit, sample.project_id, sample.user_id, sample.user_name, sample.project_name,
        Metadata.of(sample.resource_metadata).json,
    )  # fmt: skip


def attributes_keys(samples: Sequence[Sample]) -> list[AttributesKey]:
    """What is told with each, fast."""
    try:
        return list(map(_OF_ATTRIBUTES, samples))
    except AttributeError:  # a plain mapping
        return list(map(attributes_key, samples))


def sides(stored: int | float, told: Sequence[Any], sample: Sample) -> str:
    """Both sides of a conflict in one line.

    :param told: type, unit, project, user and metadata as JSON of what is stored
    """
    sent = (
        sample.type, sample.unit, sample.project_id, sample.user_id,
        Metadata.of(sample.resource_metadata).json.decode(),
    )  # fmt: skip
    return f"stored: {_side(stored, *told)}; sent: {_side(sample.volume, *sent)}"


def _side(
    volume: int | float, kind: str, unit: str, project: str | None, user: str | None, metadata: str
) -> str:
    return f"{volume!r} {unit} ({kind}) of project {project}, user {user}, metadata {metadata:.200}"


EARLIER = "id, digest, selection, delivered, duplicate, superseded, refusals"
"""Columns of table ``batch`` that tell of an earlier delivery."""


class Earlier(msgspec.Struct, frozen=True):
    """What an earlier delivery recorded at a position."""

    number: int
    digest: bytes
    """Empty when an older version has recorded it."""
    selection: bytes
    published: Published

    @classmethod
    def of(cls, row: Sequence[Any]) -> "Earlier":
        """From its row: columns ``EARLIER``."""
        number, digest, selection, delivered, duplicate, superseded, refusals = row
        refused = msgspec.msgpack.decode(refusals, type=list[Refusal]) if refusals else []
        return cls(number, digest, selection, Published(delivered, duplicate, superseded, refused))

    def is_of_another(self, position: Position) -> bool:
        """Whether the journal held another batch at this position then."""
        return bool(self.digest and position.digest) and self.digest != position.digest

    def tells(self, batch: Batch, position: Position) -> bool:
        """Whether it says what became of these very samples, and not of others of the journal's batch."""
        told = self.published
        total = told.delivered + told.duplicate + told.superseded + len(told.refused)
        return total == len(batch.samples) and (not self.digest or self.selection == position.selection)
