"""Polling one pollster in a test: as the agent would, contract and all."""

import pytest

from meteragent.errors import PluginError
from meteragent.testing import Polls
from meteragent.testing.fakes import NOON, ListDiscovery, ListPollster, sample


def test_a_poll_shows_samples_refusals_and_its_row() -> None:
    """Those of this poll, stamped with its tick."""
    with Polls(ListPollster(sample(), sample(volume="x"), OSError("gone"))) as polls:
        for tick in (NOON, NOON + 1):
            polled = polls.poll(tick)
            assert [each.timestamp for each in polled.samples] == [tick]
            assert [each.reason for each in polled.refused] == ["volume: 'x' is no number"]
            assert (polled.row.outcome, polled.row.samples) == ("partial", 1)
            assert polled.row.reason.startswith("OSError: gone")


def test_resources_are_given_or_found() -> None:
    """As polling.yaml and discoveries do."""
    pollster = ListPollster(sample(), discovery="all")
    with Polls(pollster, ["one"]) as polls:
        polls.poll()
    with Polls(pollster, discoveries={"all": ListDiscovery("two", "three")}) as polls:
        polls.poll()
    assert pollster.asked == [["one"], ["two", "three"]]


def test_what_is_no_pollster_is_told() -> None:
    """With what is wanted."""
    with pytest.raises(PluginError, match="get_samples"):
        Polls(object())
