"""``store:`` keeps samples in the storage driver, each once."""

from meteragent.batch import Batch, Position, Published
from meteragent.publishers.base import Publisher
from meteragent.storage.base import StorageDriver


class StorePublisher(Publisher):
    """Hands batches to the agent's storage driver, which holds the position in the same transaction."""

    guarantee = "exact"

    def __init__(self, driver: StorageDriver) -> None:
        self._driver = driver

    def publish(self, batch: Batch, position: Position) -> Published:
        """Record samples and the account of their polls."""
        return self._driver.record(batch, position)

    def close(self) -> None:
        """Close the store."""
        self._driver.close()
