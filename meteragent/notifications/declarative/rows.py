"""Rows of a notification, any of which may be no good; apart, as sensors, polls and definitions have them."""

from typing import Any

from meteragent.documents import shown
from meteragent.errors import Rejected
from meteragent.notifications.base import Refused, RefusedSample
from meteragent.notifications.instant import instant_of

MOST_FAULTS = 100_000
"""Rows of one notification that are named as no good."""


class Faults:
    """Names the rows that are no good, until they are too many.

    :param problems: lines for the user, to append to
    :param kind: what they would have become
    """

    __slots__ = ("_kind", "_left", "_problems")

    def __init__(self, problems: list[str], kind: type[Refused] = RefusedSample) -> None:
        self._problems, self._left, self._kind = problems, MOST_FAULTS, kind

    def add(self, line: str) -> None:
        """Name one.

        :raises Rejected: when it is one too many, to end with what stands behind it
        """
        if not self._left:
            raise Rejected(f"more than {MOST_FAULTS} rows are no good; the others are not read")
        self._left -= 1
        self._problems.append(self._kind(line))


def time_of(told: Any) -> Any:
    """Microseconds since the epoch; what is no time as text, for whom takes the sample to refuse it.

    A row that is told so keeps its place among those of its series. None where nothing is told.
    """
    if not told:
        return None
    if not isinstance(told, str):
        return f"no text: {shown(told)}"
    try:
        return instant_of(told)
    except Rejected:
        return told
