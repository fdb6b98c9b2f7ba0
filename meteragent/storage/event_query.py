"""What can be asked of the events of a store, and which questions make sense; apart, since edges share it."""

import msgspec

from meteragent.errors import QueryError
from meteragent.storage.query import Condition, check_operation, check_range, check_text


class EventQuery(msgspec.Struct, frozen=True):
    """Which events are asked for; times are microseconds since the epoch, [start, end).

    ``traits`` must hold as a whole. The field of such a condition is the name of a trait, and it holds when
    a trait of that name fulfils it: a text one of kind text or none, a number one of the other kinds, of
    which a datetime is microseconds since the epoch. None stands for no trait of that name, and ``!=``
    holds for whatever is not equal.
    """

    event_type: str | None = None
    """A pattern, in which ``*`` is any text, ``?`` one character, and everything else itself."""
    message_id: str | None = None
    start: int | None = None
    end: int | None = None
    traits: tuple[Condition, ...] = ()
    raw: bool = False
    """Whether the notifications are wanted, too, where they were kept; they may be large."""
    timeout: float | None = None
    """Seconds that one call may take, None for any."""


def check_event_query(query: EventQuery) -> None:
    """Refuse what cannot hold or cannot be compared.

    :raises QueryError: naming the condition and what is allowed
    """
    check_range(query.start, query.end, query.timeout)
    for name, value in (("event_type", query.event_type), ("message_id", query.message_id)):
        if value is not None:
            check_text(name, value)
    for condition in query.traits:
        if not condition.field:
            raise QueryError(f"trait '' {condition.op} {condition.value!r:.80}: a trait has a name")
        check_text("trait", condition.field)
        check_operation(condition, (str, int, float), may_lack=True)


def check_event_type(pattern: str | None) -> None:
    """Refuse a pattern that no store can take.

    :raises QueryError: naming it
    """
    if pattern is not None:
        check_text("event_type", pattern)


def is_pattern(text: str) -> bool:
    """Whether it stands for more than itself."""
    return "*" in text or "?" in text
