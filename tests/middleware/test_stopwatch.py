"""Calls and their time are told by plugin."""

import logging
import time
from collections.abc import Iterator

import pytest

from meteragent.figures import prometheus
from meteragent.middleware.stopwatch import Stopwatch
from tests.middleware.wrapping import Failing, wrapped

LOG = logging.getLogger("meteragent.middleware.stopwatch")


def test_the_whole_iteration_is_timed() -> None:
    """To the last sample, for each source, under the name of the plugin."""
    stopwatch = Stopwatch(LOG)

    def get_samples() -> Iterator[int]:
        yield 1
        time.sleep(0.02)
        yield 2

    for source in "ab":
        list(wrapped(stopwatch, get_samples, source=source)({}))
    told = {each.kind.name: (each.value, each.owner) for each in stopwatch.figures()}
    assert told["plugin.calls"] == (2, ("pollster:host.p",))
    assert 0.04 <= told["plugin.busy"][0] < 5


def test_a_call_that_fails_takes_time_too() -> None:
    """It is counted, and its failure comes out."""
    stopwatch = Stopwatch(LOG)
    with pytest.raises(OSError, match=r"^away$"):
        wrapped(stopwatch, Failing(1))({})
    assert [each.value for each in stopwatch.figures() if each.kind.name == "plugin.calls"] == [1]


def test_each_call_is_in_the_log_for_who_debugs(caplog: pytest.LogCaptureFixture) -> None:
    """One line a call, and none otherwise."""
    call = wrapped(Stopwatch(LOG), Failing(0))
    with caplog.at_level(logging.INFO):
        call({})
    assert caplog.messages == []
    with caplog.at_level(logging.DEBUG):
        call({})
    assert [each.rpartition(" took ")[0] for each in caplog.messages] == ["pollster:host.p for s"]


def test_prometheus_reads_it() -> None:
    """Under names of the agent's own."""
    stopwatch = Stopwatch(LOG)
    wrapped(stopwatch, Failing(0))({})
    text = prometheus(stopwatch.figures())
    assert 'meteragent_plugin_calls_total{plugin="pollster:host.p"} 1\n' in text
    assert 'meteragent_plugin_busy_seconds_total{plugin="pollster:host.p"} ' in text


def test_only_what_is_chosen_is_timed() -> None:
    """By patterns."""
    stopwatch, failing = Stopwatch(LOG), Failing(0)
    call = wrapped(stopwatch, failing, plugins=["discovery:*"])
    call({})
    assert call._callback is failing
    assert not list(stopwatch.figures())
