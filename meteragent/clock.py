"""Time as the agent sees it: the wall clock stamps, the monotonic clock schedules and measures."""

import time
from datetime import UTC, datetime, timedelta

SECOND = 1_000_000
"""Microseconds in a second; every instant inside is an integer of microseconds since the epoch."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
LATEST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
"""The first and the last instant that the calendar has."""


class Clock:
    """Both clocks; a test hands in its own."""

    def wall(self) -> int:
        """Microseconds since the epoch, UTC; may step."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Seconds since some start; never steps."""
        return time.monotonic()


def iso(at: int) -> str:
    """ISO 8601 in UTC with ``Z``; an instant no calendar holds is shown as its nearest end."""
    moment = _EPOCH + timedelta(microseconds=min(max(at, EARLIEST), LATEST))
    return moment.replace(tzinfo=None).isoformat() + "Z"


def instant(text: str) -> int:
    """Microseconds since the epoch of ISO 8601 text with a zone.

    :raises ValueError: when it is no ISO 8601, or names no zone
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone; end it with Z for UTC")
    return (moment - _EPOCH) // timedelta(microseconds=1)
