"""What fails again and again is not asked for a while."""

import time
from collections.abc import Iterator

import pytest

from meteragent.errors import PluginUnavailable, Unavailable
from meteragent.middleware.circuit_breaker import CircuitBreaker
from meteragent.plugins.bind import Bound
from tests.middleware.wrapping import Failing, wrapped


def fail(call: Bound, times: int) -> None:
    """Let it fail so often."""
    for _ in range(times):
        with pytest.raises(OSError, match=r"^away$"):
            call({})


def test_after_so_many_failures_in_a_row_it_is_not_called() -> None:
    """The reason tells how many, the last of them, and when it is tried again."""
    failing = Failing(9)
    call = wrapped(CircuitBreaker(), failing, failures=3)
    fail(call, 3)
    told = r"^not called after 3 failures in a row, the last: OSError: away; tried again at 20.*Z$"
    with pytest.raises(PluginUnavailable, match=told):
        call({})
    assert failing.calls == 3


def test_a_success_in_between_counts_from_the_start() -> None:
    """Only failures in a row open it."""
    failing = Failing(2)
    call = wrapped(CircuitBreaker(), failing, failures=3)
    fail(call, 2)
    call({})
    failing.left = 2
    fail(call, 2)
    assert call({}) == [6]


def test_one_is_tried_again_after_a_while() -> None:
    """Fails it, all wait once more; succeeds it, all go on."""
    failing = Failing(2)
    call = wrapped(CircuitBreaker(), failing, failures=1, reset=0.05)
    fail(call, 1)
    time.sleep(0.06)
    fail(call, 1)
    with pytest.raises(PluginUnavailable):
        call({})
    time.sleep(0.06)
    assert [call({}), call({})] == [[3], [4]]


def test_while_one_is_tried_the_others_wait() -> None:
    """It is not asked by all at once."""
    seen: list[type[BaseException] | None] = []

    def get_samples() -> list[int]:
        if not seen:
            seen.append(None)
            raise OSError("away")
        try:
            call({})
        except PluginUnavailable as error:
            seen.append(type(error))
        return [1]

    call = wrapped(CircuitBreaker(), get_samples, failures=1, reset=0.05)
    fail(call, 1)
    time.sleep(0.06)
    assert call({}) == [1]
    assert seen == [None, PluginUnavailable]


def test_a_failure_in_the_middle_of_the_samples_counts() -> None:
    """And what is given up by whoever asked does not."""

    def get_samples() -> Iterator[int]:
        yield 1
        raise OSError("away")

    call = wrapped(CircuitBreaker(), get_samples, failures=1)
    given = call({})
    next(given)
    given.close()
    with pytest.raises(OSError, match=r"^away$"):
        list(call({}))
    with pytest.raises(PluginUnavailable):
        call({})


def test_each_source_has_a_circuit_of_its_own() -> None:
    """The failures of one do not cost the other."""
    breaker, failing = CircuitBreaker(), Failing(1)
    one, two = (wrapped(breaker, failing, source=source, failures=1) for source in "ab")
    fail(one, 1)
    assert two({}) == [2]


def test_a_sink_waits_for_what_is_unavailable() -> None:
    """Around a publisher, where it is meant to be, its batch is kept."""
    failing = Failing(9)
    call = wrapped(CircuitBreaker(), failing, "publisher:file", failures=1, plugins=["publisher:*"])
    fail(call, 1)
    with pytest.raises(Unavailable):
        call({})
