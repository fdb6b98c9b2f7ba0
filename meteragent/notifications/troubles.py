"""Tells the log about troubles of notifications, of which there may be millions, each kind now and then."""

import logging
import re
import time
from collections.abc import Callable

from meteragent.documents import shown
from meteragent.plain import printable

LOG = logging.getLogger(__name__)

PAUSE = 3600.0
"""Seconds after which what was told may be told again."""
MOST = 500
"""Kinds that are told in that time; of others it is told only that there are some."""
_particular = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")
"""What differs from one trouble of a kind to the next."""


class Troubles:
    """Remembers which kinds of trouble were told."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._told: set[tuple[str, str]] = set()
        self._since = monotonic()

    def tell(self, event_type: str, trouble: str, what: str) -> None:
        """Log a trouble that notifications of an event type have, unless that was done just before.

        :param what: becomes of the notification
        """
        now = self._monotonic()
        if now - self._since >= PAUSE:
            self._told.clear()
            self._since = now
        kind = (event_type, _particular.sub("…", trouble)[:200])
        if kind in self._told or len(self._told) > MOST:
            return
        self._told.add(kind)
        if len(self._told) > MOST:
            LOG.warning("more than %d kinds of trouble with notifications, no more are told now", MOST)
            return
        of = f"event type {shown(event_type)}" if event_type else "no event type that can be read"
        LOG.warning("notification of %s %s: %s", of, what, printable(trouble))
