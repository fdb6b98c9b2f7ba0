"""A state folder on a file system that became read-only, as a disk with faults does."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.full_disk import disk

Call = Callable[..., "subprocess.CompletedProcess[str]"]
CONFIG = "[DEFAULT]\nhost = here\n"
POLLING = "sources: [{name: s, interval: 300, meters: [host.uptime]}]\n"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    try:
        with disk(tmp_path / "disk") as folder:
            yield folder
    except PermissionError as error:
        if os.environ.get("METERAGENT_REQUIRE_SERVERS") == "1":
            pytest.fail(f"a tmpfs is needed: {error}")
        pytest.skip(f"no tmpfs may be mounted: {error}")


@pytest.fixture
def call(tmp_path: Path, folder: Path) -> Call:
    """Runs the program with its state on that disk."""
    (tmp_path / "meteragent.conf").write_text(CONFIG)
    (tmp_path / "polling.yaml").write_text(POLLING)
    where = ("--config-dir", str(tmp_path), "--state-dir", str(folder / "state"))
    return lambda *args: subprocess.run(
        [sys.executable, "-m", "meteragent", *where, *args],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def remount(folder: Path) -> None:
    """Let nobody write there any more."""
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)


def test_a_folder_that_cannot_be_made_is_one_line(folder: Path, call: Call) -> None:
    """It names the folder, what the system says, and what to do."""
    remount(folder)
    ended = call("run", "--stop-after", "0")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"meteragent: state folder '{folder}/state': read-only file system; "
        "--state-dir or [agent] state_dir names another one\n"
    )


def test_a_folder_that_cannot_be_written_any_more_is_one_line(folder: Path, call: Call) -> None:
    """The agent does not start; what was metered before can still be read and verified."""
    assert call("run", "--stop-after", "1").returncode == 0
    remount(folder)
    ended = call("run", "--stop-after", "0")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"meteragent: {folder}/state/agent.lock: read-only file system; "
        "--state-dir or [agent] state_dir names another one\n"
    )
    for command in ("meter list", "sample list -m host.uptime", "gap list -f csv", "journal verify -f csv"):
        ended = call(*command.split())
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout, command
