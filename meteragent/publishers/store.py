"""``store:`` keeps samples and events in the storage driver, each once; those too old it lets go."""

import logging

from meteragent.batch import Batch, Position, Published
from meteragent.clock import SECOND, Clock
from meteragent.errors import MeteragentError
from meteragent.plugins.settling import settled
from meteragent.publishers.base import Publisher
from meteragent.storage.base import StorageDriver

LOG = logging.getLogger(__name__)

EXPIRE_EVERY = 3600.0
"""Seconds between two looks for samples that are older than the retention."""


class StorePublisher(Publisher):
    """Hands batches to the agent's storage driver, which holds the position in the same transaction.

    Expiry runs here, between two batches, because a driver is called by one thread at a time.
    """

    guarantee = "exact"

    def __init__(
        self, driver: StorageDriver, retention: float | None = None, clock: Clock | None = None
    ) -> None:
        """
        :param retention: seconds that samples are kept; None keeps them for ever
        """
        self._driver, self._retention, self._clock = driver, retention, clock or Clock()
        self._next_expiry = 0.0

    def publish(self, batch: Batch, position: Position) -> Published:
        """Record samples, events and the account of their polls."""
        published: Published = settled(self._driver.record(batch, position))
        if self._retention is not None and self._clock.monotonic() >= self._next_expiry:
            self._next_expiry = self._clock.monotonic() + EXPIRE_EVERY
            self._expire(self._clock.wall() - int(self._retention * SECOND))
        return published

    def _expire(self, before: int) -> None:
        try:
            gone = self._driver.expire(before)
        except MeteragentError as error:  # the batch is recorded; what is too old can go an hour later
            LOG.warning("samples and events that are too old stay for now: %s", error)
        else:
            LOG.info(
                "%d samples, and the events of the same time, were older than the retention of %g s",
                gone, self._retention,
            )  # fmt: skip

    def close(self) -> None:
        """Close the store."""
        settled(self._driver.close())
