"""A real agent on a real full disk: it lives, says so once, and goes on by itself."""

import os
from pathlib import Path

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
@pytest.mark.parametrize(("two", "kill"), [(False, False), (True, True)])
def test_a_full_disk_makes_gaps_and_nothing_else(tmp_path: Path, two: bool, kill: bool) -> None:
    """While the disk is full the ticks are gaps; when there is room again, the next tick is stored."""
    verdict = outage(
        tmp_path / "run", two=two, kill=kill, seconds=10
    )  # longer than the journal's own room lasts
    assert not verdict["faults"]
    assert verdict["lost"] >= 2
