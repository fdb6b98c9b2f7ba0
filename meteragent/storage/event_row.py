"""The events of a batch as rows that any store can hold, and back; apart, so that both drivers agree.

Traits are JSON, ``[[name, kind, value], …]``, written by msgspec without spaces. A quotation mark within a
text is escaped there, so ``["name",`` stands where a trait of that name begins, and nowhere else.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from math import isfinite
from operator import attrgetter
from typing import Any

import msgspec

from meteragent.clock import SECOND, iso
from meteragent.event import DATETIME, FLOAT, INTEGER, NONE, TEXT, Event, Trait
from meteragent.plain import printable
from meteragent.plugins.reason import one_line, shortened, valid
from meteragent.storage.query import Value
from meteragent.typed import known

PAGE_BYTES = 16 << 20
"""A page of events ends with the one by which the JSON of traits and notifications has so many bytes."""
HOUR = 3600 * SECOND
"""Microseconds in an hour, by which is told when a trait was there last."""
EventRow = tuple[int, str, str, str, str | None]
"""(generated, message_id, event_type, traits, raw); the last two are JSON, raw is None if it is not kept."""
TraitKey = tuple[str, str, int]
"""(event_type, name, kind)"""

_SIGNED, _UNSIGNED = 2**63, 2**64
_WIDEST = 4
"""Bytes that a character takes at most."""
_encode = msgspec.json.Encoder().encode
_decode_traits = msgspec.json.Decoder(list[Trait]).decode
_decode_raw = msgspec.json.Decoder(dict[str, Any]).decode
_KIND = attrgetter("name", "kind")
_TEXTS, _NUMBERS = (NONE, TEXT), (INTEGER, FLOAT, DATETIME)
_KINDS = (*_TEXTS, *_NUMBERS)

known(Trait)


class EventRows(msgspec.Struct):
    """What is to be stored of the events of a batch."""

    events: Sequence[Event]
    rows: list[EventRow]
    """Of these events, in their order."""
    traits: dict[TraitKey, int]
    """Those that they have, and the newest hour in which an event with it was generated."""
    remarks: list[str]
    """What is left out, and why."""

    @classmethod
    def of(cls, events: Sequence[Event], oldest: int, most: int) -> "EventRows":
        """Those that are new enough.

        :param oldest: microseconds; what was generated before it is left out
        :param most: bytes that traits and raw notifications may have together
        """
        remarks: list[str] = []
        try:
            rows, traits = _rows(events), told(events)
        except Exception:  # boundary: a handler is a plugin, and may have made them of anything
            events, rows = _mended(events, remarks)
            traits = told(events)
        whole = len(rows)
        if min(map(_generated, rows), default=oldest) < oldest:
            kept = [n for n, row in enumerate(rows) if row[0] >= oldest]
            remarks.append(
                f"{whole - len(kept)} events are left out, as they are older than the retention: before"
                f" {iso(oldest)}"
            )
            events, rows = [events[n] for n in kept], [rows[n] for n in kept]
        size = sum(map(len, [row[3] for row in rows])) + sum([len(row[4]) for row in rows if row[4]])
        if _WIDEST * size > most:
            events, rows = _bounded(events, rows, most, remarks)
        return cls(events, rows, traits if len(rows) == whole else told(events), remarks)

    def types(self) -> dict[str, int]:
        """Their types, and the newest hour of each."""
        newest: dict[str, int] = {}
        for row in self.rows:
            if row[0] >= newest.get(row[2], row[0]):
                newest[row[2]] = row[0]
        return {event_type: at // HOUR for event_type, at in newest.items()}


def told(events: Iterable[Event]) -> dict[TraitKey, int]:
    """The traits that events have, and the newest hour of each.

    :raises ValueError: when one is no trait, or another exception
    """
    found: dict[tuple[str, int], list[list[Trait]]] = defaultdict(list)
    for event in events:
        found[event.event_type, event.generated // HOUR].append(event.traits)
    newest: dict[TraitKey, int] = {}
    for (event_type, hour), traits in sorted(found.items(), key=_hour):
        for name, kind in set(map(_KIND, chain.from_iterable(traits))):
            if kind not in _KINDS:
                raise ValueError(f"trait {name!r:.80} has a kind that is none")
            newest[event_type, name, kind] = hour
    return newest


def event_of(generated: int, message_id: str, event_type: str, traits: str, raw: str | None = None) -> Event:
    """The event of a row; a trait that another version has written is left out where it is none of ours."""
    try:
        found = _decode_traits(traits)
    except msgspec.ValidationError:
        found = []
        for each in msgspec.json.decode(traits):
            try:
                found.append(msgspec.convert(each, Trait))
            except msgspec.ValidationError:
                continue
    return Event(message_id, event_type, generated, found, _decode_raw(raw) if raw else {})


def begins(name: str) -> str:
    """What stands in the JSON of traits where one of this name begins."""
    return f"[{_encode(name).decode()},"


def texts(name: str, value: Value) -> list[str]:
    """What stands there for traits that have this very text."""
    return [f"{begins(name)}{kind},{_encode(value).decode()}]" for kind in _TEXTS]


def numbers(name: str) -> list[str]:
    """What stands there before the value of a trait that is a number; behind it is a bracket."""
    return [f"{begins(name)}{kind}," for kind in _NUMBERS]


def _hour(found: tuple[tuple[str, int], object]) -> int:
    return found[0][1]


def _generated(row: EventRow) -> int:
    return row[0]


def _rows(events: Sequence[Event]) -> list[EventRow]:
    """As nearly all events are.

    :raises ValueError: when one of them cannot be stored as it is, or another exception
    """
    rows: list[EventRow] = [
        (
            each.generated, each.message_id, each.event_type, _encode(each.traits).decode(),
            _encode(each.raw).decode() if each.raw else None,
        )
        for each in events
    ]  # fmt: skip
    generated = [row[0] for row in rows]
    if set(map(type, generated)) - {int}:
        raise ValueError("its time is no integer")
    if min(generated, default=0) < -_SIGNED or max(generated, default=0) >= _SIGNED:
        raise ValueError("its time is beyond 64 bits")
    for text in ("".join(row[1] for row in rows), "".join({row[2] for row in rows})):
        text.encode()
    odd = (each.traits for each, row in zip(events, rows, strict=True) if ",null]" in row[3])
    if not all(map(_can_be_kept, chain.from_iterable(odd))):  # else it stands in a text
        raise ValueError("a number is not finite")
    return rows


def _mended(events: Sequence[Event], remarks: list[str]) -> tuple[list[Event], list[EventRow]]:
    """Each event by itself, without what cannot be stored."""
    mended: list[Event] = []
    rows: list[EventRow] = []
    faults: list[str] = []
    for each in events:
        try:
            event = _valid(each, faults)
            made, _ = _rows([event]), told([event])
            rows += made
            mended.append(event)
        except Exception as error:  # boundary: a handler is a plugin, and may have made it of anything
            faults.append(f"{_name(each)}: left out: {one_line(error)}")
    if faults:
        remarks.append(
            f"{len(faults)} events are not kept whole; the first: {printable(shortened(faults[0]))}"
        )
    return mended, rows


def _valid(event: Event, faults: list[str]) -> Event:
    """The event without what cannot be stored; what that is, is added to the faults."""
    traits = [
        Trait(valid(each.name), each.kind, valid(each.value) if isinstance(each.value, str) else each.value)
        for each in event.traits
        if _can_be_kept(each)
    ]
    raw, fault = event.raw, ""
    if len(traits) < len(event.traits):
        fault = f"{len(event.traits) - len(traits)} of its traits have a value that no store can hold"
    try:
        _encode(raw)
    except Exception as error:  # boundary: it may hold anything
        raw, fault = {}, f"its notification: {one_line(error)}"
    event = Event(valid(event.message_id), valid(event.event_type), event.generated, traits, raw)
    if fault:
        faults.append(f"{_name(event)}: {fault}")
    return event


def _can_be_kept(trait: Trait) -> bool:
    value: Any = trait.value
    if trait.kind not in _KINDS:
        return False
    if isinstance(value, float):
        return isfinite(value)
    return isinstance(value, str) or (type(value) is int and -_SIGNED <= value < _UNSIGNED)


def _name(event: Event) -> str:
    return f"message {str(event.message_id)[:80]!r} of type {str(event.event_type)[:80]!r}"


def _bounded(
    events: Sequence[Event], rows: list[EventRow], most: int, remarks: list[str]
) -> tuple[list[Event], list[EventRow]]:
    """As many raw notifications, and then events, as there is room for, the small ones first."""
    sizes = [(len(row[3].encode()), len((row[4] or "").encode())) for row in rows]
    left = most
    kept = set[int]()
    for n in sorted(range(len(rows)), key=lambda n: sizes[n][0]):
        if sizes[n][0] <= left:
            kept.add(n)
            left -= sizes[n][0]
    whole = set[int]()
    for n in sorted(kept, key=lambda n: sizes[n][1]):
        if sizes[n][1] <= left:
            whole.add(n)
            left -= sizes[n][1]
    if len(whole) < len(rows):
        remarks.append(
            f"{len(kept) - len(whole)} events are kept without their notification, {len(rows) - len(kept)}"
            f" are left out: those of one batch may have {most} bytes together"
        )
    places = sorted(kept)
    return [events[n] for n in places], [rows[n] if n in whole else (*rows[n][:4], None) for n in places]
