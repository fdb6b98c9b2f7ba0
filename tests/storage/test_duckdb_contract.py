"""The analytic store keeps the contract that every driver keeps."""

from pathlib import Path

import pytest

from meteragent.clock import Clock
from meteragent.storage.duckdb.driver import DuckDBDriver
from meteragent.testing.storage import StorageContract
from meteragent.testing.storage_given import OpenDriver


class TestDuckDB(StorageContract):
    """The contract suite."""

    @pytest.fixture
    def open_driver(self, folder: Path) -> OpenDriver:
        """All drivers of a test open one file."""

        def opened(
            *, read_only: bool = False, retention: float | None = None, clock: Clock | None = None
        ) -> DuckDBDriver:
            return DuckDBDriver("duckdb:///samples.duckdb", folder, read_only, retention, clock)

        return opened
