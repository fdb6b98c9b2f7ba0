"""Processes that are started side by side: each is taken once, and none is left over."""

import time
from pathlib import Path

import pytest

from meteragent.errors import PluginError
from meteragent.plugins.confined.ahead import AT_ONCE, Ahead
from meteragent.plugins.confined.pollster import StandIn
from tests.plugins.confined.confining import SAMPLE, gone, order, yielding


def test_those_that_are_not_taken_are_ended(tmp_path: Path) -> None:
    """And one that was taken goes on."""
    ahead = Ahead()
    orders = [order(tmp_path, yielding(f"yield {SAMPLE}") + f"# {number}") for number in range(AT_ONCE + 2)]
    with ahead.start(orders):
        apart = StandIn(orders[1], started=ahead.take(orders[1]))
    found = list(apart.get_samples())
    apart.close()

    assert len(found) == 1
    assert gone(tmp_path)


HANGS = "time.sleep(1000)\nclass P:\n    def get_samples(self): ...\n"


def test_those_that_hang_do_so_together(tmp_path: Path) -> None:
    """Each has its time from its start, not from when it is its turn."""
    ahead = Ahead()
    orders = [order(tmp_path, f"{HANGS}# {number}", start_timeout=1.5) for number in range(4)]
    began = time.monotonic()
    with ahead.start(orders):
        for each in orders:
            with pytest.raises(PluginError, match=r"not loaded after 1\.5 s in its process"):
                StandIn(each, started=ahead.take(each))
    took = time.monotonic() - began

    assert took < 4.5
    assert gone(tmp_path)


def test_one_that_was_loaded_in_time_may_be_taken_later(tmp_path: Path) -> None:
    """Its turn comes when its time is over, since another one hung."""
    ahead = Ahead()
    orders = [order(tmp_path, source, start_timeout=3.0) for source in (HANGS, yielding(f"yield {SAMPLE}"))]
    with ahead.start(orders):
        with pytest.raises(PluginError, match="not loaded after 3 s"):
            StandIn(orders[0], started=ahead.take(orders[0]))
        apart = StandIn(orders[1], started=ahead.take(orders[1]))
    found = list(apart.get_samples())
    apart.close()

    assert len(found) == 1
    assert gone(tmp_path)


def test_one_that_was_not_started_is_started_when_it_is_taken(tmp_path: Path) -> None:
    """As outside of the start of an agent."""
    told = order(tmp_path, yielding(f"yield {SAMPLE}"))
    apart = StandIn(told, started=Ahead().take(told))
    found = list(apart.get_samples())
    apart.close()

    assert len(found) == 1
