"""The embedded store keeps the contract that every driver keeps."""

from pathlib import Path

import pytest

from meteragent.clock import Clock
from meteragent.storage.sqlite import statistics
from meteragent.storage.sqlite.driver import SQLiteDriver
from meteragent.testing.storage import StorageContract
from meteragent.testing.storage_given import OpenDriver, StorageCase
from meteragent.testing.storage_statistics import StatisticsContract


class _SQLite(StorageCase):
    @pytest.fixture
    def open_driver(self, folder: Path) -> OpenDriver:
        """All drivers of a test open one file."""

        def opened(
            *, read_only: bool = False, retention: float | None = None, clock: Clock | None = None
        ) -> SQLiteDriver:
            return SQLiteDriver("sqlite:///samples.db", folder, read_only, retention, clock)

        return opened


class TestSQLite(_SQLite, StorageContract):
    """The contract suite."""


class TestSQLiteBySlots(_SQLite, StatisticsContract):
    """Statistics put together from slots, as they are where a slot has several samples of a series."""

    @pytest.fixture(autouse=True)
    def _always_by_slots(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(statistics, "SEVERAL", 0)
