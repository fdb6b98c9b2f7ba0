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

    On one disk, and on two with a kill half-way; side by side, as both do little but wait, and for
    longer than the room lasts that the journal owns.
    """

    def verdict(two: bool) -> dict[str, Any]:
        return outage(tmp_path / f"run{two}", two=two, kill=two, seconds=10)

    with ThreadPoolExecutor() as threads:
        for found in threads.map(verdict, (False, True)):
            assert not found["faults"]
            assert found["lost"] >= 2
