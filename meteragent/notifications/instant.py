"""Times as the ancestor's services write them; apart, as every handler and the dispatcher read them."""

import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from meteragent.clock import EARLIEST, LATEST
from meteragent.documents import shown
from meteragent.errors import Rejected

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_USUAL = (19, 26)
"""Characters of the times that most services write, which Python reads itself, and faster."""
_ALLOWED = "allowed is ISO 8601, as 2026-03-01T10:00:20.5Z; without a zone it is UTC"

_TIME = re.compile(
    r"(?P<year>\d{4})"
    r"(?:(?:-(?P<month>\d{1,2})|(?P<compact_month>\d{2})(?!$))"
    r"(?:(?:-(?P<day>\d{1,2})|(?P<compact_day>\d{2}))"
    r"(?:[ T](?P<hour>\d{2})(?::?(?P<minute>\d{2}))?(?::?(?P<second>\d{1,2})(?:[.,](?P<fraction>\d+))?)?"
    r"(?:Z|(?P<sign>[+-])(?P<zone_hour>\d{2}):?(?P<zone_minute>\d{2})?)?)?)?)?",
    re.ASCII,
)
"""Year, month, day, hour, minute and second, of which any may end it; the zone stands behind a time only."""


def instant_of(told: Any) -> int:
    """Microseconds since the epoch of a time in text; a time without a zone is UTC.

    What is finer than a microsecond is cut off.

    :raises Rejected: when it is no text, or names no time there is
    """
    if not isinstance(told, str):
        problem = "missing" if told is None else f"{shown(told)} is no text"
        raise Rejected(f"timestamp: {problem}; {_ALLOWED}")
    return _read(told)


def dated(told: Any) -> int:
    """The same, of a time that the calendar has in UTC, too.

    :raises Rejected: when it is none
    """
    at = instant_of(told)
    if not EARLIEST <= at <= LATEST:  # by its zone
        raise Rejected(f"timestamp: {shown(told)} is in UTC before the year 1 or after 9999")
    return at


@lru_cache(1024)
def _read(told: str) -> int:
    """Remembered, as the samples and events of a notification have its time."""
    if len(told) in _USUAL and told[4] == told[7] == "-" and told[10] in " T" and told[13] == ":":
        try:
            moment = datetime.fromisoformat(told)
        except ValueError:
            pass
        else:
            if moment.tzinfo is None:
                return (moment - _EPOCH) // _MICROSECOND
    found = _TIME.fullmatch(told)
    if found is None:
        raise Rejected(f"timestamp: {shown(told)} is no time; {_ALLOWED}")
    try:
        return _instant(found)
    except ValueError as error:
        raise Rejected(f"timestamp: {shown(told)} is no time: {error}") from None


def _instant(found: re.Match[str]) -> int:
    part = found.group
    moment = datetime(
        int(part("year")),
        int(part("month") or part("compact_month") or 1),
        int(part("day") or part("compact_day") or 1),
        int(part("hour") or 0),
        int(part("minute") or 0),
        int(part("second") or 0),
        int((part("fraction") or "0")[:6].ljust(6, "0")),
    )
    at = (moment - _EPOCH) // _MICROSECOND
    if part("sign"):
        away = _away(int(part("zone_hour")), int(part("zone_minute") or 0))
        at += away if part("sign") == "-" else -away
    return at


def _away(hours: int, minutes: int) -> int:
    """Microseconds between a zone and UTC."""
    if hours * 60 + minutes >= 24 * 60:
        raise ValueError("the zone is a day or more away")
    return (hours * 60 + minutes) * 60_000_000
