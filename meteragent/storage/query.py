"""What can be asked of a store, and which questions make sense; apart, since drivers and edges share it.

A condition holds or does not, there is no third way: a field that is absent is None, ``!=`` holds for
whatever is not equal, and what cannot be ordered (None, text beside a number) fulfils no ``<``. A
boolean equals no number. Numbers compare as doubles, texts by code point.
"""

import math
import re
from collections.abc import Sequence

import msgspec

from meteragent.errors import QueryError

Value = str | int | float | bool | None

OWNERS = ("resource_id", "project_id", "user_id", "project_name", "user_name", "source", "type")
TEXTS = (*OWNERS, "name", "unit")
"""Fields of text; of these, the project and the user may be None."""
NUMBERS = ("volume", "timestamp")
"""Fields of numbers; ``timestamp`` is microseconds since the epoch."""
METADATA = "metadata."
"""Begins a path into the metadata, keys with dots between; a key that has dots itself is in double quotes.

What lies there is text, a number, a boolean or None; a mapping or list equals and precedes nothing.
"""
ORDERED = ("<", "<=", ">", ">=")
OPERATORS = ("=", "!=", *ORDERED, "in", "glob")
"""``in`` has a tuple of values; ``glob`` a pattern, in which ``*`` is any text, ``?`` one character, and
everything else itself."""
SIMPLE_AGGREGATES = ("count", "min", "max", "avg", "sum", "stddev")
CARDINALITY = "cardinality/"
"""Begins the aggregate that counts the groups there would be by the field that follows, None among them."""
LONGEST_PERIOD = 10_000 * 366 * 86_400 * 1_000_000
"""Microseconds; longer than all time that can be written."""

_KEY = re.compile(r'"([^"\\]+)"|([^."\\]+)')


class Condition(msgspec.Struct, frozen=True):
    """One thing that must hold for a sample."""

    field: str
    op: str
    value: Value | tuple[Value, ...]


class Query(msgspec.Struct, frozen=True):
    """Which samples are asked for; times are microseconds since the epoch, [start, end).

    ``where`` must hold as a whole. ``timeout`` is the seconds that one call may take, None for any.
    """

    meter: str | None = None
    resource_id: str | None = None
    project_id: str | None = None
    start: int | None = None
    end: int | None = None
    where: tuple[Condition, ...] = ()
    timeout: float | None = None


class Statistic(msgspec.Struct, frozen=True, gc=False):
    """Aggregates of the samples of one group, meter and unit in one period.

    ``group`` has a value for each field of ``group_by``, of metadata as text; None is a group of
    its own. The period is [start, end), and without periods the range of the query, where None is
    open. ``first`` and ``last`` are the instants of the first and last sample in it. ``values``
    are those of the aggregates asked for, in their order.
    """

    group: tuple[str | None, ...]
    name: str
    unit: str
    start: int | None
    end: int | None
    count: int
    first: int
    last: int
    values: tuple[int | float, ...]


def metadata_path(field: str) -> tuple[str, ...]:
    """Keys of a metadata field, outermost first.

    :raises QueryError: when it is none
    """
    keys: list[str] = []
    place = len(METADATA)
    while True:
        found = _KEY.match(field, place) if field.startswith(METADATA) else None
        if found is None or not field.isprintable():
            raise QueryError(
                f"field {field!r:.80} is no path into metadata; allowed: metadata.KEY or metadata.KEY.KEY, a"
                ' key with a dot in double quotes: metadata."a.b"'
            )
        keys.append(found[1] or found[2])
        place = found.end() + 1
        if found.end() == len(field):
            return tuple(keys)
        if field[found.end()] != ".":
            place = len(field)  # nothing matches there


def check_query(query: Query) -> None:
    """Refuse what cannot hold or cannot be compared.

    :raises QueryError: naming the condition and what is allowed
    """
    check_range(query.start, query.end, query.timeout)
    for condition in query.where:
        _check_condition(condition)


def check_range(start: int | None, end: int | None, timeout: float | None) -> None:
    """Refuse a range in which nothing lies, and a time that is none.

    :raises QueryError: naming it
    """
    if start is not None and end is not None and start >= end:
        raise QueryError("the start of the range is not before its end")
    if timeout is not None and not timeout > 0:
        raise QueryError(f"timeout {timeout!r}: allowed are seconds above 0")


def check_text(what: str, text: str) -> None:
    """Refuse a text that no store can hold.

    :raises QueryError: naming it
    """
    if not _can_be_told(text):
        raise QueryError(f"{what} {text!r:.80}: allowed there: text of valid Unicode")


def _check_condition(condition: Condition) -> None:
    field = condition.field
    if field.startswith(METADATA):
        metadata_path(field)
        kinds: tuple[type, ...] = (str, int, float, bool)
    elif field in TEXTS:
        kinds = (str,)
    elif field in NUMBERS:
        kinds = (int, float)
    else:
        raise QueryError(
            f"field {field!r:.80} is unknown; allowed: {', '.join((*TEXTS, *NUMBERS))}, metadata.KEY"
        )
    check_operation(condition, kinds, may_lack=field not in NUMBERS)


def check_operation(condition: Condition, kinds: tuple[type, ...], *, may_lack: bool) -> None:
    """Refuse an unknown operator, and a value that it cannot compare.

    :param kinds: of values that the field may have
    :param may_lack: whether it may have none
    :raises QueryError: naming the condition and what is allowed
    """
    field, op, value = condition.field, condition.op, condition.value
    if op not in OPERATORS:
        raise QueryError(f"operator {op!r:.80} is unknown; allowed: {', '.join(OPERATORS)}")
    if (op == "in") is not isinstance(value, tuple):
        raise QueryError(f"{field} {op} {value!r:.80}: a list of values goes with in, and only with it")
    if op == "glob" and str not in kinds:
        allowed = ", ".join(each for each in OPERATORS if each != op)
        raise QueryError(f"{field} glob {value!r:.80}: is for text; allowed: {allowed}")
    if op == "glob":
        kinds = (str,)
    elif op in ORDERED:
        kinds = tuple(kind for kind in kinds if kind is not bool)
    for each in value if isinstance(value, tuple) else (value,):
        if each is None and op in ("=", "!=", "in") and may_lack:
            continue
        if type(each) not in kinds or not _can_be_told(each):
            names = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
            allowed = ", ".join(names[kind] for kind in kinds)
            raise QueryError(f"{field} {op} {each!r:.80}: allowed there: {allowed}")


def _can_be_told(value: Value) -> bool:
    """Whether a store can take it: a text as UTF-8, a number as a double."""
    try:
        return (
            bool(str(value).encode()) or True if isinstance(value, str) else math.isfinite(float(value or 0))
        )
    except (UnicodeEncodeError, OverflowError):
        return False


def check_statistics(period: int | None, group_by: Sequence[str], aggregates: Sequence[str]) -> None:
    """Refuse an impossible period, an unknown group or aggregate.

    :param period: microseconds, or None for one period
    :raises QueryError: naming it and what is allowed
    """
    if period is not None and not 0 < period <= LONGEST_PERIOD:
        raise QueryError(
            f"period {period / 1e6:g} s: allowed are seconds above 0, up to {LONGEST_PERIOD / 1e6:.0f}"
        )
    for field in group_by:
        _check_group(field, "group")
    if len(set(group_by)) < len(group_by):
        raise QueryError(f"group {', '.join(group_by)}: a field stands there twice")
    for aggregate in aggregates:
        if aggregate.startswith(CARDINALITY):
            _check_group(aggregate.removeprefix(CARDINALITY), f"aggregate {CARDINALITY}")
        elif aggregate not in SIMPLE_AGGREGATES:
            allowed = ", ".join((*SIMPLE_AGGREGATES, f"{CARDINALITY}FIELD"))
            raise QueryError(f"aggregate {aggregate!r:.80} is unknown; allowed: {allowed}")


def _check_group(field: str, what: str) -> None:
    if field.startswith(METADATA):
        metadata_path(field)
    elif field not in OWNERS:
        raise QueryError(
            f"{what} {field!r:.80} is unknown; allowed: {', '.join(OWNERS)}, metadata.KEY; meters and units"
            " are kept apart anyway"
        )
