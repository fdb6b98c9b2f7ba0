"""Ends all processes that one has left, where no namespace does; see PR_SET_CHILD_SUBREAPER in prctl(2)."""

import contextlib
import os
import signal
import time

PATIENCE = 5.0
"""Seconds in which all are to be ended."""
_PAUSE = 0.002


def end_children() -> None:
    """Kill the children of this process, theirs too, as they become its own; whoever is ended is gone."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found = _below(os.getpid())
        for sent in (signal.SIGSTOP, signal.SIGKILL):  # first no more are made
            for process in found:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(process, sent)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                continue
        except ChildProcessError:
            return
        time.sleep(_PAUSE)


def _below(process: int) -> list[int]:
    """All below a process in the tree of them."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with (
                contextlib.suppress(OSError, ValueError, IndexError),
                open(f"/proc/{name}/stat", "rb") as file,
            ):
                parents.setdefault(int(file.read().rpartition(b")")[2].split()[1]), []).append(int(name))
    found, left = [], [process]
    while left:
        children = parents.get(left.pop(), [])
        found += children
        left += children
    return found
