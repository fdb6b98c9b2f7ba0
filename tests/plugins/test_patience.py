"""Telling that something takes long."""

import time

from meteragent.plugins.patience import after
from tests import threads


def test_what_takes_long_is_told_and_what_does_not_is_not() -> None:
    """Once, while it goes on."""
    told: list[str] = []
    with after(0.01, told.append, "slow"):
        until = time.monotonic() + 5
        while not told:
            assert time.monotonic() < until
            time.sleep(0.001)
        assert told == ["slow"]
    with after(0.05, told.append, "quick"):
        pass
    time.sleep(0.1)
    assert told == ["slow"]


def test_without_a_thread_nobody_is_told_and_it_is_done() -> None:
    """That is no fault of what is done."""
    told: list[str] = []
    with threads.exhausted(), after(0.01, told.append, "slow"):
        time.sleep(0.05)
    assert told == []
