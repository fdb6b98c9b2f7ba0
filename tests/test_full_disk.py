"""A real agent on a real full disk: it lives, says so once, and goes on by itself."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from benchmarks.full_disk import disk, outage


@pytest.fixture
def mountable(tmp_path: Path) -> None:
    """Skips where no file system may be mounted."""
    try:
        with disk(tmp_path / "tried"):
            pass
    except PermissionError as error:
        if os.environ.get("METERAGENT_REQUIRE_SERVERS") == "1":
            pytest.fail(f"a tmpfs is needed: {error}")
        pytest.skip(f"no tmpfs may be mounted: {error}")


@pytest.mark.usefixtures("mountable")
def test_a_full_disk_makes_gaps_and_nothing_else(tmp_path: Path) -> None:
    """While the disk is full the ticks are gaps; when there is room again, the next tick is stored.

    On one disk, and on two with a kill half-way, and with the analytic store; that one answers meanwhile,
    too, unless the disk filled under its commit: then it is closed, and says so. Side by side, as all do
    little but wait, and for longer than the room lasts that the journal owns.
    """

    def verdict(case: tuple[str, bool]) -> dict[str, Any]:
        scheme, two = case
        return outage(tmp_path / f"{scheme}{two}", two=two, kill=two, seconds=10, scheme=scheme)

    cases = [("sqlite", False), ("sqlite", True), ("duckdb", False)]
    with ThreadPoolExecutor() as threads:
        for (scheme, _), found in zip(cases, threads.map(verdict, cases), strict=True):
            assert not found["faults"]
            assert found["lost"] >= 2
            assert found["answered"] + found["unavailable"] >= 2
            assert scheme == "duckdb" or not found["unavailable"]
