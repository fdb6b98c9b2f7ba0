"""Samples that are not accepted: why, and how they are shown in quarantine; apart, as none is expected."""

import json
from collections.abc import Iterable
from typing import Any

import msgspec

from meteragent.batch import Refused
from meteragent.errors import Rejected
from meteragent.plugins.reason import one_line, valid
from meteragent.sample import Metadata, Sample

LONGEST_PAYLOAD = 64 << 10
"""Bytes that the samples refused for one reason are shown in."""
_REASONS = 64
"""Reasons that are told apart in one batch of a pollster."""
_SHORT = 2000
"""Characters that are kept of a value that is too long or that JSON cannot say."""

FIELDS = Sample.__struct_fields__[:-1]


class Turned(msgspec.Struct, frozen=True):
    """One thing that a pollster yielded and that is not accepted."""

    reason: str
    payload: str
    """JSON."""


def turned(sample: Any, error: Exception) -> Turned:
    """What is told of a thing that was not accepted.

    :param error: what ``accepted`` raised about it; runs foreign code, which may raise
    """
    reason = _unreadable(sample)
    if not reason:
        reason = str(error) if isinstance(error, Rejected) else f"{type(sample).__name__}: {one_line(error)}"
    return Turned(valid(reason), _json(sample))


def fold(polling_source: str, pollster: str, each: Iterable[Turned]) -> list[Refused]:
    """One entry for each reason, with as many of the first as there is room for."""
    counts: dict[str, int] = {}
    shown: dict[str, list[str]] = {}
    room: dict[str, int] = {}
    for one in each:
        reason = one.reason
        if reason not in counts and len(counts) >= _REASONS:
            reason = f"more than {_REASONS} other reasons"
        counts[reason] = counts.get(reason, 0) + 1
        left = room.get(reason, LONGEST_PAYLOAD - 2) - len(one.payload) - 1
        if left >= 0:
            shown.setdefault(reason, []).append(one.payload)
            room[reason] = left
    return [
        Refused(polling_source, pollster, reason, count, f"[{','.join(shown.get(reason, ()))}]".encode())
        for reason, count in counts.items()
    ]


def no_text(sample: Sample) -> Rejected | None:
    """Which text of an accepted sample no Unicode can say."""
    for field in FIELDS:
        value = getattr(sample, field)
        if isinstance(value, str) and valid(value) != value:
            return Rejected(f"{field}: {value!r:.60} is no valid Unicode")
    return None


def _unreadable(sample: Any) -> str:
    """The field that raises when it is read, and what; empty when none does."""
    for field in FIELDS:
        try:
            getattr(sample, field, None)
        except Exception as broken:  # boundary: attributes of what a plugin yielded
            return f"{field}: cannot be read, {one_line(broken)}"
    return ""


def _json(sample: Any) -> str:
    """JSON of it: an object of its fields if it has some, else text; always ASCII."""
    fields = {field: value for field in FIELDS if (value := _read(sample, field)) is not _MISSING}
    if "name" in fields or "volume" in fields:
        return json.dumps({field: _plain(value) for field, value in fields.items()})
    return json.dumps(_head(sample))


_MISSING = object()


def _read(sample: Any, field: str) -> Any:
    try:
        return getattr(sample, field, _MISSING)
    except Exception:  # boundary: attributes of what a plugin yielded; the reason names it
        return _MISSING


def _plain(value: Any) -> Any:
    """The value itself where JSON can say it in short, else its head as text."""
    if isinstance(value, float) and value - value != 0:
        return repr(value)
    try:
        if isinstance(value, Metadata):
            value = value.as_dict()
        text = json.dumps(value, allow_nan=False)
    except Exception:  # boundary: a value of any type
        return _head(value)
    return json.loads(text) if len(text) <= _SHORT else _head(value)


def _head(value: Any) -> str:
    try:
        return repr(value)[:_SHORT]
    except Exception as error:  # boundary: a value of any type
        return f"<{type(value).__name__} whose text cannot be had: {one_line(error)}>"
