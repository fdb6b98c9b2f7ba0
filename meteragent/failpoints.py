"""Where a test may look on or kill: the agent names each critical step as it reaches it.

``METERAGENT_TEST_PHASE`` names a file whose first byte then always tells the present phase.
``METERAGENT_FAILPOINT=<phase>[:<n>]`` kills the process at the n-th time it reaches that phase.
Without either, ``reach`` does nothing.
"""

import mmap
import os
import signal
from collections.abc import Callable

PHASES = (
    "idle",
    "poll",
    "journal open",
    "journal committed",
    "store open",
    "store committed",
    "position open",
    "position committed",
    "trim open",
)


def _nothing(phase: str) -> None:
    del phase


def _watched() -> Callable[[str], None]:
    path, armed = os.environ.get("METERAGENT_TEST_PHASE"), os.environ.get("METERAGENT_FAILPOINT")
    if not path and not armed:
        return _nothing
    shown = None
    if path:
        with open(path, "r+b") as file:
            shown = mmap.mmap(file.fileno(), 1)
    deadly, _, count = (armed or "").partition(":")
    left = [int(count or 1)]

    def reach(phase: str) -> None:
        if shown is not None:
            shown[0] = PHASES.index(phase)
        if phase == deadly:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    return reach


reach = _watched()
