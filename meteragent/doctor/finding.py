"""What a check looks at and what it says; apart, so that each theme of checks knows nothing else."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import msgspec

from meteragent import state_folder
from meteragent.clock import SECOND, Clock
from meteragent.config import Settings

Status = Literal["ok", "warning", "fault"]


class Finding(msgspec.Struct, frozen=True):
    """One thing that a check found."""

    status: Status
    finding: str
    remedy: str = ""
    """What to do; empty when nothing is to be done."""


@dataclass
class Installation:
    """What is looked at: an agent's settings and the files that it left, whether it runs or not."""

    settings: Settings
    clock: Clock
    config_files: list[str]
    config_dirs: list[str]
    state_dir: str | None
    """As the arguments of the call say."""

    @property
    def folder(self) -> Path:
        """The state folder."""
        return self.settings.state_dir

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.folder / state_folder.JOURNAL

    @cached_property
    def process(self) -> int | None:
        """The process of the agent that has the state folder; None when none does.

        :raises OSError: when the system does not tell
        """
        return holder(self.folder)

    @property
    def running_for(self) -> float:
        """Seconds since the agent that runs was started; 0 when none runs."""
        if self.process is None:
            return 0.0
        return self.clock.wall() / SECOND - (self.folder / state_folder.LOCK).stat().st_mtime


Check = Callable[[Installation], Iterator[Finding]]
"""A check: yields at least one finding, changes nothing, may raise anything."""


def holder(folder: Path) -> int | None:
    """The process that has locked a state folder, told without touching the lock: an agent may be starting.

    :raises OSError: when the system does not tell of locks
    """
    if not folder.exists():
        return None
    found = folder.stat()
    device = (os.major(found.st_dev), os.minor(found.st_dev))
    for line in Path("/proc/locks").read_text().splitlines():
        words = line.split()
        if len(words) < 6 or words[1] != "FLOCK":
            continue
        process, (major, minor, inode) = int(words[4]), words[5].split(":")
        # some file systems tell another device here than in stat
        known = (int(major, 16), int(minor, 16)) == device or process == noted(folder)
        if int(inode) == found.st_ino and known:
            return process
    return None


def noted(folder: Path) -> int | None:
    """The process that locked it last, by its own note."""
    try:
        return int((folder / state_folder.LOCK).read_text())
    except (OSError, ValueError):
        return None
