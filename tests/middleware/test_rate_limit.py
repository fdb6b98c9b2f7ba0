"""A plugin is called so often in a period, and no oftener."""

import time

import pytest

from meteragent.errors import PluginUnavailable, Unavailable
from meteragent.middleware.rate_limit import RateLimit
from tests.middleware.wrapping import Failing, wrapped


def test_a_call_beyond_the_limit_fails_with_the_reason() -> None:
    """It tells the limit, and when there is room again; the plugin is not called."""
    failing = Failing(0)
    call = wrapped(RateLimit(), failing, calls=2, period=60.0)
    call({})
    call({})
    told = r"^called 2 times within 60 s, which is the limit; the next call may be made in (60|59\.\d+) s$"
    with pytest.raises(PluginUnavailable, match=told):
        call({})
    assert failing.calls == 2


def test_the_next_period_has_room_again() -> None:
    """A period is counted from each call."""
    call = wrapped(RateLimit(), Failing(0), calls=1, period=0.05)
    call({})
    time.sleep(0.06)
    assert call({}) == [2]


def test_a_call_waits_for_its_turn_where_it_may() -> None:
    """So many seconds at most; each waits behind the one before."""
    call = wrapped(RateLimit(), Failing(0), calls=1, period=0.05, wait=5.0)
    began = time.monotonic()
    assert [call({}) for _ in range(3)] == [[1], [2], [3]]
    assert 0.1 <= time.monotonic() - began < 5


def test_nothing_waits_beyond_the_time_of_the_call() -> None:
    """Whatever the option says."""
    call = wrapped(RateLimit(), Failing(0), timeout=1.0, calls=1, period=60.0, wait=3600.0)
    call({})
    with pytest.raises(PluginUnavailable):
        call({})


def test_all_sources_count_together() -> None:
    """The limit is one of whom the plugin asks; another plugin has its own."""
    limit, failing = RateLimit(), Failing(0)
    one, two = (wrapped(limit, failing, source=source, calls=1) for source in "ab")
    other = wrapped(limit, failing, "pollster:host.q", calls=1)
    one({})
    with pytest.raises(PluginUnavailable):
        two({})
    assert other({}) == [2]


def test_a_sink_waits_for_what_is_unavailable() -> None:
    """Around a publisher, where it is meant to be, its batch is kept."""
    call = wrapped(RateLimit(), Failing(0), "publisher:file", calls=1, plugins=["publisher:*"])
    call({})
    with pytest.raises(Unavailable):
        call({})


def test_what_it_is_not_meant_for_is_left_alone() -> None:
    """Publishers, unless the configuration says so."""
    failing = Failing(0)
    call = wrapped(RateLimit(), failing, "publisher:file", calls=1)
    call({})
    assert call._callback is failing
