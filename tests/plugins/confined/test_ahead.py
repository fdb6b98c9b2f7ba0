"""Processes that are started side by side: each is taken once, and none is left over."""

from pathlib import Path

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


def test_one_that_was_not_started_is_started_when_it_is_taken(tmp_path: Path) -> None:
    """As outside of the start of an agent."""
    told = order(tmp_path, yielding(f"yield {SAMPLE}"))
    apart = StandIn(told, started=Ahead().take(told))
    found = list(apart.get_samples())
    apart.close()

    assert len(found) == 1
