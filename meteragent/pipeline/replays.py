"""Offers a sink again what a person took out of quarantine for it; apart, so that it never holds the head."""

import hashlib
import logging
import time
from collections.abc import Callable, Sequence

from meteragent.batch import Position
from meteragent.errors import Rejected
from meteragent.journal.positions import Positions, SinkRow
from meteragent.journal.quarantine import Entry, batch_of
from meteragent.pipeline.delivery import Delivery
from meteragent.pipeline.target import Target, explained
from meteragent.plain import without_password

LOG = logging.getLogger(__name__)

REPLAY_PAUSE = 30.0
"""Seconds between two looks for replays."""


class Replays:
    """Goes through what is asked for, one entry at a call.

    One that fails has its turn again at the next look, when the others have had theirs.

    :param place: the position of a replay, by its number and the digest of what it holds
    """

    def __init__(
        self,
        row: SinkRow,
        targets: Sequence[Target],
        positions: Positions,
        delivery: Delivery,
        place: Callable[[int, bytes], Position],
    ) -> None:
        self._row, self._targets, self._positions = row, targets, positions
        self._delivery, self._place = delivery, place
        self.next_look = 0.0
        """When to call again, on the monotonic clock."""
        self._after = 0
        self._failed: set[int] = set()

    def offer_one(self) -> bool:
        """Offer the next entry, if there is one; whether there may be more."""
        now = time.monotonic()
        if now < self.next_look:
            return False
        serial = 0
        try:
            found = self._positions.replays(self._row.name, self._after, 1)
            if found:
                self._after = serial = found[0].serial
                self._offer(found[0])
        except Exception as error:  # boundary: what fails here may not keep the head from going on
            self._tell(serial, error)
        else:
            self._failed -= {0, serial}
        if not serial:
            self._after, self.next_look = 0, now + REPLAY_PAUSE
        return bool(serial)

    def _tell(self, serial: int, error: Exception) -> None:
        """Say once for each replay that it fails, where when that is a fault."""
        if serial in self._failed:
            return
        self._failed.add(serial)
        text, fault = explained(error)
        what = f"replay {serial}" if serial else "replays"
        LOG.warning("sink %s: %s can be offered later only: %s", self._row.name, what, text, exc_info=fault)

    def _offer(self, entry: Entry) -> None:
        """To those that refused it and to no other, which have it already."""
        try:
            batch = batch_of(entry)
        except Rejected as error:
            self._refuse(entry, str(error))
            return
        refusing = {without_password(url) for url in entry.publisher.split("\n")}
        targets = [target for target in self._targets if target.label in refusing]
        if not targets and len(self._targets) == 1:
            targets = list(self._targets)
        if not targets:
            self._refuse(entry, f"publisher {' and '.join(sorted(refusing))} is no longer configured")
            return
        digest = hashlib.blake2b(entry.payload, digest_size=16).digest()
        outcome, state = self._delivery.publish(targets, batch, self._place(entry.serial, digest))
        into, reason = "delivered", ""
        if outcome.refused:
            into, reason = entry.category, outcome.refused[0].reason
        elif outcome.duplicate or outcome.superseded:
            into = "duplicate" if outcome.duplicate else "superseded"
        self._positions.settle(entry, into, state, reason)

    def _refuse(self, entry: Entry, reason: str) -> None:
        self._positions.settle(entry, entry.category, self._row.state, reason)
