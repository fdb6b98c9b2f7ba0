"""What became of each of some messages, and all of it together as it is journaled."""

from collections.abc import Sequence
from typing import Any

import msgspec

from meteragent.batch import Batch
from meteragent.documents import shown
from meteragent.event import Event
from meteragent.message import Message, Received, SetAside, told_of
from meteragent.notifications.dispatcher import Conversion
from meteragent.notifications.keeping import keepable
from meteragent.sample import Sample
from meteragent.wire import encode

UNWRITABLE = (ValueError, TypeError, OverflowError, RecursionError)
"""What is raised about a batch that cannot be written."""


class Troubled(msgspec.Struct, frozen=True):
    """A message that has problems."""

    conversion: Conversion
    """Without samples and events when nothing came of the message."""
    event_type: str = ""
    """Empty where it could not be read."""

    @property
    def whole(self) -> bool:
        """Whether nothing came of it."""
        return not (self.conversion.samples or self.conversion.events)

    @property
    def kept(self) -> bool:
        """Whether something is missing that may be made of it later."""
        return self.whole or bool(self.conversion.refused) or self.conversion.incomplete

    @property
    def fate(self) -> str:
        """What is told of it."""
        if self.whole:
            return "is quarantined"
        return "is quarantined in part" if self.kept else "is converted, with a remark"


Outcome = Conversion | Troubled | None
"""Of a message: what came of it; None where no handler asks for it."""


class Converted(msgspec.Struct, frozen=True):
    """What messages, the first of those that were given, have become."""

    batch: Batch
    received: Received
    read: int
    """Samples that there were, those included that are refused."""
    outcomes: Sequence[Outcome] = ()
    """Of each message."""


def gather(messages: Sequence[Message], outcomes: Sequence[Outcome]) -> Converted:
    """Samples and events of all messages in their order, and the account of both."""
    samples: list[Sample] = []
    events: list[Event] = []
    aside: list[SetAside] = []
    converted = ignored = 0
    for message, outcome in zip(messages, outcomes, strict=False):
        if outcome is None:
            ignored += 1
            continue
        if isinstance(outcome, Troubled):
            if outcome.kept:
                aside.append(set_aside(message, outcome))
            if outcome.whole:
                continue
            outcome = outcome.conversion
        converted += 1
        samples += outcome.samples
        if outcome.events:
            events += outcome.events
    received = Received(converted, ignored, aside)
    read = len(samples) + received.refused
    return Converted(Batch(samples, events=events), received, read, outcomes)


def set_aside(message: Message, troubled: Troubled) -> SetAside:
    """The message on its way to quarantine."""
    problems = troubled.conversion.problems
    kept, message_id, event_type = keepable(message)
    refused = 0 if troubled.whole else troubled.conversion.refused
    sent = "" if kept is message else told_of(message.body)
    return SetAside(
        kept, message_id, problems[0], "\n".join(problems[1:]), refused, troubled.whole, event_type, sent
    )


def trouble(*problems: str) -> Troubled:
    """That nothing could be made of a message."""
    return Troubled(Conversion(problems=list(problems)))


def unwritable(outcome: Outcome) -> str:
    """Why what came of a message cannot be journaled; empty where it can."""
    conversion = outcome.conversion if isinstance(outcome, Troubled) else outcome
    if conversion is None:
        return ""
    try:
        encode(Batch(conversion.samples, events=conversion.events))
    except UNWRITABLE as error:
        return next((fault for each in conversion.samples if (fault := _fault(each))), str(error))
    return ""


def _fault(sample: Sample) -> str:
    """Which text of a sample no Unicode can say; empty when none is."""
    for field in sample.__struct_fields__:
        value: Any = getattr(sample, field)
        if isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError:
                return f"meter {shown(sample.name)}: {field}: {shown(value)} is no valid Unicode"
    return ""
