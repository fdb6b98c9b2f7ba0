"""Plugins that are installed and not used cost a listing and the start of an agent next to nothing."""

from pathlib import Path

from benchmarks.plugins import run


def test_many_plugins_are_listed_and_none_is_imported_that_is_not_used(tmp_path: Path) -> None:
    """The same 5 are enabled; those of 100 distributions are found, and the agent imports the 5."""
    costs = run(tmp_path, 100, 1)
    assert set(costs) == {"listing, cold", "listing", "start, cold", "start"}
