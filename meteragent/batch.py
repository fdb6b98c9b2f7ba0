"""What goes from a source through the journal to the sinks: samples and the account of their polls."""

from typing import Literal

import msgspec

from meteragent.event import Event
from meteragent.sample import Sample
from meteragent.typed import known

Outcome = Literal["complete", "partial", "failed", "timed out"]


class Provenance(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Who yielded the next so many samples of a batch."""

    polling_source: str
    pollster: str
    samples: int


class Begun(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A poll that began; journaled with the first batch of a tick that needs more than one."""

    polling_source: str
    tick: int
    pollster: str
    began: int


class Poll(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The poll row: how one pollster fared at one tick; all times in microseconds since the epoch."""

    polling_source: str
    tick: int
    pollster: str
    began: int
    ended: int
    resources: int
    samples: int
    outcome: Outcome
    reason: str = ""
    failed: list[str] = []
    """Ids of the resources given up for good at this tick: those of a PollsterPermanentError."""


class Kept(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a pollster keeps for its next poll in a polling source, as JSON."""

    polling_source: str
    pollster: str
    state: bytes


class Missed(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A run of ticks at which a polling source was not polled at all: those in [start, end)."""

    polling_source: str
    start: int
    end: int
    ticks: int
    reason: str


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """The unit of every hand-over; ``sequence`` is given by the journal and 0 before."""

    samples: list[Sample] = []
    provenance: list[Provenance] = []
    begun: list[Begun] = []
    polls: list[Poll] = []
    missed: list[Missed] = []
    sequence: int = 0
    host: str = ""
    """Host, or coordination group, whose polls these are: sources of one name on two hosts are two."""
    kept: list[Kept] = []
    """What the pollsters of ``polls`` keep; the journal has a place of its own for it, sinks see none."""
    events: list[Event] = []


class Refused(msgspec.Struct, frozen=True):
    """Samples that were not accepted at intake, on their way to quarantine."""

    polling_source: str
    pollster: str
    reason: str
    samples: int
    payload: bytes
    """JSON of the first of them, or the head of their text where JSON cannot say it."""


class Position(msgspec.Struct, frozen=True):
    """Which batch this is: the one of a sink of an agent with this sequence in the agent's journal.

    ``agent`` is the agent's id, ``epoch`` names its journal: a new journal counts from 1 again.
    """

    agent: str
    epoch: str
    sink: str
    sequence: int
    digest: bytes = b""
    """Of the batch as it lies in the journal, with all of its samples; another one at the same place
    shows that the journal went back in time. Empty when it is not known."""
    selection: bytes = b""
    """Which of its samples the sink takes; empty for all of them."""


class Refusal(msgspec.Struct, frozen=True, array_like=True):
    """A sample that a publisher will never take, by its index in the batch."""

    index: int
    reason: str
    detail: str = ""
    """What stood against it, e.g. the other side of a conflict."""
    publishers: str = ""
    """URLs, one a line and without passwords, of those that refused it; filled in by the sink."""


CONFLICT = "conflict"


class Published(msgspec.Struct, frozen=True, array_like=True):
    """What became of the samples of a batch; the parts add up to the whole."""

    delivered: int
    duplicate: int = 0
    superseded: int = 0
    refused: list[Refusal] = []


known(Published)
